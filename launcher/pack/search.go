package pack

import "slices"

// styles are tried one after the other; none is best for all mixes.
var styles = [...]style{
	{large: 0.05, chunk: 0.25},
	{large: 0.3, chunk: 0.25},
	{large: 0, chunk: 0.25},
	{large: 0.15, chunk: 0},
	{large: 0, chunk: 1},
	{large: 0.8, chunk: 0.25},
}

// goodEnough is the relative gap to the bound at which the search ends.
const goodEnough = 1e-3

// search looks for a cheap arithmetic plan for a model: a portfolio of greedy plans, the best of
// which is improved on.
func (k *packer) search(m *model, first bool) []batch {
	d := bound(m)
	if first {
		k.prove(m, d)
	}
	f := newFiller(m, d)
	target := 0.0
	for i, it := range m.items {
		target += float64(it.count) * d.worth[i]
	}
	target *= 1 + goodEnough
	best, bestPrice := []batch(nil), infinite
	for _, st := range styles {
		f.load(m.all())
		clear(f.used)
		if plan, price, ok := f.greedy(st, f.worth, bestPrice); ok {
			best, bestPrice = plan, price
		}
		if f.effort >= k.Effort || bestPrice <= target || k.stopped() {
			break
		}
	}
	if f.effort >= k.Effort || bestPrice <= target || k.stopped() {
		return best
	}
	return k.improve(f, best, bestPrice-target)
}

const infinite = 1e300

// prove notes what the pods are worth at least.
func (k *packer) prove(m *model, d duals) {
	for i, it := range m.items {
		for _, s := range it.shapes {
			k.proven[s] = min(k.proven[s], d.proven[i])
		}
	}
	k.discount += d.discount
}

func (k *packer) stopped() bool { return k.Stop != nil && k.Stop() }

// all lists the pods of a model.
func (m *model) all() []take {
	all := make([]take, len(m.items))
	for i, it := range m.items {
		all[i] = take{i, it.count}
	}
	return all
}

// rightSize returns the cheapest bin that holds what one of a batch's nodes does.
func (f *filler) rightSize(b int, takes []take) int {
	clear(f.free)
	for _, t := range takes {
		for r, q := range f.items[t.item].request {
			f.free[r] += q * int64(t.count)
		}
	}
	for s := range f.bins[:b] {
		if f.bins[s].price >= f.bins[b].price {
			break
		}
		if f.bins[s].limit == 0 && covers(f.bins[s].capacity, f.free) &&
			!slices.ContainsFunc(takes, func(t take) bool { return !f.fits[s].has(t.item) }) {
			return s
		}
	}
	return b
}
