package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/table"
)

const (
	// mostEvents and mostOwners bound what the text shows; JSON has all.
	mostEvents = 5
	mostOwners = 8
)

// plan says what a plan for the pod alone came to.
func (p *printer) plan(e *Explanation) {
	if e.Plan == nil {
		return
	}
	var lines []string
	for _, n := range e.Plan.Existing {
		lines = append(lines, fmt.Sprintf("it has room on %s, which is there or on its way", n.Name))
	}
	for _, n := range e.Plan.Nodes {
		lines = append(lines, fmt.Sprintf("launch %s in %s, %s, for $%.4f per hour (NodePool %s)", n.InstanceType, n.Zone, n.CapacityType, n.PricePerHour, n.NodePool))
	}
	for _, u := range e.Plan.Unplaced {
		lines = append(lines, u.Reasons...)
	}
	p.list("A plan for it alone, made now with "+e.PlanPrices+":", lines)
}

// node says what the node is, costs and holds.
func (p *printer) node(e *Explanation) {
	n := e.Node
	if n == nil {
		return
	}
	p.out.WriteString("\n" + title(n) + "\n")
	if line := offer(n); line != "" {
		p.wrapped("  ", line)
	}
	if !n.Absent {
		p.wrapped("  ", fmt.Sprintf("up for %s, cpu %s, memory %s, %.0f of %.0f pods",
			e.ago(n.CreatedAt), table.Bar(n.CPU.Share(), table.BarLength), table.Bar(n.Memory.Share(), table.BarLength), n.Pods.Requested, n.Pods.Allocatable))
	}
	if len(e.PodsOnIt) > 0 {
		p.wrapped("  ", "on it: "+owners(e.PodsOnIt))
	}
}

func title(n *nodes.Node) string {
	switch {
	case n.Name == "":
		return "NodeClaim " + n.NodeClaim + ":"
	case n.NodeClaim == "":
		return "Node " + n.Name + ":"
	default:
		return "Node " + n.Name + " (NodeClaim " + n.NodeClaim + "):"
	}
}

// offer is "c6a.large in us-east-1a, on-demand, $0.0765 per hour, $55.85 per month, NodePool web".
func offer(n *nodes.Node) string {
	var parts []string
	if n.InstanceType != "" {
		parts = append(parts, strings.TrimSuffix(n.InstanceType+" in "+n.Zone, " in "))
	}
	if n.CapacityType != "" {
		parts = append(parts, n.CapacityType)
	}
	switch {
	case n.PricePerHour == 0:
	case n.CapacityType == v1alpha1.CapacityTypeReserved:
		parts = append(parts, fmt.Sprintf("paid for with its reservation (on-demand $%.4f per hour)", n.PricePerHour))
	default:
		parts = append(parts, fmt.Sprintf("$%.4f per hour, $%s per month", n.PricePerHour, table.Dollars(n.PricePerHour*table.HoursPerMonth)))
	}
	if n.NodePool != "" {
		parts = append(parts, "NodePool "+n.NodePool)
	}
	return strings.Join(parts, ", ")
}

// owners is "7×deployment/web 1×statefulset/db", most first.
func owners(counts map[string]int) string {
	type entry struct {
		name  string
		count int
	}
	var all []entry
	for name, n := range counts {
		all = append(all, entry{name, n})
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(b.count, a.count), strings.Compare(a.name, b.name)) })
	var parts []string
	for i, entry := range all {
		if i == mostOwners && len(all) > mostOwners+1 {
			parts = append(parts, fmt.Sprintf("and %d others", len(all)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%d×%s", entry.count, entry.name))
	}
	return strings.Join(parts, " ")
}

// words are the conditions and the latest events that say more than was said already.
func (p *printer) words(e *Explanation) {
	said := e.Summary + "\n" + strings.Join(e.Details, "\n")
	var lines []string
	for _, c := range e.Conditions {
		done := c.Status == string(metav1.ConditionTrue)
		if c.Message == "" || strings.Contains(said, brief(c.Message)) || done && c.Reason == c.Type {
			continue
		}
		status := ""
		if !done {
			status = " is " + c.Status
		}
		lines = append(lines, fmt.Sprintf("%s%s for %s (%s): %s", c.Type, status, e.ago(c.Since), c.Reason, c.Message))
	}
	p.list("Conditions of its NodeClaim:", lines)
	lines = nil
	for _, event := range e.Events[:min(len(e.Events), mostEvents)] {
		if strings.Contains(said, event.Message) {
			event.Message = "as above"
		}
		lines = append(lines, fmt.Sprintf("%s ago, %s: %s", e.ago(event.Last), event.Reason, event.Message))
	}
	p.list("Events:", lines)
}
