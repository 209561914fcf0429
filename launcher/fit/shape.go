package fit

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/pack"
)

// shape is a set of interchangeable pods: one class, one size, one priority.
type shape struct {
	class    int
	size     int // index of its requests among the distinct ones
	requests pack.Vector
	priority int32
	sample   *corev1.Pod
	info     *framework.PodInfo // of sample
	sized    fwk.StateData      // what NodeResourcesFit's PreFilter left
	waiting  []*corev1.Pod      // yet to be placed, oldest first
	// rejected is why PreFilter refused the next of the waiting pods everywhere, if it did.
	rejected string
	// refusals are the latest reasons for which there was no place, by pool; "" for any.
	refusals map[string]string
}

func (sh *shape) refuse(pool, reason string) {
	if sh.refusals == nil {
		sh.refusals = map[string]string{}
	}
	sh.refusals[pool] = reason
}

// key is equal for pods that the Filter plugins treat alike; without requests and priority,
// for those that all but NodeResourcesFit do.
func (s *Space) key(pod *corev1.Pod, withRequests bool) (string, error) {
	containers := portsOnly
	if withRequests {
		containers = portsAndRequests
	}
	reduced := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Labels: s.read(pod.Labels)},
		Spec:       reducedSpec(pod, containers),
	}
	reduced.Spec.ResourceClaims = s.engine.likeClaims(pod)
	if withRequests {
		reduced.Spec.Priority, reduced.Spec.Overhead, reduced.Spec.Resources = pod.Spec.Priority, pod.Spec.Overhead, pod.Spec.Resources
	}
	s.claims.reduceVolumes(&reduced, pod)
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil && s.claims.byOwner && len(pod.Spec.TopologySpreadConstraints) == 0 {
		reduced.OwnerReferences = []metav1.OwnerReference{{Kind: owner.Kind, Name: owner.Name}}
	}
	raw, err := reduced.Marshal()
	if err != nil {
		return "", fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return string(raw), nil
}

// reducedSpec keeps what Filter plugins read, but for amounts of the pod as a whole and volumes.
func reducedSpec(pod *corev1.Pod, containers func([]corev1.Container) []corev1.Container) corev1.PodSpec {
	return corev1.PodSpec{
		SchedulerName:             pod.Spec.SchedulerName,
		NodeName:                  pod.Spec.NodeName,
		NodeSelector:              pod.Spec.NodeSelector,
		Affinity:                  requiredAffinity(pod.Spec.Affinity),
		Tolerations:               pod.Spec.Tolerations,
		TopologySpreadConstraints: pod.Spec.TopologySpreadConstraints,
		ResourceClaims:            pod.Spec.ResourceClaims,
		HostNetwork:               pod.Spec.HostNetwork,
		HostUsers:                 pod.Spec.HostUsers,
		OS:                        pod.Spec.OS,
		SchedulingGates:           pod.Spec.SchedulingGates,
		Containers:                containers(pod.Spec.Containers),
		InitContainers:            containers(pod.Spec.InitContainers),
	}
}

// requiredAffinity drops preferences: they are Score's, and no requirement.
func requiredAffinity(a *corev1.Affinity) *corev1.Affinity {
	if a == nil {
		return nil
	}
	var kept corev1.Affinity
	if n := a.NodeAffinity; n != nil && n.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		kept.NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: n.RequiredDuringSchedulingIgnoredDuringExecution}
	}
	if p := a.PodAffinity; p != nil && len(p.RequiredDuringSchedulingIgnoredDuringExecution) > 0 {
		kept.PodAffinity = &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: p.RequiredDuringSchedulingIgnoredDuringExecution}
	}
	if p := a.PodAntiAffinity; p != nil && len(p.RequiredDuringSchedulingIgnoredDuringExecution) > 0 {
		kept.PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: p.RequiredDuringSchedulingIgnoredDuringExecution}
	}
	if kept == (corev1.Affinity{}) {
		return nil
	}
	return &kept
}

// portsOnly keeps of containers what is no amount of a resource.
func portsOnly(containers []corev1.Container) []corev1.Container {
	var kept []corev1.Container
	for _, c := range containers {
		if len(c.Ports) > 0 || len(c.RestartPolicyRules) > 0 {
			kept = append(kept, corev1.Container{Ports: c.Ports, RestartPolicy: c.RestartPolicy, RestartPolicyRules: c.RestartPolicyRules})
		}
	}
	return kept
}

func portsAndRequests(containers []corev1.Container) []corev1.Container {
	kept := make([]corev1.Container, len(containers))
	for i := range containers {
		c := &containers[i]
		kept[i].Resources.Requests, kept[i].Ports = c.Resources.Requests, c.Ports
		kept[i].RestartPolicy, kept[i].RestartPolicyRules = c.RestartPolicy, c.RestartPolicyRules
	}
	return kept
}

// reduceVolumes drops the volumes that bind a pod to no place, and names claims by what
// they are like.
func (c *claims) reduceVolumes(reduced, pod *corev1.Pod) {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if anywhere(v) {
			continue
		}
		kept := *v
		if like := c.like(pod, v); like != "" {
			kept = corev1.Volume{Name: like}
		} else if v.Ephemeral != nil {
			reduced.Name = pod.Name // it is claimed by a name of its own
		}
		reduced.Spec.Volumes = append(reduced.Spec.Volumes, kept)
	}
}

// anywhere tells whether a volume binds its pod to no place.
func anywhere(v *corev1.Volume) bool {
	return v.EmptyDir != nil || v.ConfigMap != nil || v.Secret != nil || v.Projected != nil || v.DownwardAPI != nil || v.HostPath != nil
}

// sorter sorts pods into shapes.
type sorter struct {
	space   *Space
	classes map[string]int
	shapes  map[shapeKey]*shape
	sizes   map[string]int
}

type shapeKey struct {
	class    int
	size     int
	priority int32
}

// sortIntoShapes makes the classes and the shapes of the waiting pods.
func (s *Space) sortIntoShapes() error {
	o := sorter{s, map[string]int{}, map[shapeKey]*shape{}, map[string]int{}}
	byKey := map[string][]*corev1.Pod{}
	for _, pod := range s.input.Pods {
		raw, err := s.key(pod, true)
		if err != nil {
			return err
		}
		byKey[raw] = append(byKey[raw], pod)
	}
	// Who comes first must not decide what is bought: the keys give an order that is always the same.
	var alike [][]*corev1.Pod
	for _, raw := range slices.Sorted(maps.Keys(byKey)) {
		alike = append(alike, byKey[raw])
	}
	s.resources = resources{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, corev1.ResourcePods}
	amounts := make([]corev1.ResourceList, len(alike))
	for i, pods := range alike {
		amounts[i] = requests(pods[0])
		s.addAttached(amounts[i], pods[0])
		for name := range amounts[i] {
			if !slices.Contains(s.resources, name) && !s.engine.ignored(name) {
				s.resources = append(s.resources, name)
			}
		}
	}
	slices.Sort(s.resources[podsAt+1:])
	for i, pods := range alike {
		if err := o.add(pods, s.resources.vector(amounts[i])); err != nil {
			return err
		}
	}
	return nil
}

func (o *sorter) add(pods []*corev1.Pod, requests pack.Vector) error {
	sample := pods[0]
	raw, err := o.space.key(sample, false)
	if err != nil {
		return err
	}
	s := o.space
	id, ok := o.classes[raw]
	if !ok {
		id = len(s.classes)
		o.classes[raw] = id
		s.classes = append(s.classes, &class{sample: sample})
	}
	key := shapeKey{id, o.size(requests), priority(sample)}
	sh := o.shapes[key]
	if sh == nil {
		info, err := framework.NewPodInfo(sample)
		if err != nil {
			return fmt.Errorf("pod %s/%s: %w", sample.Namespace, sample.Name, err)
		}
		info.CalculateResource()
		sh = &shape{class: id, size: key.size, requests: s.sizes[key.size], priority: key.priority, sample: sample, info: info}
		o.shapes[key] = sh
		s.shapes = append(s.shapes, sh)
	}
	sh.waiting = append(sh.waiting, pods...)
	return nil
}

// size returns the index of the requests among the distinct ones.
func (o *sorter) size(requests pack.Vector) int {
	raw := make([]byte, 0, 64)
	for _, n := range requests {
		raw = binary.AppendVarint(raw, n)
	}
	size, ok := o.sizes[string(raw)]
	if !ok {
		size = len(o.space.sizes)
		o.sizes[string(raw)] = size
		o.space.sizes = append(o.space.sizes, requests)
	}
	return size
}

func priority(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}
