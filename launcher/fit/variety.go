package fit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/pack"
)

// Variety is how many different values of each label a planned node of a pool has to be
// able to choose from: a NodePool's minValues.
type Variety map[string]int

// lacks says of which label the templates have too few values; "" when they have enough.
func (s *Space) lacks(templates []int) string {
	want := s.input.Variety[s.input.Templates[templates[0]].Pool]
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if have := len(s.values(key, templates)); have < want[key] {
			return fmt.Sprintf("minValues wants %d values of %s, and the pods of a node leave only %d", want[key], key, have)
		}
	}
	return ""
}

// maxListed bounds the instance types of a list that minValues makes longer than Alternatives:
// what a NodeClaim's schema takes in one group of offerings.
const maxListed = 100

// shortlist keeps of the templates that hold a node's pods, the chosen one first and the
// others by price, those of as many instance types as are asked for: the cheapest, and
// whatever else the pool's minValues take.
func (s *Space) shortlist(all []int) []int {
	types, byType := []string{}, map[string][]int{}
	for _, t := range all {
		name := s.input.Templates[t].Node.Labels[corev1.LabelInstanceTypeStable]
		if byType[name] == nil {
			types = append(types, name)
		}
		byType[name] = append(byType[name], t)
	}
	if len(types) <= s.input.Alternatives {
		return all
	}
	kept := map[string]bool{}
	list := func() []int {
		return slices.DeleteFunc(slices.Clone(all), func(t int) bool {
			return !kept[s.input.Templates[t].Node.Labels[corev1.LabelInstanceTypeStable]]
		})
	}
	for _, name := range types[:max(s.input.Alternatives, 1)] {
		kept[name] = true
	}
	if s.lacks(list()) == "" {
		return list()
	}
	for _, name := range types {
		if !kept[name] && len(kept) < maxListed && s.brings(byType[name], list()) {
			kept[name] = true
		}
	}
	for _, name := range slices.Backward(types[1:]) { // what the chosen type and those that minValues take do not need
		if kept[name] && len(kept) > s.input.Alternatives {
			if delete(kept, name); s.lacks(list()) != "" {
				kept[name] = true
			}
		}
	}
	return list()
}

// brings tells whether templates have a value of a label that the listed ones have too few of.
func (s *Space) brings(templates, listed []int) bool {
	for key, least := range s.input.Variety[s.input.Templates[listed[0]].Pool] {
		have := s.values(key, listed)
		if len(have) >= least {
			continue
		}
		for value := range s.values(key, templates) {
			if !have[value] {
				return true
			}
		}
	}
	return false
}

// values are those of a label among the templates.
func (s *Space) values(key string, templates []int) map[string]bool {
	values := map[string]bool{}
	for _, t := range templates {
		if v, ok := s.input.Templates[t].Node.Labels[key]; ok {
			values[v] = true
		}
	}
	return values
}

// byPrice sorts templates, the cheapest first.
func (s *Space) byPrice(templates []int) {
	slices.SortStableFunc(templates, func(a, b int) int {
		return cmp.Compare(s.input.Templates[a].Price, s.input.Templates[b].Price)
	})
}

// varied lists the templates for a node of pack's plan. Pack takes the cheapest; where they
// have too little variety, others that hold the pods may do.
func (s *Space) varied(n pack.PlannedNode) []int {
	if s.lacks(n.Offerings) == "" {
		return n.Offerings
	}
	chosen := n.Offerings[0]
	used := make(pack.Vector, len(s.resources))
	for _, p := range n.Pods {
		for i, r := range s.shapes[s.lots[p.Shape].shape].requests {
			used[i] += r * int64(p.Count)
		}
	}
	all := []int{chosen}
	for t := range s.input.Templates {
		if t != chosen && s.input.Templates[t].Tier == s.input.Templates[chosen].Tier && holds(s.capacities[t], used) && n.Node.Holds(t) {
			all = append(all, t)
		}
	}
	s.byPrice(all[1:])
	return s.shortlist(all)
}

// staysVaried tells whether a place with one more pod still leaves what minValues want.
func (v *verifier) staysVaried(p *place, t try) bool {
	if !v.wantsVariety(p.templates[0]) {
		return true
	}
	used := v.used(p)
	for i, r := range t.shape.requests {
		used[i] += r
	}
	lack := v.lacks(v.choices(p.templates[0], used, append(slices.Clip(p.pods), t.pod)))
	if lack != "" {
		v.limits[v.poolOf(p)] = lack
	}
	return lack == ""
}

// narrow finds the templates of pools with minValues that may not be chosen, because too
// few others hold whatever they hold: those that have as much of everything.
func (s *Space) narrow() []bool {
	narrow := make([]bool, len(s.input.Templates))
	for pool := range s.input.Variety {
		var members []int
		for t := range s.input.Templates {
			if s.input.Templates[t].Pool == pool {
				members = append(members, t)
			}
		}
		known := map[string]bool{} // by capacity: zones do not matter to it
		for _, t := range members {
			raw := fmt.Sprint(s.capacities[t])
			is, ok := known[raw]
			if !ok {
				is = s.lacks(s.above(t, members)) != ""
				known[raw] = is
			}
			narrow[t] = is
		}
	}
	return narrow
}

// above lists the template and those that have as much of everything.
func (s *Space) above(t int, members []int) []int {
	above := []int{t}
	for _, u := range members {
		if u != t && holds(s.capacities[u], s.capacities[t]) {
			above = append(above, u)
		}
	}
	return above
}

func (s *Space) wantsVariety(template int) bool {
	return len(s.input.Variety[s.input.Templates[template].Pool]) > 0
}
