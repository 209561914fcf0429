package reallocate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/consolidate"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/market"
)

const (
	// alternatives and improve are as package allocate plans with: what it then buys should
	// be what was decided on.
	alternatives = 60
	improve      = 200 * time.Millisecond
	// passTimeout bounds one look at the whole cluster.
	passTimeout = 5 * time.Minute
)

// consolidator looks at the whole cluster again and again, and chooses nodes whose end saves
// money: as many as the budgets allow, to go together. Their removal is the remover's
// (underuse.go), which each is handed to by an event.
//
// Package consolidate decides. What it found is found anew by package allocate when the nodes
// are tainted; where that does not find room for some pods, or none cheap enough, their nodes
// are given back.
type consolidator struct {
	*remover
	engines map[string]*fit.Engine
	market  market.Observer
	lookout cluster.Lookout
	terms   consolidate.Terms
	every   time.Duration
	minAge  time.Duration
	started time.Time
	chosen  chan event.GenericEvent
}

var _ manager.Runnable = &consolidator{}

func newConsolidator(r *remover, cfg Config) *consolidator {
	return &consolidator{
		remover: r, engines: cfg.Engines, market: market.Observer{Client: r.client, Catalog: cfg.Catalog}, terms: cfg.Terms,
		every: cfg.ConsolidateEvery, minAge: cfg.MinAge, chosen: make(chan event.GenericEvent),
	}
}

// Start implements manager.Runnable: it looks at the cluster until ctx ends.
func (c *consolidator) Start(ctx context.Context) error {
	if len(c.engines) == 0 {
		return nil
	}
	c.started = c.clock.Now()
	for _, engine := range c.engines {
		if err := engine.WaitForSync(ctx); err != nil {
			return nil // the context's: the process ends
		}
	}
	logger := log.FromContext(ctx).WithName("consolidate")
	ctx = log.IntoContext(ctx, logger)
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := c.pass(ctx); err != nil && ctx.Err() == nil {
			logger.Error(err, "looking for nodes whose end saves money")
		}
	}
}

// pass looks at the cluster once.
func (c *consolidator) pass(ctx context.Context) error {
	wanted, err := c.wanted(ctx)
	if err != nil || !wanted {
		return err
	}
	looking, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	start := c.clock.Now()
	s, err := c.look(looking)
	if err != nil {
		return err
	}
	c.tellObstacles(looking, s)
	allowed, err := c.allowances(looking, s)
	if err != nil {
		return err
	}
	for _, scheduler := range slices.Sorted(maps.Keys(s.candidates)) {
		d, err := consolidate.Decide(looking, c.engines[scheduler], s.view(scheduler, allowed, c.terms))
		if err != nil {
			return fmt.Errorf("decide: %w", err)
		}
		c.metrics.passes.Observe(c.clock.Since(start).Seconds())
		c.tellKept(looking, s, d)
		if len(d.Moves) > 0 { // what others might find holds no more
			return c.carryOut(ctx, s, d)
		}
	}
	return nil
}

// wanted tells whether a pool wants underutilized nodes to go.
func (c *consolidator) wanted(ctx context.Context) (bool, error) {
	var pools v1alpha1.NodePoolList
	if err := c.client.List(ctx, &pools, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("list nodepools: %w", err)
	}
	return slices.ContainsFunc(pools.Items, func(p v1alpha1.NodePool) bool {
		return p.Spec.Disruption.ConsolidationPolicy == v1alpha1.ConsolidateWhenEmptyOrUnderutilized
	}), nil
}

// allowances is how many more nodes of each pool the budgets let go.
func (c *consolidator) allowances(ctx context.Context, s *sight) (map[string]int, error) {
	allowed := map[string]int{}
	for name, pool := range s.pools {
		if paused(pool, v1alpha1.ReasonUnderutilized) != "" {
			continue
		}
		n, err := c.places.left(ctx, c.remover, pool, v1alpha1.ReasonUnderutilized)
		if err != nil {
			return nil, fmt.Errorf("pool %s: %w", name, err)
		}
		allowed[name] = n
	}
	return allowed, nil
}

// carryOut hands the moves to the remover.
func (c *consolidator) carryOut(ctx context.Context, s *sight, d *consolidate.Decision) error {
	chosen, pods := map[string]move{}, 0
	for _, m := range d.Moves {
		claim := s.byNode[m.Node]
		message := fmt.Sprintf("underutilized: its %d pods have room elsewhere that costs less than $%.4f of its $%.4f per hour",
			m.Pods, m.Below, costOf(claim, s.market.Types))
		chosen[claim.Name] = move{claim: claim.UID, below: m.Below, message: message}
		pods += m.Pods
	}
	log.FromContext(ctx).Info("nodes to be removed to save money", "nodes", len(d.Moves), "pods", pods,
		"pricePerHour", dollars(d.Price), "boughtPerHour", dollars(d.Bought), "plans", d.Plans)
	c.metrics.movedPods.Add(float64(pods))
	c.metrics.saved.Add(d.Price - d.Bought)
	c.moves.choose(chosen)
	for _, m := range d.Moves {
		select {
		case c.chosen <- event.GenericEvent{Object: s.byNode[m.Node]}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// tellKept says on nodes that stay that nothing cheaper was found for their pods.
func (c *consolidator) tellKept(ctx context.Context, s *sight, d *consolidate.Decision) {
	for _, name := range d.Kept {
		c.tellWhy(ctx, s.byNode[name], s.infos[name].Node(), obstacle{
			reason: reasonNothingCheaper, message: "its pods have no room elsewhere, and no cheaper nodes that are worth the move",
		})
	}
}

func (c *consolidator) tellObstacles(ctx context.Context, s *sight) {
	for _, name := range slices.Sorted(maps.Keys(s.byNode)) {
		claim := s.byNode[name]
		if why, ok := s.obstacles[claim.Name]; ok && !why.passes {
			c.tellWhy(ctx, claim, s.infos[name].Node(), why)
		}
	}
}

// tellWhy says on claim and node, once a reason, why the node does not go. Should that fail,
// the next look says it.
func (c *consolidator) tellWhy(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, why obstacle) {
	was := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionConsolidatable)
	if was != nil && was.Status == metav1.ConditionFalse && was.Reason == why.reason {
		return
	}
	if begunFor(claim, v1alpha1.ConditionConsolidatable) {
		return
	}
	wrote, err := c.setCondition(ctx, claim, false, metav1.Condition{
		Type: v1alpha1.ConditionConsolidatable, Status: metav1.ConditionFalse, Reason: why.reason, Message: why.message,
		LastTransitionTime: metav1.NewTime(c.clock.Now()),
	}, nil)
	if err != nil {
		log.FromContext(ctx).V(1).Info("cannot say why a node stays", "nodeclaim", claim.Name, "err", err)
		return
	}
	if wrote {
		c.recorder.Eventf(node, claim, corev1.EventTypeNormal, "Unconsolidatable", "Keep", "%s", why.message)
	}
}

func dollars(price float64) string { return fmt.Sprintf("$%.4f", price) }
