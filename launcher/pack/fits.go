package pack

// fitTable says which shapes fit which offerings, their sizes left aside. Classes that
// fit the same kinds share a row, kinds that take the same classes a column.
type fitTable struct {
	rows, columns map[int]int // class → row, kind → column
	cells         []bitset    // by column, over rows
}

type bitset []uint64

func (b bitset) has(i int) bool { return b[i/64]>>(i%64)&1 != 0 }
func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }

// newFitTable asks fits once for every class and kind.
func newFitTable(p *Problem) *fitTable {
	var classes, kinds []int
	seenClass, seenKind := map[int]bool{}, map[int]bool{}
	for i := range p.Shapes {
		if c := p.Shapes[i].Class; !seenClass[c] {
			seenClass[c] = true
			classes = append(classes, c)
		}
	}
	for i := range p.Offerings {
		if k := p.Offerings[i].Kind; !seenKind[k] {
			seenKind[k] = true
			kinds = append(kinds, k)
		}
	}
	f := &fitTable{rows: make(map[int]int, len(classes)), columns: make(map[int]int, len(kinds))}
	byKinds := make([]bitset, 0, len(classes)) // distinct rows, over kinds
	index := map[string]int{}
	for _, c := range classes {
		over := make(bitset, (len(kinds)+63)/64)
		for k, kind := range kinds {
			if p.Fits(c, kind) {
				over.set(k)
			}
		}
		f.rows[c] = intern(index, over, &byKinds)
	}
	index = map[string]int{}
	for k, kind := range kinds {
		over := make(bitset, (len(byKinds)+63)/64)
		for r, row := range byKinds {
			if row.has(k) {
				over.set(r)
			}
		}
		f.columns[kind] = intern(index, over, &f.cells)
	}
	return f
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

func (f *fitTable) row(class int) int        { return f.rows[class] }
func (f *fitTable) column(kind int) int      { return f.columns[kind] }
func (f *fitTable) has(row, column int) bool { return f.cells[column].has(row) }

// fits tells whether a shape fits an offering, its size left aside.
func (f *fitTable) fits(p *Problem, shape, offering int) bool {
	return f.has(f.row(p.Shapes[shape].Class), f.column(p.Offerings[offering].Kind))
}

// fitsAny tells whether a shape fits any offering.
func (f *fitTable) fitsAny(p *Problem, shape int) bool {
	for t, o := range p.Offerings {
		if o.Capacity.holds(p.Shapes[shape].Requests) > 0 && f.fits(p, shape, t) {
			return true
		}
	}
	return false
}

// includes tells whether column a takes all that column b takes.
func (f *fitTable) includes(a, b int) bool {
	if a == b {
		return true
	}
	for i, w := range f.cells[b] {
		if w&^f.cells[a][i] != 0 {
			return false
		}
	}
	return true
}
