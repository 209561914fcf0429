package fit

import (
	"encoding/binary"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// digest writes what a plan reads of a pod, so that equal bytes mean equal pods. Everything
// is written with its length, in a fixed order. A digest is used again for the next pod:
// there may be 100,000 of them.
type digest struct {
	raw  []byte
	keys []string
}

func (d *digest) num(n int64) { d.raw = binary.AppendVarint(d.raw, n) }

func (d *digest) str(s string) {
	d.num(int64(len(s)))
	d.raw = append(d.raw, s...)
}

func (d *digest) flag(b *bool) {
	if b == nil {
		d.num(-1)
		return
	}
	d.num(int64(one(*b)))
}

// message is a part of the API that knows its wire format.
type message[T any] interface {
	*T
	Size() int
	MarshalToSizedBuffer(raw []byte) (int, error)
}

func put[T any, M message[T]](d *digest, m M) error {
	n := m.Size()
	d.num(int64(n))
	at := len(d.raw)
	d.raw = slices.Grow(d.raw, n)[:at+n]
	_, err := m.MarshalToSizedBuffer(d.raw[at:])
	return err
}

// putAny writes what may be missing.
func putAny[T any, M message[T]](d *digest, m M) error {
	if m == nil {
		d.num(-1)
		return nil
	}
	return put(d, m)
}

func putAll[T any, M message[T]](d *digest, list []T) error {
	d.num(int64(len(list)))
	for i := range list {
		if err := put[T, M](d, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

// sorted returns the keys in order, until it is called again.
func sorted[K ~string, V any](d *digest, m map[K]V, keep func(K) bool) []string {
	d.keys = d.keys[:0]
	for k := range m {
		if keep == nil || keep(k) {
			d.keys = append(d.keys, string(k))
		}
	}
	slices.Sort(d.keys)
	return d.keys
}

// labels writes those that are to be kept; all for nil.
func (d *digest) labels(labels map[string]string, keep func(key string) bool) {
	keys := sorted(d, labels, keep)
	d.num(int64(len(keys)))
	for _, key := range keys {
		d.str(key)
		d.str(labels[key])
	}
}

// constraints writes what Filter plugins read of a spec, but for volumes and amounts.
// Preferences are left out: they are Score's, and no requirement.
func (d *digest) constraints(spec *corev1.PodSpec) error {
	d.str(spec.SchedulerName)
	d.str(spec.NodeName)
	d.labels(spec.NodeSelector, nil)
	d.num(int64(one(spec.HostNetwork)))
	d.flag(spec.HostUsers)
	var node *corev1.NodeSelector
	var near, apart []corev1.PodAffinityTerm
	if a := spec.Affinity; a != nil {
		if a.NodeAffinity != nil {
			node = a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		}
		if a.PodAffinity != nil {
			near = a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		}
		if a.PodAntiAffinity != nil {
			apart = a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		}
	}
	return firstOf(
		putAny(d, spec.OS), putAny(d, node), putAll(d, near), putAll(d, apart),
		putAll(d, spec.Tolerations), putAll(d, spec.TopologySpreadConstraints), putAll(d, spec.SchedulingGates),
		d.ports(spec.InitContainers), d.ports(spec.Containers),
	)
}

// ports writes what of containers is no amount of a resource.
func (d *digest) ports(containers []corev1.Container) error {
	for i := range containers {
		c := &containers[i]
		if len(c.Ports) == 0 && len(c.RestartPolicyRules) == 0 {
			continue
		}
		d.num(1)
		if err := firstOf(putAll(d, c.Ports), d.restarts(c)); err != nil {
			return err
		}
	}
	d.num(0)
	return nil
}

func (d *digest) restarts(c *corev1.Container) error {
	if c.RestartPolicy != nil {
		d.str(string(*c.RestartPolicy))
	} else {
		d.num(-1)
	}
	return putAll(d, c.RestartPolicyRules)
}

// amounts writes what NodeResourcesFit reads.
func (d *digest) amounts(spec *corev1.PodSpec) error {
	d.list(spec.Overhead)
	if err := putAny(d, spec.Resources); err != nil {
		return err
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		d.num(int64(len(containers)))
		for i := range containers {
			d.list(containers[i].Resources.Requests)
			if err := d.restarts(&containers[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *digest) list(list corev1.ResourceList) {
	names := sorted(d, list, nil)
	d.num(int64(len(names)))
	for _, name := range names {
		d.str(name)
		q := list[corev1.ResourceName(name)]
		if milli := q.MilliValue(); q.Cmp(*resource.NewMilliQuantity(milli, q.Format)) == 0 {
			d.num(0)
			d.num(milli)
		} else {
			d.str(q.String()) // never of no length
		}
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
