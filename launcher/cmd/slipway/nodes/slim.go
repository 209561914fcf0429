package nodes

import corev1 "k8s.io/api/core/v1"

// Slim copies what a view reads of a pod.
func Slim(pod *corev1.Pod) *corev1.Pod {
	p := &corev1.Pod{}
	p.Namespace, p.Name, p.UID, p.ResourceVersion = pod.Namespace, pod.Name, pod.UID, pod.ResourceVersion
	p.CreationTimestamp, p.DeletionTimestamp = pod.CreationTimestamp, pod.DeletionTimestamp
	p.Annotations, p.OwnerReferences = pod.Annotations, pod.OwnerReferences
	p.Spec = corev1.PodSpec{
		NodeName: pod.Spec.NodeName, Overhead: pod.Spec.Overhead, Resources: pod.Spec.Resources,
		Containers: slimContainers(pod.Spec.Containers), InitContainers: slimContainers(pod.Spec.InitContainers),
	}
	p.Status.Phase, p.Status.Conditions = pod.Status.Phase, pod.Status.Conditions
	p.Status.Resources, p.Status.AllocatedResources = pod.Status.Resources, pod.Status.AllocatedResources
	p.Status.ContainerStatuses = slimStatuses(pod.Status.ContainerStatuses)
	p.Status.InitContainerStatuses = slimStatuses(pod.Status.InitContainerStatuses)
	return p
}

func slimContainers(containers []corev1.Container) []corev1.Container {
	var all []corev1.Container
	for _, c := range containers {
		all = append(all, corev1.Container{Name: c.Name, Resources: c.Resources, RestartPolicy: c.RestartPolicy})
	}
	return all
}

func slimStatuses(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for _, s := range statuses {
		all = append(all, corev1.ContainerStatus{Name: s.Name, Resources: s.Resources, AllocatedResources: s.AllocatedResources})
	}
	return all
}
