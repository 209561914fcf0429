package pack

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func measure(b *testing.B, p *Problem) {
	b.Helper()
	b.ReportAllocs()
	var plan Plan
	for b.Loop() {
		p.Constraints = &books{p: p}
		plan = Pack(*p)
	}
	b.ReportMetric(plan.Price/plan.LowerBound, "price/bound")
	b.ReportMetric(float64(len(plan.Nodes)), "nodes")
}

// BenchmarkPack measures mixes by scale, with no effort and with much.
func BenchmarkPack(b *testing.B) {
	for _, catalogue := range catalogues {
		for _, scale := range scales {
			for _, mx := range mixes {
				for _, effort := range []int{0, 200e6} {
					b.Run(fmt.Sprintf("%s/%dx%d/%s/effort=%d", catalogue.name, scale.pods, scale.shapes, mx.name, effort), func(b *testing.B) {
						r := rand.New(rand.NewPCG(1, 8))
						p := synthesize(r, mx, catalogue.types(b, r), scale.pods, scale.shapes, 3, 1)
						p.Effort = effort
						measure(b, p)
					})
				}
			}
		}
	}
}

// BenchmarkFragmented measures many shapes of few pods, a fifth of which want a node for
// themselves among their like.
func BenchmarkFragmented(b *testing.B) {
	for _, pods := range []int{1000, 10000, 100000} {
		for _, effort := range []int{0, 200e6} {
			b.Run(fmt.Sprintf("%d/effort=%d", pods, effort), func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 9))
				p := fragmented(r, syntheticTypes(r), pods)
				p.Effort = effort
				measure(b, p)
			})
		}
	}
}
