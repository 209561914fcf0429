package reallocate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Reasons of the condition Unhealthy, while nothing else is in the way.
const (
	reasonNotReady = "NodeNotReady"
	reasonBroken   = "NodeBroken"
	reasonImpaired = "InstanceImpaired"
)

// healthConditions of a Node, False when something is broken: those of the node monitoring
// agent of EKS beside the kubelet's own, which is Unknown when the kubelet is not heard of.
// https://docs.aws.amazon.com/eks/latest/userguide/node-health.html
func healthConditions() []corev1.NodeConditionType {
	return []corev1.NodeConditionType{
		corev1.NodeReady, "KernelReady", "ContainerRuntimeReady", "NetworkingReady", "StorageReady", "AcceleratedHardwareReady",
	}
}

// ailment is what is wrong with a node.
type ailment struct {
	reason, message string
	since           time.Time
}

// ailmentOf finds what has been wrong with a node, or its instance, for longest; nil when
// nothing is.
func ailmentOf(claim *v1alpha1.NodeClaim, node *corev1.Node) *ailment {
	var worst *ailment
	add := func(a ailment) {
		if worst == nil || a.since.Before(worst.since) {
			worst = &a
		}
	}
	for _, kind := range healthConditions() {
		c := nodeCondition(node, kind)
		switch {
		case c == nil || c.Status == corev1.ConditionTrue:
		case kind == corev1.NodeReady:
			add(ailment{reasonNotReady, fmt.Sprintf("node is not ready: %s: %s", c.Reason, c.Message), c.LastTransitionTime.Time})
		case c.Status == corev1.ConditionFalse:
			add(ailment{reasonBroken, fmt.Sprintf("node says %s is False: %s: %s", kind, c.Reason, c.Message), c.LastTransitionTime.Time})
		}
	}
	if c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionImpaired); c != nil && c.Status == metav1.ConditionTrue {
		add(ailment{reasonImpaired, c.Message, c.LastTransitionTime.Time})
	}
	return worst
}

func nodeCondition(node *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == kind {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}

// sameHealth tells whether two versions of a node are as healthy.
func sameHealth(was, is *corev1.Node) bool {
	for _, kind := range healthConditions() {
		a, b := nodeCondition(was, kind), nodeCondition(is, kind)
		if (a == nil) != (b == nil) || a != nil && a.Status != b.Status {
			return false
		}
	}
	return true
}

// byHealth replaces a node that has been unhealthy for longer than is tolerated, and tells
// whether it is on its way out; else how long until it would be, zero to wait for an event.
//
// It is not asked whether somebody forbids that: what is on the node is not well served
// there. Where the node is ready, as when only a check of EC2 fails, its pods may still work,
// and have room elsewhere before they are drained. Else they do not, and nothing is waited for.
func (r *remover) byHealth(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (wait time.Duration, goes bool, err error) {
	c, wait := r.illness(claim, node)
	if c.message == "" && !meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionUnhealthy) {
		return wait, false, nil
	}
	pool, err := r.poolOf(ctx, claim)
	if err != nil {
		return 0, false, err
	}
	if pool == nil { // nobody says at which pace it may go
		c = cause{reason: v1alpha1.ReasonUnhealthy}
	}
	if err := r.tell(ctx, claim, node, c); err != nil || c.message == "" {
		return wait, false, client.IgnoreNotFound(err)
	}
	if rest := r.rests.left(claim, r.clock.Now()); rest > 0 && c.withPods {
		return rest, false, nil
	}
	wait, err = r.remove(ctx, claim, node, pool, c)
	return wait, r.begun(claim, v1alpha1.ReasonUnhealthy) || r.places.of(claim).deleted, err
}

// poolOf reads the claim's pool; nil if it is gone.
func (r *remover) poolOf(ctx context.Context, claim *v1alpha1.NodeClaim) (*v1alpha1.NodePool, error) {
	pool := &v1alpha1.NodePool{}
	err := r.client.Get(ctx, client.ObjectKey{Name: claim.Spec.NodePool}, pool)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("nodeclaim %s: get pool: %w", claim.Name, err)
	}
	return pool, nil
}

// illness is the cause for which an unhealthy node goes, with an empty message where it has
// none, or not for long enough, and then how long until it has.
func (r *remover) illness(claim *v1alpha1.NodeClaim, node *corev1.Node) (c cause, wait time.Duration) {
	c = cause{reason: v1alpha1.ReasonUnhealthy, forced: true}
	a := ailmentOf(claim, node)
	if a == nil {
		return c, 0
	}
	if wait := a.since.Add(r.toleration).Sub(r.clock.Now()); wait > 0 {
		return c, wait
	}
	c.condition, c.message = a.reason, a.message
	ready := nodeCondition(node, corev1.NodeReady)
	c.withPods = ready != nil && ready.Status == corev1.ConditionTrue
	c.needed = func(_ context.Context, _ client.Reader, claim *v1alpha1.NodeClaim, node *corev1.Node) (string, error) {
		if again, _ := r.illness(claim, node); again.message == "" {
			return "it has recovered", nil
		}
		return "", nil
	}
	c.keep = func(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, _ string) error {
		return client.IgnoreNotFound(r.tell(ctx, claim, node, cause{reason: v1alpha1.ReasonUnhealthy}))
	}
	return c, 0
}
