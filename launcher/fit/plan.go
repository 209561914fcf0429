package fit

import (
	"context"
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
	Took              Took
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
}

// Took is how long the parts of planning took.
type Took struct{ Fit, Pack, Verify time.Duration }

// Plan finds a place for as many pods as possible.
func (e *Engine) Plan(ctx context.Context, in Input) (*Plan, error) {
	start := time.Now()
	space, err := e.newSpace(ctx, in)
	if err != nil {
		return nil, err
	}
	plan := &Plan{}
	plan.Took.Fit = time.Since(start)
	// A pod may fit only once another of its batch has its place (pod affinity): plan
	// on while that places any.
	for {
		packed := pack.Pack(space.problem())
		if len(packed.Nodes) == 0 {
			break
		}
		plan.Nodes = append(plan.Nodes, space.planned(packed)...)
		plan.Price, plan.LowerBound = plan.Price+packed.Price, plan.LowerBound+packed.LowerBound
	}
	plan.Unplaced = space.unplaced()
	plan.Took.Pack = time.Since(start) - plan.Took.Fit
	return plan, nil
}
