package nodeclaim

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// mostNamed is how many pods and volumes a message names.
const mostNamed = 5

// report writes on the claim what the drain waits for, not more often than every few
// seconds: each pod that leaves changes it.
func (t *terminator) report(ctx context.Context, claim *v1alpha1.NodeClaim, left remaining, blocked map[string]string) error {
	if !t.drains.of(claim).mayReport(t.clock.Now()) {
		return nil
	}
	message := left.describe(blocked)
	wrote, err := t.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		t.set(c, v1alpha1.ConditionDraining, metav1.ConditionTrue, reasonDraining, message)
	})
	if wrote {
		log.FromContext(ctx).Info("draining", "node", claim.Status.NodeName, "instance", claim.Status.InstanceID,
			"pods", len(left.pods), "blocked", len(blocked), "volumes", len(left.volumes))
	}
	return err
}

// complain tells, once a pod, of pods that block the drain, by events on claim and node.
func (t *terminator) complain(claim *v1alpha1.NodeClaim, node *corev1.Node, left remaining, blocked map[string]string) {
	drain := t.drains.of(claim)
	for i := range left.pods {
		pod := &left.pods[i]
		why := blocked[podName(pod)]
		if why == "" || !drain.mayComplain(pod.UID) {
			continue
		}
		t.recorder.Eventf(claim, pod, corev1.EventTypeWarning, reasonDrainBlocked, "Drain", "waiting for %s: %s", podName(pod), why)
		t.recorder.Eventf(node, pod, corev1.EventTypeWarning, reasonDrainBlocked, "Drain", "waiting for %s: %s", podName(pod), why)
	}
}

// describe names what a drain waits for, what blocks it first, with why.
func (r remaining) describe(blocked map[string]string) string {
	var first, then []string
	for i := range r.pods {
		name := podName(&r.pods[i])
		if why := blocked[name]; why != "" {
			first = append(first, name+": "+why)
		} else {
			then = append(then, name)
		}
	}
	for _, name := range r.volumes {
		then = append(then, "volume "+name)
	}
	all := append(first, then...)
	if more := len(all) - mostNamed; more > 0 {
		all = append(all[:mostNamed], fmt.Sprintf("%d more", more))
	}
	return "waiting for " + strings.Join(all, "; ")
}
