package pack

import (
	"cmp"
	"math"
	"slices"
)

// value makes the relaxation's worths valid for all bins; they may become smaller than needed
// by a relative tolerance. It returns the bins that they overpay most.
func (b *bounder) value(tolerance float64) (duals, []int) {
	covers := slices.Clone(b.active)
	for _, t := range covers {
		b.normalize(t)
	}
	for t := range slices.Backward(b.bins) { // large bins cover more
		if b.joined[t] || len(b.fits[t]) == 0 || b.covered(t, covers, tolerance) {
			continue
		}
		if !b.suffice(t) {
			b.needRows(t)
			b.rents[t] = solveKnapsack(b.rows[t], gather(b.worth, b.fits[t]))
		}
		b.normalize(t)
		covers = append(covers, t)
	}
	return b.charge(covers)
}

// normalize scales the rents of a bin to add up to its price.
func (b *bounder) normalize(t int) {
	sum := 0.0
	for r, l := range b.rents[t] {
		b.rents[t][r] = max(0, l)
		sum += b.rents[t][r]
	}
	if sum == 0 {
		b.rents[t][0], sum = 1, 1 // all its items are worthless so far: any rents will do
	}
	for r := range b.rents[t] {
		b.rents[t][r] *= b.price[t] / sum
	}
	b.keep[t] = 1
}

// charge cuts the worths down to what the rents pay for. It returns the bins that the worths overpay most.
func (b *bounder) charge(bins []int) (duals, []int) {
	d := duals{worth: make([]float64, len(b.items)), proven: make([]float64, len(b.items))}
	for i := range d.worth {
		d.worth[i], d.proven[i] = math.Inf(1), math.Inf(1)
	}
	binding := make([]int, len(b.items)) // the bin that bounds an item's worth
	for _, t := range bins {
		truth := b.bins[t].price / b.price[t]
		for k, i := range b.fits[t] {
			cost := b.rows[t].cost(k, b.rents[t]) * b.keep[t]
			d.proven[i] = min(d.proven[i], cost*truth)
			if cost < d.worth[i] {
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

// covered tells whether the rents of one of the bins given, cut down by the tolerance at
// most, add up to no more than the price of bin t if pods are charged the same there. Then
// the worths that pay these rents are valid for bin t, too.
func (b *bounder) covered(t int, by []int, tolerance float64) bool {
	for _, s := range slices.Backward(by) {
		most := b.transfer(s, t) / b.price[t]
		if most <= 1+tolerance && b.bins[s].price*b.price[t] <= b.bins[t].price*b.price[s] {
			b.keep[s] = min(b.keep[s], 1/most)
			return true
		}
	}
	return false
}

// transfer returns the most that pods on bin t pay if they are charged as on bin s;
// infinite if items fit t that do not fit s.
func (b *bounder) transfer(s, t int) float64 {
	if !b.fitSet[s].includes(b.fitSet[t]) {
		return math.Inf(1)
	}
	sum := 0.0
	for r, l := range b.rents[s] {
		if l > 0 {
			m := b.rows[s].meters[r]
			sum += l * m.most(b.room[t][m.resource])
		}
	}
	return sum
}

// needRows makes the rows of a bin unless they are there.
func (b *bounder) needRows(t int) {
	if b.rows[t].shares == nil {
		b.rows[t] = b.rowsOf(t, b.fits[t])
	}
}

// suffice tells whether the rents found last for a bin still pay for the worths of all its items.
func (b *bounder) suffice(t int) bool {
	return b.rents[t] != nil && b.rows[t].raise(b.rents[t], gather(b.worth, b.fits[t])) <= b.price[t]
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
