package pack

import "slices"

// Pack returns a plan that places every pod that fits anything and no limit keeps out.
func Pack(p Problem) Plan {
	k := newPacker(&p)
	k.fillRooms()
	inRooms := slices.Clone(k.left)
	k.buy()
	if k.limited && k.unfair() {
		k.startOver(inRooms)
	}
	return k.plan()
}

// packer holds the state of one Pack: the plan as it has become real.
type packer struct {
	*Problem
	table  *fitTable
	left   []int // pods yet to be placed, by shape
	shut   []bool
	stock  map[int32]*stock // by tier, as far as it is still the same
	bought []int            // nodes, by offering
	most   []int            // pods of a shape that one node is known to take at most
	nodes  []*bought
	reused []RoomPods
	// proven is what the pods of each shape are worth at least.
	proven   []float64
	discount float64
	limited  bool // Open has refused
	spent    int  // of Effort
	ended    bool // Stop has said so
}

// bought is a node of the plan.
type bought struct {
	offering int
	pods     []ShapeCount
	free     Vector
	node     Node
	short    bool // refused pods that it was meant for: there is room
}

func newPacker(p *Problem) *packer {
	k := &packer{
		Problem: p, table: newFitTable(p), left: make([]int, len(p.Shapes)), shut: make([]bool, len(p.Offerings)),
		bought: make([]int, len(p.Offerings)), most: make([]int, len(p.Shapes)), proven: make([]float64, len(p.Shapes)),
		stock: map[int32]*stock{},
	}
	for s, shape := range p.Shapes {
		k.left[s], k.most[s], k.proven[s] = shape.Count, shape.bound(), infinite
	}
	return k
}

// maxPods is more than any node holds.
const maxPods = 1 << 30

// buy plans nodes for all pods left, tier by tier.
func (k *packer) buy() {
	for _, tier := range k.tiers() {
		k.buyIn(tier)
	}
}

// roundsOfRepair bounds how often pods that the constraints refused are planned for again.
const roundsOfRepair = 6

// buyIn plans nodes of a tier by arithmetic and makes them real; what the constraints
// then refuse is planned for again, with what has been learned.
func (k *packer) buyIn(tier int32) {
	for round := 0; ; round++ {
		if round > 0 {
			k.spill()
		}
		m := newModel(k, tier)
		if len(m.items) == 0 {
			return
		}
		before := k.progress()
		if round >= roundsOfRepair {
			k.oneByOne(m)
		} else {
			k.realize(m, k.search(m, round == 0))
		}
		if k.progress() == before {
			return
		}
	}
}

// progress changes whenever a pod is placed or an offering is shut.
func (k *packer) progress() int {
	n := 0
	for _, left := range k.left {
		n -= left
	}
	for _, shut := range k.shut {
		if shut {
			n += maxPods
		}
	}
	return n
}

// tiers lists the offerings' tiers, highest first.
func (k *packer) tiers() []int32 {
	var tiers []int32
	for _, o := range k.Offerings {
		if !slices.Contains(tiers, o.Tier) {
			tiers = append(tiers, o.Tier)
		}
	}
	slices.Sort(tiers)
	slices.Reverse(tiers)
	return tiers
}

// unfair tells whether limits left pods without a place while pods of lower priority have one.
func (k *packer) unfair() bool {
	var left, placed []int32
	for s, shape := range k.Shapes {
		if k.left[s] > 0 && k.table.fitsAny(k.Problem, s) {
			left = append(left, shape.Priority)
		}
	}
	for _, n := range k.nodes {
		for _, f := range n.pods {
			placed = append(placed, k.Shapes[f.Shape].Priority)
		}
	}
	return len(left) > 0 && len(placed) > 0 && slices.Max(left) > slices.Min(placed)
}

// startOver buys again, for one priority after the other; the lower ones fill what the
// higher ones leave.
func (k *packer) startOver(left []int) {
	for _, n := range slices.Backward(k.nodes) {
		n.node.Discard()
	}
	k.nodes = nil
	clear(k.shut)
	clear(k.stock)
	clear(k.bought)
	var priorities []int32
	for s, shape := range k.Shapes {
		if left[s] > 0 {
			priorities = append(priorities, shape.Priority)
		}
	}
	slices.Sort(priorities)
	priorities = slices.Compact(priorities)
	unplaced := make([]int, len(left))
	for _, priority := range slices.Backward(priorities) {
		clear(k.left)
		clear(k.stock) // others may request other resources
		for s, shape := range k.Shapes {
			if shape.Priority == priority {
				k.left[s] = left[s]
			}
		}
		for _, n := range k.nodes {
			n.short = true
		}
		k.spill()
		k.buy()
		for s, n := range k.left {
			unplaced[s] += n
		}
	}
	k.left = unplaced
}

// proveAgain bounds the price of the pods that were bought for as if there were no tiers
// and no limits but those of the offerings themselves: what limits led to cannot
// be bounded from what was planned before they were met.
func (k *packer) proveAgain() {
	free := *k.Problem
	free.Offerings = slices.Clone(free.Offerings)
	for t := range free.Offerings {
		free.Offerings[t].Tier = 0
	}
	again := &packer{
		Problem: &free, table: k.table, left: make([]int, len(k.left)), shut: make([]bool, len(k.shut)),
		bought: make([]int, len(k.bought)), most: k.most, proven: k.proven, stock: map[int32]*stock{},
	}
	for _, n := range k.nodes {
		for _, f := range n.pods {
			again.left[f.Shape] += f.Count
		}
	}
	for s := range k.proven {
		k.proven[s] = infinite
	}
	m := newModel(again, 0)
	again.prove(m, newBounder(m).bound())
	k.discount = again.discount
}

// plan sums up.
func (k *packer) plan() Plan {
	if k.limited {
		k.proveAgain()
	}
	plan := Plan{Reused: k.reused, Unplaced: k.left}
	for _, n := range k.nodes {
		plan.Nodes = append(plan.Nodes, PlannedNode{Pods: n.pods, Node: n.node})
		plan.Price += k.Offerings[n.offering].Price
		for _, f := range n.pods {
			plan.LowerBound += k.proven[f.Shape] * float64(f.Count)
		}
	}
	plan.LowerBound = max(0, plan.LowerBound-k.discount)
	k.listAlternatives(&plan)
	return plan
}
