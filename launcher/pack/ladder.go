package pack

import "slices"

// rung is a bin that is tried for fillings first. The bins next to it, which are much like it
// but a little smaller, are only tried if it turns out to be the best.
type rung struct {
	bin   int
	next  []int
	least float64 // the lowest price of these bins
}

const (
	// widest is how much more a rung may cost than a bin that is left out because of it.
	widest = 1.15
	// alikeEnough is how much less the rung may have for its price.
	alikeEnough = 2e-3
)

// rungs thins the bins out where there are many sizes of the same.
func (m *model) rungs() []rung {
	var rungs []rung
	differs := m.differing()
next:
	for t := range slices.Backward(m.bins) {
		b := &m.bins[t]
		for i := len(rungs) - 1; i >= 0 && b.limit == 0; i-- {
			s := &m.bins[rungs[i].bin]
			if s.price > widest*b.price {
				break
			}
			if s.column == b.column && s.limit == 0 && outgrows(s, b, differs) {
				rungs[i].next, rungs[i].least = append(rungs[i].next, t), b.price
				continue next
			}
		}
		rungs = append(rungs, rung{t, nil, b.price})
	}
	slices.Reverse(rungs)
	return rungs
}

// differing lists the resources of which bins have different amounts.
func (m *model) differing() []int {
	var list []int
	for r := range m.resources {
		if slices.ContainsFunc(m.bins, func(b bin) bool { return b.capacity[r] != m.bins[0].capacity[r] }) {
			list = append(list, r)
		}
	}
	return list
}

// outgrows tells whether s has about as much more of the resources than b as it costs more.
func outgrows(s, b *bin, resources []int) bool {
	more := s.price * (1 - alikeEnough)
	for _, r := range resources {
		if float64(s.capacity[r])*b.price < float64(b.capacity[r])*more {
			return false
		}
	}
	return true
}
