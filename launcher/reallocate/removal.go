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
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// disruptedTaint keeps new pods off a node that is on its way out.
var disruptedTaint = corev1.Taint{Key: v1alpha1.DisruptedTaintKey, Effect: corev1.TaintEffectNoSchedule}

// beingRemoved ends the message of a condition by which a node is being removed.
const beingRemoved = "; being removed"

// cause is why a node is to go.
type cause struct {
	reason    v1alpha1.DisruptionReason
	condition string // the condition's reason while nothing else is to be said
	message   string // "empty for its pool's consolidateAfter"
	// needed says, by a reader of pods, what the node is needed for; empty when for nothing.
	needed func(ctx context.Context, pods client.Reader, claim *v1alpha1.NodeClaim, node *corev1.Node) (string, error)
	// withPods: there may be pods on the node, whose successors need room before it goes.
	withPods bool
	// forced: nobody can forbid it.
	forced bool
	// sparing: the node only goes to save money, and stays where that turns out not to pay.
	sparing bool
	// mark, if set, notes on the claim how its node is to be removed.
	mark func(*v1alpha1.NodeClaimStatus)
	// keep ends the cause when the node turns out to be needed.
	keep func(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, why string) error
}

// remove takes a node one step closer to its end: a place in the budgets and the taint,
// then, when no pod can be on its way to it any more and those that are there have room
// elsewhere, a last look and the end of its claim. It returns how long to wait until the
// next step; zero to wait for an event.
func (r *remover) remove(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, pool *v1alpha1.NodePool, c cause) (time.Duration, error) {
	place := r.places.of(claim)
	if wait := place.settled.Sub(r.clock.Now()); wait > 0 || place.deleted {
		return max(0, wait), nil
	}
	if kept, until, err := r.forbidden(ctx, r.client, claim, node, c); err != nil || kept {
		return until, err
	}
	if why := paused(pool, c.reason); why != "" {
		return r.retry, r.block(ctx, claim, node, c, reasonPaused, why)
	}
	if why := noSubstitute(pool, c); why != "" {
		return r.retry, r.block(ctx, claim, node, c, reasonLimits, why)
	}
	why, err := r.unyielding(ctx, node, pool, c)
	if err != nil {
		return 0, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	if why != "" {
		return r.retry, r.block(ctx, claim, node, c, reasonPDB, why)
	}
	full, err := r.places.take(ctx, r, claim, pool, c.reason)
	if err != nil {
		return 0, fmt.Errorf("pool %s: %w", pool.Name, err)
	}
	if full != "" {
		r.waiting.add(claim)
		return r.retry, r.block(ctx, claim, node, c, reasonBudget, full)
	}
	r.waiting.remove(claim.Name)
	if place.settled.IsZero() {
		return r.mark(ctx, claim, node, c)
	}
	if needsSubstitute(pool, c) {
		if wait, err := r.substituted(ctx, claim, node, pool, c, place.settled); err != nil || wait > 0 {
			return wait, err
		}
	}
	if c.withPods {
		if wait, err := r.replaced(ctx, claim, node, c, place.settled); err != nil || wait > 0 {
			return wait, err
		}
	}
	return r.end(ctx, claim, node, c)
}

// end asks for the claim's end if the API server, which the cache may lag behind, agrees
// that nothing is in the way. It returns how long to wait where something is that ends by itself.
func (r *remover) end(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, c cause) (time.Duration, error) {
	fresh := &corev1.Node{}
	if err := r.direct.Get(ctx, client.ObjectKeyFromObject(node), fresh); err != nil {
		return 0, client.IgnoreNotFound(err)
	}
	if fresh.UID != node.UID || fresh.DeletionTimestamp != nil {
		return 0, nil
	}
	why, err := c.needed(ctx, r.direct, claim, fresh)
	if err != nil {
		return 0, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	if why != "" {
		return 0, c.keep(ctx, claim, fresh, why)
	}
	if kept, until, err := r.forbidden(ctx, r.direct, claim, fresh, c); err != nil || kept {
		return until, err
	}
	return 0, r.delete(ctx, claim, fresh, c)
}

// forbidden tells whether somebody forbids to disrupt the node, and then says so on it.
// until is how long that lasts by itself; zero if it does not end so.
func (r *remover) forbidden(ctx context.Context, pods client.Reader, claim *v1alpha1.NodeClaim, node *corev1.Node, c cause) (kept bool, until time.Duration, err error) {
	if c.forced {
		return false, 0, nil
	}
	now := r.clock.Now()
	p, err := cluster.ProtectionOf(ctx, pods, claim, node, now)
	if err != nil || p.By == "" {
		return false, 0, err
	}
	if !p.Until.IsZero() {
		until = p.Until.Sub(now)
	}
	return true, until, r.block(ctx, claim, node, c, reasonDoNotDisrupt, p.String())
}

// unyielding says which pod's PodDisruptionBudget would keep the drain of the node from ever
// ending; empty when none does, or the pool bounds drains.
func (r *remover) unyielding(ctx context.Context, node *corev1.Node, pool *v1alpha1.NodePool, c cause) (string, error) {
	if !c.withPods || c.forced || pool.Spec.Template.Spec.TerminationGracePeriod != nil {
		return "", nil
	}
	pods, err := cluster.PodsOn(ctx, r.client, node.Name)
	if err != nil {
		return "", err
	}
	return cluster.Unyielding(ctx, r.client, pods)
}

// block says on claim and node, once a reason, what keeps a node that is to go, and gives
// up a removal that had begun.
func (r *remover) block(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, c cause, reason, why string) error {
	if r.begun(claim, c.reason) {
		if err := r.untaint(ctx, node); err != nil {
			return fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
		}
	}
	if was := meta.FindStatusCondition(claim.Status.Conditions, conditionFor(c.reason)); was == nil || was.Reason != reason {
		_, err := r.setCondition(ctx, claim, false, r.conditionOf(c, reason, c.message+"; "+why), nil)
		if err != nil {
			return client.IgnoreNotFound(err)
		}
		log.FromContext(ctx).Info("node stays", "node", node.Name, "for", c.reason, "reason", reason, "message", why)
		r.recorder.Eventf(node, claim, corev1.EventTypeNormal, "DisruptionBlocked", "Keep", "%s, but not removed: %s", c.reason, why)
	}
	r.places.free(claim.Name)
	return nil
}

// mark taints the node and tells how long to wait until no pod can be on its way to it
// any more. The condition is written first: it says who put the taint there, to whoever
// goes on after a crash.
func (r *remover) mark(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, c cause) (time.Duration, error) {
	if _, err := r.setCondition(ctx, claim, false, r.conditionOf(c, reasonDisrupting, c.message+beingRemoved), c.mark); err != nil {
		return 0, client.IgnoreNotFound(err)
	}
	if err := r.taint(ctx, node); err != nil {
		return 0, err
	}
	r.places.marked(claim, c.reason, r.clock.Now().Add(r.settle))
	return r.settle, nil
}

// begun tells whether the removal of the claim's node has begun for a reason. Its condition
// says so, which the cache may not show yet.
func (r *remover) begun(claim *v1alpha1.NodeClaim, reason v1alpha1.DisruptionReason) bool {
	place := r.places.of(claim)
	return begunFor(claim, conditionFor(reason)) || place.reason == reason && !place.settled.IsZero()
}

// conditionOf is the condition by which a cause is told.
func (r *remover) conditionOf(c cause, reason, message string) metav1.Condition {
	return metav1.Condition{
		Type: conditionFor(c.reason), Status: metav1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(r.clock.Now()),
	}
}

// delete asks for the claim's end.
func (r *remover) delete(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, c cause) error {
	err := r.client.Delete(ctx, claim, client.Preconditions{UID: &claim.UID})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("nodeclaim %s: delete: %w", claim.Name, err)
	}
	r.places.deleted(claim) // its place is taken until it is gone
	log.FromContext(ctx).Info("removing node", "for", c.reason, "why", c.message, "node", node.Name, "pool", claim.Spec.NodePool,
		"instance", claim.Status.InstanceID, "type", claim.Status.InstanceType, "zone", claim.Status.Zone, "price", claim.Status.PricePerHour)
	r.metrics.disruptions.WithLabelValues(string(c.reason)).Inc()
	return nil
}

func (r *remover) taint(ctx context.Context, node *corev1.Node) error {
	return r.updateTaints(ctx, node, func(taints []corev1.Taint) []corev1.Taint {
		if slices.ContainsFunc(taints, isDisrupted) {
			return taints
		}
		return append(taints, disruptedTaint)
	})
}

func (r *remover) untaint(ctx context.Context, node *corev1.Node) error {
	return r.updateTaints(ctx, node, func(taints []corev1.Taint) []corev1.Taint {
		return slices.DeleteFunc(taints, isDisrupted)
	})
}

func isDisrupted(t corev1.Taint) bool { return t.MatchTaint(&disruptedTaint) }

// updateTaints changes the taints of the node's newest version. They are replaced as a
// whole, which others do too: hence the lock.
func (r *remover) updateTaints(ctx context.Context, node *corev1.Node, change func([]corev1.Taint) []corev1.Taint) error {
	base := node.DeepCopy()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		next := base.DeepCopy()
		next.Spec.Taints = change(next.Spec.Taints)
		if len(next.Spec.Taints) == len(base.Spec.Taints) {
			return nil
		}
		err := r.client.Patch(ctx, next, client.StrategicMergeFrom(base, client.MergeFromWithOptimisticLock{}))
		if apierrors.IsConflict(err) {
			if gone := r.direct.Get(ctx, client.ObjectKeyFromObject(node), base); gone != nil {
				return gone
			}
			return err // makes RetryOnConflict try again
		}
		return err
	})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("node %s: write taints: %w", node.Name, err)
	}
	return nil
}

func podName(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }
