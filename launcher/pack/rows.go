package pack

// rows are what limits the filling of a bin: Σ_i share_i·y_i ≤ 1 for every row, with
// y_i pods of item i.
type rows struct {
	n      int
	shares []float64 // the items' shares of each row, one item after the other
}

// of returns the shares of an item.
func (r rows) of(k int) []float64 { return r.shares[k*r.n : (k+1)*r.n] }

// worthAtMost bounds what a filling is worth: no more than the sum of the rents, once they are
// raised to where each item pays for itself. Negative rents are set to 0.
func (r rows) worthAtMost(rents, worth []float64) float64 {
	sum, short := 0.0, 0.0
	for i, l := range rents {
		rents[i] = max(0, l)
		sum += rents[i]
	}
	for k, w := range worth {
		cost := 0.0
		for i, a := range r.of(k) {
			cost += a * rents[i]
		}
		if w > cost*short {
			short = w / cost
		}
	}
	return sum * short
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
	for r, column := range columns {
		if redundant(columns, r) {
			continue
		}
		kept = append(kept, column)
		if cut := m.cut(items, r, room[r], column); cut != nil {
			kept = append(kept, cut)
		}
	}
	share := make([]float64, 0, len(items)*len(kept))
	for k := range items {
		for _, column := range kept {
			share = append(share, column[k])
		}
	}
	return rows{len(kept), share}
}

// room is the capacity of a bin, but no more than all items that fit it take together:
// more is worth nothing.
func (m *model) room(t int) []int64 {
	room := make([]int64, len(m.resources))
	for r := range room {
		total := 0.0
		for _, i := range m.bins[t].items {
			total += float64(m.items[i].request[r]) * float64(m.items[i].count)
		}
		if room[r] = m.bins[t].capacity[r]; total < float64(room[r]) {
			room[r] = max(1, int64(total))
		}
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

// cut returns the cut of a resource that says most; nil when none says much.
func (m *model) cut(items []int, r int, room int64, column []float64) []float64 {
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
			share := float64(int(float64(part+1)*column[k])) / float64(part)
			gain += float64(m.items[items[k]].count) * max(0, share-column[k])
		}
		if gain > bestGain {
			best, bestGain = part, gain
		}
	}
	if best == 0 {
		return nil
	}
	cut := make([]float64, len(items))
	for _, k := range large {
		cut[k] = rounded(m.items[items[k]].request[r], room, best)
	}
	return cut
}

// rounded is the dual-feasible function u(k) of request ÷ room.
func rounded(request, room int64, k int) float64 {
	parts := int64(k+1) * request
	if parts%room == 0 {
		return float64(request) / float64(room)
	}
	return float64(parts/room) / float64(k)
}
