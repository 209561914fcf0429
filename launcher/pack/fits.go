package pack

import "math/bits"

// fitTable says which shapes fit which offerings, their sizes left aside. Classes that
// fit the same kinds share a row, kinds that take the same classes a column.
type fitTable struct {
	row    []int    // by shape
	column []int    // by offering
	cells  []bitset // by column, over rows
	// width counts the offerings that a row fits.
	width []int
}

type bitset []uint64

func (b bitset) has(i int) bool { return b[i/64]>>(i%64)&1 != 0 }
func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }

// add puts all that is in o into b.
func (b bitset) add(o bitset) {
	for at, w := range o {
		b[at] |= w
	}
}

// list returns what is in the set, in order.
func (b bitset) list() []int {
	var list []int
	for at, w := range b {
		for ; w != 0; w &= w - 1 {
			list = append(list, 64*at+bits.TrailingZeros64(w))
		}
	}
	return list
}

// includes tells whether all that is in o is in b.
func (b bitset) includes(o bitset) bool {
	for at, w := range o {
		if w&^b[at] != 0 {
			return false
		}
	}
	return true
}

// newFitTable asks fits once for every class and kind.
func newFitTable(p *Problem) *fitTable {
	f := &fitTable{row: make([]int, len(p.Shapes)), column: make([]int, len(p.Offerings))}
	classes := enumerate(f.row, func(s int) int { return p.Shapes[s].Class })
	kinds := enumerate(f.column, func(t int) int { return p.Offerings[t].Kind })
	var distinct []bitset // rows, over kinds
	index := map[string]int{}
	rowOf := make([]int, len(classes))
	for c, class := range classes {
		over := make(bitset, (len(kinds)+63)/64)
		for k, kind := range kinds {
			if p.Fits(class, kind) {
				over.set(k)
			}
		}
		rowOf[c] = intern(index, over, &distinct)
	}
	index = map[string]int{}
	columnOf := make([]int, len(kinds))
	for k := range kinds {
		over := make(bitset, (len(distinct)+63)/64)
		for r, row := range distinct {
			if row.has(k) {
				over.set(r)
			}
		}
		columnOf[k] = intern(index, over, &f.cells)
	}
	f.width = make([]int, len(distinct))
	for _, k := range f.column {
		for r, row := range distinct {
			if row.has(k) {
				f.width[r]++
			}
		}
	}
	for s, c := range f.row {
		f.row[s] = rowOf[c]
	}
	for t, k := range f.column {
		f.column[t] = columnOf[k]
	}
	return f
}

// enumerate numbers the distinct values in the order in which they come: it sets the
// number of each and returns the values by number.
func enumerate(numbers []int, value func(int) int) (values []int) {
	index := map[int]int{}
	for i := range numbers {
		v := value(i)
		n, ok := index[v]
		if !ok {
			n = len(values)
			index[v] = n
			values = append(values, v)
		}
		numbers[i] = n
	}
	return values
}

// intern returns the index of an equal bitset in the list, which it extends if need be.
func intern(index map[string]int, b bitset, list *[]bitset) int {
	key := make([]byte, 0, 8*len(b))
	for _, w := range b {
		key = appendKey(key, nil, int64(w)) //nolint:gosec // only has to differ where w does
	}
	i, ok := index[string(key)]
	if !ok {
		i = len(*list)
		index[string(key)] = i
		*list = append(*list, b)
	}
	return i
}

// has tells whether what is in the row fits what is in the column.
func (f *fitTable) has(row, column int) bool { return f.cells[column].has(row) }

// fits tells whether a shape fits an offering, its size left aside.
func (f *fitTable) fits(shape, offering int) bool {
	return f.has(f.row[shape], f.column[offering])
}

// fitsAny tells whether a shape fits any offering.
func (f *fitTable) fitsAny(p *Problem, shape int) bool {
	for t, o := range p.Offerings {
		if o.Capacity.holds(p.Shapes[shape].Requests) > 0 && f.fits(shape, t) {
			return true
		}
	}
	return false
}

// includes tells whether column a takes all that column b takes.
func (f *fitTable) includes(a, b int) bool {
	return a == b || f.cells[a].includes(f.cells[b])
}
