package nodeclaim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

const (
	// drainCheck is how long a drain waits at most for the event of a pod that left.
	drainCheck = 10 * time.Second
	// stuckAfter is how long past its grace period a pod may still be there before the
	// drain no longer waits for it: its kubelet will not come back to confirm.
	stuckAfter = time.Minute
)

// disruptedTaint keeps new pods off a node that is on its way out.
var disruptedTaint = corev1.Taint{Key: v1alpha1.DisruptedTaintKey, Effect: corev1.TaintEffectNoSchedule}

// drain cordons the node and evicts its pods. It returns how long to wait until
// looking again; zero when no pod is left to wait for.
func (t *terminator) drain(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (time.Duration, error) {
	if err := t.cordon(ctx, claim, node); err != nil {
		return 0, err
	}
	pods, err := t.remaining(ctx, t.client, node)
	if err != nil {
		return 0, err
	}
	if len(pods) == 0 { // in the cache; the last word is the API server's
		if pods, err = t.remaining(ctx, t.direct, node); err != nil {
			return 0, err
		}
	}
	if len(pods) == 0 {
		return 0, nil
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
	if !deadline.IsZero() && !t.clock.Now().Before(deadline) {
		log.FromContext(ctx).Info("grace period over, terminating with pods on the node", "node", node.Name, "pods", len(pods))
		return 0, nil
	}
	blocked := t.evictAll(ctx, claim, pods, deadline)
	wait := t.drains.of(claim).next(t.clock.Now(), drainCheck)
	if !deadline.IsZero() {
		wait = min(wait, deadline.Sub(t.clock.Now()))
	}
	return max(wait, time.Millisecond), t.report(ctx, claim, pods, blocked)
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

// remaining lists the pods on the node that a drain has to wait for. DaemonSet and
// mirror pods go with the node, as do those that tolerate its taint; finished pods
// hold nothing.
func (t *terminator) remaining(ctx context.Context, from client.Reader, node *corev1.Node) ([]corev1.Pod, error) {
	pods, err := cluster.PodsOn(ctx, from, node.Name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pods, func(pod corev1.Pod) bool {
		return cluster.IsFinished(&pod) || cluster.IsDaemonPod(&pod) || toleratesDisruption(&pod) || t.isStuck(&pod)
	}), nil
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
// terminationGracePeriod; zero when there is none.
func (t *terminator) deadline(ctx context.Context, claim *v1alpha1.NodeClaim) (time.Time, error) {
	var pool v1alpha1.NodePool
	err := t.client.Get(ctx, client.ObjectKey{Name: claim.Spec.NodePool}, &pool)
	switch grace := pool.Spec.Template.Spec.TerminationGracePeriod; {
	case apierrors.IsNotFound(err):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("nodeclaim %s: get pool %s: %w", claim.Name, claim.Spec.NodePool, err)
	case grace == nil:
		return time.Time{}, nil
	default:
		return claim.DeletionTimestamp.Add(grace.Duration), nil
	}
}

// report writes on the claim what the drain waits for, not more often than every few
// seconds: each pod that leaves changes it.
func (t *terminator) report(ctx context.Context, claim *v1alpha1.NodeClaim, pods []corev1.Pod, blocked map[string]string) error {
	if !t.drains.of(claim).mayReport(t.clock.Now()) {
		return nil
	}
	message := waitingFor(pods, blocked)
	wrote, err := t.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		t.set(c, v1alpha1.ConditionDraining, metav1.ConditionTrue, reasonDraining, message)
	})
	if wrote {
		log.FromContext(ctx).Info("draining", "node", claim.Status.NodeName, "instance", claim.Status.InstanceID,
			"pods", len(pods), "blocked", len(blocked))
	}
	return err
}

// waitingFor names pods that a drain waits for, those that block it first, with why.
func waitingFor(pods []corev1.Pod, blocked map[string]string) string {
	const most = 5
	var names []string
	for name, why := range blocked {
		names = append(names, name+" ("+why+")")
	}
	slices.Sort(names)
	var leaving []string
	for _, pod := range pods {
		if name := podName(&pod); blocked[name] == "" {
			leaving = append(leaving, name)
		}
	}
	slices.Sort(leaving)
	names = append(names, leaving...)
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("waiting for %d pods: %s", len(pods), strings.Join(names, ", "))
}

func podName(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }
