package pack

import (
	"cmp"
	"slices"
)

// listAlternatives lists for every node the offerings that hold its pods.
func (k *packer) listAlternatives(plan *Plan) {
	l := newLister(k)
	known := map[string][]int{}
	var key []byte
	for i, n := range k.nodes {
		key = appendKey(key[:0], nil, int64(n.offering))
		for _, f := range n.pods {
			key = appendKey(key, nil, int64(f.Shape), int64(f.Count))
		}
		list, ok := known[string(key)]
		if !ok {
			list = l.list(n)
			known[string(key)] = list
		}
		plan.Nodes[i].Offerings = list
	}
}

// lister lists alternatives.
type lister struct {
	*packer
	byPrice  []int   // offerings
	capacity []int64 // by price, one after the other
	types    []int   // by offering, numbered from 0
	byType   [][]int // offerings, by price
	seen     []int   // by type: the latest list that it is in
	lists    int     // made so far
	used     Vector
	rows     []int // of the pods
	kinds    []int // by offering, numbered from 0
	asked    []int // by kind: the latest list for which it was asked about
	fits     []bool
}

func newLister(k *packer) *lister {
	l := &lister{packer: k, byPrice: make([]int, len(k.Offerings)), types: make([]int, len(k.Offerings)), kinds: make([]int, len(k.Offerings))}
	count := len(enumerate(l.types, func(t int) int { return k.Offerings[t].Type }))
	l.seen, l.byType = make([]int, count), make([][]int, count)
	count = len(enumerate(l.kinds, func(t int) int { return k.Offerings[t].Kind }))
	l.asked, l.fits = make([]int, count), make([]bool, count)
	for t := range l.byPrice {
		l.byPrice[t] = t
	}
	slices.SortFunc(l.byPrice, l.cheaper)
	for _, t := range l.byPrice {
		l.capacity = append(l.capacity, k.Offerings[t].Capacity...)
		l.byType[l.types[t]] = append(l.byType[l.types[t]], t)
	}
	return l
}

func (l *lister) cheaper(a, b int) int {
	return cmp.Or(cmp.Compare(l.Offerings[a].Price, l.Offerings[b].Price), a-b)
}

// list returns the offerings that hold a node's pods: the chosen one first, then by
// price, of no more instance types than asked for. What is shut is left out.
func (l *lister) list(n *bought) []int {
	l.used = append(l.used[:0], l.Offerings[n.offering].Capacity...)
	for r := range l.used {
		l.used[r] -= n.free[r]
	}
	l.rows = l.rows[:0]
	for _, f := range n.pods {
		if row := l.table.row[f.Shape]; !slices.Contains(l.rows, row) {
			l.rows = append(l.rows, row)
		}
	}
	l.lists++
	chosen := l.types[n.offering]
	l.seen[chosen] = l.lists
	list := l.ofType([]int{n.offering}, n, chosen)
	width := len(l.used)
	for i, types := 0, 1; i < len(l.byPrice) && types < l.Alternatives; i++ {
		t := l.types[l.byPrice[i]]
		if covers(l.capacity[i*width:(i+1)*width], l.used) && l.seen[t] != l.lists && l.holds(n, l.byPrice[i]) {
			l.seen[t] = l.lists
			types++
			list = l.ofType(list, n, t)
		}
	}
	slices.SortFunc(list[1:], l.cheaper)
	return list
}

// ofType appends the offerings of a type that hold the node's pods, save the chosen one.
func (l *lister) ofType(list []int, n *bought, t int) []int {
	for _, o := range l.byType[t] {
		if o != n.offering && covers(l.Offerings[o].Capacity, l.used) && l.holds(n, o) {
			list = append(list, o)
		}
	}
	return list
}

// holds tells whether an offering that is large enough could be the node's.
func (l *lister) holds(n *bought, t int) bool {
	if l.shut[t] || l.Offerings[t].Tier != l.Offerings[n.offering].Tier {
		return false
	}
	kind := l.kinds[t]
	if l.asked[kind] != l.lists {
		homeless := func(row int) bool { return !l.table.has(row, l.table.column[t]) }
		l.asked[kind], l.fits[kind] = l.lists, !slices.ContainsFunc(l.rows, homeless) && n.node.Holds(t)
	}
	return l.fits[kind]
}
