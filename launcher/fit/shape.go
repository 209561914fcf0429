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
	amounts  *amounts
	waiting  []*corev1.Pod // yet to be placed, oldest first
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

// digest of a pod is in three parts: what makes its class, its requests, its priority.
func (s *Space) digest(d *digest, pod *corev1.Pod) (class, amounts int, err error) {
	d.raw = d.raw[:0]
	d.str(pod.Namespace)
	d.labels(pod.Labels, s.reads)
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil && s.claims.byOwner && len(pod.Spec.TopologySpreadConstraints) == 0 {
		d.str(owner.Kind)
		d.str(owner.Name)
	} else {
		d.num(-1)
	}
	if err = firstOf(s.claims.digest(d, pod), putAll(d, s.engine.likeClaims(pod)), d.constraints(&pod.Spec)); err == nil {
		class = len(d.raw)
		err = d.amounts(&pod.Spec)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	amounts = len(d.raw)
	d.num(int64(priority(pod)))
	return class, amounts, nil
}

// digest drops the volumes that bind a pod to no place, and names claims by what they are like.
func (c *claims) digest(d *digest, pod *corev1.Pod) error {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if anywhere(v) {
			continue
		}
		if like := c.like(pod, v); like != "" {
			d.num(1)
			d.str(like)
			continue
		}
		d.num(2)
		if err := put(d, v); err != nil {
			return err
		}
		if v.Ephemeral != nil {
			d.str(pod.Name) // it is claimed by a name of its own
		}
	}
	d.num(0)
	return nil
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
	amounts map[string]*amounts
}

type shapeKey struct {
	class    int
	size     int
	priority int32
}

// amounts are what pods with the same requests have in common.
type amounts struct {
	list corev1.ResourceList
	info framework.PodInfo // with its resources worked out
	// sized is what NodeResourcesFit's PreFilter left; nil until it is asked for.
	sized fwk.StateData
}

// alike are pods of one digest.
type alike struct {
	class    string
	amounts  *amounts
	requests corev1.ResourceList // with the volumes that the pods attach
	pods     []*corev1.Pod
}

// sortIntoShapes makes the classes and the shapes of the waiting pods.
func (s *Space) sortIntoShapes() error {
	o := sorter{s, map[string]int{}, map[shapeKey]*shape{}, map[string]int{}, map[string]*amounts{}}
	byDigest, err := o.sort()
	if err != nil {
		return err
	}
	s.resources = resources{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, corev1.ResourcePods}
	for _, group := range byDigest {
		for name := range group.requests {
			if !slices.Contains(s.resources, name) && !s.engine.ignored(name) {
				s.resources = append(s.resources, name)
			}
		}
	}
	slices.Sort(s.resources[podsAt+1:])
	// Who comes first must not decide what is bought: the digests give an order that is always the same.
	for _, raw := range slices.Sorted(maps.Keys(byDigest)) {
		if err := o.add(byDigest[raw]); err != nil {
			return err
		}
	}
	return nil
}

func (o *sorter) sort() (map[string]*alike, error) {
	byDigest := map[string]*alike{}
	var d digest
	for _, pod := range o.space.input.Pods {
		class, end, err := o.space.digest(&d, pod)
		if err != nil {
			return nil, err
		}
		group := byDigest[string(d.raw)]
		if group == nil {
			raw := string(d.raw)
			group = &alike{class: raw[:class], amounts: o.amountsOf(raw[class:end], pod)}
			group.requests = o.space.withAttached(group.amounts.list, pod)
			byDigest[raw] = group
		}
		group.pods = append(group.pods, pod)
	}
	return byDigest, nil
}

func (o *sorter) amountsOf(raw string, pod *corev1.Pod) *amounts {
	a := o.amounts[raw]
	if a == nil {
		a = &amounts{list: requests(pod), info: framework.PodInfo{Pod: pod}}
		a.info.CalculateResource()
		o.amounts[raw] = a
	}
	return a
}

func (o *sorter) add(group *alike) error {
	s, sample := o.space, group.pods[0]
	id, ok := o.classes[group.class]
	if !ok {
		info, err := framework.NewPodInfo(sample)
		if err != nil {
			return fmt.Errorf("pod %s/%s: %w", sample.Namespace, sample.Name, err)
		}
		id = len(s.classes)
		o.classes[group.class] = id
		s.classes = append(s.classes, &class{sample: sample, info: info})
	}
	key := shapeKey{id, o.size(s.resources.vector(group.requests)), priority(sample)}
	sh := o.shapes[key]
	if sh == nil {
		c := s.classes[id].info
		info := group.amounts.info
		info.Pod, info.RequiredAffinityTerms, info.RequiredAntiAffinityTerms = sample, c.RequiredAffinityTerms, c.RequiredAntiAffinityTerms
		sh = &shape{class: id, size: key.size, requests: s.sizes[key.size], priority: key.priority, sample: sample, info: &info, amounts: group.amounts}
		o.shapes[key] = sh
		s.shapes = append(s.shapes, sh)
	}
	sh.waiting = append(sh.waiting, group.pods...)
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
