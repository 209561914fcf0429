package pack

import (
	"cmp"
	"slices"
)

// listAlternatives lists for every node the offerings that hold its pods.
func (k *packer) listAlternatives(plan *Plan) {
	byPrice := make([]int, len(k.Offerings))
	for t := range byPrice {
		byPrice[t] = t
	}
	slices.SortStableFunc(byPrice, func(a, b int) int {
		return cmp.Compare(k.Offerings[a].Price, k.Offerings[b].Price)
	})
	known := map[string][]int{}
	var key []byte
	for i, n := range k.nodes {
		key = appendKey(key[:0], nil, int64(n.offering))
		for _, f := range n.pods {
			key = appendKey(key, nil, int64(f.Shape), int64(f.Count))
		}
		list, ok := known[string(key)]
		if !ok {
			list = k.alternatives(n, byPrice)
			known[string(key)] = list
		}
		plan.Nodes[i].Offerings = list
	}
}

// alternatives lists the offerings that hold a node's pods: the chosen one first, then by
// price, of no more instance types than asked for.
func (k *packer) alternatives(n *bought, byPrice []int) []int {
	used := slices.Clone(k.Offerings[n.offering].Capacity)
	for r := range used {
		used[r] -= n.free[r]
	}
	list := []int{n.offering}
	types := map[int]bool{k.Offerings[n.offering].Type: true}
	for _, t := range byPrice {
		o := &k.Offerings[t]
		if t == n.offering || o.Tier != k.Offerings[n.offering].Tier || !types[o.Type] && len(types) >= k.Alternatives {
			continue
		}
		if o.Capacity.holds(used) < 1 || !k.fitsAll(n, t) || !n.node.Holds(t) {
			continue
		}
		list = append(list, t)
		types[o.Type] = true
	}
	return list
}

func (k *packer) fitsAll(n *bought, t int) bool {
	for _, f := range n.pods {
		if !k.table.fits(k.Problem, f.Shape, t) {
			return false
		}
	}
	return true
}
