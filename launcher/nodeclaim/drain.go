package nodeclaim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

const (
	// drainCheck is how long a drain waits at most for the event of a pod that left.
	drainCheck = 10 * time.Second
	// unhealthyGrace is how long the drain of an unhealthy node may take: what protects its
	// pods would keep them where they do not work.
	unhealthyGrace = 5 * time.Minute
	// stuckAfter is how long past its grace period a pod may still be there before the
	// drain no longer waits for it: its kubelet will not come back to confirm.
	stuckAfter = time.Minute
)

// disruptedTaint keeps new pods off a node that is on its way out.
var disruptedTaint = corev1.Taint{Key: v1alpha1.DisruptedTaintKey, Effect: corev1.TaintEffectNoSchedule}

// drain cordons the node, has its pods leave and its volumes detached. It returns how long
// to wait until looking again; zero when there is nothing left to wait for.
func (t *terminator) drain(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (time.Duration, error) {
	if err := t.cordon(ctx, claim, node); err != nil {
		return 0, err
	}
	left, err := t.remaining(ctx, t.client, claim, node)
	if err != nil {
		return 0, err
	}
	if left.nothing() { // in the cache; the last word is the API server's
		if left, err = t.remaining(ctx, t.direct, claim, node); err != nil || left.nothing() {
			return 0, err
		}
	}
	if !isReady(node) {
		gone, err := t.instanceLost(ctx, claim)
		if err != nil || gone {
			return 0, err
		}
	}
	deadline, err := t.deadline(ctx, claim)
	if err != nil {
		return 0, err
	}
	now := t.clock.Now()
	blocked := t.evictAll(ctx, claim, left, deadline)
	if !deadline.IsZero() && !now.Before(deadline) { // what is left is told to go, so that others may come for it
		log.FromContext(ctx).Info("grace period over, terminating with pods on the node", "node", node.Name,
			"pods", len(left.pods), "volumes", len(left.volumes))
		return 0, nil
	}
	t.complain(claim, node, left, blocked)
	wait := t.drains.of(claim).next(now, drainCheck)
	if !deadline.IsZero() {
		wait = min(wait, untilForced(left.pods, deadline, now))
	}
	return max(wait, time.Millisecond), t.report(ctx, claim, left, blocked)
}

// cordon taints the node and, once, says why it goes.
func (t *terminator) cordon(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) error {
	err := t.updateNode(ctx, node, func(n *corev1.Node) {
		if !hasTaint(n, &disruptedTaint) {
			n.Spec.Taints = append(n.Spec.Taints, disruptedTaint)
		}
		// Load balancers must stop sending before the pods stop answering.
		n.Labels = withMissing(n.Labels, map[string]string{corev1.LabelNodeExcludeBalancers: "true"})
	})
	if err != nil {
		return fmt.Errorf("nodeclaim %s: cordon: %w", claim.Name, err)
	}
	if t.drains.of(claim).announce() {
		reason := endReason(claim)
		if reason == reasonDeleted && deletedFirst(node, claim) {
			reason = reasonNodeDeleted
		}
		log.FromContext(ctx).Info("terminating", append(facts(claim), "reason", reason)...)
		t.recorder.Eventf(node, claim, corev1.EventTypeNormal, reasonTerminating, "Terminate", "Draining and terminating the node: %s", reason)
		t.recorder.Eventf(claim, node, corev1.EventTypeNormal, reasonTerminating, "Terminate", "Draining and terminating node %s: %s", node.Name, reason)
	}
	return nil
}

// remaining is what a drain still waits for.
type remaining struct {
	pods    []corev1.Pod
	volumes []string // names of PersistentVolumes
}

func (r remaining) nothing() bool { return len(r.pods) == 0 && len(r.volumes) == 0 }

// remaining lists what the drain has to wait for. Mirror pods go with the node, as do pods
// that tolerate its taint; finished pods hold nothing. Volumes are looked at when no pod is
// left but DaemonSets': until then they are in use.
func (t *terminator) remaining(ctx context.Context, from client.Reader, claim *v1alpha1.NodeClaim, node *corev1.Node) (remaining, error) {
	pods, err := cluster.PodsOn(ctx, from, node.Name)
	if err != nil {
		return remaining{}, err
	}
	var left remaining
	var staying []corev1.Pod
	using := false
	for _, pod := range pods {
		switch {
		case cluster.IsFinished(&pod) || t.isStuck(&pod):
		case isMirror(&pod) || toleratesDisruption(&pod):
			staying = append(staying, pod)
		default:
			left.pods = append(left.pods, pod)
			using = using || !cluster.IsDaemonPod(&pod)
		}
	}
	if !using {
		left.volumes, err = t.attached(ctx, claim, node, slices.Concat(staying, left.pods))
	}
	return left, err
}

func isMirror(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}

// toleratesDisruption tells whether the pod would be let back onto the node.
func toleratesDisruption(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Tolerations, func(tol corev1.Toleration) bool {
		if tol.Effect != "" && tol.Effect != disruptedTaint.Effect {
			return false
		}
		switch tol.Operator {
		case corev1.TolerationOpExists:
			return tol.Key == "" || tol.Key == disruptedTaint.Key
		case corev1.TolerationOpEqual, "":
			return tol.Key == disruptedTaint.Key && tol.Value == disruptedTaint.Value
		default:
			return false
		}
	})
}

// isStuck tells whether the pod should have ended long ago. Its deletion timestamp
// includes its grace period.
func (t *terminator) isStuck(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && t.clock.Since(pod.DeletionTimestamp.Time) > stuckAfter
}

// instanceLost tells whether the instance under a node that is not ready is ending or
// gone: then nobody is left there to end pods.
func (t *terminator) instanceLost(ctx context.Context, claim *v1alpha1.NodeClaim) (bool, error) {
	instance, err := t.provider.Get(ctx, claim.Status.InstanceID)
	switch {
	case errors.Is(err, cloud.ErrNotFound):
		return t.settled(claim) <= 0, nil
	case errors.Is(err, cloud.ErrThrottled):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("nodeclaim %s: get instance %s: %w", claim.Name, claim.Status.InstanceID, err)
	}
	return instance.Terminating, nil
}

// deadline is when the drain ends whatever is left, by the pool's
// terminationGracePeriod, because the node is unhealthy, or because the cloud ends the
// instance; zero when there is none.
func (t *terminator) deadline(ctx context.Context, claim *v1alpha1.NodeClaim) (time.Time, error) {
	var end time.Time
	atMost := func(t time.Time) {
		if end.IsZero() || t.Before(end) {
			end = t
		}
	}
	if claim.Status.EndsAt != nil {
		atMost(claim.Status.EndsAt.Time)
	}
	if isTrue(claim, v1alpha1.ConditionUnhealthy) {
		atMost(claim.DeletionTimestamp.Add(unhealthyGrace))
	}
	var pool v1alpha1.NodePool
	err := t.client.Get(ctx, client.ObjectKey{Name: claim.Spec.NodePool}, &pool)
	if client.IgnoreNotFound(err) != nil {
		return time.Time{}, fmt.Errorf("nodeclaim %s: get pool %s: %w", claim.Name, claim.Spec.NodePool, err)
	}
	if grace := pool.Spec.Template.Spec.TerminationGracePeriod; grace != nil {
		atMost(claim.DeletionTimestamp.Add(grace.Duration))
	}
	return end, nil
}

func podName(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }
