package pack

// books are Constraints that keep account: what is open, and what is on it.
type books struct {
	p *Problem
	// accept bounds how many pods of a shape a node with the given pods takes; nil: no bound.
	accept func(n *account, shape, count int) int
	// refuse tells whether no more nodes of the offering may be opened; nil: never.
	refuse func(offering int) bool
	open   map[*account]bool
	opened map[int]int // by offering
	errors []string
}

type account struct {
	books    *books
	offering int
	pods     map[int]int
}

func (b *books) Open(t int) Node {
	if b.refuse != nil && b.refuse(t) {
		return nil
	}
	if b.open == nil {
		b.open, b.opened = map[*account]bool{}, map[int]int{}
	}
	n := &account{b, t, map[int]int{}}
	b.open[n] = true
	b.opened[t]++
	return n
}

func (n *account) Add(shape, count int) int {
	if b := n.books; b.accept != nil && !b.p.Shapes[shape].Free {
		count = b.accept(n, shape, count)
	}
	n.pods[shape] += count
	return count
}

func (n *account) Holds(int) bool { return true }

func (n *account) Discard() {
	if !n.books.open[n] {
		n.books.errors = append(n.books.errors, "a node was discarded that is not open")
	}
	delete(n.books.open, n)
	n.books.opened[n.offering]--
}
