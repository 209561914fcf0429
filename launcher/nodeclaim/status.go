package nodeclaim

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Reasons of conditions. Those that end a claim are also the values of the label
// "reason" of slipway_nodeclaims_terminated_total.
const (
	reasonLaunched      = "Launched"
	reasonThrottled     = v1alpha1.ReasonThrottled
	reasonLaunchFailing = v1alpha1.ReasonLaunchFailing
	reasonCapped        = v1alpha1.ReasonLaunchesCapped
	reasonClassNotFound = "NodeClassNotFound"
	reasonClassNotReady = "NodeClassNotReady"

	reasonInsufficientCapacity = v1alpha1.ReasonInsufficientCapacity
	reasonCloudBusy            = "CloudBusy"
	reasonInvalidRequest       = "InvalidRequest"
	reasonAccessDenied         = "AccessDenied"
	reasonLaunchTimeout        = "LaunchTimeout"

	reasonRegistered          = "Registered"
	reasonRegistrationTimeout = v1alpha1.ReasonRegistrationTimeout

	reasonNodeGone = "NodeGone"

	reasonInitialized   = "Initialized"
	reasonNodeNotReady  = "NodeNotReady"
	reasonStartupTaints = "StartupTaintsRemain"
	reasonResources     = "ResourcesNotRegistered"

	reasonInitializationTimeout = v1alpha1.ReasonInitializationTimeout

	reasonDraining     = "Draining"
	reasonDrained      = "Drained"
	reasonDrainBlocked = "DrainBlocked"
	reasonTerminating  = "Terminating"
	reasonTerminated   = "Terminated"

	reasonCheckFailed  = "StatusCheckFailed"
	reasonChecksPassed = "StatusChecksPassed"

	reasonInstanceGone     = "InstanceGone"
	reasonReservationEnded = "ReservationEnded"
	reasonNodeDeleted      = "NodeDeleted"
	reasonDeleted          = "Deleted"

	// reasonDisrupting on Empty, Drifted, Expired, Consolidatable, Unhealthy or Surplus
	// says that the slow loop deleted the claim for it.
	reasonDisrupting = v1alpha1.ReasonDisrupting
)

// store writes NodeClaims.
type store struct {
	client client.Client
	direct client.Reader // reads from the API server, not from the cache
	clock  clock.PassiveClock
}

// updateStatus applies change to the claim's status, on the claim's newest version
// should the given one turn out to be old, and leaves the outcome in claim. change may
// run several times. Conditions are a list, which a merge patch replaces as a whole
// while other writers have conditions of their own in it: hence the lock.
//
// It returns a NotFound error when the claim is gone.
func (s *store) updateStatus(ctx context.Context, claim *v1alpha1.NodeClaim, change func(*v1alpha1.NodeClaim)) (wrote bool, err error) {
	base := claim.DeepCopy()
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		next := base.DeepCopy()
		change(next)
		next.SyncColumns()
		if equality.Semantic.DeepEqual(base.Status, next.Status) {
			base.DeepCopyInto(claim)
			return nil
		}
		lock := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
		err := s.client.Status().Patch(ctx, next, lock)
		if apierrors.IsConflict(err) {
			if gone := s.reread(ctx, claim, base); gone != nil {
				return gone
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
		return false, fmt.Errorf("nodeclaim %s: write status: %w", claim.Name, err)
	}
	return wrote, nil
}

// reread fetches the newest version of a claim; one of the same name but another UID
// counts as not found.
func (s *store) reread(ctx context.Context, claim, into *v1alpha1.NodeClaim) error {
	if err := s.direct.Get(ctx, client.ObjectKeyFromObject(claim), into); err != nil {
		return err
	}
	if into.UID != claim.UID {
		return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("nodeclaims").GroupResource(), claim.Name)
	}
	return nil
}

// addFinalizer makes sure that the claim cannot vanish while it has an instance.
func (s *store) addFinalizer(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	base := claim.DeepCopy()
	if !controllerutil.AddFinalizer(claim, v1alpha1.TerminationFinalizer) {
		return nil
	}
	lock := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := s.client.Patch(ctx, claim, lock); err != nil {
		return fmt.Errorf("nodeclaim %s: add finalizer: %w", claim.Name, err)
	}
	return nil
}

// removeFinalizer lets the claim go. A claim that is gone already is fine.
func (s *store) removeFinalizer(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	base := claim.DeepCopy()
	if !controllerutil.RemoveFinalizer(claim, v1alpha1.TerminationFinalizer) {
		return nil
	}
	lock := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := s.client.Patch(ctx, claim, lock); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("nodeclaim %s: remove finalizer: %w", claim.Name, err)
	}
	return nil
}

// delete asks for the claim's end. A claim that is gone already is fine.
func (s *store) delete(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	same := client.Preconditions{UID: &claim.UID}
	err := s.client.Delete(ctx, claim, same)
	if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("nodeclaim %s: delete: %w", claim.Name, err)
	}
	return nil
}

// set puts a condition on the claim, at the store's time.
func (s *store) set(claim *v1alpha1.NodeClaim, kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&claim.Status.Conditions, metav1.Condition{
		Type:               kind,
		Status:             status,
		Reason:             reason,
		Message:            message,
		ObservedGeneration: claim.Generation,
		LastTransitionTime: metav1.NewTime(s.clock.Now()),
	})
}

// facts are the claim's own, for a log line of its story.
func facts(claim *v1alpha1.NodeClaim) []any {
	s := &claim.Status
	return []any{
		"pool", claim.Spec.NodePool, "instance", s.InstanceID, "type", s.InstanceType, "zone", s.Zone,
		"capacityType", s.CapacityType, "price", s.PricePerHour, "node", s.NodeName, "pods", len(claim.HeldPods()),
	}
}

// isTrue tells whether a condition of the claim is True.
func isTrue(claim *v1alpha1.NodeClaim, kind string) bool {
	return meta.IsStatusConditionTrue(claim.Status.Conditions, kind)
}

// hasReason tells whether a condition of the claim is there with that reason.
func hasReason(claim *v1alpha1.NodeClaim, kind, reason string) bool {
	c := meta.FindStatusCondition(claim.Status.Conditions, kind)
	return c != nil && c.Reason == reason
}

// rejection returns the reason for which the launch was given up; empty when it was not.
func rejection(claim *v1alpha1.NodeClaim) string {
	for _, reason := range []string{reasonInsufficientCapacity, reasonCloudBusy, reasonInvalidRequest, reasonAccessDenied, reasonLaunchTimeout} {
		if hasReason(claim, v1alpha1.ConditionLaunched, reason) {
			return reason
		}
	}
	return ""
}

// endReason says why a claim that is being deleted ends, as its conditions tell.
func endReason(claim *v1alpha1.NodeClaim) string {
	if reason := rejection(claim); reason != "" {
		return reason
	}
	if hasReason(claim, v1alpha1.ConditionRegistered, reasonRegistrationTimeout) {
		return reasonRegistrationTimeout
	}
	if hasReason(claim, v1alpha1.ConditionInitialized, reasonInitializationTimeout) {
		return reasonInitializationTimeout
	}
	if hasReason(claim, v1alpha1.ConditionInstanceTerminated, reasonInstanceGone) {
		return reasonInstanceGone
	}
	if c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionInterrupted); c != nil {
		return c.Reason
	}
	for _, method := range []struct {
		condition string
		reason    v1alpha1.DisruptionReason
	}{
		{v1alpha1.ConditionEmpty, v1alpha1.ReasonEmpty},
		{v1alpha1.ConditionDrifted, v1alpha1.ReasonDrifted},
		{v1alpha1.ConditionExpired, v1alpha1.ReasonExpired},
		{v1alpha1.ConditionConsolidatable, v1alpha1.ReasonUnderutilized},
		{v1alpha1.ConditionUnhealthy, v1alpha1.ReasonUnhealthy},
		{v1alpha1.ConditionSurplus, v1alpha1.ReasonSurplus},
	} {
		if hasReason(claim, method.condition, reasonDisrupting) {
			return string(method.reason)
		}
	}
	return reasonDeleted
}
