package fit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// unplaced lists the pods that still wait, each with the reasons.
func (s *Space) unplaced() []Unplaced {
	var left []Unplaced
	for _, sh := range s.shapes {
		if len(sh.waiting) == 0 {
			continue
		}
		reasons := s.reasons(sh)
		for _, pod := range sh.waiting {
			left = append(left, Unplaced{pod, reasons, s.classes[sh.class].awaits})
		}
	}
	return left
}

// reasons says, pool by pool, why a shape found no place.
func (s *Space) reasons(sh *shape) []string {
	c := s.classes[sh.class]
	switch {
	case cmp.Or(c.rejected, sh.rejected) != "":
		return []string{cmp.Or(c.rejected, sh.rejected)}
	case c.named != nil:
		return []string{"it may only run on nodes that it names or that have its local volumes: " + strings.Join(sets.List(c.named), ", ")}
	case len(s.input.Templates) == 0:
		return []string{"no NodePool has an offering that is available"}
	}
	var pools []string
	byPool := map[string][]int{}
	for t := range s.input.Templates {
		pool := s.input.Templates[t].Pool
		if byPool[pool] == nil {
			pools = append(pools, pool)
		}
		byPool[pool] = append(byPool[pool], t)
	}
	var reasons []string
	for _, pool := range pools {
		reasons = append(reasons, fmt.Sprintf("nodepool %s: %s", pool, s.reasonInPool(sh, byPool[pool])))
	}
	return reasons
}

// reasonInPool says why no template of one pool holds a shape: what a person can act on
// first, then whatever the plugins said.
func (s *Space) reasonInPool(sh *shape, templates []int) string {
	roomy := slices.DeleteFunc(slices.Clone(templates), func(t int) bool { return !holds(s.capacities[t], sh.requests) })
	if len(roomy) == 0 {
		return s.shortage(sh, templates)
	}
	c := s.classes[sh.class]
	if slices.ContainsFunc(roomy, func(t int) bool { return c.fits[s.kindOf[t]] }) {
		pool := s.input.Templates[templates[0]].Pool
		return cmp.Or(s.limits[pool], sh.refusals[pool], sh.refusals[""], "the plan has no room for it")
	}
	state := c.state.Clone()
	state.SetSkipFilterPlugins(state.GetSkipFilterPlugins().Union(byRoom))
	times := map[string]int{}
	var most string
	for _, t := range roomy {
		msg := said(s.engine.framework.RunFilterPlugins(s.ctx, state, sh.sample, s.kinds[s.kindOf[t]].info))
		if times[msg]++; times[msg] > times[most] {
			most = msg
		}
	}
	return fmt.Sprintf("%s (%d of %d offerings that are large enough)", most, times[most], len(roomy))
}

// said is what a plugin says of a node, and what that means where the node is yet to be bought.
func said(status *fwk.Status) string {
	switch {
	case status.IsSuccess():
		return "the pods of its DaemonSets keep it away" // the rules' judgement, not a plugin's
	case status.Plugin() == names.NodeDeclaredFeatures:
		return status.Message() + ": a node to be bought is taken to have those that all of its pool's nodes have"
	case status.Plugin() == names.DynamicResources:
		return status.Message() + ": a node has devices to claim only once its driver has published them, so none is bought for a claim"
	}
	return status.Message()
}

// shortage names the first resource of which even the largest template has too little.
func (s *Space) shortage(sh *shape, templates []int) string {
	for i, need := range sh.requests {
		best := templates[0]
		for _, t := range templates {
			if s.capacities[t][i] > s.capacities[best][i] {
				best = t
			}
		}
		if have := s.capacities[best][i]; have < need {
			return fmt.Sprintf("needs %s %s, the largest allowed type %s gives %s", amount(s.resources[i], need), s.resources[i],
				s.input.Templates[best].Node.Labels[corev1.LabelInstanceTypeStable], amount(s.resources[i], max(have, 0)))
		}
	}
	return "no single type has enough of all that it needs together"
}

// amount formats base units for people.
func amount(name corev1.ResourceName, n int64) string {
	switch name {
	case corev1.ResourceCPU:
		return resource.NewMilliQuantity(n, resource.DecimalSI).String()
	case corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return fmt.Sprintf("%.1fGi", float64(n)/(1<<30))
	default:
		return fmt.Sprint(n)
	}
}
