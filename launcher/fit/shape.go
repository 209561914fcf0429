package fit

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Key names a shape: pods of equal keys are interchangeable to every Filter plugin.
type Key [sha256.Size]byte

// perPodLabels differ between pods of one owner. They are left out of a shape unless the
// pod selects other pods, since then any label may matter.
var perPodLabels = []string{
	"statefulset.kubernetes.io/pod-name",
	"apps.kubernetes.io/pod-index",
	"batch.kubernetes.io/job-completion-index",
}

// KeyOf hashes what the Filter plugins read of a pod.
func KeyOf(pod *corev1.Pod) (Key, error) {
	reduced := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Labels: pod.Labels},
		Spec: corev1.PodSpec{
			SchedulerName:             pod.Spec.SchedulerName,
			NodeSelector:              pod.Spec.NodeSelector,
			Affinity:                  pod.Spec.Affinity,
			Tolerations:               pod.Spec.Tolerations,
			TopologySpreadConstraints: pod.Spec.TopologySpreadConstraints,
			Priority:                  pod.Spec.Priority,
			Overhead:                  pod.Spec.Overhead,
			Resources:                 pod.Spec.Resources,
			ResourceClaims:            pod.Spec.ResourceClaims,
			HostNetwork:               pod.Spec.HostNetwork,
			OS:                        pod.Spec.OS,
			Volumes:                   schedulingVolumes(pod.Spec.Volumes),
			Containers:                schedulingContainers(pod.Spec.Containers),
			InitContainers:            schedulingContainers(pod.Spec.InitContainers),
		},
	}
	if slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Ephemeral != nil }) {
		reduced.Name = pod.Name // its volumes are claimed by names of its own
	}
	if pod.Spec.Affinity == nil && len(pod.Spec.TopologySpreadConstraints) == 0 {
		reduced.Labels = maps.Clone(pod.Labels)
		for _, l := range perPodLabels {
			delete(reduced.Labels, l)
		}
	}
	raw, err := reduced.Marshal()
	if err != nil {
		return Key{}, fmt.Errorf("shape of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return sha256.Sum256(raw), nil
}

// schedulingContainers keeps requests, host ports and whether an init container is a sidecar.
func schedulingContainers(containers []corev1.Container) []corev1.Container {
	var kept []corev1.Container
	for _, c := range containers {
		kept = append(kept, corev1.Container{Resources: c.Resources, Ports: c.Ports, RestartPolicy: c.RestartPolicy})
	}
	return kept
}

// schedulingVolumes drops the volumes that bind a pod to no place.
func schedulingVolumes(volumes []corev1.Volume) []corev1.Volume {
	var kept []corev1.Volume
	for _, v := range volumes {
		if v.EmptyDir == nil && v.ConfigMap == nil && v.Secret == nil && v.Projected == nil && v.DownwardAPI == nil && v.HostPath == nil {
			kept = append(kept, v)
		}
	}
	return kept
}
