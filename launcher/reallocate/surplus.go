package reallocate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Pools of a fixed size. Package replicas launches what they lack, a substitute for a node that
// is being replaced among them, and says by the condition Surplus which nodes are too many.

// bySurplus removes a node that its pool has beyond its replicas, and tells whether it is one,
// which then need not be replaced for anything.
func (r *remover) bySurplus(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (wait time.Duration, surplus bool, err error) {
	told := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionSurplus)
	if told == nil || told.Status != metav1.ConditionTrue {
		return 0, false, nil
	}
	if isLeaving(claim) && !r.begun(claim, v1alpha1.ReasonSurplus) { // for something else
		return 0, false, nil
	}
	pool, err := r.poolOf(ctx, claim)
	if err != nil {
		return 0, false, err
	}
	if pool == nil || pool.Spec.Replicas == nil { // not any more
		return 0, false, client.IgnoreNotFound(r.tell(ctx, claim, node, cause{reason: v1alpha1.ReasonSurplus}))
	}
	if rest := r.rests.left(claim, r.clock.Now()); rest > 0 {
		return rest, true, nil
	}
	c := r.causeOf(v1alpha1.ReasonSurplus, told.Reason, fmt.Sprintf("more than the %d nodes that its pool wants", *pool.Spec.Replicas))
	why, err := r.promised(ctx, claim, node)
	if err != nil {
		return 0, true, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	if why != "" { // whose pod is on its way: it tells when it has come
		return 0, true, c.keep(ctx, claim, node, why)
	}
	wait, err = r.remove(ctx, claim, node, pool, c)
	return wait, true, err
}

// needsSubstitute tells whether another node of the pool is to be ready before one goes.
func needsSubstitute(pool *v1alpha1.NodePool, c cause) bool {
	return pool.Spec.Replicas != nil && c.withPods && c.reason != v1alpha1.ReasonSurplus
}

// noSubstitute says why there will be none; empty when there may be.
func noSubstitute(pool *v1alpha1.NodePool, c cause) string {
	limit, ok := pool.Spec.Limits["nodes"]
	if !ok || !needsSubstitute(pool, c) || limit.Value() > *pool.Spec.Replicas {
		return ""
	}
	return fmt.Sprintf("pool %s has no room for another node first: limits.nodes is %d, replicas is %d", pool.Name, limit.Value(), *pool.Spec.Replicas)
}

// substituted tells how long to wait until the pool has its replicas without the node. One
// that has waited for too long is given back.
func (r *remover) substituted(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, pool *v1alpha1.NodePool, c cause, since time.Time) (time.Duration, error) {
	var claims v1alpha1.NodeClaimList
	if err := r.client.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		return 0, fmt.Errorf("list nodeclaims: %w", err)
	}
	ready := int64(0)
	for i := range claims.Items {
		other := &claims.Items[i]
		if other.Spec.NodePool == pool.Name && other.Name != claim.Name && other.DeletionTimestamp == nil && isInitialized(other) && !other.IsBeingReplaced() {
			ready++
		}
	}
	if ready >= *pool.Spec.Replicas {
		return 0, nil
	}
	if left := since.Add(r.patience).Sub(r.clock.Now()); left > 0 {
		return left, nil
	}
	return r.giveBack(ctx, claim, node, c, fmt.Sprintf(": its pool has %d of its %d other nodes", ready, *pool.Spec.Replicas))
}
