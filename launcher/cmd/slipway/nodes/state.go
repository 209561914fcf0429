package nodes

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// progress are the conditions that say how far a claim is. True, any other is a reason for
// its node to go.
var progress = []string{
	v1alpha1.ConditionLaunched, v1alpha1.ConditionRegistered, v1alpha1.ConditionInitialized,
	v1alpha1.ConditionReplaced, v1alpha1.ConditionDraining, v1alpha1.ConditionInstanceTerminated,
}

// Causes are the claim's conditions that speak of why its node is to go, whatever their types:
// the one that its removal has begun for first, then the others that hold, the taking back by
// the cloud before the launcher's own will.
func Causes(claim *v1alpha1.NodeClaim) []metav1.Condition {
	causes := slices.DeleteFunc(slices.Clone(claim.Status.Conditions), func(c metav1.Condition) bool { return slices.Contains(progress, c.Type) })
	rank := func(c metav1.Condition) int {
		switch {
		case c.Status != metav1.ConditionTrue:
			return 3
		case c.Type == v1alpha1.ConditionInterrupted:
			return 0
		case c.Reason == v1alpha1.ReasonDisrupting:
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(causes, func(a, b metav1.Condition) int { return rank(a) - rank(b) })
	return causes
}

// The states of a node that no cause has changed; else it is the cause's type, such as
// Drifted, or Removing with it.
const (
	StatePlanned   = "Planned"  // nothing is bought yet
	StateBooting   = "Booting"  // bought, not in the cluster yet
	StateJoining   = "Joining"  // in the cluster, not ready for pods yet
	StateReady     = "Ready"    // and nothing more to be said
	StateProtected = "Kept"     // an annotation keeps it from being disrupted
	StateNotReady  = "NotReady" // any more
	StateCordoned  = "Cordoned"
	StateDraining  = "Draining"
	StateEnding    = "Ending" // the instance is going
)

// state says in a word or two how things stand with a node, and more in a message.
func state(node *corev1.Node, claim *v1alpha1.NodeClaim, pods []*corev1.Pod, now time.Time) (state, message string) {
	leaving := node != nil && node.DeletionTimestamp != nil
	if claim != nil {
		if leaving || claim.DeletionTimestamp != nil {
			return leavingState(claim)
		}
		if c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionInitialized); c == nil || c.Status != metav1.ConditionTrue {
			return comingState(claim)
		}
	}
	switch ready := readiness(node); {
	case node == nil:
		return StateNotReady, "its Node is gone"
	case leaving:
		return StateDraining, "the Node was deleted"
	case ready.Status != corev1.ConditionTrue:
		return StateNotReady, ready.Message
	}
	if claim != nil {
		if causes := Causes(claim); len(causes) > 0 && causes[0].Status == metav1.ConditionTrue {
			c := causes[0]
			if c.Reason == v1alpha1.ReasonDisrupting {
				return "Removing, " + c.Type, c.Message
			}
			return c.Type, c.Message
		}
	}
	if node.Spec.Unschedulable {
		return StateCordoned, ""
	}
	if p := Protection(node, claim, pods, now); p.By != "" {
		return StateProtected, p.String()
	}
	return StateReady, ""
}

// leavingState is that of a node whose end has been asked for.
func leavingState(claim *v1alpha1.NodeClaim) (state, message string) {
	if c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionInstanceTerminated); c != nil {
		return StateEnding, c.Message
	}
	if c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionDraining); c != nil && c.Status == metav1.ConditionTrue {
		return StateDraining, c.Message
	}
	return StateDraining, ""
}

// comingState is that of a node that is not ready for pods yet.
func comingState(claim *v1alpha1.NodeClaim) (state, message string) {
	for _, step := range []struct{ condition, until string }{
		{v1alpha1.ConditionLaunched, StatePlanned}, {v1alpha1.ConditionRegistered, StateBooting}, {v1alpha1.ConditionInitialized, StateJoining},
	} {
		c := meta.FindStatusCondition(claim.Status.Conditions, step.condition)
		switch {
		case c == nil:
			return step.until, ""
		case c.Status != metav1.ConditionTrue:
			return step.until, c.Message
		}
	}
	return StateJoining, ""
}

func readiness(node *corev1.Node) corev1.NodeCondition {
	if node != nil {
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady {
				return c
			}
		}
	}
	return corev1.NodeCondition{Message: "its kubelet has not reported yet"}
}

// Protection is what keeps the node from being disrupted by choice: an annotation of its own,
// its claim's or one of its pods'. The claim may be nil.
func Protection(node *corev1.Node, claim *v1alpha1.NodeClaim, pods []*corev1.Pod, now time.Time) cluster.Protection {
	if claim == nil {
		return cluster.Protection{} // nobody disrupts it
	}
	if p := cluster.ProtectionOfNode(claim, node, now); p.By != "" {
		return p
	}
	for _, pod := range pods {
		if p := cluster.ProtectionOfPod(pod, now); p.By != "" {
			return p
		}
	}
	return cluster.Protection{}
}
