package workload

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// controller is who wants a pod: the outermost one that is known.
type controller struct{ kind, namespace, name string }

// String is "deployment/web".
func (c controller) String() string { return strings.ToLower(c.kind) + "/" + c.name }

// Owner names a live pod's owner, such as "deployment/web", as far as the pod itself tells.
func Owner(pod *corev1.Pod) string { return ownerName(pod, &Objects{}) }

func ownerName(pod *corev1.Pod, o *Objects) string {
	if c, ok := controllerOf(pod, o); ok {
		return c.String()
	}
	return "pod/" + pod.Name
}

// controllerOf follows a live pod's owners up to its Deployment or CronJob. Where the
// ReplicaSet is not among the input, its name still tells the Deployment's.
func controllerOf(pod *corev1.Pod, o *Objects) (controller, bool) {
	ref := metav1.GetControllerOf(pod)
	if ref == nil {
		return controller{}, false
	}
	c := controller{ref.Kind, pod.Namespace, ref.Name}
	switch ref.Kind {
	case "ReplicaSet":
		for _, rs := range o.ReplicaSets {
			if rs.Namespace == pod.Namespace && rs.Name == ref.Name {
				return parent(c, metav1.GetControllerOf(rs)), true
			}
		}
		hash := pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
		if name, ok := strings.CutSuffix(ref.Name, "-"+hash); ok && hash != "" {
			return controller{"Deployment", pod.Namespace, name}, true
		}
	case "Job":
		for _, j := range o.Jobs {
			if j.Namespace == pod.Namespace && j.Name == ref.Name {
				return parent(c, metav1.GetControllerOf(j)), true
			}
		}
	}
	return c, true
}

// parent is the owner's own controller, or the owner itself.
func parent(owner controller, ref *metav1.OwnerReference) controller {
	if ref == nil {
		return owner
	}
	return controller{ref.Kind, owner.namespace, ref.Name}
}
