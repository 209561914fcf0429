package fit

import (
	"fmt"
	"maps"
	"slices"
)

// Variety is how many different values of each label a planned node of a pool has to be
// able to choose from: a NodePool's minValues.
type Variety map[string]int

// lacks says of which label the templates have too few values; "" when they have enough.
func (s *Space) lacks(templates []int) string {
	want := s.input.Variety[s.input.Templates[templates[0]].Pool]
	for _, key := range slices.Sorted(maps.Keys(want)) {
		values := map[string]bool{}
		for _, t := range templates {
			if v, ok := s.input.Templates[t].Node.Labels[key]; ok {
				values[v] = true
			}
		}
		if len(values) < want[key] {
			return fmt.Sprintf("minValues wants %d values of %s, and the pods of a node leave only %d", want[key], key, len(values))
		}
	}
	return ""
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
