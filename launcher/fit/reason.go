package fit

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// reasonInPool says why no template of one pool holds a shape: what a person can act on
// first, then whatever the plugins said.
func (s *Space) reasonInPool(sh *shape, templates []int) string {
	if slices.ContainsFunc(templates, func(t int) bool { return sh.fits[t] }) {
		if sh.refusal != "" {
			return sh.refusal
		}
		return "the plan has no room for it"
	}
	roomy := slices.DeleteFunc(slices.Clone(templates), func(t int) bool { return !s.enough(t, sh) })
	if len(roomy) == 0 {
		return s.shortage(sh, templates)
	}
	said := map[string]int{}
	var most string
	for _, t := range roomy {
		status := s.engine.framework.RunFilterPlugins(s.ctx, sh.state, sh.sample, s.templates[t].info)
		msg := status.Message()
		if said[msg]++; said[msg] > said[most] {
			most = msg
		}
	}
	return fmt.Sprintf("%s (%d of %d offerings that are large enough)", most, said[most], len(roomy))
}

// shortage names the first resource of which even the largest template has too little.
func (s *Space) shortage(sh *shape, templates []int) string {
	for i, need := range sh.requests {
		best := templates[0]
		for _, t := range templates {
			if s.capacity(t)[i] > s.capacity(best)[i] {
				best = t
			}
		}
		if have := s.capacity(best)[i]; have < need {
			return fmt.Sprintf("needs %s %s, the largest allowed type %s gives %s", amount(s.resources[i], need), s.resources[i],
				s.templates[best].Node.Labels[corev1.LabelInstanceTypeStable], amount(s.resources[i], max(have, 0)))
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
