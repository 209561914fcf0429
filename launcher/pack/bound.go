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
	roughly       = 1e-2 // relative gap to which the LP is solved while bins are missing
	moreBins      = 6    // that join the relaxation in a round
)

// bound prices the items by the dual of the assignment LP. The LP is solved over the
// few bins that matter, and bins that its worths would pay more than they cost join,
// until none is left (column generation). Every round gives valid duals: a bin's
// rents, scaled down to add up to its price, bound each worth.
func (b *bounder) bound() duals {
	best, bestBound := duals{}, -1.0
	gap := roughly
	for range roundsOfBound {
		primal := b.relax(gap)
		d, overpaid := b.value()
		value := 0.0
		for i, it := range b.items {
			value += float64(it.count) * d.worth[i]
		}
		if value > bestBound {
			best, bestBound = d, value
		}
		if bestBound >= primal*(1-closeEnough) || len(overpaid) == 0 && gap < roughly {
			break
		}
		if b.join(overpaid); bestBound >= primal*(1-2*gap) {
			gap = closeEnough / 2
		}
	}
	b.limits(&best)
	return best
}

// bounder holds the relaxation's bins.
type bounder struct {
	*model
	price  []float64   // by bin, above 0
	fits   [][]int     // by bin: the items that count for it
	rows   []rows      // by bin, for these items
	active []int       // bins in the relaxation, in order
	worth  []float64   // by item, as the relaxation has it
	rents  [][]float64 // by bin, as found last
	joined []bool      // by bin: it is in the relaxation
}

func newBounder(m *model) *bounder {
	b := &bounder{
		model: m, price: m.positivePrices(), fits: m.bound(), worth: make([]float64, len(m.items)),
		rents: make([][]float64, len(m.bins)), joined: make([]bool, len(m.bins)),
	}
	for t, fits := range b.fits {
		b.rows = append(b.rows, m.rowsOf(t, fits))
	}
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

// bound lists by bin the items whose worth it bounds. Bins limited in number bound only
// those that fit no other: the rest may have to go elsewhere.
func (m *model) bound() [][]int {
	elsewhere := make([]bool, len(m.items))
	for _, b := range m.bins {
		for _, i := range b.items {
			elsewhere[i] = elsewhere[i] || b.limit == 0
		}
	}
	fits := make([][]int, len(m.bins))
	for t, b := range m.bins {
		for _, i := range b.items {
			if (b.limit == 0 || !elsewhere[i]) && !m.items[i].weightless() {
				fits[t] = append(fits[t], i)
			}
		}
	}
	return fits
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
	for t, fits := range b.fits {
		for k, i := range fits {
			if c := b.price[t] * slices.Max(b.rows[t].of(k)); c < cost[i] {
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
	return slices.DeleteFunc(bins, func(t int) bool {
		useful := false
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
	slices.Sort(b.active)
	for _, t := range bins {
		b.joined[t] = true
	}
}

// relax solves the relaxation over the active bins to a relative gap; it returns its value.
func (b *bounder) relax(gap float64) float64 {
	r := &relaxation{first: []int{0}}
	index := make([]int, len(b.items)) // item → item of the relaxation + 1
	var items []int
	for at, t := range b.active {
		r.price = append(r.price, b.price[t])
		r.first = append(r.first, r.first[at]+b.rows[t].n)
		for k, i := range b.fits[t] {
			if index[i] == 0 {
				items = append(items, i)
				r.count, r.pairs = append(r.count, float64(b.items[i].count)), append(r.pairs, nil)
				index[i] = len(items)
			}
			j := index[i] - 1
			r.pairs[j] = append(r.pairs[j], pair{at, len(r.share)})
			r.share = append(r.share, b.rows[t].of(k))
		}
	}
	primal := r.solve(gap)
	for j, i := range items {
		b.worth[i] = r.worth[j]
	}
	for at, t := range b.active {
		b.rents[t] = r.l[r.first[at]:r.first[at+1]]
	}
	return primal
}

// value makes the relaxation's worths valid for all bins. It returns the bins that they
// overpay most.
func (b *bounder) value() (duals, []int) {
	d := duals{worth: make([]float64, len(b.items)), proven: make([]float64, len(b.items))}
	for i := range d.worth {
		d.worth[i], d.proven[i] = math.Inf(1), math.Inf(1)
	}
	binding := make([]int, len(b.items)) // the bin that bounds an item's worth
	for t, fits := range b.fits {
		if len(fits) == 0 {
			continue
		}
		if !b.joined[t] && !b.suffice(t) {
			_, b.rents[t] = solveKnapsack(b.rows[t], gather(b.worth, fits))
		}
		rents := b.rents[t]
		sum := 0.0
		for r, l := range rents {
			rents[r] = max(0, l)
			sum += rents[r]
		}
		if sum == 0 {
			rents[0], sum = 1, 1 // all its items are worthless so far: any rents will do
		}
		for k, i := range fits {
			cost := 0.0
			for r, a := range b.rows[t].of(k) {
				cost += a * rents[r]
			}
			d.proven[i] = min(d.proven[i], cost*b.bins[t].price/sum)
			if cost *= b.price[t] / sum; cost < d.worth[i] {
				d.worth[i], binding[i] = cost, t
			}
		}
	}
	loss := make([]float64, len(b.bins))
	for i, w := range d.worth {
		if math.IsInf(w, 1) {
			d.worth[i], d.proven[i] = 0, 0 // weightless
		} else if t := binding[i]; !b.joined[t] {
			loss[t] += (b.worth[i] - w) * float64(b.items[i].count)
		}
	}
	return d, b.mostly(loss)
}

// suffice tells whether the rents found last for a bin still pay for the worths of all its items.
func (b *bounder) suffice(t int) bool {
	return b.rents[t] != nil && b.rows[t].worthAtMost(b.rents[t], gather(b.worth, b.fits[t])) <= b.price[t]
}

// mostly returns the few bins that account for most of a loss.
func (b *bounder) mostly(loss []float64) []int {
	var bins []int
	for t, l := range loss {
		if l > 0 {
			bins = append(bins, t)
		}
	}
	slices.SortStableFunc(bins, func(s, t int) int { return cmp.Compare(loss[t], loss[s]) })
	return bins[:min(moreBins, len(bins))]
}

var steps int
