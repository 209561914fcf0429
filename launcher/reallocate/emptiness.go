package reallocate

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// Reasons of the condition Empty. While it is True, the reason says what the node's
// removal waits for; Disrupting says that nothing is in the way any more, and tells
// termination why the claim was deleted.
const (
	reasonNoPods       = "NoPods"
	reasonPods         = "PodsPresent"
	reasonDoNotDisrupt = "DoNotDisrupt"
	reasonBudget       = "BlockedByBudget"
	reasonDisrupting   = v1alpha1.ReasonDisrupting
)

// emptiness removes nodes that have been empty for their pool's consolidateAfter.
//
//	           last pod left            TTL over, budget has a place
//	occupied ───────────────▶ empty ─────────────────────────────────▶ disrupting ──▶ claim deleted
//	   ▲                        │                                          │  tainted, then
//	   └────────────────────────┴──────────────────────────────────────────┘  looked at again
//	      a pod lands, is nominated, or holds a reservation
//
// Where a node stands is in its claim's condition Empty, so a crash loses nothing but
// the fraction of a second that the condition's time does not show.
type emptiness struct {
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

	episodes episodes
	places   places
	waiting  waiting
	rests    rests
}

// Reconcile decides about one claim's node.
func (e *emptiness) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	claim := &v1alpha1.NodeClaim{}
	if err := e.client.Get(ctx, req.NamespacedName, claim); err != nil {
		if apierrors.IsNotFound(err) {
			e.forget(req.Name)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if claim.DeletionTimestamp != nil || !meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInitialized) {
		return reconcile.Result{}, nil
	}
	node, err := cluster.NodeByProviderID(ctx, e.client, claim.Status.ProviderID)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	if node == nil || node.DeletionTimestamp != nil || meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInterrupted) {
		return reconcile.Result{}, nil // gone, or going by the cloud's will
	}
	var wait time.Duration
	if !isLeaving(claim) || isDisrupting(claim) {
		if wait, err = e.byEmptiness(ctx, claim, node); err != nil || isDisrupting(claim) {
			return reconcile.Result{RequeueAfter: wait}, err
		}
	}
	more, err := e.byOutdatedness(ctx, claim, node)
	return reconcile.Result{RequeueAfter: sooner(wait, more)}, err
}

// sooner is the shorter of two waits, of which zero means to wait for an event.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// byEmptiness looks whether the node is empty, and has been for long enough. It returns how
// long to wait until looking again; zero to wait for an event.
func (e *emptiness) byEmptiness(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (time.Duration, error) {
	why, err := e.occupied(ctx, e.client, claim, node)
	if err != nil {
		return 0, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	if why != "" {
		return 0, e.keep(ctx, claim, node, why)
	}
	return e.empty(ctx, claim, node)
}

// forget drops what was remembered of a claim that is gone.
func (e *emptiness) forget(name string) {
	e.episodes.drop(name)
	e.places.free(name)
	e.waiting.remove(name)
	e.rests.end(name)
}

// occupied says what the node is needed for; empty when for nothing. pods are read
// from the given reader; reservations and nominations from the cache, which learnt of
// them when their pods began to wait.
func (e *emptiness) occupied(ctx context.Context, pods client.Reader, claim *v1alpha1.NodeClaim, node *corev1.Node) (string, error) {
	on, err := cluster.PodsOn(ctx, pods, node.Name)
	if err != nil {
		return "", err
	}
	for i := range on {
		if !cluster.IsFinished(&on[i]) && !cluster.IsDaemonPod(&on[i]) {
			return "pod " + podName(&on[i]) + " runs on it", nil
		}
	}
	return e.promised(ctx, claim, node)
}

// promised says for which pod that is not there yet the node is kept; empty when for none.
func (e *emptiness) promised(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (string, error) {
	reserved, err := cluster.OpenReservations(ctx, e.client, claim)
	if err != nil {
		return "", err
	}
	if len(reserved) > 0 {
		return fmt.Sprintf("room is reserved for pod %s/%s", reserved[0].Namespace, reserved[0].Name), nil
	}
	replaced, err := e.replaces(ctx, claim)
	if err != nil {
		return "", err
	}
	if replaced != "" {
		return "room is kept for the pods that will follow those of nodeclaim " + replaced, nil
	}
	var nominated corev1.PodList
	if err := e.client.List(ctx, &nominated, client.MatchingFields{fieldNominated: node.Name}); err != nil {
		return "", fmt.Errorf("list pods nominated to node %s: %w", node.Name, err)
	}
	for i := range nominated.Items {
		if cluster.IsWaiting(&nominated.Items[i]) {
			return "pod " + podName(&nominated.Items[i]) + " is nominated to it", nil
		}
	}
	return "", nil
}

// replaces names a claim that is being replaced and yet to be drained, and whose pods'
// successors the node was bought for; empty when there is none.
func (e *emptiness) replaces(ctx context.Context, claim *v1alpha1.NodeClaim) (string, error) {
	for _, name := range claim.Spec.Replaces {
		var replaced v1alpha1.NodeClaim
		err := e.client.Get(ctx, client.ObjectKey{Name: name}, &replaced)
		if client.IgnoreNotFound(err) != nil {
			return "", fmt.Errorf("get nodeclaim %s: %w", name, err)
		}
		if err == nil && (replaced.IsBeingReplaced() || replaced.DeletionTimestamp != nil) {
			return name, nil
		}
	}
	return "", nil
}

// replacementsOf lists the claims that were written to replace another.
func (e *emptiness) replacementsOf(ctx context.Context, replaced *v1alpha1.NodeClaim) []string {
	var claims v1alpha1.NodeClaimList
	if err := e.client.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "cannot tell which claims replace another", "nodeclaim", replaced.Name)
		return nil
	}
	var names []string
	for i := range claims.Items {
		if slices.Contains(claims.Items[i].Spec.Replaces, replaced.Name) {
			names = append(names, claims.Items[i].Name)
		}
	}
	return names
}

// keep ends an episode of emptiness, taking the taint off if removal had begun.
func (e *emptiness) keep(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, why string) error {
	e.episodes.end(claim.Name, node.Name)
	e.waiting.remove(claim.Name)
	empty := emptyCondition(claim)
	if empty == nil || empty.Status != metav1.ConditionTrue {
		return nil
	}
	begun := isDisrupting(claim)
	if begun { // before the condition that says who put it there
		if err := e.untaint(ctx, node); err != nil {
			return fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
		}
	}
	if _, err := e.setEmpty(ctx, claim, metav1.ConditionFalse, reasonPods, why, e.clock.Now()); err != nil {
		return client.IgnoreNotFound(err)
	}
	e.places.free(claim.Name)
	log.FromContext(ctx).Info("node no longer empty", "node", node.Name, "why", why, "removalBegun", begun)
	if begun {
		e.recorder.Eventf(node, claim, corev1.EventTypeNormal, "DisruptionCancelled", "Keep", "No longer empty: %s", why)
	}
	return nil
}

// empty starts or continues an episode of emptiness. It returns how long to wait until
// looking again; zero to wait for an event.
func (e *emptiness) empty(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (time.Duration, error) {
	var pool v1alpha1.NodePool
	err := e.client.Get(ctx, client.ObjectKey{Name: claim.Spec.NodePool}, &pool)
	if client.IgnoreNotFound(err) != nil {
		return 0, fmt.Errorf("nodeclaim %s: get pool: %w", claim.Name, err)
	}
	after, never := time.Duration(0), true // without its pool nobody says when the node may go
	if err == nil {
		if after, never, err = pool.Spec.Disruption.EmptyFor(); err != nil {
			return 0, fmt.Errorf("pool %s: %w", pool.Name, err)
		}
	}
	since, begins := e.episodes.since(claim, node.Name, e.clock.Now())
	left := since.Add(after).Sub(e.clock.Now())
	if begun := isDisrupting(claim); begins || begun && (never || left > 0) {
		if err := e.begin(ctx, claim, node, since, after, never); err != nil {
			e.episodes.drop(claim.Name) // so that it begins again
			return 0, client.IgnoreNotFound(err)
		}
	}
	switch {
	case never:
		return 0, nil
	case left > 0:
		return left, nil
	}
	return e.remove(ctx, claim, node, &pool, cause{
		reason: v1alpha1.ReasonEmpty, condition: reasonNoPods, message: "empty for its pool's consolidateAfter", needed: e.occupied, keep: e.keep,
	})
}

// begin says on claim and node that the node is empty, once an episode. It takes back
// a removal that had begun when its pool still said otherwise.
func (e *emptiness) begin(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, since time.Time, after time.Duration, never bool) error {
	message := fmt.Sprintf("empty; will be removed in %s unless a pod lands", after)
	if never {
		message = "empty; stays, as its pool's consolidateAfter is Never or the pool is gone"
	}
	if isDisrupting(claim) {
		if err := e.untaint(ctx, node); err != nil {
			return err
		}
		e.places.free(claim.Name)
	}
	wrote, err := e.setEmpty(ctx, claim, metav1.ConditionTrue, reasonNoPods, message, since)
	if err != nil || !wrote {
		return err
	}
	log.FromContext(ctx).Info("node is empty", "node", node.Name, "pool", claim.Spec.NodePool,
		"instance", claim.Status.InstanceID, "price", claim.Status.PricePerHour, "ttl", after.String(), "never", never)
	if !never {
		e.recorder.Eventf(node, claim, corev1.EventTypeNormal, "EmptyTTLStarted", "Wait", "%s", message)
	}
	return nil
}
