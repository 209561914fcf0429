package pack

import "slices"

// realize opens the nodes of an arithmetic plan and adds their pods, as far as the
// constraints let it. What they refuse stays left.
func (k *packer) realize(m *model, plan []batch) {
	for _, b := range plan {
		for range b.nodes {
			if !k.realizeNode(m, b) {
				break
			}
		}
	}
}

// realizeNode opens one node of the batch; false when no more can be bought.
func (k *packer) realizeNode(m *model, b batch) bool {
	node, t := k.open(m.bins[b.bin].offerings)
	if node == nil {
		k.probe(m)
		return false
	}
	n := &bought{offering: t, node: node, free: slices.Clone(k.Offerings[t].Capacity)}
	for _, take := range b.takes {
		count := take.count
		for _, s := range m.items[take.item].shapes {
			if want := min(count, k.left[s]); want > 0 {
				count -= want
				k.add(n, s, want)
			}
			if count == 0 {
				break
			}
		}
	}
	if k.retry(m, b, n); len(n.pods) == 0 {
		node.Discard()
		k.bought[t]--
		return false
	}
	if n.short {
		n = k.shrink(m, n)
	}
	k.share(n)
	k.nodes = append(k.nodes, n)
	return true
}

// open opens a node of the first offering that is not shut.
func (k *packer) open(offerings []int) (Node, int) {
	for _, t := range offerings {
		if k.shut[t] {
			continue
		}
		if limit := k.Offerings[t].Limit; limit == 0 || k.bought[t] < limit {
			if node := k.Constraints.Open(t); node != nil {
				k.bought[t]++
				return node, t
			}
			k.limited = true
		}
		k.shut[t] = true
		clear(k.stock)
	}
	return nil, -1
}

// probe finds out at once which of the model's offerings are shut: a limit that closes
// one most often closes others.
func (k *packer) probe(m *model) {
	for _, b := range m.bins {
		if node, t := k.open(b.offerings); node != nil {
			node.Discard()
			k.bought[t]--
		}
	}
}

// add puts up to count pods of a shape on a node. It remembers how many a node takes.
func (k *packer) add(n *bought, s, count int) int {
	got := n.node.Add(s, count)
	if got < count {
		n.short = true
		if got > 0 {
			k.most[s] = min(k.most[s], got+n.has(s))
		}
	}
	if got <= 0 {
		return 0
	}
	k.left[s] -= got
	n.free.subtract(k.Shapes[s].Requests, got)
	for i := range n.pods {
		if n.pods[i].Shape == s {
			n.pods[i].Count += got
			return got
		}
	}
	n.pods = append(n.pods, ShapeCount{s, got})
	return got
}

func (n *bought) has(s int) int {
	for _, f := range n.pods {
		if f.Shape == s {
			return f.Count
		}
	}
	return 0
}

// retry offers the refused pods of a node again for as long as others are taken: a pod may want
// the company of another.
func (k *packer) retry(m *model, b batch, n *bought) {
	for again := n.short; again; {
		again = false
		for _, take := range b.takes {
			for _, s := range m.items[take.item].shapes {
				want := min(take.count, k.left[s], k.most[s]-n.has(s), n.free.holds(k.Shapes[s].Requests))
				if want > 0 && k.add(n, s, want) > 0 {
					again = true
				}
			}
		}
	}
}

// shrink moves a node that got fewer pods than meant to a cheaper offering that holds them.
func (k *packer) shrink(m *model, n *bought) *bought {
	used := slices.Clone(k.Offerings[n.offering].Capacity)
	for r := range used {
		used[r] -= n.free[r]
	}
	for i := range m.bins {
		b := &m.bins[i]
		if b.price >= k.Offerings[n.offering].Price {
			break
		}
		if !k.holds(b, n, used) {
			continue
		}
		node, t := k.open(b.offerings)
		if node == nil {
			continue
		}
		small := &bought{offering: t, node: node, free: slices.Clone(k.Offerings[t].Capacity), short: true}
		for _, f := range n.pods {
			k.left[f.Shape] += f.Count
		}
		for _, f := range n.pods {
			k.add(small, f.Shape, f.Count)
		}
		if slices.Equal(small.pods, n.pods) {
			n.node.Discard()
			k.bought[n.offering]--
			return small
		}
		k.drop(small)
		for _, f := range n.pods {
			k.left[f.Shape] -= f.Count
		}
	}
	return n
}

// holds tells whether, by arithmetic, a bin could hold a node's pods.
func (k *packer) holds(b *bin, n *bought, used Vector) bool {
	if k.Offerings[b.offerings[0]].Capacity.holds(used) < 1 {
		return false
	}
	for _, f := range n.pods {
		if !k.table.has(k.table.row[f.Shape], b.column) {
			return false
		}
	}
	return true
}

// drop takes a node back.
func (k *packer) drop(n *bought) {
	for _, f := range n.pods {
		k.left[f.Shape] += f.Count
	}
	n.node.Discard()
	k.bought[n.offering]--
}

// share lets a node use the slices of the one before if they are equal.
func (k *packer) share(n *bought) {
	if len(k.nodes) > 0 {
		if last := k.nodes[len(k.nodes)-1]; slices.Equal(last.pods, n.pods) {
			n.pods = last.pods
		}
	}
}

// spill puts pods left into nodes that have room because they refused others.
func (k *packer) spill() {
	for s, shape := range k.Shapes {
		if k.left[s] == 0 {
			continue
		}
		for _, n := range k.nodes {
			if !n.short || !k.table.fits(s, n.offering) {
				continue
			}
			if want := min(k.left[s], n.free.holds(shape.Requests)); want > 0 {
				n.pods = slices.Clone(n.pods) // may be shared
				if k.add(n, s, want); k.left[s] == 0 {
					break
				}
			}
		}
	}
}

// oneByOne is the last resort for pods that the constraints keep refusing in company:
// every shape gets nodes of its own.
func (k *packer) oneByOne(m *model) {
	for _, it := range m.items {
		for _, s := range it.shapes {
			for i := range m.bins {
				if !k.table.has(it.row, m.bins[i].column) || !covers(m.bins[i].capacity, it.request) {
					continue
				}
				for more := true; more && k.left[s] > 0; {
					more = k.alone(&m.bins[i], s)
				}
			}
		}
	}
}

// alone opens a node for pods of one shape; false when that places none.
func (k *packer) alone(b *bin, s int) bool {
	node, t := k.open(b.offerings)
	if node == nil {
		return false
	}
	n := &bought{offering: t, node: node, free: slices.Clone(k.Offerings[t].Capacity)}
	for got := 1; got > 0 && k.left[s] > 0 && n.free.holds(k.Shapes[s].Requests) > 0; {
		got = k.add(n, s, 1)
	}
	if len(n.pods) == 0 {
		k.drop(n)
		return false
	}
	k.nodes = append(k.nodes, n)
	return true
}
