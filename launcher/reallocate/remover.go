package reallocate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// remover looks at one node after the other, and removes those that some method finds need
// not be there, or not as they are.
type remover struct {
	client   client.Client
	direct   client.Reader // reads from the API server, not from the cache
	recorder events.EventRecorder
	clock    clock.PassiveClock
	metrics  *metrics
	settle   time.Duration
	retry    time.Duration
	resolver Resolver
	patience time.Duration // with a replacement
	rest     time.Duration // after one that failed
	// toleration is how long a node may be unhealthy.
	toleration time.Duration

	episodes episodes
	places   places
	waiting  waiting
	rests    rests

	// What removes nodes that are underutilized (consolidation.go).
	schedulers sets.Set[string] // whose pods can be planned for
	moves      moves
	departures departures
}

// Reconcile decides about one claim's node.
func (r *remover) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	claim := &v1alpha1.NodeClaim{}
	if err := r.client.Get(ctx, req.NamespacedName, claim); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.Name)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if claim.DeletionTimestamp != nil || !meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInitialized) {
		return reconcile.Result{}, nil
	}
	node, err := cluster.NodeByProviderID(ctx, r.client, claim.Status.ProviderID)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	if node == nil || node.DeletionTimestamp != nil || meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInterrupted) {
		return reconcile.Result{}, nil // gone, or going by the cloud's will
	}
	wait, goes, err := r.byHealth(ctx, claim, node)
	if err != nil || goes {
		return reconcile.Result{RequeueAfter: wait}, err
	}
	until := wait
	if wait, surplus, err := r.bySurplus(ctx, claim, node); err != nil || surplus {
		return reconcile.Result{RequeueAfter: sooner(until, wait)}, err
	}
	if !isLeaving(claim) || isDisrupting(claim) {
		if wait, err = r.byEmptiness(ctx, claim, node); err != nil || isDisrupting(claim) {
			return reconcile.Result{RequeueAfter: wait}, err
		}
	}
	for _, method := range []func(context.Context, *v1alpha1.NodeClaim, *corev1.Node) (time.Duration, error){r.byUnderuse, r.byOutdatedness} {
		more, err := method(ctx, claim, node)
		wait = sooner(wait, more)
		if err != nil || r.begun(claim, v1alpha1.ReasonUnderutilized) {
			return reconcile.Result{RequeueAfter: sooner(until, wait)}, err
		}
	}
	return reconcile.Result{RequeueAfter: sooner(until, wait)}, nil
}

// sooner is the shorter of two waits, of which zero means to wait for an event.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// forget drops what was remembered of a claim that is gone.
func (r *remover) forget(name string) {
	r.episodes.drop(name)
	r.places.free(name)
	r.waiting.remove(name)
	r.rests.end(name)
	r.moves.drop(name)
}
