package nodeclaim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// collector finds what no state speaks of: instances without a claim, claims without
// their instance, deleted Nodes with neither. It reads claims from the API server: a
// cache that lags would make a new instance look like one without a claim.
type collector struct {
	store
	provider  cloud.Provider
	recorder  events.EventRecorder
	timers    clock.WithTicker
	logger    logr.Logger
	metrics   *metrics
	every     time.Duration
	orphanAge time.Duration
	settle    time.Duration

	// missed holds the claims whose instance was not found, and since when: once may
	// be a read that lags.
	missed map[types.UID]time.Time
}

func newCollector(s store, cfg Config, m *metrics, logger logr.Logger) *collector {
	return &collector{
		store:     s,
		provider:  cfg.Provider,
		recorder:  cfg.Recorder,
		timers:    cfg.Clock,
		logger:    logger.WithName("nodeclaim.garbagecollection"),
		metrics:   m,
		every:     cfg.CollectEvery,
		orphanAge: cfg.OrphanAge,
		settle:    cfg.SettleTime,
		missed:    map[types.UID]time.Time{},
	}
}

// Start implements manager.Runnable: it collects at once, as the last leader may have
// crashed, and then every period until ctx ends.
func (g *collector) Start(ctx context.Context) error {
	ctx = log.IntoContext(ctx, g.logger)
	for {
		if err := g.collect(ctx); err != nil && ctx.Err() == nil {
			g.logger.Error(err, "garbage collection incomplete, will go on next time")
		}
		wait := g.every
		if len(g.missed) > 0 {
			wait = min(wait, g.settle/2) // look a second time soon
		}
		timer := g.timers.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (g *collector) NeedLeaderElection() bool { return true }

// collect goes through everything once. Instances are listed before claims: each
// instance's claim was written before it was bought, so an instance in the first list
// whose claim is not in the second has none.
func (g *collector) collect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.every)
	defer cancel()
	instances, err := g.provider.List(ctx)
	if err != nil {
		return fmt.Errorf("list instances: %w", err)
	}
	var claims v1alpha1.NodeClaimList
	if err := g.direct.List(ctx, &claims); err != nil {
		return fmt.Errorf("list nodeclaims: %w", err)
	}
	return errors.Join(
		g.collectInstances(ctx, instances, claims.Items),
		g.collectClaims(ctx, instances, claims.Items),
		g.collectReservations(ctx, instances, claims.Items),
		g.collectNodes(ctx, instances, claims.Items),
		g.noteNetworks(ctx, instances, claims.Items),
		g.noteImpaired(ctx, claims.Items),
	)
}

// collectInstances terminates instances that were bought under a claim that is gone or has
// another, or for a fleet none of whose claims has them or may still get them.
func (g *collector) collectInstances(ctx context.Context, instances []cloud.Instance, claims []v1alpha1.NodeClaim) error {
	needed := sets.New[string]()
	for i := range claims {
		c := &claims[i]
		if c.Status.InstanceID != "" {
			needed.Insert(c.Status.InstanceID)
			continue
		}
		needed.Insert(string(c.UID))
		if c.Spec.Fleet != nil {
			needed.Insert(string(c.Spec.Fleet.ID))
		}
	}
	var errs []error
	for _, in := range instances {
		// What carries neither tag was not bought by a launcher, whatever else its tags say.
		bought := in.ClaimUID != "" || in.FleetID != ""
		if !bought || needed.HasAny(in.ID, in.ClaimUID, in.FleetID) || in.Terminating || g.clock.Since(in.LaunchTime) < g.orphanAge {
			continue
		}
		err := g.provider.Terminate(ctx, in.ID)
		if errors.Is(err, cloud.ErrNotFound) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("terminate instance %s of vanished nodeclaim %s: %w", in.ID, cmp.Or(in.ClaimName, in.FleetID), err))
			continue
		}
		log.FromContext(ctx).Info("collected instance without a claim", "instance", in.ID, "nodeclaim", in.ClaimName,
			"type", in.Type, "zone", in.Zone, "node", in.NodeName, "age", g.clock.Since(in.LaunchTime).Round(time.Second).String())
		g.metrics.collected.WithLabelValues(kindInstance).Inc()
	}
	return errors.Join(errs...)
}

// collectClaims deletes claims whose instance is gone: not found in two rounds, the
// first of them late enough to know of the instance.
func (g *collector) collectClaims(ctx context.Context, instances []cloud.Instance, claims []v1alpha1.NodeClaim) error {
	running := make(map[string]bool, len(instances))
	for _, in := range instances {
		running[in.ID] = true
	}
	missed := map[types.UID]time.Time{}
	var errs []error
	for i := range claims {
		claim := &claims[i]
		if claim.DeletionTimestamp != nil || running[claim.Status.InstanceID] || !g.isOld(claim) {
			continue
		}
		gone, err := g.isGone(ctx, claim)
		if err != nil {
			errs = append(errs, err)
		}
		if !gone {
			continue
		}
		if _, before := g.missed[claim.UID]; !before {
			missed[claim.UID] = g.clock.Now()
			continue
		}
		if err := g.deleteGone(ctx, claim); err != nil {
			missed[claim.UID] = g.missed[claim.UID]
			errs = append(errs, err)
		}
	}
	g.missed = missed
	return errors.Join(errs...)
}

// isOld tells whether the claim was launched so long ago that reads must know its instance.
func (g *collector) isOld(claim *v1alpha1.NodeClaim) bool {
	launched := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionLaunched)
	return launched != nil && launched.Status == metav1.ConditionTrue && g.clock.Since(launched.LastTransitionTime.Time) >= g.settle
}

// isGone asks for the very instance: the list may have left it out.
func (g *collector) isGone(ctx context.Context, claim *v1alpha1.NodeClaim) (bool, error) {
	_, err := g.provider.Get(ctx, claim.Status.InstanceID)
	if errors.Is(err, cloud.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("nodeclaim %s: get instance %s: %w", claim.Name, claim.Status.InstanceID, err)
	}
	return false, nil
}

// deleteGone ends a claim whose instance is gone. The condition makes its termination
// skip the drain: nobody is left to end pods.
func (g *collector) deleteGone(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	message := "instance " + claim.Status.InstanceID + " is gone; it was terminated outside of Kubernetes"
	_, err := g.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		g.set(c, v1alpha1.ConditionInstanceTerminated, metav1.ConditionTrue, reasonInstanceGone, message)
	})
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if err := g.delete(ctx, claim); err != nil {
		return err
	}
	log.FromContext(ctx).Info("collected claim whose instance is gone", "nodeclaim", claim.Name,
		"instance", claim.Status.InstanceID, "node", claim.Status.NodeName)
	g.recorder.Eventf(claim, nil, corev1.EventTypeWarning, reasonInstanceGone, "Collect", "%s", message)
	g.metrics.collected.WithLabelValues(kindClaim).Inc()
	return nil
}

// collectNodes lets deleted Nodes go that nobody finalizes any more: their claim was
// removed by force, and their instance is gone.
func (g *collector) collectNodes(ctx context.Context, instances []cloud.Instance, claims []v1alpha1.NodeClaim) error {
	needed := map[string]bool{}
	for i := range claims {
		needed[claims[i].Status.ProviderID] = true
	}
	for _, in := range instances {
		needed[in.ProviderID] = true
	}
	var nodes corev1.NodeList
	if err := g.client.List(ctx, &nodes); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	var errs []error
	for i := range nodes.Items {
		node := &nodes.Items[i]
		if !isLeaving(node) || needed[node.Spec.ProviderID] {
			continue
		}
		if err := g.removeNode(ctx, node); err != nil {
			errs = append(errs, err)
			continue
		}
		log.FromContext(ctx).Info("collected node without claim and instance", "node", node.Name)
		g.metrics.collected.WithLabelValues(kindNode).Inc()
	}
	return errors.Join(errs...)
}
