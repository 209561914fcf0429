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
	// potential of a bin is the most that a fractional filling is worth, per price.
	potential []float64
	// discount is what pods on bins that are limited in number may be worth more than
	// they cost; it comes off the bound.
	discount float64
}

const (
	roundsOfBound = 8
	closeEnough   = 1e-3 // relative gap at which the bound is not worth more work
	moreBins      = 6    // that join the relaxation in a round
)

// bound prices the items of a model by the dual of the assignment LP. The LP is solved over the
// few bins that matter, and bins that its worths would pay more than they cost join,
// until none is left (column generation). Every round gives valid duals: a bin's
// rents, scaled down to add up to its price, bound each worth.
func bound(m *model) duals {
	b := newBounder(m)
	best, bestBound := duals{}, -1.0
	for range roundsOfBound {
		primal := b.relax()
		d, overpaid := b.value()
		value := 0.0
		for i, it := range m.items {
			value += float64(it.count) * d.worth[i]
		}
		if value > bestBound {
			best, bestBound = d, value
		}

		if len(overpaid) == 0 || bestBound >= primal*(1-closeEnough) {
			break
		}
		b.join(overpaid)
	}
	b.limits(&best)
	return best
}

// bounder holds the relaxation's bins.
type bounder struct {
	*model
	price  []float64   // by bin, above 0
	fits   [][]int     // by bin: the items that count for it
	share  [][]float64 // by bin: the shares of these items, one after the other
	active []int       // bins in the relaxation, in order
	worth  []float64   // by item, as the relaxation has it
	rents  [][]float64 // by bin; nil if not in the relaxation
	knap   *knapsack
}

func newBounder(m *model) *bounder {
	b := &bounder{
		model: m, price: m.positivePrices(), fits: m.bound(), worth: make([]float64, len(m.items)),
		rents: make([][]float64, len(m.bins)), knap: newKnapsack(len(m.resources)),
	}
	for t, fits := range b.fits {
		b.share = append(b.share, m.shares(t, fits))
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

// shares returns what part of a bin each item takes. A bin counts as no larger than all
// items that fit it together: more room is worth nothing.
func (m *model) shares(t int, items []int) []float64 {
	room := make([]float64, len(m.resources))
	for r := range room {
		for _, i := range m.bins[t].items {
			room[r] += float64(m.items[i].request[r]) * float64(m.items[i].count)
		}
		room[r] = min(room[r], float64(m.bins[t].capacity[r]))
	}
	share := make([]float64, 0, len(items)*len(room))
	for _, i := range items {
		for r, q := range m.items[i].request {
			if q == 0 {
				share = append(share, 0)
			} else {
				share = append(share, float64(q)/room[r])
			}
		}
	}
	return share
}

// seeds picks the bins to start with: those on which many items would cost least alone,
// and at least one for every item.
func (b *bounder) seeds() []int {
	cheapest, cost := make([]int, len(b.items)), make([]float64, len(b.items))
	for i := range cost {
		cheapest[i], cost[i] = -1, math.Inf(1)
	}
	n := len(b.resources)
	for t, fits := range b.fits {
		for k, i := range fits {
			if c := b.price[t] * slices.Max(b.share[t][k*n:(k+1)*n]); c < cost[i] {
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
}

// relax solves the relaxation over the active bins; it returns its value.
func (b *bounder) relax() float64 {
	r := &relaxation{resources: len(b.resources)}
	index := make([]int, len(b.items)) // item → item of the relaxation + 1
	var items []int
	for at, t := range b.active {
		r.price = append(r.price, b.price[t])
		for k, i := range b.fits[t] {
			if index[i] == 0 {
				items = append(items, i)
				r.count, r.pairs = append(r.count, float64(b.items[i].count)), append(r.pairs, nil)
				index[i] = len(items)
			}
			j := index[i] - 1
			r.pairs[j] = append(r.pairs[j], pair{at, len(r.share)})
			r.share = append(r.share, b.share[t][k*r.resources:(k+1)*r.resources])
		}
	}
	primal := r.solve()
	for j, i := range items {
		b.worth[i] = r.worth[j]
	}
	clear(b.rents)
	for at, t := range b.active {
		b.rents[t] = r.l[at*r.resources : (at+1)*r.resources]
	}
	return primal
}

// value makes the relaxation's worths valid for all bins. It returns the bins that they
// overpay most.
func (b *bounder) value() (duals, []int) {
	d := duals{worth: make([]float64, len(b.items)), proven: make([]float64, len(b.items)), potential: make([]float64, len(b.bins))}
	for i := range d.worth {
		d.worth[i], d.proven[i] = math.Inf(1), math.Inf(1)
	}
	n := len(b.resources)
	binding := make([]int, len(b.items)) // the bin that bounds an item's worth
	worth := make([]float64, 0, len(b.items))
	for t, fits := range b.fits {
		if len(fits) == 0 {
			continue
		}
		rents := b.rents[t]
		if rents == nil {
			worth = worth[:0]
			for _, i := range fits {
				worth = append(worth, b.worth[i])
			}
			_, rents = b.knap.solve(worth, b.share[t])
		}
		sum := 0.0
		for r, l := range rents {
			rents[r] = max(0, l)
			sum += rents[r]
		}
		if sum == 0 {
			rents[0], sum = 1, 1 // all its items are worthless so far: any rents will do
		}
		d.potential[t] = sum / b.price[t]
		for k, i := range fits {
			cost := 0.0
			for r, a := range b.share[t][k*n : (k+1)*n] {
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
		} else if t := binding[i]; !slices.Contains(b.active, t) {
			loss[t] += (b.worth[i] - w) * float64(b.items[i].count)
		}
	}
	return d, b.mostly(loss)
}

// limits works out what nodes of the bins that are limited in number may be worth.
func (b *bounder) limits(d *duals) {
	for t, bin := range b.bins {
		if bin.limit == 0 {
			continue
		}
		items := slices.DeleteFunc(slices.Clone(bin.items), func(i int) bool { return b.items[i].weightless() })
		worth := make([]float64, len(items))
		for k, i := range items {
			worth[k] = d.worth[i]
		}
		share, n, most := b.shares(t, items), len(b.resources), 0.0
		_, rents := b.knap.solve(worth, share)
		short := 1.0 // by which the rents fall short of the worths
		for r, l := range rents {
			rents[r] = max(0, l)
			most += rents[r]
		}
		for k, w := range worth {
			cost := 0.0
			for r, a := range share[k*n : (k+1)*n] {
				cost += a * rents[r]
			}
			if w > cost*short {
				short = w / cost
			}
		}
		most *= short
		d.potential[t] = most / b.price[t]
		d.discount += float64(bin.limit) * max(0, most-bin.price)
	}
}

// mostly returns the few bins that account for most of a loss.
func (b *bounder) mostly(loss []float64) []int {
	var bins []int
	total := 0.0
	for t, l := range loss {
		if l > 0 {
			bins = append(bins, t)
			total += l
		}
	}
	slices.SortStableFunc(bins, func(s, t int) int { return cmp.Compare(loss[t], loss[s]) })
	return bins[:min(moreBins, len(bins))]
}

var steps int
