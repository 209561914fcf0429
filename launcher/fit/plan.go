package fit

import (
	"context"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/pack"
)

// Plan says where the pods of an Input go.
type Plan struct {
	// Nodes to buy.
	Nodes []Planned
	// Reused nodes of the Input take pods too.
	Reused   []Reused
	Unplaced []Unplaced
	// Price of all Nodes, and LowerBound of any plan for their pods, in dollars per hour.
	Price, LowerBound float64
	// Refused counts the pods that packing had placed where the plugins did not want them;
	// they were placed anew.
	Refused int
	Took    Took
}

// Planned is a node to buy.
type Planned struct {
	// Templates that hold the pods, the chosen one first.
	Templates []int
	Pods      []*corev1.Pod
	// Requests of the pods and of the DaemonSets.
	Requests corev1.ResourceList
}

// Reused is room used on a node of the Input.
type Reused struct {
	Node string
	Pods []*corev1.Pod
}

// Unplaced is a pod without a place.
type Unplaced struct {
	Pod *corev1.Pod
	// Reasons a person can act on, one a NodePool.
	Reasons []string
	// Awaits what is guessed of a Node (Input.Guessed) to be known; then it may have a place.
	Awaits bool
}

// Took is how long the parts of planning took.
type Took struct{ Fit, Pack, Verify time.Duration }

// Plan finds a place for as many pods as possible. The pods of an Input's nodes grow by
// those that are placed there.
func (e *Engine) Plan(ctx context.Context, in Input) (*Plan, error) {
	plan := &Plan{}
	in, order := in.sorted()
	v, err := e.simulate(ctx, in, plan)
	if err != nil {
		return nil, err
	}
	v.place(plan, math.MinInt32, math.MaxInt32)
	if v.unfair() {
		v.undo()
		plan.LowerBound, plan.Refused = 0, 0
		if v, err = e.simulate(ctx, in, plan); err != nil {
			return nil, err
		}
		for _, priority := range v.bands() {
			v.place(plan, priority, priority)
		}
	}
	defer v.close()
	start := time.Now()
	v.report(plan)
	plan.restore(order)
	plan.Took.Verify += time.Since(start)
	return plan, nil
}

// simulate sets up what a plan is made in.
func (e *Engine) simulate(ctx context.Context, in Input, plan *Plan) (*verifier, error) {
	start := time.Now()
	s, err := e.newSpace(ctx, in)
	if err != nil {
		return nil, err
	}
	v := newVerifier(s)
	plan.Took.Fit += time.Since(start)
	return v, nil
}

// place finds places for the waiting pods of the priorities from one to the other.
func (v *verifier) place(plan *Plan, from, to int32) {
	start := time.Now()
	lap := func(d *time.Duration) {
		now := time.Now()
		*d += now.Sub(start)
		start = now
	}
	v.settle(from, to)
	lap(&plan.Took.Fit)
	earlier := v.earlier()
	packed := pack.Pack(v.problem(earlier))
	plan.LowerBound = max(plan.LowerBound, packed.LowerBound) // what one band costs, all cost
	lap(&plan.Took.Pack)
	v.least = from
	v.build(packed, earlier)
	plan.Refused += v.run()
	v.dropEmpty()
	v.placeRest()
	plan.Refused += v.keepGood()
	v.dropEmpty()
	lap(&plan.Took.Verify)
}

// report sums up what was placed where.
func (v *verifier) report(plan *Plan) {
	fixed := v.noNewDomains || slices.ContainsFunc(v.classes, v.farDaemon)
	for _, p := range v.places {
		switch {
		case p.room:
			if len(p.pods) > 0 {
				plan.Reused = append(plan.Reused, Reused{p.info.Node().Name, p.pods})
			}
			continue
		case p.grown:
			p.templates = v.choices(p.templates[0], v.used(p), p.pods)
		}
		others := slices.DeleteFunc(slices.Clone(p.templates[1:]), func(t int) bool {
			return !v.attaches(t, p.pods) || fixed && v.kindOf[t] != v.kindOf[p.templates[0]]
		})
		p.templates = append(p.templates[:1:1], others...)
		plan.Nodes = append(plan.Nodes, Planned{p.templates, p.pods, listOf(p.info)})
		plan.Price += v.input.Templates[p.templates[0]].Price
	}
	plan.LowerBound = min(plan.LowerBound, plan.Price) // a pod that was refused may have been counted
	plan.Unplaced = v.unplaced()
}
