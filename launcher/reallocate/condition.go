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

// isDisrupting tells whether the removal of the claim's node has begun.
func isDisrupting(claim *v1alpha1.NodeClaim) bool {
	empty := emptyCondition(claim)
	return empty != nil && empty.Status == metav1.ConditionTrue && empty.Reason == reasonDisrupting
}

// setEmpty writes the condition Empty and tells whether that changed it. at is when
// its status changed; with reason NoPods, that is when this episode began, even if the
// last one was never seen to end.
//
// Conditions are a list, which a merge patch replaces as a whole while other writers
// have conditions of their own in it: hence the lock.
func (e *emptiness) setEmpty(ctx context.Context, claim *v1alpha1.NodeClaim, status metav1.ConditionStatus, reason, message string, at time.Time) (wrote bool, err error) {
	base := claim.DeepCopy()
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		next := base.DeepCopy()
		if reason == reasonNoPods {
			meta.RemoveStatusCondition(&next.Status.Conditions, v1alpha1.ConditionEmpty)
		}
		meta.SetStatusCondition(&next.Status.Conditions, metav1.Condition{
			Type:               v1alpha1.ConditionEmpty,
			Status:             status,
			Reason:             reason,
			Message:            message,
			ObservedGeneration: next.Generation,
			LastTransitionTime: metav1.NewTime(at.Truncate(time.Second)),
		})
		if equality.Semantic.DeepEqual(base.Status, next.Status) {
			return nil
		}
		err := e.client.Status().Patch(ctx, next, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
		if apierrors.IsConflict(err) {
			if gone := e.direct.Get(ctx, client.ObjectKeyFromObject(claim), base); gone != nil {
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
		return false, fmt.Errorf("nodeclaim %s: write condition %s: %w", claim.Name, v1alpha1.ConditionEmpty, err)
	}
	return wrote, nil
}
