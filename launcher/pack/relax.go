package pack

import "math"

// relax solves the relaxation over the active bins, with cuts or without, to a relative gap; it
// returns its value.
func (b *bounder) relax(gap float64, cuts bool) float64 {
	r := &relaxation{first: []int{0}}
	bundle := b.bundles(r)
	size := 0
	for _, t := range b.active {
		size += len(b.rows[t].shares)
	}
	shares := make([]float64, size)
	for at, t := range b.active {
		rows, n := b.rows[t], b.rows[t].n
		if !cuts {
			n = rows.plain
		}
		r.price = append(r.price, b.price[t])
		r.first = append(r.first, r.first[at]+n)
		for k, i := range b.fits[t] {
			j := bundle[i]
			if last := len(r.pairs[j]) - 1; last < 0 || r.pairs[j][last].bin != at {
				r.pairs[j] = append(r.pairs[j], pair{at, len(r.share)})
				r.share, shares = append(r.share, shares[:n:n]), shares[n:]
			}
			share := r.share[r.pairs[j][len(r.pairs[j])-1].at]
			part := float64(b.items[i].count) / r.count[j]
			for row, a := range rows.of(k)[:n] {
				share[row] += part * a
			}
		}
	}
	primal := r.solve(gap)
	for i := range b.worth {
		b.worth[i] = math.Inf(1)
	}
	for at, t := range b.active {
		b.rents[t] = make([]float64, b.rows[t].n)
		copy(b.rents[t], r.l[r.first[at]:r.first[at+1]])
		for k, i := range b.fits[t] {
			b.worth[i] = min(b.worth[i], b.rows[t].cost(k, b.rents[t]))
		}
	}
	for i, j := range bundle {
		if j < 0 {
			b.worth[i] = 0
		}
	}
	return primal
}

// manyItems is the number of items from which on those that are alike are bundled.
const manyItems = 400

// bundles tells for every item which item of the relaxation stands for it; -1 if it fits no
// active bin. Of many items, those that fit the same bins and request about the same
// go by their mean: the rents come out about the same, and the worths are derived from
// the rents for every item on its own.
func (b *bounder) bundles(r *relaxation) []int {
	bundle := make([]int, len(b.items))
	index := map[string]int{}
	var key []byte
	for i, it := range b.items {
		key = key[:0]
		homes := 0
		for at, t := range b.active {
			if b.fitSet[t].has(i) {
				key = appendKey(key, nil, int64(at))
				homes++
			}
		}
		if homes == 0 {
			bundle[i] = -1
			continue
		}
		if len(b.items) < manyItems {
			key = appendKey(key[:0], nil, int64(i))
		} else {
			for _, q := range it.request {
				key = appendKey(key, nil, about(q))
			}
		}
		j, ok := index[string(key)]
		if !ok {
			j = len(r.count)
			index[string(key)] = j
			r.count, r.pairs = append(r.count, 0), append(r.pairs, nil)
		}
		r.count[j] += float64(it.count)
		bundle[i] = j
	}
	return bundle
}

// about is equal for amounts that are about the same: within half an octave.
func about(q int64) int64 {
	if q == 0 {
		return -1
	}
	return int64(2 * math.Log2(float64(q)))
}
