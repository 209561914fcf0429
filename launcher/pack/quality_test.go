package pack

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// scales are sizes of problems, each with the price over bound that a mix may come to: on
// average over mixes, and at worst: huge-and-tiny, of which the bound is too low where there are many
// shapes.
var scales = []struct {
	pods, shapes, effort int
	mean, worst          float64
}{
	{20000, 300, 100e6, 1.02, 1.07},
	{1000, 40, 40e6, 1.02, 1.05},
	{1000, 1000, 60e6, 1.03, 1.08},
	{200, 25, 20e6, 1.02, 1.08},
}

// catalogues are the lists of instance types that are measured on.
var catalogues = []struct {
	name  string
	types func(testing.TB, *rand.Rand) []instance
}{
	{"synthetic", func(_ testing.TB, r *rand.Rand) []instance { return syntheticTypes(r) }},
	{"ec2", func(tb testing.TB, _ *rand.Rand) []instance { return ec2Types(tb) }},
}

func TestPriceOverBound(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, catalogue := range catalogues {
		for _, scale := range scales {
			t.Run(fmt.Sprintf("%s/%d pods in %d shapes", catalogue.name, scale.pods, scale.shapes), func(t *testing.T) {
				t.Parallel()
				total := 0.0
				for i, mx := range mixes {
					r := rand.New(rand.NewPCG(uint64(i), 8))
					p := synthesize(r, mx, catalogue.types(t, r), scale.pods, scale.shapes, 3, 1)
					p.Constraints, p.Effort = &books{p: p}, scale.effort
					plan := Pack(*p)
					ratio := plan.Price / plan.LowerBound
					total += ratio
					t.Logf("%-14s %.4f", mx.name, ratio)
					if ratio > scale.worst {
						t.Errorf("%s: price over bound is %.4f, want at most %.2f", mx.name, ratio, scale.worst)
					}
				}
				if mean := total / float64(len(mixes)); mean > scale.mean {
					t.Errorf("price over bound is %.4f on average, want at most %.2f", mean, scale.mean)
				}
			})
		}
	}
}

// TestFragmented bounds the price of problems as clusters pose them, a fifth of the pods one to a node.
func TestFragmented(t *testing.T) {
	for _, c := range []struct {
		pods, effort int
		worst        float64
	}{{1000, 0, 1.08}, {1000, 80e6, 1.03}, {10000, 0, 1.08}, {10000, 100e6, 1.03}} {
		r := rand.New(rand.NewPCG(1, 9))
		p := fragmented(r, syntheticTypes(r), c.pods)
		p.Constraints, p.Effort = &books{p: p}, c.effort
		plan := Pack(*p)
		ratio := plan.Price / plan.LowerBound
		t.Logf("%d pods, effort %d: %.4f", c.pods, c.effort, ratio)
		if ratio > c.worst {
			t.Errorf("%d pods, effort %d: price over bound is %.4f, want at most %.2f", c.pods, c.effort, ratio, c.worst)
		}
	}
}
