package reallocate

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

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
	reasonPaused       = v1alpha1.ConditionDisruptionPaused
	reasonLimits       = "BlockedByLimits"
	reasonPDB          = "BlockedByPodDisruptionBudget"
	reasonDisrupting   = v1alpha1.ReasonDisrupting
)

// byEmptiness removes a node that has been empty for its pool's consolidateAfter. It returns
// how long to wait until looking again; zero to wait for an event.
//
//	           last pod left            TTL over, budget has a place
//	occupied ───────────────▶ empty ─────────────────────────────────▶ disrupting ──▶ claim deleted
//	   ▲                        │                                          │  tainted, then
//	   └────────────────────────┴──────────────────────────────────────────┘  looked at again
//	      a pod lands, is nominated, or holds a reservation
//
// Where a node stands is in its claim's condition Empty, so a crash loses nothing but
// the fraction of a second that the condition's time does not show.
func (r *remover) byEmptiness(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (time.Duration, error) {
	why, err := r.occupied(ctx, r.client, claim, node)
	if err != nil {
		return 0, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	if why != "" {
		return 0, r.keep(ctx, claim, node, why)
	}
	return r.empty(ctx, claim, node)
}

// occupied says what the node is needed for; empty when for nothing. pods are read
// from the given reader; reservations and nominations from the cache, which learnt of
// them when their pods began to wait.
func (r *remover) occupied(ctx context.Context, pods client.Reader, claim *v1alpha1.NodeClaim, node *corev1.Node) (string, error) {
	on, err := cluster.PodsOn(ctx, pods, node.Name)
	if err != nil {
		return "", err
	}
	for i := range on {
		if !cluster.IsFinished(&on[i]) && !cluster.IsDaemonPod(&on[i]) {
			return "pod " + podName(&on[i]) + " runs on it", nil
		}
	}
	return r.promised(ctx, claim, node)
}

// promised says for which pod that is not there yet the node is kept; empty when for none.
func (r *remover) promised(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (string, error) {
	reserved, err := cluster.OpenReservations(ctx, r.client, claim)
	if err != nil {
		return "", err
	}
	if len(reserved) > 0 {
		return fmt.Sprintf("room is reserved for pod %s/%s", reserved[0].Namespace, reserved[0].Name), nil
	}
	replaced, err := r.replaces(ctx, claim)
	if err != nil {
		return "", err
	}
	if replaced != "" {
		return "room is kept for the pods that will follow those of nodeclaim " + replaced, nil
	}
	var nominated corev1.PodList
	if err := r.client.List(ctx, &nominated, client.MatchingFields{fieldNominated: node.Name}); err != nil {
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
func (r *remover) replaces(ctx context.Context, claim *v1alpha1.NodeClaim) (string, error) {
	for _, name := range claim.Spec.Replaces {
		var replaced v1alpha1.NodeClaim
		err := r.client.Get(ctx, client.ObjectKey{Name: name}, &replaced)
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
func (r *remover) replacementsOf(ctx context.Context, replaced *v1alpha1.NodeClaim) []string {
	var claims v1alpha1.NodeClaimList
	if err := r.client.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
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
func (r *remover) keep(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, why string) error {
	r.episodes.end(claim.Name, node.Name)
	r.waiting.remove(claim.Name)
	begun := r.begun(claim, v1alpha1.ReasonEmpty)
	if empty := emptyCondition(claim); !begun && (empty == nil || empty.Status != metav1.ConditionTrue) {
		return nil
	}
	if begun { // before the condition that says who put it there
		if err := r.untaint(ctx, node); err != nil {
			return fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
		}
	}
	if _, err := r.setEmpty(ctx, claim, metav1.ConditionFalse, reasonPods, why, r.clock.Now()); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.places.free(claim.Name)
	log.FromContext(ctx).Info("node no longer empty", "node", node.Name, "why", why, "removalBegun", begun)
	if begun {
		r.recorder.Eventf(node, claim, corev1.EventTypeNormal, "DisruptionCancelled", "Keep", "No longer empty: %s", why)
	}
	return nil
}

// empty starts or continues an episode of emptiness. It returns how long to wait until
// looking again; zero to wait for an event.
func (r *remover) empty(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (time.Duration, error) {
	var pool v1alpha1.NodePool
	err := r.client.Get(ctx, client.ObjectKey{Name: claim.Spec.NodePool}, &pool)
	if client.IgnoreNotFound(err) != nil {
		return 0, fmt.Errorf("nodeclaim %s: get pool: %w", claim.Name, err)
	}
	after, never := time.Duration(0), true // without its pool nobody says when the node may go
	if err == nil {
		if after, never, err = pool.Spec.Disruption.EmptyFor(); err != nil {
			return 0, fmt.Errorf("pool %s: %w", pool.Name, err)
		}
		never = never || pool.Spec.Replicas != nil
	}
	since, begins := r.episodes.since(claim, node.Name, r.clock.Now())
	left := since.Add(after).Sub(r.clock.Now())
	if begun := r.begun(claim, v1alpha1.ReasonEmpty); begins || begun && (never || left > 0) {
		if err := r.begin(ctx, claim, node, since, after, never); err != nil {
			r.episodes.drop(claim.Name) // so that it begins again
			return 0, client.IgnoreNotFound(err)
		}
	}
	switch {
	case never:
		return 0, nil
	case left > 0:
		return left, nil
	}
	return r.remove(ctx, claim, node, &pool, cause{
		reason: v1alpha1.ReasonEmpty, condition: reasonNoPods, message: "empty for its pool's consolidateAfter", needed: r.occupied, keep: r.keep,
	})
}

// begin says on claim and node that the node is empty, once an episode. It takes back
// a removal that had begun when its pool still said otherwise.
func (r *remover) begin(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, since time.Time, after time.Duration, never bool) error {
	message := fmt.Sprintf("empty; will be removed in %s unless a pod lands", after)
	if never {
		message = "empty; stays, as its pool has replicas, its consolidateAfter is Never, or it is gone"
	}
	if r.begun(claim, v1alpha1.ReasonEmpty) {
		if err := r.untaint(ctx, node); err != nil {
			return err
		}
		r.places.free(claim.Name)
	}
	wrote, err := r.setEmpty(ctx, claim, metav1.ConditionTrue, reasonNoPods, message, since)
	if err != nil || !wrote {
		return err
	}
	log.FromContext(ctx).Info("node is empty", "node", node.Name, "pool", claim.Spec.NodePool,
		"instance", claim.Status.InstanceID, "price", claim.Status.PricePerHour, "ttl", after.String(), "never", never)
	if !never {
		r.recorder.Eventf(node, claim, corev1.EventTypeNormal, "EmptyTTLStarted", "Wait", "%s", message)
	}
	return nil
}
