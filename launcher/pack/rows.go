package pack

import (
	"math"
	"slices"
)

// rows are what limits the filling of a bin: Σ_i share_i·y_i ≤ 1 for every row, with
// y_i pods of item i.
type rows struct {
	n      int
	plain  int       // the first rows are resources, the rest are cuts
	shares []float64 // the items' shares of each row, one item after the other
	meters []meter   // by row
}

// meter says what a row measures: a resource in parts of room, for a cut rounded by u(parts).
type meter struct {
	resource, parts int // parts is 0 if the row is no cut
	room            int64
}

// most bounds the sum of the shares of pods that together take no more than room of the resource.
// Rounded shares add up to no more than their sum rounded.
func (mt meter) most(room int64) float64 {
	if mt.parts == 0 {
		return float64(room) / float64(mt.room)
	}
	most := float64(int64(mt.parts+1)*room/mt.room) / float64(mt.parts)
	if room <= mt.room {
		most = min(1, most)
	}
	return most
}

// of returns the shares of an item.
func (r rows) of(k int) []float64 { return r.shares[k*r.n : (k+1)*r.n] }

// cost is what a pod of an item pays at the rents given.
func (r rows) cost(k int, rents []float64) float64 {
	cost := 0.0
	for i, a := range r.of(k) {
		cost += a * rents[i]
	}
	return cost
}

// raise scales rents to where every item just pays for itself. The sum, which it returns,
// bounds what a filling is worth. Negative rents are set to 0.
func (r rows) raise(rents, worth []float64) float64 {
	for i, l := range rents {
		rents[i] = max(0, l)
	}
	short := 0.0
	for k, w := range worth {
		if cost := r.cost(k, rents); w > cost*short {
			short = w / cost
		}
	}
	if math.IsInf(short, 1) {
		return short
	}
	sum := 0.0
	for i := range rents {
		rents[i] *= short
		sum += rents[i]
	}
	return sum
}

const (
	finestCut = 12   // cuts count pods down to this part of a node
	leastGain = 0.01 // that makes a cut worthwhile
)

// rowsOf returns the rows of a bin for the items given. There is one for every resource that can
// run out before all others, and cuts: of pods that take more than a (k+1)th of a resource no
// more than k fit, so such a pod may be said to take the kth part. This is the
// dual-feasible function u(k) of Fekete and Schepers (2001); it closes most of the
// gap between fractional and whole pods where pods are large.
func (m *model) rowsOf(t int, items []int) rows {
	room := m.room(t)
	var columns [][]float64
	for r, size := range room {
		column := make([]float64, len(items))
		for k, i := range items {
			if q := m.items[i].request[r]; q > 0 {
				column[k] = float64(q) / float64(size)
			}
		}
		columns = append(columns, column)
	}
	var kept [][]float64
	var meters []meter
	for r, column := range columns {
		if redundant(columns, r) {
			continue
		}
		kept, meters = append(kept, column), append(meters, meter{r, 0, room[r]})
	}
	plain := len(kept)
	for row, mt := range meters {
		if cut, parts := m.cut(items, mt.resource, mt.room, kept[row]); cut != nil {
			kept, meters = append(kept, cut), append(meters, meter{mt.resource, parts, mt.room})
		}
	}
	share := make([]float64, 0, len(items)*len(kept))
	for k := range items {
		for _, column := range kept {
			share = append(share, column[k])
		}
	}
	return rows{len(kept), plain, share, meters}
}

// room is the capacity of a bin, but no more than all items that fit it take together:
// more is worth nothing.
func (m *model) room(t int) []int64 {
	room := slices.Clone(m.bins[t].capacity)
	for r, total := range m.totals[m.bins[t].set] {
		if total < float64(room[r]) {
			room[r] = int64(total)
		}
		room[r] = max(1, room[r])
	}
	return room
}

// redundant tells whether another resource always runs out no later than r.
func redundant(columns [][]float64, r int) bool {
	for o := range columns {
		beaten, equal := o != r, true
		for k, share := range columns[r] {
			beaten = beaten && share <= columns[o][k]
			equal = equal && share == columns[o][k]
		}
		if beaten && (!equal || o < r) {
			return true
		}
	}
	return false
}

// cut returns the cut of a resource that says most, and its k; nil when none says much.
func (m *model) cut(items []int, r int, room int64, column []float64) ([]float64, int) {
	total := 0.0
	var large []int
	for k, i := range items {
		total += float64(m.items[i].count) * column[k]
		if column[k]*finestCut >= 1 {
			large = append(large, k)
		}
	}
	best, bestGain := 0, leastGain*total
	for part := 1; part < finestCut && len(large) > 0; part++ {
		gain := 0.0
		for _, k := range large {
			it := &m.items[items[k]]
			gain += float64(it.count) * max(0, rounded(it.request[r], room, part)-column[k])
		}
		if gain > bestGain {
			best, bestGain = part, gain
		}
	}
	if best == 0 {
		return nil, 0
	}
	cut := make([]float64, len(items))
	for _, k := range large {
		cut[k] = rounded(m.items[items[k]].request[r], room, best)
	}
	return cut, best
}

// rounded is the dual-feasible function u(k) of request ÷ room.
func rounded(request, room int64, k int) float64 {
	parts := int64(k+1) * request
	if parts%room == 0 {
		return float64(request) / float64(room)
	}
	return float64(parts/room) / float64(k)
}
