package day

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/consolidate"
	"github.com/slipway-dev/slipway/launcher/fit"
)

const (
	whenEmpty     = "WhenEmpty"
	whenUnderused = "WhenEmptyOrUnderutilized"
	underused     = "underused"
	takenBack     = "interrupted"
	// consolidateEvery is how often the slow loop looks here; the daemon looks every 10 seconds,
	// which takes an hour of real time for a day.
	consolidateEvery = 2 * time.Minute
	// young is how long a node is left alone after its launch.
	young = 5 * time.Minute
	// budget is the share of the nodes that may be on their way out, the default.
	budget = 0.1
)

// consolidate has the nodes go that package consolidate chooses.
func (c *cluster) consolidate() error {
	v, candidates := c.view()
	if len(candidates) == 0 {
		return nil
	}
	start := time.Now()
	decision, err := consolidate.Decide(c.ctx, c.judge.engine, v)
	if err != nil {
		return err
	}
	c.bill.passes = append(c.bill.passes, time.Since(start))
	if len(decision.Moves) == 0 {
		return nil
	}
	var nodes []*node
	var leavers []consolidate.Leaver
	for _, m := range decision.Moves {
		n := candidates[m.Node]
		nodes = append(nodes, n)
		leavers = append(leavers, consolidate.Leaver{Pods: n.follow(), Below: m.Below, Spot: isSpot(n)})
	}
	plan, err := consolidate.Place(leavers, func(pods []*corev1.Pod, frugal bool) (*fit.Plan, []fit.Template, map[string]fit.Variety, error) {
		plan, err := c.plan(pods, frugal, func(n *node) bool { return !slices.Contains(nodes, n) })
		return plan, c.market.templates, nil, err
	})
	if err != nil {
		return err
	}
	stay := sets.New[*corev1.Pod]()
	for _, u := range plan.Unplaced {
		stay.Insert(u.Pod)
	}
	plan.Unplaced = nil
	var going []*node
	for i, l := range leavers {
		if !slices.ContainsFunc(l.Pods, stay.Has) {
			going = append(going, nodes[i])
		}
	}
	return c.send(going, underused, plan)
}

func isSpot(n *node) bool { return n.Labels[v1alpha1.LabelCapacityType] == v1alpha1.CapacityTypeSpot }

// view is what the decision looks at, with the candidates by name.
func (c *cluster) view() (consolidate.View, map[string]*node) {
	v := consolidate.View{
		Open: sets.New[string](), Templates: c.market.templates, Budget: func() fit.Budget { return nil },
		Terms: consolidate.DefaultTerms(), Alternatives: alternatives, Improve: improve,
	}
	candidates := map[string]*node{}
	leaving := 0
	for _, n := range c.nodes {
		v.Nodes = append(v.Nodes, n.info)
		switch {
		case n.leaving != nil:
			leaving++
		case n.joined:
			v.Open.Insert(n.Name)
		}
		if n.joined && n.leaving == nil && len(n.pods) > 0 && c.now-n.launched >= young && c.now-n.changed >= ttl && !slices.ContainsFunc(n.pods, protected) {
			candidates[n.Name] = n
			v.Candidates = append(v.Candidates, consolidate.Candidate{Node: n.Name, Pool: c.market.pool.Name, Price: c.market.priceOf(n.Node), Spot: isSpot(n)})
		}
	}
	v.Allowed = map[string]int{c.market.pool.Name: int(budget*float64(len(c.nodes))) - leaving}
	return v, candidates
}

func protected(p *pod) bool { return p.Annotations[v1alpha1.DoNotDisruptAnnotation] != "" }
