package reallocate

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// byUnderuse removes a node that the look at the whole cluster (consolidation.go) has chosen,
// or goes on with one whose removal has begun. Unlike what has expired or drifted it stays
// where anything is in the way: the next look decides anew.
func (r *remover) byUnderuse(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (time.Duration, error) {
	begun := r.begun(claim, v1alpha1.ReasonUnderutilized)
	chosen, ok := r.moves.of(claim)
	if !begun && (!ok || isLeaving(claim)) {
		return 0, nil
	}
	var pool v1alpha1.NodePool
	if err := r.client.Get(ctx, client.ObjectKey{Name: claim.Spec.NodePool}, &pool); client.IgnoreNotFound(err) != nil {
		return 0, fmt.Errorf("nodeclaim %s: get pool: %w", claim.Name, err)
	}
	c := r.underuse(claim, chosen)
	why, err := c.needed(ctx, r.client, claim, node)
	if err != nil {
		return 0, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	if pool.Spec.Disruption.ConsolidationPolicy != v1alpha1.ConsolidateWhenEmptyOrUnderutilized {
		why = "its pool no longer says " + string(v1alpha1.ConsolidateWhenEmptyOrUnderutilized)
	}
	if why != "" {
		r.moves.drop(claim.Name)
		return 0, c.keep(ctx, claim, node, why)
	}
	wait, err := r.remove(ctx, claim, node, &pool, c)
	if err == nil && !r.begun(claim, v1alpha1.ReasonUnderutilized) {
		r.moves.drop(claim.Name)
	}
	return wait, err
}

// underuse makes the cause of a move; of one that another process began it is in the claim.
func (r *remover) underuse(claim *v1alpha1.NodeClaim, chosen move) cause {
	message := chosen.message
	if begun := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionConsolidatable); message == "" && begun != nil {
		message = strings.TrimSuffix(begun.Message, beingRemoved)
	}
	c := cause{reason: v1alpha1.ReasonUnderutilized, condition: reasonUnderutilized, message: message, withPods: true, sparing: true}
	c.mark = func(status *v1alpha1.NodeClaimStatus) {
		if chosen.message != "" {
			status.ReplaceBelow = resource.NewScaledQuantity(int64(chosen.below*1e6), resource.Micro)
		}
	}
	c.needed = func(ctx context.Context, pods client.Reader, claim *v1alpha1.NodeClaim, node *corev1.Node) (string, error) {
		why, err := r.promised(ctx, claim, node)
		if err != nil || why != "" {
			return why, err
		}
		on, err := cluster.PodsOn(ctx, pods, node.Name)
		if err != nil {
			return "", err
		}
		for i := range on {
			if why := r.immovable(&on[i]); why.reason != "" {
				return why.message, nil
			}
		}
		return "", nil
	}
	c.keep = func(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, why string) error {
		return r.block(ctx, claim, node, c, reasonNeeded, why)
	}
	return c
}
