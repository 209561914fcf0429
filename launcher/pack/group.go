package pack

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// item is a set of shapes that arithmetic cannot tell apart.
type item struct {
	request []int64
	count   int
	row     int   // of the fit table
	most    int   // pods that one node takes
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
}

// newModel groups the shapes that have pods left and fit an offering of the tier, and
// the offerings that are not shut. An offering that another one beats in every respect is
// left out.
func newModel(k *packer, tier int32) *model {
	m := &model{resources: requested(k.Shapes, k.left)}
	m.group(k)
	// The plan shall not depend on the order in which shapes come.
	slices.SortStableFunc(m.items, func(a, b item) int {
		return cmp.Or(slices.Compare(b.request, a.request), b.count-a.count, k.table.width[b.row]-k.table.width[a.row])
	})
	m.groupOfferings(k, tier)
	m.dropHomeless(k.table)
	m.match(k.table)
	m.ladder = m.rungs()
	return m
}

// requested lists the resources that any pod left requests.
func requested(shapes []Shape, left []int) []int {
	var list []int
	for s, shape := range shapes {
		if left[s] == 0 {
			continue
		}
		for r, q := range shape.Requests {
			if q > 0 && !slices.Contains(list, r) {
				list = append(list, r)
			}
		}
	}
	slices.Sort(list)
	return list
}

// pick appends the model's resources of a Problem's vector.
func (m *model) pick(picked []int64, v Vector) []int64 {
	for _, r := range m.resources {
		q := int64(0)
		if r < len(v) {
			q = v[r]
		}
		picked = append(picked, q)
	}
	return picked
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
		request = m.pick(request[:0], shape.Requests)
		key = appendKey(key[:0], request, int64(row), int64(free), int64(k.most[s]))
		i, ok := index[string(key)]
		if !ok {
			i = len(m.items)
			index[string(key)] = i
			m.items = append(m.items, item{request: slices.Clone(request), row: row, most: k.most[s]})
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

// groupOfferings sorts the offerings of a tier that can be bought into bins.
func (m *model) groupOfferings(k *packer, tier int32) {
	index := map[uint64]*bin{} // by hash, the rest follow by next
	var all []*bin
	var scratch []int64
	for t, o := range k.Offerings {
		if o.Tier != tier || k.shut[t] || o.Limit > 0 && k.bought[t] >= o.Limit {
			continue
		}
		scratch = m.pick(scratch[:0], o.Capacity)
		b := bin{capacity: scratch, price: o.Price, column: k.table.column[t]}
		if o.Limit > 0 {
			b.limit, b.limited = o.Limit-k.bought[t], true
		}
		hash := b.hash()
		same := index[hash]
		for same != nil && !same.alike(&b) {
			same = same.next
		}
		if same == nil {
			same = &bin{capacity: slices.Clone(scratch), price: b.price, column: b.column, limited: b.limited, next: index[hash]}
			all, index[hash] = append(all, same), same
		}
		same.limit += b.limit
		same.offerings = append(same.offerings, t)
	}
	m.bins = undominated(all, k.table)
}

// hash is equal for bins that are alike (FNV-1a over words).
func (b *bin) hash() uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b.capacity {
		h = (h ^ uint64(c)) * 1099511628211 //nolint:gosec // any mapping will do
	}
	return (h^math.Float64bits(b.price))*1099511628211 ^ uint64(b.column) //nolint:gosec // any mapping will do
}

// alike tells whether arithmetic cannot tell two bins apart.
func (b *bin) alike(o *bin) bool {
	return b.price == o.price && b.column == o.column && b.limited == o.limited && slices.Equal(b.capacity, o.capacity)
}

// undominated leaves out every bin for which another one takes the same pods and more,
// has no less of any resource, costs no more and is not limited in number. It sorts by price.
func undominated(all []*bin, fits *fitTable) []bin {
	slices.SortFunc(all, func(a, b *bin) int {
		if c := cmp.Or(cmp.Compare(a.price, b.price), a.limit-b.limit); c != 0 {
			return c
		}
		return cmp.Or(slices.Compare(b.capacity, a.capacity), a.offerings[0]-b.offerings[0])
	})
	kept := make([]bin, 0, len(all))
	columns := make([][]int64, len(fits.cells)) // capacities of the unlimited bins kept, one after the other
next:
	for _, b := range all {
		for column, capacities := range columns {
			if len(capacities) > 0 && fits.includes(column, b.column) && anyCovers(capacities, b.capacity) {
				continue next
			}
		}
		if kept = append(kept, *b); b.limit == 0 {
			columns[b.column] = append(columns[b.column], b.capacity...)
		}
	}
	return kept
}

// anyCovers tells whether any of the capacities, which lie one after the other, is at least b.
// It starts from the back: a bin is most often beaten by one of about its size.
func anyCovers(capacities, b []int64) bool {
	for at := len(capacities) - len(b); at >= 0; at -= len(b) {
		if covers(capacities[at:at+len(b)], b) {
			return true
		}
	}
	return false
}

// covers tells whether a is at least b in every resource.
func covers(a, b []int64) bool {
	for i, v := range b {
		if a[i] < v {
			return false
		}
	}
	return true
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
