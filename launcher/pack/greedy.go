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

// choice is a bin and its filling.
type choice struct {
	bin   int
	takes []take
	eff   float64 // worth per price
}

// best finds the bin to open next and its filling; -1 when nothing fits any more. Of what is
// in the ladder, those that stand for others come first, and then the others of the best.
func (f *filler) best(reach []float64, rest float64) (int, []take) {
	best, bestRung := choice{bin: -1}, 0
	tried := make(bitset, (len(f.ladder)+63)/64)
	for {
		next, hope := -1, 0.0
		for at, r := range reach {
			if r <= hope || tried.has(at) {
				continue
			}
			if r = min(r, rest/f.ladder[at].least); r > hope {
				next, hope = at, r
			}
		}
		if next < 0 || hope <= best.eff {
			break
		}
		tried.set(next)
		rung := &f.ladder[next]
		if reach[next] = f.try(rung.bin, &best); best.bin >= 0 && reach[next] >= best.eff {
			bestRung = next
		}
	}
	if best.bin < 0 {
		return -1, nil
	}
	for _, b := range f.ladder[bestRung].next {
		f.try(b, &best)
	}
	return best.bin, slices.Clone(best.takes)
}

// try fills a bin; what is better than the best so far replaces it.
func (f *filler) try(b int, best *choice) (eff float64) {
	if l := f.bins[b].limit; l > 0 && f.used[b] >= l {
		return 0
	}
	takes, worth := f.fill(b)
	if eff = worth / f.price[b]; len(takes) > 0 && eff > best.eff {
		*best = choice{b, takes, eff}
	}
	return eff
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
			!slices.ContainsFunc(takes, func(t take) bool { return !f.sets[f.bins[s].set].has(t.item) }) {
			return s // bins are sorted by price
		}
	}
	return b
}
