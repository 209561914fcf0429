package nodeclaim

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// joiningTaints are on every node that is not ready for pods yet, put there by the
// kubelet, the node lifecycle controller or a cloud controller manager.
var joiningTaints = []corev1.Taint{
	{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodeNetworkUnavailable, Effect: corev1.TaintEffectNoSchedule},
	{Key: "node.cloudprovider.kubernetes.io/uninitialized", Effect: corev1.TaintEffectNoSchedule},
}

// missingOf returns what the node lacks to be initialized; nil when it is ready,
// without start-up taints, and has registered every resource that was asked of it.
func missingOf(claim *v1alpha1.NodeClaim, node *corev1.Node) *blocker {
	if !isReady(node) {
		return &blocker{reasonNodeNotReady, "node " + node.Name + " is not ready"}
	}
	for _, taint := range slices.Concat(claim.Spec.StartupTaints, joiningTaints) {
		if hasTaint(node, &taint) {
			return &blocker{reasonStartupTaints, fmt.Sprintf("taint %s:%s is still on node %s", taint.Key, taint.Effect, node.Name)}
		}
	}
	var absent []string
	for name, want := range claim.Spec.Requests {
		if has := node.Status.Allocatable[name]; !want.IsZero() && has.IsZero() {
			absent = append(absent, string(name))
		}
	}
	if len(absent) > 0 {
		slices.Sort(absent)
		return &blocker{reasonResources, fmt.Sprintf("node %s has not registered %s", node.Name, strings.Join(absent, ", "))}
	}
	return nil
}

// isReady tells whether the kubelet says that the node can take pods.
func isReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}
