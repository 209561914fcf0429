package pack

import "slices"

// greedy fills nodes until every pod loaded is placed, the bin with the most worth per price
// first, as many alike as there are pods for. Bins are looked at in the order of what they
// may reach, and only while that is more than the best found. It gives up,
// with an infinite price, once the plan is bound to cost limit or more.
func (f *filler) greedy(limit float64) (plan []batch, price float64) {
	rest, hopes := 0.0, 0.0
	for _, i := range f.active {
		rest += float64(f.left[i]) * f.worth[i]
		hopes += float64(f.left[i]) * f.guide[i]
	}
	reach := slices.Clone(f.reach)
	for len(f.active) > 0 {
		b, takes := f.best(reach, hopes)
		if b < 0 {
			return plan, price
		}
		nodes := f.repeats(takes)
		b = f.rightSize(b, takes)
		if l := f.bins[b].limit; l > 0 {
			nodes = min(nodes, l-f.used[b])
		}
		f.used[b] += nodes
		for _, t := range takes {
			f.left[t.item] -= nodes * t.count
			rest -= float64(nodes*t.count) * f.worth[t.item]
			hopes -= float64(nodes*t.count) * f.guide[t.item]
		}
		f.active = slices.DeleteFunc(f.active, func(i int) bool { return f.left[i] == 0 })
		plan = append(plan, batch{b, takes, nodes})
		if price += float64(nodes) * f.price[b]; price+rest >= limit {
			return plan, infinite
		}
	}
	return plan, price
}

// best finds the bin to open next and its filling; -1 when nothing fits any more.
func (f *filler) best(reach []float64, rest float64) (int, []take) {
	best, bestEff := -1, 0.0
	var bestTakes []take
	tried := make(bitset, (len(f.bins)+63)/64)
	for {
		next, hope := -1, 0.0
		for b, r := range reach {
			if r = min(r, rest/f.price[b]); r > hope && !tried.has(b) {
				next, hope = b, r
			}
		}
		if next < 0 || hope <= bestEff {
			return best, bestTakes
		}
		tried.set(next)
		if l := f.bins[next].limit; l > 0 && f.used[next] >= l {
			reach[next] = 0
			continue
		}
		takes, total := f.fill(next)
		eff := total / f.price[next]
		reach[next] = eff
		if len(takes) > 0 && eff > bestEff {
			best, bestEff, bestTakes = next, eff, slices.Clone(takes)
		}
	}
}

// repeats returns how many nodes there are pods for.
func (f *filler) repeats(takes []take) int {
	nodes := f.left[takes[0].item] / takes[0].count
	for _, t := range takes[1:] {
		nodes = min(nodes, f.left[t.item]/t.count)
	}
	return nodes
}

// rightSize returns the cheapest bin that holds what bin b was filled with.
func (f *filler) rightSize(b int, takes []take) int {
	clear(f.free)
	for _, t := range takes {
		for r, q := range f.items[t.item].request {
			f.free[r] += q * int64(t.count)
		}
	}
	for s := range f.bins[:b] {
		if f.bins[s].limit == 0 && covers(f.bins[s].capacity, f.free) &&
			!slices.ContainsFunc(takes, func(t take) bool { return !f.fits[s].has(t.item) }) {
			return s // bins are sorted by price
		}
	}
	return b
}
