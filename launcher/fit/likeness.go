package fit

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
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
	var d digest
	d.str(pod.Namespace)
	d.labels(pod.Labels, func(key string) bool { return !slices.Contains(ordinals, key) })
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Ephemeral != nil {
			return "", nil
		}
		if !anywhere(v) {
			d.num(1)
			if err := put(&d, v); err != nil {
				return "", fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
			}
		}
	}
	d.num(0)
	d.num(int64(priority(pod)))
	if err := firstOf(d.constraints(&pod.Spec), d.amounts(&pod.Spec)); err != nil {
		return "", fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return string(d.raw), nil
}
