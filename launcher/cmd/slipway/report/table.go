package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/table"
)

const (
	// maxRows bounds the rows of nodes; beyond it nodes of a type share a row whatever
	// pods they hold.
	maxRows = 40
	// maxOwners bounds the owners that a row names.
	maxOwners = 8
)

// Table writes the result for people, in lines of about the width. owners names the owner
// of each pod, such as "deployment/web".
func (r *Result) Table(w io.Writer, owners map[string]string, width int) error {
	p := &printer{owners: owners, width: width}
	p.nodes(r.Nodes)
	p.existing(r.Existing)
	p.totals(r)
	p.unplaced(r.Unplaced)
	_, err := io.WriteString(w, p.out.String())
	return err
}

type printer struct {
	out    strings.Builder
	owners map[string]string
	width  int
}

// group is nodes that look alike.
type group struct {
	Node
	count       int
	cpu, memory float64 // sum of the used shares
	pods        []string
}

func (p *printer) nodes(nodes []Node) {
	if len(nodes) == 0 {
		return
	}
	groups := p.group(nodes, true)
	if len(groups) > maxRows {
		groups = p.group(nodes, false)
	}
	rows := [][]string{{"NODES", "ZONE", "CAPACITY", "NODEPOOL", "$/HOUR", "CPU", "MEMORY", "PODS"}}
	for _, g := range groups {
		n := float64(g.count)
		rows = append(rows, []string{
			fmt.Sprintf("%d × %s", g.count, g.InstanceType), g.Zone, g.CapacityType, g.NodePool, fmt.Sprintf("%.4f", g.PricePerHour*n),
			table.Bar(g.cpu/n, table.BarLength), table.Bar(g.memory/n, table.BarLength), p.byOwner(g.pods),
		})
	}
	table.Write(&p.out, p.width, rows)
}

// group gathers nodes of one offering; apart is whether those with other pods are another group.
func (p *printer) group(nodes []Node, apart bool) []*group {
	var groups []*group
	index := map[string]*group{}
	for _, n := range nodes {
		key := strings.Join([]string{n.NodePool, n.InstanceType, n.Zone, n.CapacityType}, " ")
		if apart {
			key += " " + p.byOwner(n.Pods)
		}
		g := index[key]
		if g == nil {
			g = &group{Node: n}
			index[key] = g
			groups = append(groups, g)
		}
		g.count++
		g.cpu += share(n, corev1.ResourceCPU)
		g.memory += share(n, corev1.ResourceMemory)
		g.pods = append(g.pods, n.Pods...)
	}
	return groups
}

// share of a resource that is used.
func share(n Node, name corev1.ResourceName) float64 {
	have, used := n.Allocatable[name], n.Requested[name]
	if have.IsZero() {
		return 0
	}
	return used.AsApproximateFloat64() / have.AsApproximateFloat64()
}

func (p *printer) existing(nodes []Existing) {
	if len(nodes) == 0 {
		return
	}
	if p.out.Len() > 0 {
		p.out.WriteString("\n")
	}
	rows := [][]string{{"EXISTING NODES", "PODS"}}
	for _, n := range nodes {
		rows = append(rows, []string{"existing node " + n.Name, p.byOwner(n.Pods)})
	}
	table.Write(&p.out, p.width, rows)
}

func (p *printer) totals(r *Result) {
	if r.Pods == 0 {
		p.out.WriteString("No pod needs a place: the input has none that waits for a node.\n")
		return
	}
	if p.out.Len() > 0 {
		p.out.WriteString("\n")
	}
	fmt.Fprintf(&p.out, "%s, %d of %s placed", table.Count(len(r.Nodes), "node"), r.Placed, table.Count(r.Pods, "pod"))
	if on := onExisting(r); on > 0 {
		fmt.Fprintf(&p.out, " (%d on existing nodes)", on)
	}
	p.out.WriteString("\n")
	if len(r.Nodes) == 0 {
		if len(r.Unplaced) == 0 {
			p.out.WriteString("Nothing has to be bought.\n")
		}
		return
	}
	fmt.Fprintf(&p.out, "$%.4f per hour, $%s per month of %d hours\n", r.PricePerHour, table.Dollars(r.PricePerHour*table.HoursPerMonth), table.HoursPerMonth)
	if bound := r.LowerBoundPerHour; bound > 0 {
		fmt.Fprintf(&p.out, "lower bound $%.4f per hour; this plan is %.1f%% above it\n", bound, max(r.PricePerHour/bound-1, 0)*100)
	}
}

func onExisting(r *Result) (pods int) {
	for _, n := range r.Existing {
		pods += len(n.Pods)
	}
	return pods
}

// unplaced groups pods by owner and reasons.
func (p *printer) unplaced(pods []Unplaced) {
	if len(pods) == 0 {
		return
	}
	type stranded struct {
		pods    []string
		reasons []string
	}
	var groups []*stranded
	index := map[string]*stranded{}
	for _, u := range pods {
		key := p.owner(u.Pod) + "\n" + strings.Join(u.Reasons, "\n")
		if index[key] == nil {
			index[key] = &stranded{reasons: u.Reasons}
			groups = append(groups, index[key])
		}
		index[key].pods = append(index[key].pods, u.Pod)
	}
	fmt.Fprintf(&p.out, "\n%s without a place:\n", table.Count(len(pods), "pod"))
	for _, g := range groups {
		fmt.Fprintf(&p.out, "  %s\n", p.byOwner(g.pods))
		for _, reason := range g.reasons {
			fmt.Fprintf(&p.out, "    %s\n", reason)
		}
	}
}

func (p *printer) owner(pod string) string {
	if owner := p.owners[pod]; owner != "" {
		return owner
	}
	_, name, _ := strings.Cut(pod, "/")
	return "pod/" + name
}

// byOwner counts pods by their owners, most first: "12×deployment/web 1×job/load". Owners
// of the same name in several namespaces are told apart.
func (p *printer) byOwner(pods []string) string {
	counts := map[string]int{}
	spaces := map[string]string{}
	shared := map[string]bool{}
	for _, pod := range pods {
		namespace, _, _ := strings.Cut(pod, "/")
		owner := p.owner(pod)
		if known, ok := spaces[owner]; ok && known != namespace {
			shared[owner] = true
		}
		spaces[owner] = namespace
	}
	for _, pod := range pods {
		namespace, _, _ := strings.Cut(pod, "/")
		if owner := p.owner(pod); shared[owner] {
			counts[namespace+":"+owner]++
		} else {
			counts[owner]++
		}
	}
	type entry struct {
		owner string
		count int
	}
	var all []entry
	for owner, n := range counts {
		all = append(all, entry{owner, n})
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(b.count, a.count), strings.Compare(a.owner, b.owner)) })
	var parts []string
	rest := 0
	for i, e := range all {
		if len(all) > maxOwners && i >= maxOwners-1 {
			rest += e.count
			continue
		}
		parts = append(parts, fmt.Sprintf("%d×%s", e.count, e.owner))
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("and %d of %d others", rest, len(all)-maxOwners+1))
	}
	return strings.Join(parts, " ")
}
