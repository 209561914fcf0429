package pack

import "slices"

// folded is a model in which columns that offer the same are one, and so are the items that
// only tell such columns apart: a zone that has what the others have makes no difference to
// the bound.
//
// Worths that are valid for the folded items are valid for those that they stand for, since
// what shares a bin still does. And nothing is lost: wherever a pod fits a folded
// column, it fits a bin of each size and price that the column has.
type folded struct {
	*model
	item, bin []int // what the items and bins of the whole model are here
}

// alikeColumns numbers the columns so that those with the same sizes at the same prices, and no
// limits, have the same number. The bins have to be sorted by price.
func alikeColumns(bins []bin, columns int) []int {
	offers := make([][]byte, columns)
	size := 0
	for t, b := range bins {
		if t > 0 && (b.price != bins[t-1].price || !slices.Equal(b.capacity, bins[t-1].capacity)) {
			size++
		}
		offers[b.column] = appendKey(offers[b.column], nil, int64(size))
		if b.limited {
			offers[b.column] = appendKey(offers[b.column], nil, -1, int64(b.column))
		}
	}
	number, index := make([]int, columns), map[string]int{}
	for c, key := range offers {
		n, ok := index[string(key)]
		if !ok {
			n = len(index)
			index[string(key)] = n
		}
		number[c] = n
	}
	return number
}

// fold joins the columns of equal number.
func (m *model) fold(fits *fitTable, number []int) folded {
	f := folded{m, make([]int, len(m.items)), make([]int, len(m.bins))}
	for i := range f.item {
		f.item[i] = i
	}
	for t := range f.bin {
		f.bin[t] = t
	}
	columns := slices.Max(number) + 1
	if columns == len(number) {
		return f
	}
	f.model = &model{resources: m.resources}
	table, row := fits.fold(number, columns)
	index := map[string]int{}
	var key []byte
	for i, it := range m.items {
		key = appendKey(key[:0], it.request, int64(row[it.row]))
		at, ok := index[string(key)]
		if !ok {
			at = len(f.items)
			index[string(key)] = at
			f.items = append(f.items, item{request: it.request, row: row[it.row]})
		}
		f.items[at].count += it.count
		f.item[i] = at
	}
	for t, b := range m.bins {
		b.column, b.items = number[b.column], nil
		at := len(f.bins)
		for at > 0 && f.bins[at-1].price == b.price && !f.bins[at-1].alike(&b) {
			at--
		}
		if at == 0 || b.limited || !f.bins[at-1].alike(&b) {
			f.bins = append(f.bins, b)
			at = len(f.bins)
		}
		f.bin[t] = at - 1
	}
	f.match(table)
	return f
}

// fold returns the table for columns that go by their number, and what its rows are now.
func (f *fitTable) fold(number []int, columns int) (*fitTable, []int) {
	row := make([]int, len(f.width))
	var rows []bitset
	index := map[string]int{}
	for r := range row {
		over := make(bitset, (columns+63)/64)
		for c, n := range number {
			if f.cells[c].has(r) {
				over.set(n)
			}
		}
		row[r] = intern(index, over, &rows)
	}
	table := &fitTable{cells: make([]bitset, columns)}
	for c := range table.cells {
		table.cells[c] = make(bitset, (len(rows)+63)/64)
		for r, over := range rows {
			if over.has(c) {
				table.cells[c].set(r)
			}
		}
	}
	return table, row
}

// highest returns for every folded item the most that one of its items is worth.
func (f *folded) highest(worth []float64) []float64 {
	most := make([]float64, len(f.items))
	for i, at := range f.item {
		most[at] = max(most[at], worth[i])
	}
	return most
}
