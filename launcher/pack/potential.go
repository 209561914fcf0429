package pack

import (
	"math"
	"slices"
)

// potential returns, by rung, the most that a filling is worth, per price.
func (b *bounder) potential(worth []float64, exact bool) []float64 {
	bins := make([]int, len(b.whole.ladder))
	for at, rung := range b.whole.ladder {
		bins[at] = rung.bin
	}
	return b.reach(bins, worth, exact)
}

// reach returns, for each of the bins given, the most that a filling is worth, per price. The rents found
// last are near enough for the worths they were found with; for others, exact asks for better ones.
func (b *bounder) reach(bins []int, worth []float64, exact bool) []float64 {
	worth = b.highest(worth)
	var covers []int
	for t, rents := range b.rents {
		if rents == nil || b.bins[t].limit > 0 {
			continue
		}
		items := gather(worth, b.fits[t])
		if exact {
			b.rents[t] = solveKnapsack(b.rows[t], items)
		}
		b.rows[t].raise(b.rents[t], items)
		covers = append(covers, t)
	}
	known := make([]float64, len(b.bins))
	reach := make([]float64, len(bins))
	for at, bin := range bins {
		t := b.bin[bin]
		if known[t] == 0 {
			most := math.Inf(1)
			if b.bins[t].limit > 0 {
				most = b.most(t, worth)
			}
			for _, s := range covers {
				most = min(most, b.transfer(s, t))
			}
			known[t] = most/b.price[t] + trifle
		}
		reach[at] = known[t]
	}
	return reach
}

func gather(values []float64, at []int) []float64 {
	list := make([]float64, len(at))
	for k, i := range at {
		list[k] = values[i]
	}
	return list
}

// limits works out what nodes of the bins that are limited in number may be worth.
func (b *bounder) limits(d *duals) {
	for t, bin := range b.bins {
		if bin.limit > 0 {
			d.discount += float64(bin.limit) * max(0, b.most(t, d.worth)-bin.price)
		}
	}
}

// most returns a proven upper bound of what one node of a bin that is limited in number may
// be worth: all its items count, not only those whose worth it bounds.
func (b *bounder) most(t int, worth []float64) float64 {
	items := slices.DeleteFunc(slices.Clone(b.bins[t].items), func(i int) bool { return b.items[i].weightless() })
	rows := b.rowsOf(t, items)
	rents := solveKnapsack(rows, gather(worth, items))
	return rows.raise(rents, gather(worth, items))
}
