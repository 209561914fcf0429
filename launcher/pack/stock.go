package pack

import (
	"cmp"
	"math"
	"slices"
)

// stock is what can be bought in a tier: bins that no other one beats in every respect, by price.
type stock struct {
	resources []int // that pods request, as in model
	bins      []bin
	alike     []int // by column: columns of equal number offer the same
}

// stockOf takes stock of a tier. It need not be taken again until an offering is shut, where
// none is limited in number.
func (k *packer) stockOf(tier int32) *stock {
	if known := k.stock[tier]; known != nil {
		return known
	}
	s := &stock{resources: requested(k.Shapes, k.left)}
	index := map[uint64]*bin{} // by hash, the rest follow by next
	var all []*bin
	var scratch []int64
	limited := false
	for t, o := range k.Offerings {
		if o.Tier != tier || k.shut[t] || o.Limit > 0 && k.bought[t] >= o.Limit {
			continue
		}
		scratch = pick(scratch[:0], s.resources, o.Capacity)
		b := bin{capacity: scratch, price: o.Price, column: k.table.column[t]}
		if o.Limit > 0 {
			b.limit, b.limited, limited = o.Limit-k.bought[t], true, true
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
	s.bins = undominated(all, k.table)
	s.alike = alikeColumns(s.bins, len(k.table.cells))
	if !limited {
		k.stock[tier] = s
	}
	return s
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

// pick appends the resources given of a Problem's vector.
func pick(picked []int64, resources []int, v Vector) []int64 {
	for _, r := range resources {
		q := int64(0)
		if r < len(v) {
			q = v[r]
		}
		picked = append(picked, q)
	}
	return picked
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
