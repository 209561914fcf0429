package pack

import "slices"

const (
	// goodEnough is the relative gap to the bound at which the search ends.
	goodEnough = 1e-3
	// corrections bounds how many plans are made with corrected worths, patience how many of
	// them in a row may be no better than the best before.
	corrections, patience = 16, 6
)

const infinite = 1e300

// search looks for a cheap arithmetic plan for a model. The first greedy plan follows the
// worths of the bound. Worths know of no whole pods, so the next plans follow corrected ones:
// what ended on badly filled nodes counts for more, and is thereby placed while there is a
// choice of company (sequential value correction, Belov and Scheithauer 2007). The best
// plan is improved on.
func (k *packer) search(m *model, first bool) []batch {
	b := newBounder(m)
	d := b.bound()
	if first {
		k.prove(m, d)
	}
	f := newFiller(m, d.worth)
	f.effort = k.spent
	defer func() { k.spent = f.effort }()
	target := 0.0
	for i, it := range m.items {
		target += float64(it.count) * d.worth[i]
	}
	target *= 1 + goodEnough
	guide, reach := slices.Clone(f.worth), b.potential(f.worth, false)
	best, bestPrice, since := []batch(nil), infinite, 0
	var bestGuide, bestReach []float64
	for n := 0; n <= corrections && since < patience; n++ {
		f.load(m.all(), styles[0], guide, reach)
		clear(f.used)
		plan, price := f.greedy(infinite)
		if since++; price < bestPrice {
			best, bestPrice, since = plan, price, 0
			bestGuide, bestReach = slices.Clone(guide), reach
		}
		if f.effort >= k.Effort || bestPrice <= target || k.stopped() {
			return best
		}
		f.correct(plan, guide, 0.8/(1+float64(n)/6))
		reach = b.potential(guide, true)
	}
	return k.improve(f, best, bestGuide, bestReach, bestPrice-target)
}

// prove notes what the pods are worth at least.
func (k *packer) prove(m *model, d duals) {
	for i, it := range m.items {
		for _, s := range it.shapes {
			k.proven[s] = min(k.proven[s], d.proven[i])
		}
	}
	k.discount += d.discount
}

// stopped tells whether the caller has ended improvement.
func (k *packer) stopped() bool {
	k.ended = k.ended || k.Stop != nil && k.Stop()
	return k.ended
}

// all lists the pods of a model.
func (m *model) all() []take {
	all := make([]take, len(m.items))
	for i, it := range m.items {
		all[i] = take{i, it.count}
	}
	return all
}

// correct moves the worths towards what the pods cost in a plan, by a part of the way.
func (f *filler) correct(plan []batch, guide []float64, part float64) {
	cost := make([]float64, len(guide))
	for _, b := range plan {
		worth := 0.0
		for _, t := range b.takes {
			worth += float64(t.count) * guide[t.item]
		}
		for _, t := range b.takes {
			cost[t.item] += float64(t.count*b.nodes) * f.price[b.bin] / worth
		}
	}
	for i := range guide {
		if cost[i] > 0 {
			guide[i] *= 1 - part + part*cost[i]/float64(f.items[i].count)
		}
	}
}
