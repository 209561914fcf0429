package pack

// Vector holds amounts of resources, in base units, in one order for a whole Problem.
type Vector []int64

// Shape is a kind of pod: Count interchangeable pods that request the same.
type Shape struct {
	Requests Vector
	Count    int
	// Priority decides who gets what limits leave over, highest first. Without limits it
	// makes no difference.
	Priority int32
	// Class stands for what the shape fits: shapes of one class fit the same kinds.
	Class int
	// Most is how many of them a node takes at most, whatever its size; 0 is no bound.
	Most int
	// Free pods need nothing but their requests and a kind that fits: Constraints is told
	// of them, not asked.
	Free bool
}

// bound returns Most, or more than any node holds.
func (s *Shape) bound() int {
	if s.Most == 0 {
		return maxPods
	}
	return s.Most
}

// Offering is something that can be bought.
type Offering struct {
	// Capacity is what pods can use: allocatable less what the node's own pods take.
	Capacity Vector
	Price    float64 // US dollars per hour, ≥ 0
	// Tier: offerings of a lower tier are only used for pods that no offering of a higher one takes.
	Tier int32
	// Kind stands for what fits the offering, capacity apart: offerings of one kind fit the
	// same classes.
	Kind int
	// Type is the instance type; its offerings in several zones count once as alternatives.
	Type int
	// Limit bounds how many nodes of the offering can be bought; 0 is no bound.
	Limit int
}

// Problem is what to pack.
type Problem struct {
	Shapes    []Shape
	Offerings []Offering
	// Fits tells whether a pod of the class may run on an empty node of the kind, its
	// requests left aside. It is asked at most once a pair.
	Fits func(class, kind int) bool
	// Constraints has the last word on every pod.
	Constraints Constraints
	// Rooms are filled first: they cost nothing.
	Rooms []Room
	// Alternatives bounds how many instance types a node lists, the chosen one included.
	Alternatives int
	// Effort bounds the work spent on better plans than the first, in steps of about a
	// nanosecond; 0 takes the first plan.
	Effort int
	// Stop is asked between steps of improvement and ends it when true; nil never does.
	Stop func() bool
}

// Room is a node that exists or is on its way.
type Room struct {
	// Free is what is left for pods.
	Free Vector
	// Fits tells whether the shape may run on the node, its requests left aside.
	Fits func(shape int) bool
	// Node is the simulated node; it is never discarded.
	Node Node
}

// Constraints simulates nodes. What it accepts is certain to be accepted in real life.
type Constraints interface {
	// Open starts an empty node; nil when no more nodes of the offering may be bought (limits).
	Open(offering int) Node
}

// Node is a simulated node. What it accepts depends on its offering and on the pods it
// has, never on other nodes.
type Node interface {
	// Add puts up to n pods of a shape on the node and returns how many it took.
	Add(shape, n int) int
	// Holds tells whether the node with its pods could as well be of another offering, and of
	// any other of the same kind, sizes left aside.
	Holds(offering int) bool
	// Discard takes the node and its pods back.
	Discard()
}

// Plan is what to buy. Every pod in it was added to its Node once; every other Node that
// was opened has been discarded.
type Plan struct {
	Nodes []PlannedNode
	// Reused lists the rooms that got pods.
	Reused []RoomPods
	// Unplaced counts, by shape, the pods that found no place.
	Unplaced []int
	// Price of all nodes and LowerBound of any plan that places the pods on Nodes, in
	// dollars per hour.
	Price, LowerBound float64
}

// PlannedNode is one node to buy. Identical nodes share their slices.
type PlannedNode struct {
	// Offerings that hold the pods, the chosen one first, then by price.
	Offerings []int
	// Pods on the node, by shape.
	Pods []ShapeCount
	// Node is the simulated node, for the caller's bookkeeping.
	Node Node
}

// RoomPods are the pods put into one Room.
type RoomPods struct {
	Room int
	Pods []ShapeCount
}

// ShapeCount is a number of pods of one shape.
type ShapeCount struct{ Shape, Count int }
