package pack

import "slices"

const (
	// goodEnough is the relative gap to the bound at which the search ends.
	goodEnough = 1e-3
	// corrections bounds how many plans are made with corrected worths in a row, and patience how
	// many of them may be no better than the best before.
	corrections, patience = 16, 6
	// firstPart of the effort may be spent before patterns are looked for. One correction is made even
	// if no effort may be spent, if the plan costs more than nearEnough times the bound: a plan
	// that follows the bound alone may be far off.
	firstPart, nearEnough = 4, 1.05
	// effortOfBin is what has to be spent on every bin for patterns to be worth it, where there are many items.
	effortOfBin = 100_000
	// leastGuide bounds how little a pod counts for, as part of its worth, though LPs may do without.
	leastGuide = 0.2
)

const infinite = 1e300

// search is the state of the search for a cheap arithmetic plan for a model.
type search struct {
	*packer
	*filler
	bounder *bounder
	best    []batch
	price   float64   // of the best
	guide   []float64 // by item: the worths that led to the best
	reach   []float64 // by rung: the most that a node may hold of them
	target  float64   // price at which the search ends
}

// search looks for a cheap plan. The first plans follow the worths of the bound and what is learned
// from them. Where there is effort to be spent, patterns make better plans and, it may be, a
// better bound, and the best plan is improved on.
func (k *packer) search(m *model, first bool) []batch {
	b := newBounder(m)
	d := b.bound()
	s := &search{
		packer: k, filler: newFiller(m, d.worth), bounder: b,
		price: infinite, target: m.value(d.worth) * (1 + goodEnough),
	}
	s.effort = k.spent
	if guide := s.correct(s.worth, one(first), s.Effort/firstPart); !s.done() {
		if better := s.combine(guide); m.value(better.proven) > m.value(d.proven) {
			d, s.target = better, max(s.target, m.value(better.worth)*(1+goodEnough))
		}
	}
	if first {
		k.prove(m, d)
	}
	if !s.done() {
		s.best = k.improve(s.filler, s.best, s.guide, s.reach, s.price-s.target)
	}
	k.spent = s.effort
	return s.best
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// done tells whether a better plan is not worth looking for.
func (s *search) done() bool {
	return s.effort >= s.Effort || s.price <= s.target || s.stopped()
}

// value is what all pods are worth.
func (m *model) value(worth []float64) float64 {
	value := 0.0
	for i, w := range worth {
		value += float64(m.items[i].count) * w
	}
	return value
}

// correct makes greedy plans that follow the worths of the bound, or of patterns. Those know little of whole
// pods, so every next plan follows corrected ones: what ended on badly filled nodes counts
// for more, and is thereby placed while there is a choice of company (sequential value
// correction, Belov and Scheithauer 2007). At least so many corrections are made where need be, more
// until so much effort is spent. It returns the last worths.
func (s *search) correct(guide []float64, least, effort int) []float64 {
	guide = slices.Clone(guide)
	for n, since := 0, 0; n <= corrections && since < patience; n++ {
		if n > least && (s.done() || s.effort > effort) || n > 0 && s.price <= s.target {
			return guide
		}
		reach := s.bounder.potential(guide, n > 0)
		plan, price := s.follow(nil, 0, s.all(), guide, reach)
		if since++; price < s.price {
			since = 0
		}
		s.keep(plan, price, guide, reach)
		if s.effort >= s.Effort && s.price <= s.target*nearEnough {
			return guide
		}
		s.learn(plan, guide, 0.8/(1+float64(n)/6))
	}
	return guide
}

// follow completes a plan by greedy.
func (s *search) follow(plan []batch, price float64, rest []take, guide, reach []float64) ([]batch, float64) {
	s.load(rest, styles[0], guide, reach)
	clear(s.used)
	more, cost := s.greedy(infinite)
	return append(plan, more...), price + cost
}

// keep remembers a plan if it is the best so far.
func (s *search) keep(plan []batch, price float64, guide, reach []float64) {
	if price < s.price {
		s.best, s.price, s.guide, s.reach = plan, price, slices.Clone(guide), reach
	}
}

// nodes counts those of the best plan.
func (s *search) nodes() (n int) {
	for _, b := range s.best {
		n += b.nodes
	}
	return n
}

// combine makes plans of patterns, rounded in several ways, and follows what the pods cost in them.
// It returns valid worths, which may be better than those known. Patterns say little where pods
// differ more than there are nodes: they would be used in part only. Then plans follow the guide on.
func (s *search) combine(guide []float64) (valid duals) {
	blocks := s.bounder.blocks(s.filler, s.best)
	if len(blocks) > 1 {
		if p := s.bounder.largest(s.filler); p != nil {
			valid = p.generate(s.effort+(s.Effort-s.effort)/largestPart, s.stopped)
		}
	}
	start, share := s.effort, (s.Effort-s.effort)/(2*max(1, len(blocks)))
	if len(blocks) == 0 || 2*s.nodes() < len(s.items) || len(blocks) > 1 && share < effortOfBin*len(s.bins) {
		s.correct(guide, 0, s.Effort)
		return s.unguessed(valid)
	}
	guide = slices.Clone(s.worth)
	for n, p := range blocks {
		d := p.generate(start+share*(n+1), s.stopped)
		if len(blocks) == 1 {
			valid = d
		}
		for _, i := range p.block {
			guide[i] = max(p.duals[i], leastGuide*s.worth[i])
		}
	}
	reach := s.bounder.potential(guide, true)
	for _, up := range []float64{1, 0.75, 0.5} {
		var plan []batch
		price, rest := 0.0, s.all()
		for _, p := range blocks {
			plan, price = p.round(up, plan, price, rest)
		}
		plan, price = s.follow(plan, price, rest, guide, reach)
		s.keep(plan, price, guide, reach)
	}
	s.correct(guide, 0, s.Effort)
	return s.unguessed(valid)
}

// unguessed returns the duals, or none if they rest on a guess.
func (s *search) unguessed(d duals) duals {
	if slices.ContainsFunc(s.items, func(it item) bool { return it.guessed }) {
		return duals{}
	}
	return d
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

// learn moves the worths towards what the pods cost in a plan, by a part of the way.
func (f *filler) learn(plan []batch, guide []float64, part float64) {
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
