// Package pack owns the choice of what to buy: shapes with counts and offerings with
// prices go in, a plan comes out. It is pure: it knows no Kubernetes client, no clock
// and no randomness; equal input gives an equal plan.
//
// # Method
//
// Every shape gets a worth, in dollars per hour and pod, from the dual of the assignment
// LP (worth.go). The worths are a proven bound: no plan costs less than the worth of its
// pods. They also tell a good node from a bad one: what a node's pods are worth, divided by
// the node's price, is at most 1 and says how much of the money is well spent.
//
// The plan is built greedily. For every offering an empty node is filled by arithmetic
// alone, the best-paid shapes first; the offering with the highest worth per price is
// opened for real, through Constraints, which may accept fewer pods than
// arithmetic does (spread, anti-affinity, ports, …). When it still is the best, it is kept,
// and repeated as long as identical nodes can be filled; else the next best is tried.
// A last, half-empty node thereby right-sizes itself: a small offering that holds the
// rest has the higher worth per price.
package pack

import (
	"cmp"
	"slices"
)

// tries bounds how many offerings are opened for real to choose one node.
const tries = 6

// Pack returns a plan that places as many pods as the constraints allow.
func Pack(p Problem) Plan {
	k := newPacker(p)
	k.fillRooms()
	for _, tier := range k.tiers() {
		for k.openBest(tier) {
		}
	}
	return k.plan()
}

// packer holds the state of one Pack.
type packer struct {
	Problem
	fits  [][]int // offering → shapes that fit it, best-paid first
	worth []float64
	left  []int  // pods yet to be placed, by shape
	shut  []bool // offering → no more can be bought
	// most is how many pods of a shape the last node took: it keeps arithmetic honest
	// about anti-affinity and the like, and only steers, since nodes are offered all.
	most   []int
	nodes  []PlannedNode
	reused []RoomPods
}

func newPacker(p Problem) *packer {
	k := &packer{
		Problem: p,
		fits:    make([][]int, len(p.Offerings)),
		worth:   Worth(p),
		left:    make([]int, len(p.Shapes)),
		shut:    make([]bool, len(p.Offerings)),
		most:    make([]int, len(p.Shapes)),
	}
	for s, shape := range p.Shapes {
		k.left[s] = shape.Count
		k.most[s] = shape.Count
	}
	for t := range p.Offerings {
		for s, shape := range p.Shapes {
			if p.Offerings[t].Capacity.holds(shape.Requests) > 0 && p.Fits(shape.Class, p.Offerings[t].Kind) {
				k.fits[t] = append(k.fits[t], s)
			}
		}
		k.sortBestPaid(t)
	}
	return k
}

// sortBestPaid orders the shapes of an offering by priority, then by worth per share of
// the node they take, then large before small.
func (k *packer) sortBestPaid(t int) {
	share := make(map[int]float64, len(k.fits[t]))
	for _, s := range k.fits[t] {
		share[s] = k.Shapes[s].Requests.dominantShare(k.Offerings[t].Capacity)
	}
	slices.SortStableFunc(k.fits[t], func(a, b int) int {
		return cmp.Or(
			cmp.Compare(k.Shapes[b].Priority, k.Shapes[a].Priority),
			cmp.Compare(k.worth[b]*share[a], k.worth[a]*share[b]),
			cmp.Compare(share[b], share[a]),
		)
	})
}

// fillRooms puts what fits into the rooms.
func (k *packer) fillRooms() {
	for i, room := range k.Rooms {
		free := slices.Clone(room.Free)
		var pods []ShapeCount
		for s, shape := range k.Shapes {
			n := min(k.left[s], free.holds(shape.Requests))
			if n <= 0 || !room.Fits(s) {
				continue
			}
			if n = room.Node.Add(s, n); n > 0 {
				k.left[s] -= n
				free.subtract(shape.Requests, n)
				pods = append(pods, ShapeCount{s, n})
			}
		}
		if len(pods) > 0 {
			k.reused = append(k.reused, RoomPods{i, pods})
		}
	}
}

// tiers lists the offerings' tiers, highest first.
func (k *packer) tiers() []int32 {
	var tiers []int32
	for _, o := range k.Offerings {
		tiers = append(tiers, o.Tier)
	}
	slices.Sort(tiers)
	tiers = slices.Compact(tiers)
	slices.Reverse(tiers)
	return tiers
}

// candidate is an offering with an arithmetic filling.
type candidate struct {
	offering   int
	fill       []ShapeCount
	efficiency float64 // worth per price; at most 1
}

// openBest opens the best node of a tier and its identical twins. It returns false
// when no offering of the tier takes any pod that is left.
//
// A node that was only tried is taken back before the next one is: its pods would count
// in what the constraints allow there.
func (k *packer) openBest(tier int32) bool {
	candidates := k.candidates(tier)
	best, tried := candidate{offering: -1}, 0
	for i, c := range candidates {
		if best.offering >= 0 && (c.efficiency <= best.efficiency || tried == tries) {
			break
		}
		node, fill := k.open(c.offering)
		if len(fill) == 0 {
			continue
		}
		tried++
		c.efficiency = k.efficiency(c.offering, fill)
		if c.efficiency > best.efficiency {
			best = c
			if i+1 == len(candidates) || candidates[i+1].efficiency <= c.efficiency {
				k.keep(c.offering, node, fill)
				k.repeat(c.offering, fill)
				return true
			}
		}
		node.Discard()
	}
	if best.offering < 0 {
		return false
	}
	node, fill := k.open(best.offering)
	if len(fill) == 0 {
		return false
	}
	k.keep(best.offering, node, fill)
	k.repeat(best.offering, fill)
	return true
}

// open opens and fills a node; the fill is empty when the offering is shut or takes nothing.
func (k *packer) open(t int) (Node, []ShapeCount) {
	node := k.Constraints.Open(t)
	if node == nil {
		k.shut[t] = true
		return nil, nil
	}
	fill := k.fillReal(node, t)
	if len(fill) == 0 {
		node.Discard()
	}
	return node, fill
}

// candidates fills an empty node of every offering by arithmetic and sorts them, best first.
func (k *packer) candidates(tier int32) []candidate {
	var cs []candidate
	for t, o := range k.Offerings {
		if o.Tier != tier || k.shut[t] {
			continue
		}
		if fill := k.fillArithmetic(t); len(fill) > 0 {
			cs = append(cs, candidate{t, fill, k.efficiency(t, fill)})
		}
	}
	slices.SortStableFunc(cs, func(a, b candidate) int { return cmp.Compare(b.efficiency, a.efficiency) })
	return cs
}

func (k *packer) fillArithmetic(t int) []ShapeCount {
	var fill []ShapeCount
	free := slices.Clone(k.Offerings[t].Capacity)
	for _, s := range k.fits[t] {
		n := min(k.left[s], k.most[s], free.holds(k.Shapes[s].Requests))
		if n <= 0 {
			continue
		}
		free.subtract(k.Shapes[s].Requests, n)
		fill = append(fill, ShapeCount{s, n})
	}
	return fill
}

// fillReal offers every shape that still has room to the node, best-paid first, and
// again those that were refused, for as long as others were taken meanwhile: a pod may want
// the company of another.
func (k *packer) fillReal(node Node, t int) []ShapeCount {
	var fill []ShapeCount
	free := slices.Clone(k.Offerings[t].Capacity)
	offered := k.fits[t]
	taken := make(map[int]int, len(offered))
	for {
		var refused []int
		progress := false
		for _, s := range offered {
			n := min(k.left[s]-taken[s], free.holds(k.Shapes[s].Requests))
			if n <= 0 {
				continue
			}
			got := node.Add(s, n)
			if got < n {
				refused = append(refused, s)
			}
			if got > 0 {
				progress = true
				taken[s] += got
				free.subtract(k.Shapes[s].Requests, got)
				fill = append(fill, ShapeCount{s, got})
			}
		}
		for _, s := range refused {
			if taken[s] > 0 {
				k.most[s] = taken[s]
			}
		}
		if !progress || len(refused) == 0 {
			return fill
		}
		offered = refused
	}
}

func (k *packer) efficiency(t int, fill []ShapeCount) float64 {
	worth := 0.0
	for _, f := range fill {
		worth += k.worth[f.Shape] * float64(f.Count)
	}
	return worth / k.Offerings[t].Price
}

// repeat opens twins of a node for as long as there are pods to fill them alike.
func (k *packer) repeat(t int, fill []ShapeCount) {
	for k.enough(fill) {
		node := k.Constraints.Open(t)
		if node == nil {
			return
		}
		for _, f := range fill {
			if node.Add(f.Shape, f.Count) < f.Count {
				node.Discard()
				return
			}
		}
		k.keep(t, node, fill)
	}
}

// enough tells whether there are pods for one more node of the same filling.
func (k *packer) enough(fill []ShapeCount) bool {
	need := make(map[int]int, len(fill))
	for _, f := range fill {
		if need[f.Shape] += f.Count; need[f.Shape] > k.left[f.Shape] {
			return false
		}
	}
	return true
}

func (k *packer) keep(t int, node Node, fill []ShapeCount) {
	for _, f := range fill {
		k.left[f.Shape] -= f.Count
	}
	k.nodes = append(k.nodes, PlannedNode{Offerings: []int{t}, Pods: slices.Clone(fill), Node: node})
}

// plan adds the alternatives to every node and sums up.
func (k *packer) plan() Plan {
	plan := Plan{Nodes: k.nodes, Reused: k.reused, Unplaced: k.left}
	byPrice := make([]int, len(k.Offerings))
	for t := range byPrice {
		byPrice[t] = t
	}
	slices.SortStableFunc(byPrice, func(a, b int) int {
		return cmp.Compare(k.Offerings[a].Price, k.Offerings[b].Price)
	})
	for i := range plan.Nodes {
		n := &plan.Nodes[i]
		n.Offerings = append(n.Offerings, k.alternatives(n, byPrice)...)
		plan.Price += k.Offerings[n.Offerings[0]].Price
		for _, f := range n.Pods {
			plan.LowerBound += k.worth[f.Shape] * float64(f.Count)
		}
	}
	return plan
}

// alternatives lists, by price, the other offerings that hold a node's pods.
func (k *packer) alternatives(n *PlannedNode, byPrice []int) []int {
	used := make(Vector, len(k.Offerings[n.Offerings[0]].Capacity))
	for _, f := range n.Pods {
		used.subtract(k.Shapes[f.Shape].Requests, -f.Count)
	}
	var others []int
	types := map[int]bool{k.Offerings[n.Offerings[0]].Type: true}
	for _, t := range byPrice {
		if !types[k.Offerings[t].Type] && len(types) >= k.Alternatives {
			continue
		}
		if t == n.Offerings[0] || k.Offerings[t].Tier != k.Offerings[n.Offerings[0]].Tier ||
			k.Offerings[t].Capacity.holds(used) < 1 {
			continue
		}
		if n.Node.Holds(t) {
			others = append(others, t)
			types[k.Offerings[t].Type] = true
		}
	}
	return others
}
