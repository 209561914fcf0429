package fit

import (
	"cmp"
	"math"
	"slices"
)

// lot is a number of pods of one shape that are packed alike: those for which the same
// cell was chosen.
type lot struct {
	shape int
	cell  *cell // nil: any
	count int
}

// cell is one domain for each topology that matters to a class.
type cell struct {
	class   int
	id      int
	domains []int  // beside the class's topologies
	kinds   []bool // that the class fits and that lie in the cell
	cost    int    // of a unit of room there, by rough steps
}

// run is a stretch of pods of one lot in the order in which pods get their places.
type run struct{ lot, count int }

// settler chooses the cells.
//
// Every constraint on pods elsewhere is about domains: hosts or larger ones. The larger
// ones are settled here, pod by pod, before anything is packed: where spread and affinity
// allow it, in the emptiest of the cheapest. After that a node is independent of all others.
type settler struct {
	*Space
	byClass map[int][]*cell
	lots    map[lotKey]int
	roomy   []bool // size × kind: some template of the kind has the resources
}

type lotKey struct {
	shape int
	cell  *cell
}

// settle sorts the waiting pods of the priorities from one to the other into lots. Pods
// without an allowed cell stay in none.
func (s *Space) settle(from, to int32) {
	for i := range s.lots {
		s.lots[i].count = 0 // of priorities that have had their turn
	}
	o := &settler{s, map[int][]*cell{}, map[lotKey]int{}, s.roomy()}
	order := make([]int, len(s.shapes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(s.shapes[b].priority, s.shapes[a].priority), cmp.Compare(o.rank(a), o.rank(b)))
	})
	left := make([]int, len(s.shapes))
	for i, sh := range s.shapes {
		left[i] = len(sh.waiting)
		if c := s.classes[sh.class]; c.exact || c.rejected != "" || sh.priority < from || sh.priority > to {
			left[i] = 0
		}
	}
	for progress := true; progress; {
		progress = false
		for _, i := range order {
			if n := o.place(i, left[i]); n > 0 {
				left[i] -= n
				progress = true
			}
		}
	}
}

// rank puts first who others follow: the pods that keep others away go before those that
// are merely counted, then those that spread around these; who wants company goes last.
func (o *settler) rank(shape int) int {
	c := o.classes[o.shapes[shape].class]
	switch {
	case c.company != nil:
		return 3
	case slices.ContainsFunc(c.owned, func(r int) bool { return o.rules[r].spread && o.rules[r].topology != host }):
		return 2
	case len(c.owned) > 0:
		return 0
	default:
		return 1
	}
}

// place gives up to n pods of a shape their cell and returns how many got one.
func (o *settler) place(shape, n int) int {
	sh := o.shapes[shape]
	c := o.classes[sh.class]
	if n == 0 {
		return 0
	}
	if len(c.topologies) == 0 {
		o.note(shape, nil, n)
		return n
	}
	for placed := range n {
		best := o.best(c, sh)
		if best == nil {
			return placed
		}
		o.count(sh.class, best)
		o.note(shape, best, 1)
	}
	return n
}

// best returns the allowed cell to prefer: the cheapest, then the emptiest.
func (o *settler) best(c *class, sh *shape) *cell {
	var best *cell
	var least int
	for _, candidate := range o.cellsOf(sh.class) {
		if !o.holds(candidate, sh.size) || !o.allowed(c, sh.class, candidate) {
			continue
		}
		crowd := o.crowd(c, candidate)
		if best == nil || cmp.Or(cmp.Compare(candidate.cost, best.cost), cmp.Compare(crowd, least)) < 0 {
			best, least = candidate, crowd
		}
	}
	return best
}

func (o *settler) holds(c *cell, size int) bool {
	for k, in := range c.kinds {
		if in && o.roomy[size*len(o.kinds)+k] {
			return true
		}
	}
	return false
}

// crowd counts the pods that share rules with the class in the cell.
func (o *settler) crowd(c *class, at *cell) int {
	n := 0
	for _, r := range c.matched {
		if rule := o.rules[r]; rule.topology != host {
			if d := at.domain(c, rule.topology); d >= 0 {
				n += rule.placed[d] + rule.countIn(d)
			}
		}
	}
	return n
}

func (r *rule) countIn(d int) int {
	if r.spread {
		return r.counts[d] - r.placed[d]
	}
	return 0
}

// note records that n pods of a shape come next, in the cell.
func (o *settler) note(shape int, at *cell, n int) {
	key := lotKey{shape, at}
	l, ok := o.lots[key]
	if !ok {
		l = len(o.Space.lots)
		o.lots[key] = l
		o.Space.lots = append(o.Space.lots, lot{shape: shape, cell: at})
	}
	o.Space.lots[l].count += n
	if last := len(o.runs) - 1; last >= 0 && o.runs[last].lot == l {
		o.runs[last].count += n
	} else {
		o.runs = append(o.runs, run{l, n})
	}
}

// cellsOf lists the cells in which the class fits some kind of node.
func (o *settler) cellsOf(class int) []*cell {
	if cells, ok := o.byClass[class]; ok {
		return cells
	}
	c := o.classes[class]
	var cells []*cell
	for k, fits := range c.fits {
		if !fits {
			continue
		}
		domains := make([]int, len(c.topologies))
		for i, t := range c.topologies {
			domains[i] = o.kinds[k].domains[t]
		}
		i := slices.IndexFunc(cells, func(have *cell) bool { return slices.Equal(have.domains, domains) })
		if i < 0 {
			i = len(cells)
			cells = append(cells, &cell{class: class, id: len(o.cells), domains: domains, kinds: make([]bool, len(o.kinds)), cost: math.MaxInt})
			o.cells = append(o.cells, cells[i])
		}
		cells[i].kinds[k] = true
		cells[i].cost = min(cells[i].cost, o.kinds[k].cost)
	}
	o.byClass[class] = cells
	return cells
}

// domain returns the cell's domain of a topology, -1 where its nodes have none.
func (c *cell) domain(of *class, topology int) int {
	i, ok := slices.BinarySearch(of.topologies, topology)
	if !ok {
		return -1
	}
	return c.domains[i]
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// roomy tells by size and kind whether any template of the kind has the resources.
func (s *Space) roomy() []bool {
	roomy := make([]bool, len(s.sizes)*len(s.kinds))
	for i, size := range s.sizes {
		for t, k := range s.kindOf {
			at := i*len(s.kinds) + k
			roomy[at] = roomy[at] || holds(s.capacities[t], size)
		}
	}
	return roomy
}
