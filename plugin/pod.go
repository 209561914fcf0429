package plugin

import (
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/resource"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/kubernetes/pkg/scheduler/util"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// labelPodGroup names the group that a pod is a member of (launcher/api/v1alpha1).
const labelPodGroup = "slipway.dev/pod-group"

// podOf reads what the ledger needs of a pod. Requests are computed as the scheduler
// does for a pod without a node (plugins/noderesources/fit.go:321).
func podOf(pod *v1.Pod) *ledger.Pod {
	p := &ledger.Pod{
		PodRef:      podRef(pod),
		Priority:    priorityOf(pod),
		Ports:       util.GetHostPorts(pod),
		Tolerations: pod.Spec.Tolerations,
	}
	for name, q := range resource.PodRequests(pod, resource.PodResourcesOptions{}) {
		switch name {
		case v1.ResourceCPU:
			p.Requests.MilliCPU = q.MilliValue()
		case v1.ResourceMemory:
			p.Requests.Memory = q.Value()
		case v1.ResourceEphemeralStorage:
			p.Requests.EphemeralStorage = q.Value()
		default:
			if p.Requests.Scalar == nil {
				p.Requests.Scalar = map[v1.ResourceName]int64{}
			}
			p.Requests.Scalar[name] = q.Value()
		}
	}
	return p
}

func podRef(pod *v1.Pod) ledger.PodRef {
	return ledger.PodRef{UID: pod.UID, Namespace: pod.Namespace, Name: pod.Name}
}

func priorityOf(pod *v1.Pod) int32 { return corev1helpers.PodPriority(pod) }

// daemonsNode is the node that a DaemonSet's pod is for; its controller writes it so
// (k8s.io/kubernetes/pkg/controller/daemon/util, ReplaceDaemonSetPodNodeNameNodeAffinity).
func daemonsNode(pod *v1.Pod) string {
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range term.MatchFields {
			if f.Key == metav1.ObjectNameField && f.Operator == v1.NodeSelectorOpIn && len(f.Values) == 1 {
				return f.Values[0]
			}
		}
	}
	return ""
}

// isDaemon reports whether a DaemonSet made the pod, for one particular node.
func isDaemon(pod *v1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.Kind == "DaemonSet" && owner.APIVersion == "apps/v1"
}
