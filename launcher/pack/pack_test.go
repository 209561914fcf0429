package pack_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/slipway-dev/slipway/launcher/pack"
)

// plain accepts whatever arithmetic allows; it checks that nothing is overcommitted.
type plain struct {
	t *testing.T
	p *pack.Problem
	// perNode bounds the pods of one shape on one node; 0 is no bound.
	perNode int
}

type plainNode struct {
	*plain
	offering int
	free     pack.Vector
	pods     map[int]int
}

func (c *plain) Open(o int) pack.Node {
	return &plainNode{c, o, slices.Clone(c.p.Offerings[o].Capacity), map[int]int{}}
}

func (n *plainNode) Add(s, count int) int {
	for taken := range count {
		if n.perNode > 0 && n.pods[s] == n.perNode {
			return taken
		}
		for i, r := range n.p.Shapes[s].Requests {
			if n.free[i] -= r; n.free[i] < 0 {
				n.t.Errorf("offering %d is overcommitted: shape %d", n.offering, s)
			}
		}
		n.pods[s]++
	}
	return count
}

func (n *plainNode) Holds(int) bool { return true }
func (n *plainNode) Discard()       {}

// problem makes shapes × offerings of two resources from a seed.
func problem(t *testing.T, seed uint64, perNode int) pack.Problem {
	r := rand.New(rand.NewPCG(seed, 1))
	p := pack.Problem{Alternatives: 5, Fits: func(int, int) bool { return true }}
	for range 1 + r.IntN(12) {
		p.Shapes = append(p.Shapes, pack.Shape{
			Requests: pack.Vector{int64(100 + r.IntN(4000)), int64(128 + r.IntN(16000))}, Count: 1 + r.IntN(60),
		})
	}
	for _, cpus := range []int64{2, 4, 8, 16, 32, 64} {
		for _, ratio := range []int64{2, 4, 8} {
			p.Offerings = append(p.Offerings, pack.Offering{
				Type:     len(p.Offerings),
				Capacity: pack.Vector{cpus * 1000, cpus * ratio * 1024},
				Price:    float64(cpus) * (0.03 + 0.004*float64(ratio)) * (0.9 + 0.2*r.Float64()),
			})
		}
	}
	c := &plain{t: t, p: &p, perNode: perNode}
	p.Constraints = c
	return p
}

func TestPackProperties(t *testing.T) {
	var worst, sum float64
	const seeds = 200
	for seed := range uint64(seeds) {
		perNode := int(seed % 4)
		p := problem(t, seed, perNode)
		plan := pack.Pack(p)
		placed := make([]int, len(p.Shapes))
		price := 0.0
		for _, n := range plan.Nodes {
			price += p.Offerings[n.Offerings[0]].Price
			for _, f := range n.Pods {
				placed[f.Shape] += f.Count
			}
			for i, o := range n.Offerings[1:] {
				if i > 0 && p.Offerings[o].Price < p.Offerings[n.Offerings[i]].Price {
					t.Errorf("seed %d: alternatives are not sorted by price", seed)
				}
			}
		}
		for s, shape := range p.Shapes {
			fits := slices.ContainsFunc(p.Offerings, func(o pack.Offering) bool {
				return o.Capacity[0] >= shape.Requests[0] && o.Capacity[1] >= shape.Requests[1]
			})
			if fits && (placed[s] != shape.Count || plan.Unplaced[s] != 0) {
				t.Errorf("seed %d: shape %d: %d of %d pods placed, %d said to be unplaced", seed, s, placed[s], shape.Count, plan.Unplaced[s])
			}
		}
		if math.Abs(price-plan.Price) > 1e-9 {
			t.Errorf("seed %d: the plan says $%v, its nodes cost $%v", seed, plan.Price, price)
		}
		if plan.Price < plan.LowerBound-1e-9 {
			t.Errorf("seed %d: price %v is below the lower bound %v", seed, plan.Price, plan.LowerBound)
		}
		if perNode == 0 {
			worst, sum = max(worst, plan.Price/plan.LowerBound), sum+plan.Price/plan.LowerBound
		}
	}
	t.Logf("price over lower bound without constraints: mean %.3f, worst %.3f", sum/(seeds/4), worst)
}

func TestPackIsDeterministic(t *testing.T) {
	describe := func() string {
		plan := pack.Pack(problem(t, 7, 2))
		out := ""
		for _, n := range plan.Nodes {
			out += fmt.Sprintln(n.Offerings, n.Pods)
		}
		return out
	}
	if a, b := describe(), describe(); a != b {
		t.Errorf("two runs differ:\n%s\n%s", a, b)
	}
}

func TestWorthIsDualFeasible(t *testing.T) {
	for seed := range uint64(100) {
		p := problem(t, seed, 0)
		worth := pack.Worth(p)
		r := rand.New(rand.NewPCG(seed, 2))
		for range 50 {
			// Fill a random offering at random: its pods must never be worth more than it costs.
			o := p.Offerings[r.IntN(len(p.Offerings))]
			free, value := slices.Clone(o.Capacity), 0.0
			for range 200 {
				s := r.IntN(len(p.Shapes))
				if req := p.Shapes[s].Requests; req[0] <= free[0] && req[1] <= free[1] {
					free[0], free[1] = free[0]-req[0], free[1]-req[1]
					value += worth[s]
				}
			}
			if value > o.Price+1e-9 {
				t.Fatalf("seed %d: pods worth $%v on a node of $%v", seed, value, o.Price)
			}
		}
	}
}
