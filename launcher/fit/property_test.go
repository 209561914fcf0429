package fit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// TestProperties holds what is true of every plan, whatever the cluster.
func TestProperties(t *testing.T) {
	w := newWorlds(t)
	for seed := range uint64(60) {
		s := generate(1_000_000 + seed)
		world := w.of(s)
		world.know(s)
		r := rand.New(rand.NewPCG(seed, 3))
		limit := &atMost{left: r.IntN(4)}
		in := s.input()
		in.Budget = limit
		bought := limit.left
		plan, err := world.engine.Plan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range append(complete(s, plan), overcommitted(s, plan)...) {
			t.Errorf("seed %d: %s", s.Seed, wrong)
		}
		if len(plan.Nodes) > bought || limit.left != bought-len(plan.Nodes) {
			t.Errorf("seed %d: %d nodes are bought of %d allowed, %d are left", s.Seed, len(plan.Nodes), bought, limit.left)
		}
	}
}

// TestPriority: pods lose nothing to others of a lower priority.
func TestPriority(t *testing.T) {
	w := newWorlds(t)
	for seed := range uint64(150) {
		s := generate(2_000_000 + seed)
		world := w.of(s)
		world.know(s)
		limit := rand.New(rand.NewPCG(seed, 7)).IntN(4)
		important := func(p *corev1.Pod) bool { return p.Spec.Priority != nil && *p.Spec.Priority >= 10 }
		unplaced := func(pods []*corev1.Pod) (n int) {
			in := s.input()
			in.Pods, in.Budget = pods, &atMost{left: limit}
			plan, err := world.engine.Plan(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range plan.Unplaced {
				if important(u.Pod) {
					n++
				}
			}
			return n
		}
		alone := slices.DeleteFunc(slices.Clone(s.Pods), func(p *corev1.Pod) bool { return !important(p) })
		if want, got := unplaced(alone), unplaced(s.Pods); got > want {
			t.Errorf("seed %d: %d important pods have no place, %d when they are alone", s.Seed, got, want)
		}
	}
}

// overcommitted lists the resources of which a planned node's pods want more than any of
// its templates has.
func overcommitted(s *scenario, plan *fit.Plan) (wrong []string) {
	for i, n := range plan.Nodes {
		for _, t := range n.Templates {
			for name, want := range n.Requests {
				have, scheduled := s.Templates[t].Node.Status.Allocatable[name]
				if want.Cmp(have) > 0 && (scheduled || s.Profile != ignoring) {
					wrong = append(wrong, fmt.Sprintf("node %d has %s %s of %s", i, have.String(), name, want.String()))
				}
			}
		}
	}
	return wrong
}

// stable are clusters in which pods do not depend on one another: there, who comes first
// must not matter.
func stable(seed uint64) fit.Input {
	r := rand.New(rand.NewPCG(seed, 4))
	in := fit.Input{Alternatives: 6, Improve: 30 * time.Millisecond}
	for i := range 3 + r.IntN(10) {
		cpu := []string{"250m", "500m", "1", "1500m", "3"}[r.IntN(5)]
		memory := []string{"256Mi", "1Gi", "3Gi", "6Gi"}[r.IntN(4)]
		change := []func(*corev1.Pod){func(*corev1.Pod) {}, spread(corev1.LabelTopologyZone), antiAffinity(corev1.LabelHostname), selecting(corev1.LabelTopologyZone, "b")}[r.IntN(4)]
		in.Pods = append(in.Pods, pods(1+r.IntN(20), fmt.Sprintf("app%d", i), cpu, memory, change)...)
	}
	in.Templates = templates()
	return in
}

// TestPermuted: the order of pods and templates changes no price by more than a percent.
func TestPermuted(t *testing.T) {
	engine := newEngine(t)
	engine.StopClock()
	for seed := range uint64(20) {
		in := stable(seed)
		want := price(t, engine, in)
		r := rand.New(rand.NewPCG(seed, 5))
		r.Shuffle(len(in.Pods), func(i, j int) { in.Pods[i], in.Pods[j] = in.Pods[j], in.Pods[i] })
		r.Shuffle(len(in.Templates), func(i, j int) { in.Templates[i], in.Templates[j] = in.Templates[j], in.Templates[i] })
		if got := price(t, engine, in); got > want*1.01 || want > got*1.01 {
			t.Errorf("seed %d: $%.4f in one order, $%.4f in another", seed, want, got)
		}
	}
}

// TestMoreChoice: one more offering never raises the price by more than a percent.
func TestMoreChoice(t *testing.T) {
	engine := newEngine(t)
	engine.StopClock()
	for seed := range uint64(20) {
		in := stable(seed)
		r := rand.New(rand.NewPCG(seed, 6))
		before := price(t, engine, in)
		more := template("default", 2+r.IntN(14), 4+r.IntN(60), zones[r.IntN(3)])
		more.Price *= 0.7 + 0.6*r.Float64()
		in.Templates = append(in.Templates, more)
		if after := price(t, engine, in); after > before*1.01 {
			t.Errorf("seed %d: $%.4f, and $%.4f with one more offering", seed, before, after)
		}
	}
}

func price(t *testing.T, engine *fit.Engine, in fit.Input) float64 {
	t.Helper()
	plan, err := engine.Plan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Unplaced) > 0 {
		t.Fatalf("pod %s has no place: %v", plan.Unplaced[0].Pod.Name, plan.Unplaced[0].Reasons)
	}
	return plan.Price
}

// TestTimeBudget: the search for a cheaper plan ends when it is told to.
func TestTimeBudget(t *testing.T) {
	engine := newEngine(t)
	in := fit.Input{Pods: diverse(1000), Templates: market(100), Alternatives: 6}
	first, err := engine.Plan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	in.Improve = 50 * time.Millisecond
	improved, err := engine.Plan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	const slack = 20 // a step of the search may be under way, on a busy machine with a race detector
	if took := improved.Took.Pack; took > slack*in.Improve+2*first.Took.Pack {
		t.Errorf("packing took %v, %v without a search", took, first.Took.Pack)
	}
	if improved.Price > first.Price*1.0001 {
		t.Errorf("the search made the plan dearer: $%.4f, before $%.4f", improved.Price, first.Price)
	}
}
