package nodeclaim

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// terminator owns the claims that are Launched and being deleted: it drains their
// nodes, returns their instances and removes what is left, in that order. Every step
// is repeated until it shows in the API server or the cloud, so a crash between two of
// them loses nothing.
type terminator struct {
	store
	provider cloud.Provider
	recorder events.EventRecorder
	metrics  *metrics
	settle   time.Duration

	drains drains
	polls  workqueue.TypedRateLimiter[string] // of instances shutting down, by claim name
}

func newTerminator(s store, cfg Config, m *metrics) *terminator {
	return &terminator{
		store:    s,
		provider: cfg.Provider,
		recorder: cfg.Recorder,
		metrics:  m,
		settle:   cfg.SettleTime,
		polls:    workqueue.NewTypedItemExponentialFailureRateLimiter[string](500*time.Millisecond, 10*time.Second),
	}
}

// Reconcile brings one claim closer to its end.
func (t *terminator) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	claim := &v1alpha1.NodeClaim{}
	if err := t.client.Get(ctx, req.NamespacedName, claim); err != nil {
		if apierrors.IsNotFound(err) {
			t.forget(req.Name)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if claim.DeletionTimestamp == nil || !isTrue(claim, v1alpha1.ConditionLaunched) ||
		!controllerutil.ContainsFinalizer(claim, v1alpha1.TerminationFinalizer) {
		return reconcile.Result{}, nil
	}
	node, err := cluster.NodeByProviderID(ctx, t.client, claim.Status.ProviderID)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	// A drain that ended is not begun again: the instance may be gone already.
	if node != nil && !hasCondition(claim, v1alpha1.ConditionInstanceTerminated) {
		wait, err := t.drain(ctx, claim, node)
		if err != nil || wait > 0 {
			return reconcile.Result{RequeueAfter: wait}, client.IgnoreNotFound(err)
		}
	}
	wait, err := t.returnInstance(ctx, claim)
	if err != nil || wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, client.IgnoreNotFound(err)
	}
	return reconcile.Result{}, t.finish(ctx, claim, node)
}

// forget drops what was remembered of a claim.
func (t *terminator) forget(name string) {
	t.drains.forget(name)
	t.polls.Forget(name)
}

// returnInstance asks for the instance's end and tells how long to wait until looking
// at it again; zero when it is gone.
func (t *terminator) returnInstance(ctx context.Context, claim *v1alpha1.NodeClaim) (time.Duration, error) {
	if isTrue(claim, v1alpha1.ConditionInstanceTerminated) {
		return 0, nil
	}
	err := t.askForEnd(ctx, claim)
	if err != nil && !errors.Is(err, cloud.ErrNotFound) {
		return t.retry(ctx, claim, err)
	}
	if errors.Is(err, cloud.ErrNotFound) {
		// To be believed, unless the instance is so young that reads may not know of it yet. One
		// that was there to be ended is not.
		if wait := t.settled(claim); wait > 0 && !hasCondition(claim, v1alpha1.ConditionInstanceTerminated) {
			return wait, nil
		}
		return 0, t.instanceGone(ctx, claim)
	}
	wrote, err := t.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		if hasCondition(c, v1alpha1.ConditionDraining) {
			t.set(c, v1alpha1.ConditionDraining, metav1.ConditionFalse, reasonDrained, "all pods have left")
		}
		t.set(c, v1alpha1.ConditionInstanceTerminated, metav1.ConditionFalse, reasonTerminating, "instance "+c.Status.InstanceID+" is shutting down")
	})
	if err != nil {
		return 0, err
	}
	if wrote {
		log.FromContext(ctx).Info("instance terminating", "instance", claim.Status.InstanceID, "node", claim.Status.NodeName)
	}
	return t.polls.When(claim.Name), nil
}

// askForEnd asks the cloud to terminate the instance, or, when that was done before,
// how far it is; ErrNotFound when it is gone.
func (t *terminator) askForEnd(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	id := claim.Status.InstanceID
	if hasCondition(claim, v1alpha1.ConditionInstanceTerminated) {
		instance, err := t.provider.Get(ctx, id)
		if err != nil || instance.Terminating {
			return err
		}
	}
	return t.provider.Terminate(ctx, id)
}

// retry turns a failed call to the cloud into a wait, and says so once a reason.
func (t *terminator) retry(ctx context.Context, claim *v1alpha1.NodeClaim, cause error) (time.Duration, error) {
	wait := t.polls.When(claim.Name)
	log.FromContext(ctx).Info("cannot terminate instance, will retry", "instance", claim.Status.InstanceID,
		"in", wait.String(), "err", cause.Error())
	if errors.Is(cause, cloud.ErrThrottled) {
		return wait, nil
	}
	t.recorder.Eventf(claim, nil, corev1.EventTypeWarning, "TerminationFailing", "Terminate",
		"Cannot terminate instance %s: %v", claim.Status.InstanceID, cause)
	return wait, nil
}

// settled returns how long to wait until the cloud's reads must know of the instance.
func (t *terminator) settled(claim *v1alpha1.NodeClaim) time.Duration {
	launched := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionLaunched)
	return launched.LastTransitionTime.Add(t.settle).Sub(t.clock.Now())
}

// instanceGone writes down that nothing is paid for any more.
func (t *terminator) instanceGone(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	_, err := t.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		if hasCondition(c, v1alpha1.ConditionDraining) {
			t.set(c, v1alpha1.ConditionDraining, metav1.ConditionFalse, reasonDrained, "all pods have left, or went with the instance")
		}
		t.set(c, v1alpha1.ConditionInstanceTerminated, metav1.ConditionTrue, reasonTerminated, "instance "+c.Status.InstanceID+" is gone")
	})
	return err
}

// finish removes the Node and lets the claim go.
func (t *terminator) finish(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) error {
	reason := endReason(claim)
	if node != nil {
		if reason == reasonDeleted && deletedFirst(node, claim) {
			reason = reasonNodeDeleted
		}
		if err := t.removeNode(ctx, node); err != nil {
			return fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
		}
	}
	if err := t.removeFinalizer(ctx, claim); err != nil {
		return err
	}
	log.FromContext(ctx).Info("terminated", append(facts(claim), "reason", reason)...)
	t.metrics.terminated.WithLabelValues(reason).Inc()
	return nil
}

// deletedFirst tells whether the claim is going because its Node was deleted.
func deletedFirst(node *corev1.Node, claim *v1alpha1.NodeClaim) bool {
	return node.DeletionTimestamp != nil && !node.DeletionTimestamp.After(claim.DeletionTimestamp.Time)
}

// removeNode deletes a Node whose instance is gone. One that is gone already is fine.
func (s *store) removeNode(ctx context.Context, node *corev1.Node) error {
	if node.DeletionTimestamp == nil {
		err := s.client.Delete(ctx, node, client.Preconditions{UID: &node.UID})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("delete node %s: %w", node.Name, err)
		}
	}
	err := s.updateNode(ctx, node, func(n *corev1.Node) {
		controllerutil.RemoveFinalizer(n, v1alpha1.TerminationFinalizer)
	})
	return client.IgnoreNotFound(err)
}

// hasCondition tells whether the claim has a condition of that type, whatever its status.
func hasCondition(claim *v1alpha1.NodeClaim, kind string) bool {
	return meta.FindStatusCondition(claim.Status.Conditions, kind) != nil
}
