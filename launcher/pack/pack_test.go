package pack

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// verify checks everything that holds for every plan.
func verify(t *testing.T, p *Problem, b *books, plan Plan) {
	t.Helper()
	placed := slices.Clone(plan.Unplaced)
	price := 0.0
	for _, n := range plan.Nodes {
		price += p.Offerings[n.Offerings[0]].Price
		actual := n.Node.(*account)
		if !b.open[actual] || actual.offering != n.Offerings[0] {
			t.Errorf("a planned node is not open, or of another offering")
		}
		delete(b.open, actual)
		verifyPods(t, p, n.Offerings, n.Pods, actual)
		types := map[int]bool{}
		for i, o := range n.Offerings {
			if types[p.Offerings[o].Type] = true; i > 1 && p.Offerings[o].Price < p.Offerings[n.Offerings[i-1]].Price {
				t.Errorf("alternatives are not sorted by price")
			}
		}
		if len(types) > max(1, p.Alternatives) {
			t.Errorf("%d instance types are listed, asked for %d", len(types), p.Alternatives)
		}
		for _, f := range n.Pods {
			placed[f.Shape] += f.Count
		}
	}
	for _, room := range plan.Reused {
		verifyRoom(t, p, room)
		for _, f := range room.Pods {
			placed[f.Shape] += f.Count
		}
	}
	for s, shape := range p.Shapes {
		if placed[s] != shape.Count {
			t.Errorf("shape %d: %d pods are accounted for of %d", s, placed[s], shape.Count)
		}
	}
	if math.Abs(price-plan.Price) > 1e-9*price {
		t.Errorf("the plan says $%v, its nodes cost $%v", plan.Price, price)
	}
	if plan.Price < plan.LowerBound*(1-1e-9) {
		t.Errorf("price %v is below the lower bound %v", plan.Price, plan.LowerBound)
	}
	if len(b.open) > 0 {
		t.Errorf("%d nodes outside the plan were not discarded", len(b.open))
	}
	for _, e := range b.errors {
		t.Error(e)
	}
}

// verifyPods checks that the pods of a node fit all its offerings and that the books agree.
func verifyPods(t *testing.T, p *Problem, offerings []int, pods []ShapeCount, actual *account) {
	t.Helper()
	var used Vector
	seen := map[int]bool{}
	for _, f := range pods {
		if seen[f.Shape] || f.Count <= 0 {
			t.Errorf("shape %d is listed twice or with %d pods", f.Shape, f.Count)
		}
		if seen[f.Shape] = true; actual.pods[f.Shape] != f.Count {
			t.Errorf("shape %d: %d pods planned, %d added", f.Shape, f.Count, actual.pods[f.Shape])
		}
		if used == nil {
			used = make(Vector, len(p.Shapes[f.Shape].Requests))
		}
		used.subtract(p.Shapes[f.Shape].Requests, -f.Count)
		for _, o := range offerings {
			if !p.Fits(p.Shapes[f.Shape].Class, p.Offerings[o].Kind) {
				t.Errorf("shape %d does not fit offering %d", f.Shape, o)
			}
		}
	}
	added := 0
	for _, n := range actual.pods {
		added += min(n, 1)
	}
	if added != len(pods) {
		t.Errorf("%d shapes were added, %d planned", added, len(pods))
	}
	for _, o := range offerings {
		for r, q := range used {
			if q > p.Offerings[o].Capacity[r] {
				t.Errorf("offering %d is overcommitted: resource %d: %d of %d", o, r, q, p.Offerings[o].Capacity[r])
			}
		}
	}
}

func verifyRoom(t *testing.T, p *Problem, room RoomPods) {
	t.Helper()
	free := slices.Clone(p.Rooms[room.Room].Free)
	for _, f := range room.Pods {
		free.subtract(p.Shapes[f.Shape].Requests, f.Count)
		if !p.Rooms[room.Room].Fits(f.Shape) {
			t.Errorf("shape %d does not fit room %d", f.Shape, room.Room)
		}
		if got := p.Rooms[room.Room].Node.(*account).pods[f.Shape]; got != f.Count {
			t.Errorf("room %d: %d pods planned, %d added", room.Room, f.Count, got)
		}
	}
	if slices.Min(free) < 0 {
		t.Errorf("room %d is overcommitted: %v", room.Room, free)
	}
}

// random makes a problem of any mix, with a part of the shapes constrained.
func random(seed uint64) (*Problem, *books) {
	r := rand.New(rand.NewPCG(seed, 1))
	list := syntheticTypes(r)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	list = list[:5+r.IntN(100)]
	shapes := 1 + r.IntN(30)
	p := synthesize(r, mixes[int(seed)%len(mixes)], list, shapes+r.IntN(600), shapes, 1+r.IntN(3), 1+r.IntN(2))
	p.Alternatives, p.Effort = 1+r.IntN(20), 3e6
	for s := range p.Shapes {
		p.Shapes[s].Free = r.IntN(3) > 0
		p.Shapes[s].Priority = int32(r.IntN(3))
	}
	b := &books{p: p}
	p.Constraints = b
	switch seed % 4 {
	case 1:
		b.accept = atMost(2)
	case 2:
		b.accept = exclusive
	}
	return p, b
}

// atMost lets a node take n pods of a shape.
func atMost(most int) func(*account, int, int) int {
	return func(n *account, shape, count int) int { return min(count, most-n.pods[shape]) }
}

// exclusive keeps constrained shapes off each other's nodes, and lets one pod onto each.
func exclusive(n *account, _, count int) int {
	for s, held := range n.pods {
		if held > 0 && !n.books.p.Shapes[s].Free {
			return 0
		}
	}
	return min(count, 1)
}

func fitsSome(p *Problem, s int) bool {
	return slices.ContainsFunc(p.Offerings, func(o Offering) bool {
		return o.Capacity.holds(p.Shapes[s].Requests) > 0 && p.Fits(p.Shapes[s].Class, o.Kind)
	})
}

func TestPlansAreSound(t *testing.T) {
	for seed := range uint64(160) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			p, b := random(seed)
			plan := Pack(*p)
			for s, n := range plan.Unplaced {
				if n > 0 && fitsSome(p, s) {
					t.Errorf("shape %d (%+v) has %d unplaced pods", s, p.Shapes[s], n)
				}
			}
			verify(t, p, b, plan)
		})
	}
}

func TestLimits(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			p, b := random(seed)
			r := rand.New(rand.NewPCG(seed, 3))
			budget := int64(2000 << r.IntN(6)) // milli-CPU of all nodes
			cpu := func() (sum int64) {
				for o, n := range b.opened {
					sum += int64(n) * p.Offerings[o].Capacity[0]
				}
				return sum
			}
			b.refuse = func(o int) bool { return cpu()+p.Offerings[o].Capacity[0] > budget }
			for o := range p.Offerings {
				p.Offerings[o].Limit = r.IntN(3)
			}
			plan := Pack(*p)
			if cpu() > budget {
				t.Errorf("the nodes have %d milli-CPU, the limit is %d", cpu(), budget)
			}
			for o, n := range b.opened {
				if limit := p.Offerings[o].Limit; limit > 0 && n > limit {
					t.Errorf("%d nodes of offering %d are planned, the limit is %d", n, o, limit)
				}
			}
			verify(t, p, b, plan)
		})
	}
}

func TestEqualInputGivesAnEqualPlan(t *testing.T) {
	for seed := range uint64(20) {
		describe := func() (out string) {
			p, _ := random(seed)
			plan := Pack(*p)
			for _, n := range plan.Nodes {
				out += fmt.Sprintln(n.Offerings, n.Pods)
			}
			return out
		}
		if a, b := describe(), describe(); a != b {
			t.Errorf("seed %d: two runs differ:\n%s\n%s", seed, a, b)
		}
	}
}
