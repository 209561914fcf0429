package consolidate

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// View is all that a decision looks at. Nothing in it is changed.
type View struct {
	// Nodes that exist or are on their way, with the pods that are or will be on them.
	Nodes []*framework.NodeInfo
	// Open names the Nodes whose room may be used.
	Open sets.Set[string]
	// Guessed is as in fit.Input.
	Guessed map[string]func(label string) bool
	// Candidates are the nodes that may go: all their pods may move.
	Candidates []Candidate
	// Leaving are nodes that are on their way out, by name: their pods will need room first.
	Leaving []string
	// Allowed is how many more nodes of each pool may be on their way out.
	Allowed map[string]int

	// What may be bought; Budget makes a new one for each plan. As in fit.Input.
	Templates  []fit.Template
	DaemonSets []*appsv1.DaemonSet
	Budget     func() fit.Budget
	Variety    map[string]fit.Variety
	Features   map[string][]string

	Terms Terms
	// Alternatives and Improve are as in fit.Input.
	Alternatives int
	Improve      time.Duration
}

// Candidate is a node that may go.
type Candidate struct {
	// Node names one of the View's Nodes.
	Node, Pool string
	// Price in US dollars per hour that its end saves.
	Price float64
	// Spot says that it is spot capacity.
	Spot bool
}

// Planner finds places for pods; *fit.Engine is one.
type Planner interface {
	Plan(ctx context.Context, in fit.Input) (*fit.Plan, error)
}

// Decision is what Decide found.
type Decision struct {
	// Moves to be carried out together: what all of them free is room for all of their pods.
	Moves []Move
	// Kept are candidates whose end would not pay, by name.
	Kept []string
	// Price of the nodes that go, and Bought of what is bought in their place, in dollars per hour.
	Price, Bought float64
	// Plans is how many plans were made to find that out.
	Plans int
}

// Move is the end of a node.
type Move struct {
	Node string
	// Pods that move.
	Pods int
	// Below is what may be spent in the node's place at most, in dollars per hour; nodes that
	// go together may share theirs.
	Below float64
}
