package pack

import (
	"cmp"
	"math"
	"slices"
)

// duals price pods and room.
type duals struct {
	// worth of a pod, by item. What a filling is worth never exceeds what its bin costs,
	// prices of nothing counted as next to nothing.
	worth []float64
	// proven is the same for the prices as they are: its sum over all pods bounds any plan.
	proven []float64
	// discount is what pods on bins that are limited in number may be worth more than
	// they cost; it comes off the bound.
	discount float64
}

const (
	roundsOfBound = 10
	closeEnough   = 1e-3 // relative gap at which the bound is not worth more work
	roughly       = 5e-2 // relative gap to which the LP is solved while bins are missing
	mostSeeds     = 6    // bins that start, unless more are needed to take all items
	moreBins      = 6    // that join the relaxation in a round
)

// bound prices the items by the dual of the assignment LP. The LP is solved over the
// few bins that matter, and bins that its worths would pay more than they cost join,
// until none is left (column generation): roughly first and without cuts, then closely.
// Every round gives valid duals: a bin's rents, scaled to add up to its price, bound each worth.
func (b *bounder) bound() duals {
	best, bestBound := duals{}, -1.0
	gap, closing := roughly, false
	for range roundsOfBound {
		primal := b.relax(gap, closing)
		d, overpaid := b.value(gap / 2)
		value := 0.0
		for i, it := range b.items {
			value += float64(it.count) * d.worth[i]
		}
		if value > bestBound {
			best, bestBound = d, value
		}
		if closing && (bestBound >= primal*(1-closeEnough) || len(overpaid) == 0) {
			break
		}
		if b.join(overpaid); len(overpaid) == 0 || bestBound >= primal*(1-2*gap) {
			gap, closing = closeEnough/2, true
		}
	}
	b.limits(&best)
	best.worth, best.proven = gather(best.worth, b.item), gather(best.proven, b.item)
	return best
}

// bounder holds the relaxation's bins.
type bounder struct {
	folded
	whole  *model
	price  []float64   // by bin, above 0
	room   [][]int64   // by bin
	fits   [][]int     // by bin: the items that count for it
	fitSet []bitset    // by bin: the same as a set
	rows   []rows      // by bin, for these items; made when needed
	rents  [][]float64 // by bin, as found last; nil for bins that others cover
	keep   []float64   // by bin: which part of the rents is charged
	active []int       // bins in the relaxation, in order
	joined []bool      // by bin: it is in the relaxation
	worth  []float64   // by item, as the relaxation has it
}

func newBounder(m *model) *bounder {
	f := m.folded
	n := len(f.bins)
	b := &bounder{
		folded: m.folded, whole: m, price: f.positivePrices(), worth: make([]float64, len(f.items)), room: make([][]int64, n), fits: make([][]int, n),
		fitSet: make([]bitset, n), rows: make([]rows, n), rents: make([][]float64, n), joined: make([]bool, n),
		keep: make([]float64, n),
	}
	for t := range f.bins {
		b.room[t] = f.room(t)
	}
	b.match()
	b.join(b.seeds())
	return b
}

// positivePrices lifts prices of nothing or next to it: a price tells good nodes from bad ones.
func (m *model) positivePrices() []float64 {
	highest := 0.0
	for _, b := range m.bins {
		highest = max(highest, b.price)
	}
	if highest == 0 {
		highest = 1
	}
	prices := make([]float64, len(m.bins))
	for t, b := range m.bins {
		prices[t] = max(b.price, 1e-6*highest)
	}
	return prices
}

// match lists by bin the items whose worth it bounds. Bins limited in number bound only
// those that fit no other: the rest may have to go elsewhere.
func (b *bounder) match() {
	elsewhere, weighty := b.newSet(), b.newSet()
	for _, bin := range b.bins {
		if bin.limit == 0 {
			elsewhere.add(b.sets[bin.set])
		}
	}
	for i := range b.items {
		if !b.items[i].weightless() {
			weighty.set(i)
		}
	}
	type key struct {
		set     int
		limited bool
	}
	known := map[key]int{}
	for t, bin := range b.bins {
		k := key{bin.set, bin.limit > 0}
		if same, ok := known[k]; ok {
			b.fits[t], b.fitSet[t] = b.fits[same], b.fitSet[same]
			continue
		}
		known[k] = t
		b.fitSet[t] = slices.Clone(b.sets[bin.set])
		for at := range b.fitSet[t] {
			b.fitSet[t][at] &= weighty[at]
			if k.limited {
				b.fitSet[t][at] &^= elsewhere[at]
			}
		}
		b.fits[t] = b.fitSet[t].list()
	}
}

// weightless items request nothing.
func (it *item) weightless() bool {
	return !slices.ContainsFunc(it.request, func(q int64) bool { return q > 0 })
}

// seeds picks the bins to start with: those on which many items would cost least alone,
// and at least one for every item.
func (b *bounder) seeds() []int {
	cheapest, cost := make([]int, len(b.items)), make([]float64, len(b.items))
	for i := range cost {
		cheapest[i], cost[i] = -1, math.Inf(1)
	}
	perUnit := make([]float64, len(b.resources))
	for t, fits := range b.fits {
		for r, q := range b.room[t] {
			perUnit[r] = b.price[t] / float64(q)
		}
		for _, i := range fits {
			c := 0.0
			for r, q := range b.items[i].request {
				c = max(c, float64(q)*perUnit[r])
			}
			if c < cost[i] {
				cheapest[i], cost[i] = t, c
			}
		}
	}
	mass, bins := make([]float64, len(b.bins)), []int{}
	for i, t := range cheapest {
		if t >= 0 {
			if mass[t] == 0 {
				bins = append(bins, t)
			}
			mass[t] += cost[i] * float64(b.items[i].count)
		}
	}
	slices.SortStableFunc(bins, func(s, t int) int { return cmp.Compare(mass[t], mass[s]) })
	homed := make([]bool, len(b.items))
	seeds := 0
	return slices.DeleteFunc(bins, func(t int) bool {
		seeds++
		useful := seeds <= mostSeeds
		for _, i := range b.fits[t] {
			useful = useful || !homed[i]
		}
		for _, i := range b.fits[t] {
			homed[i] = true
		}
		return !useful
	})
}

func (b *bounder) join(bins []int) {
	b.active = append(b.active, bins...)
	// By columns, so that the rows of an item that fits few of them are side by side.
	slices.SortFunc(b.active, func(s, t int) int { return cmp.Or(b.bins[s].column-b.bins[t].column, s-t) })
	for _, t := range bins {
		b.joined[t] = true
		b.needRows(t)
	}
}
