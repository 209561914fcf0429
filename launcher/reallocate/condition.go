package reallocate

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// emptyCondition returns the claim's condition Empty; nil when it was never empty.
func emptyCondition(claim *v1alpha1.NodeClaim) *metav1.Condition {
	return meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionEmpty)
}

// isDisrupting tells whether the removal of the claim's node as an empty one has begun.
func isDisrupting(claim *v1alpha1.NodeClaim) bool { return begunFor(claim, v1alpha1.ConditionEmpty) }

// begunFor tells whether the removal of the claim's node has begun for what the condition says.
func begunFor(claim *v1alpha1.NodeClaim, condition string) bool {
	c := meta.FindStatusCondition(claim.Status.Conditions, condition)
	return c != nil && c.Status == metav1.ConditionTrue && c.Reason == reasonDisrupting
}

// isLeaving tells whether the removal of the claim's node has begun, whatever for.
func isLeaving(claim *v1alpha1.NodeClaim) bool {
	return isDisrupting(claim) || begunFor(claim, v1alpha1.ConditionExpired) || begunFor(claim, v1alpha1.ConditionDrifted) ||
		begunFor(claim, v1alpha1.ConditionUnhealthy) || begunFor(claim, v1alpha1.ConditionSurplus) ||
		begunFor(claim, v1alpha1.ConditionConsolidatable)
}

// conditionFor is the condition by which a reason is told: of most, the one of its name.
func conditionFor(reason v1alpha1.DisruptionReason) string {
	if reason == v1alpha1.ReasonUnderutilized {
		return v1alpha1.ConditionConsolidatable
	}
	return string(reason)
}

// setEmpty writes the condition Empty and tells whether that changed it. at is when
// its status changed; with reason NoPods, that is when this episode began, even if the
// last one was never seen to end.
func (r *remover) setEmpty(ctx context.Context, claim *v1alpha1.NodeClaim, status metav1.ConditionStatus, reason, message string, at time.Time) (wrote bool, err error) {
	return r.setCondition(ctx, claim, reason == reasonNoPods, metav1.Condition{
		Type: v1alpha1.ConditionEmpty, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(at.Truncate(time.Second)),
	}, nil)
}

// setCondition writes a condition of the claim, and what more is to be changed with it, and
// tells whether that changed it; anew makes its time count even if the status is as it was.
//
// Conditions are a list, which a merge patch replaces as a whole while other writers
// have conditions of their own in it: hence the lock.
func (r *remover) setCondition(ctx context.Context, claim *v1alpha1.NodeClaim, anew bool, c metav1.Condition, more func(*v1alpha1.NodeClaimStatus)) (wrote bool, err error) {
	base := claim.DeepCopy()
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		next := base.DeepCopy()
		if anew {
			meta.RemoveStatusCondition(&next.Status.Conditions, c.Type)
		}
		c.ObservedGeneration = next.Generation
		meta.SetStatusCondition(&next.Status.Conditions, c)
		if more != nil {
			more(&next.Status)
		}
		if base.IsBeingReplaced() != next.IsBeingReplaced() { // it holds for one attempt
			meta.RemoveStatusCondition(&next.Status.Conditions, v1alpha1.ConditionReplaced)
		}
		if equality.Semantic.DeepEqual(base.Status, next.Status) {
			return nil
		}
		err := r.client.Status().Patch(ctx, next, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
		if apierrors.IsConflict(err) {
			if gone := r.direct.Get(ctx, client.ObjectKeyFromObject(claim), base); gone != nil {
				return gone
			}
			if base.UID != claim.UID {
				return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("nodeclaims").GroupResource(), claim.Name)
			}
			return err // makes RetryOnConflict try again
		}
		if err != nil {
			return err
		}
		wrote = true
		next.DeepCopyInto(claim)
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("nodeclaim %s: write condition %s: %w", claim.Name, c.Type, err)
	}
	return wrote, nil
}
