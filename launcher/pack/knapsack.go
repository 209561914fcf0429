package pack

// knapsack finds the most valuable fractional filling of one bin,
//
//	max Σ_i worth_i·y_i   subject to   Σ_i share_ir·y_i ≤ 1 for every row r of the bin,
//
// by the revised simplex method: there are few rows, so a few pivots suffice.
type knapsack struct {
	rows
	worth   []float64 // by item
	inverse []float64 // of the basis, by rows
	level   []float64 // of the basic variables
	value   []float64 // of the basic variables
	column  []float64
	rents   []float64
}

// solveKnapsack returns the rents of the rows.
func solveKnapsack(r rows, worth []float64) []float64 {
	n := r.n
	k := &knapsack{
		rows: r, worth: worth, inverse: make([]float64, n*n), level: make([]float64, n),
		value: make([]float64, n), column: make([]float64, n), rents: make([]float64, n),
	}
	for r := range n {
		k.inverse[r*n+r], k.level[r] = 1, 1
	}
	for range 20 * n {
		for c := range n {
			k.rents[c] = 0
			for r, v := range k.value {
				k.rents[c] += v * k.inverse[r*n+c]
			}
		}
		in, slack := k.entering()
		if in < 0 && slack < 0 {
			break
		}
		k.pivot(in, slack)
	}
	return k.rents
}

// entering picks the variable that gains most: an item, or the slack of a resource with a negative rent.
func (k *knapsack) entering() (in, slack int) {
	in, slack = -1, -1
	best := 1e-4 // relative gain below which more precision is of no use
	for i, w := range k.worth {
		cost := 0.0
		for r, a := range k.of(i) {
			cost += a * k.rents[r]
		}
		if gain := w - cost; gain > best*w {
			in, best = i, gain/w
		}
	}
	if in >= 0 {
		return in, -1
	}
	least := -1e-12
	for r, rent := range k.rents {
		if rent < least {
			slack, least = r, rent
		}
	}
	return -1, slack
}

// pivot brings an item or a slack into the basis.
func (k *knapsack) pivot(in, slack int) {
	n, value := k.n, 0.0
	if in >= 0 {
		value = k.worth[in]
	}
	for r := range n {
		if slack >= 0 {
			k.column[r] = k.inverse[r*n+slack]
			continue
		}
		k.column[r] = 0
		for c, a := range k.of(in) {
			k.column[r] += k.inverse[r*n+c] * a
		}
	}
	out := -1
	for r, c := range k.column {
		if c > 1e-11 && (out < 0 || k.level[r]*k.column[out] < k.level[out]*c) {
			out = r
		}
	}
	if out < 0 {
		return // unbounded: cannot be, since every item requests something
	}
	pivot := k.column[out]
	row := k.inverse[out*n : (out+1)*n]
	for c := range row {
		row[c] /= pivot
	}
	k.level[out] /= pivot
	for r := range n {
		if f := k.column[r]; r != out && f != 0 {
			for c := range n {
				k.inverse[r*n+c] -= f * row[c]
			}
			k.level[r] -= f * k.level[out]
		}
	}
	k.value[out] = value
}
