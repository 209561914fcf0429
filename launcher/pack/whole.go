package pack

import (
	"cmp"
	"math"
	"slices"
)

// whole finds the most valuable filling of a node with whole pods by branch and bound. Items
// come in the order of their worth per rent of what they take; what is free, at that rate, bounds
// what more a node may get.
type whole struct {
	*model
	worth  []float64 // by item
	order  []int     // items
	rate   []float64 // worth per rent, in order
	rents  []float64 // by resource
	free   []int64
	takes  []take
	best   []take
	most   float64 // worth of the best, or what it has to exceed
	steps  int     // left for this filling
	missed bool    // steps ran out
}

// fillWhole looks for fillings of a bin that are worth more than target: for every item, in so
// many steps, the best of those of which it comes first. It returns, too, what all fillings are
// worth at most, and the effort spent, of which the budget is for all items together.
func (m *model) fillWhole(t int, worth []float64, target float64, steps, budget int) (found [][]take, most float64, spent int) {
	items := slices.DeleteFunc(slices.Clone(m.bins[t].items), func(i int) bool { return worth[i] <= 0 || m.items[i].weightless() })
	rows := m.rowsOf(t, items)
	rents := solveKnapsack(rows, gather(worth, items))
	bound := rows.raise(rents, gather(worth, items))
	if bound <= target || math.IsInf(bound, 1) {
		return nil, bound, effortOfFill * len(items)
	}
	w := &whole{model: m, worth: worth, order: items, rents: make([]float64, len(m.resources)), free: m.room(t)}
	for r, mt := range rows.meters {
		w.rents[mt.resource] += rents[r] / float64(mt.room)
	}
	rate := make([]float64, len(m.items))
	for _, i := range items {
		cost := 0.0
		for r, q := range m.items[i].request {
			cost += w.rents[r] * float64(q)
		}
		rate[i] = worth[i] / cost
	}
	slices.SortStableFunc(items, func(a, b int) int { return cmp.Compare(rate[b], rate[a]) })
	w.rate = gather(rate, items)
	most, spent = target, effortOfFill*len(items)
	for at := range items {
		if spent >= budget {
			return found, bound, spent
		}
		w.most, w.best, w.steps, w.missed = target, nil, steps, false
		w.branch(at, at+1, 0)
		spent += effortOfStep * (steps - w.steps)
		if w.missed {
			most = bound
		}
		if w.best != nil {
			found, most = append(found, w.best), max(most, w.most)
		}
	}
	return found, most, spent
}

// branch adds pods of the items at and after, one of those before end first, to a node worth so much.
func (w *whole) branch(at, end int, worth float64) {
	if worth > w.most {
		w.best, w.most = slices.Clone(w.takes), worth
	}
	rest := 0.0
	for r, q := range w.free {
		rest += w.rents[r] * float64(q)
	}
	for ; at < end && worth+w.rate[at]*rest > w.most; at++ {
		i := w.order[at]
		it := &w.items[i]
		count := min(it.count, it.most)
		for r, q := range it.request {
			if q > 0 {
				count = min(count, int(w.free[r]/q))
			}
		}
		for ; count > 0; count-- {
			if w.steps--; w.steps < 0 {
				w.missed = true
				return
			}
			w.put(i, count)
			w.branch(at+1, len(w.order), worth+float64(count)*w.worth[i])
			w.put(i, -count)
			if w.missed {
				return
			}
		}
	}
}

// put adds pods of an item, or takes back those added last.
func (w *whole) put(i, count int) {
	for r, q := range w.items[i].request {
		w.free[r] -= q * int64(count)
	}
	if count > 0 {
		w.takes = append(w.takes, take{i, count})
	} else {
		w.takes = w.takes[:len(w.takes)-1]
	}
}
