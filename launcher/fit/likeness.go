package fit

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ordinals are the labels by which controllers tell the pods of one owner apart.
var ordinals = []string{appsv1.StatefulSetPodNameLabel, appsv1.PodIndexLabel, batchv1.JobCompletionIndexAnnotation}

// Likeness is equal for pods that a plan treats alike, whatever else is planned for: a pod
// may take the place that was found for its like. Labels count unless they only name the
// pod. It is empty for a pod of which there is no like, because it claims a volume or a
// device of its own.
func Likeness(pod *corev1.Pod) (string, error) {
	if len(pod.Spec.ResourceClaims) > 0 {
		return "", nil
	}
	reduced := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Labels: maps.Clone(pod.Labels)}, Spec: reducedSpec(pod, portsAndRequests)}
	maps.DeleteFunc(reduced.Labels, func(key, _ string) bool { return slices.Contains(ordinals, key) })
	reduced.Spec.Priority, reduced.Spec.Overhead, reduced.Spec.Resources = pod.Spec.Priority, pod.Spec.Overhead, pod.Spec.Resources
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Ephemeral != nil {
			return "", nil
		}
		if !anywhere(v) {
			reduced.Spec.Volumes = append(reduced.Spec.Volumes, *v)
		}
	}
	raw, err := reduced.Marshal()
	if err != nil {
		return "", fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return string(raw), nil
}
