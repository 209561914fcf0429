package pack

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// item is a set of shapes that arithmetic cannot tell apart.
type item struct {
	request []int64
	count   int
	row     int   // of the fit table
	most    int   // pods that one node takes
	guessed bool  // most is what one node took, others may take more
	shapes  []int // that it stands for
}

// bin is a set of offerings that arithmetic cannot tell apart.
type bin struct {
	capacity  []int64
	price     float64
	limit     int // nodes that can be bought, 0 is no bound
	limited   bool
	column    int // of the fit table
	offerings []int
	set       int   // which of the model's sets of items fits, one pod alone
	items     []int // of the set
	next      *bin  // of equal hash
}

// model is what is left to buy for, in one tier, in numbers alone. Resources that
// nothing requests are left out.
type model struct {
	resources []int // resource → index in the Problem's vectors
	items     []item
	bins      []bin
	sets      []bitset    // the distinct sets of items that fit a bin
	totals    [][]float64 // by set: what its items request of each resource together
	ladder    []rung      // the bins to fill
	folded    folded      // what the bound looks at
}

// newModel groups the shapes that have pods left and fit an offering of the tier.
func newModel(k *packer, tier int32) *model {
	stock := k.stockOf(tier)
	m := &model{resources: stock.resources, bins: slices.Clone(stock.bins)}
	m.group(k)
	// The plan shall not depend on the order in which shapes come.
	slices.SortStableFunc(m.items, func(a, b item) int {
		return cmp.Or(slices.Compare(b.request, a.request), b.count-a.count, k.table.width[b.row]-k.table.width[a.row])
	})
	m.dropHomeless(k.table)
	m.match(k.table)
	m.ladder = m.rungs()
	m.folded = m.fold(k.table, stock.alike)
	return m
}

// group sorts the shapes that have pods left into items.
func (m *model) group(k *packer) {
	index := map[string]int{}
	var key []byte
	var request []int64
	for s, shape := range k.Shapes {
		if k.left[s] == 0 {
			continue
		}
		free, row := 0, k.table.row[s]
		if shape.Free {
			free = 1
		}
		request = pick(request[:0], m.resources, shape.Requests)
		key = appendKey(key[:0], request, int64(row), int64(free), int64(k.most[s]), int64(shape.bound()))
		i, ok := index[string(key)]
		if !ok {
			i = len(m.items)
			index[string(key)] = i
			m.items = append(m.items, item{request: slices.Clone(request), row: row, most: k.most[s], guessed: k.most[s] < shape.bound()})
		}
		m.items[i].count += k.left[s]
		m.items[i].shapes = append(m.items[i].shapes, s)
	}
}

func appendKey(key []byte, vector []int64, more ...int64) []byte {
	for _, v := range vector {
		key = binary.LittleEndian.AppendUint64(key, uint64(v)) //nolint:gosec // only has to differ where v does
	}
	for _, v := range more {
		key = binary.LittleEndian.AppendUint64(key, uint64(v)) //nolint:gosec // only has to differ where v does
	}
	return key
}

// dropHomeless removes the items that fit no bin.
func (m *model) dropHomeless(fits *fitTable) {
	m.items = slices.DeleteFunc(m.items, func(it item) bool {
		for _, b := range slices.Backward(m.bins) {
			if fits.has(it.row, b.column) && covers(b.capacity, it.request) {
				return false
			}
		}
		return true
	})
}

// match lists, for every bin, the items of which it takes a pod, and removes the bins that
// take none.
func (m *model) match(fits *fitTable) {
	index := map[string]int{}
	columns := make([]columnItems, len(fits.cells))
	var lists [][]int
	for t := range m.bins {
		b := &m.bins[t]
		c := &columns[b.column]
		if c.largest == nil {
			c.collect(m, fits, b.column)
		}
		set := c.all
		if !covers(b.capacity, c.largest) {
			set = m.newSet()
			for _, i := range c.items {
				if covers(b.capacity, m.items[i].request) {
					set.set(i)
				}
			}
		}
		if b.set = intern(index, set, &m.sets); b.set == len(lists) {
			lists = append(lists, set.list())
			m.totals = append(m.totals, m.total(lists[b.set]))
		}
		b.items = lists[b.set]
	}
	m.bins = slices.DeleteFunc(m.bins, func(b bin) bool { return len(b.items) == 0 })
}

// columnItems are the items that fit a column, their sizes left aside.
type columnItems struct {
	items   []int
	all     bitset
	largest []int64 // request of each resource
}

func (c *columnItems) collect(m *model, fits *fitTable, column int) {
	c.all, c.largest = m.newSet(), make([]int64, len(m.resources))
	for i, it := range m.items {
		if fits.has(it.row, column) {
			c.items = append(c.items, i)
			c.all.set(i)
			for r, q := range it.request {
				c.largest[r] = max(c.largest[r], q)
			}
		}
	}
}

// newSet returns an empty set of items.
func (m *model) newSet() bitset { return make(bitset, (len(m.items)+63)/64) }

// total adds up what all pods of the items request.
func (m *model) total(items []int) []float64 {
	total := make([]float64, len(m.resources))
	for _, i := range items {
		for r, q := range m.items[i].request {
			total[r] += float64(q) * float64(m.items[i].count)
		}
	}
	return total
}
