package pack

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// scales are sizes of problems, each with the price over bound that a mix may come to: on
// average over mixes, and at worst.
var scales = []struct {
	pods, shapes, effort int
	mean, worst          float64
}{
	{20000, 300, 10000, 1.03, 1.15},
	{1000, 40, 4000, 1.04, 1.18},
	{200, 25, 3000, 1.05, 1.20},
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
			t.Run(fmt.Sprintf("%s/%d pods", catalogue.name, scale.pods), func(t *testing.T) {
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
