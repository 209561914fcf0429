package fit

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/pack"
)

// csiNodes answers for the nodes of a simulation too: how many volumes a node to be bought
// can attach is foretold by a node of the same instance type, where there is one.
type csiNodes struct {
	fwk.CSINodeLister
	planned map[string]*storagev1.CSINode // by node
	byType  map[string]*storagev1.CSINode
}

// CSINodes implements fwk.CSIManager.
func (c *csiNodes) CSINodes() fwk.CSINodeLister { return c }

// Get implements fwk.CSINodeLister.
func (c *csiNodes) Get(name string) (*storagev1.CSINode, error) {
	if n, ok := c.planned[name]; ok {
		return n, nil
	}
	return c.CSINodeLister.Get(name)
}

// reset learns what nodes of each type attach.
func (c *csiNodes) reset(nodes []fwk.NodeInfo) {
	c.planned, c.byType = map[string]*storagev1.CSINode{}, map[string]*storagev1.CSINode{}
	for _, n := range nodes {
		if of, err := c.CSINodeLister.Get(n.Node().Name); err == nil && len(of.Spec.Drivers) > 0 {
			c.byType[n.Node().Labels[corev1.LabelInstanceTypeStable]] = of
		}
	}
}

// plan tells of a node that is to be bought.
func (c *csiNodes) plan(node *corev1.Node) {
	if of, ok := c.byType[node.Labels[corev1.LabelInstanceTypeStable]]; ok {
		c.planned[node.Name] = of
	}
}

// attachable begins the name of the resource that stands for the volumes of a driver: pods
// request those that are theirs alone, so that packing counts them.
const attachable = "volumes of "

// unlimited is more volumes than any node attaches.
const unlimited = 1 << 10

// withAttached adds to a pod's requests what it attaches, of drivers whose limits are known.
func (s *Space) withAttached(requests corev1.ResourceList, pod *corev1.Pod) corev1.ResourceList {
	list, shared := requests, true
	for i := range pod.Spec.Volumes {
		key := claimKey(pod, &pod.Spec.Volumes[i])
		if key == "" || s.claims.users[key] > 1 || s.claims.used.Has(key) {
			continue
		}
		if driver := s.claims.driver(key); s.engine.csiNodes.limits(driver) {
			if shared {
				list, shared = maps.Clone(requests), false
			}
			addTo(list, corev1.ResourceList{corev1.ResourceName(attachable + driver): *resource.NewQuantity(1, resource.DecimalSI)})
		}
	}
	return list
}

// setAttachable sets how many volumes a node attaches, those that it has included.
func (s *Space) setAttachable(v pack.Vector, node *corev1.Node) {
	for i, name := range s.resources {
		if driver, ok := strings.CutPrefix(string(name), attachable); ok {
			v[i] = s.engine.csiNodes.limit(node, driver)
		}
	}
}

// takeAttached takes off what a node's pods have attached.
func (s *Space) takeAttached(v pack.Vector, info *framework.NodeInfo) {
	for i, name := range s.resources {
		driver, ok := strings.CutPrefix(string(name), attachable)
		if !ok {
			continue
		}
		for key := range info.PVCRefCounts {
			v[i] -= int64(one(s.claims.driver(key) == driver))
		}
	}
}

// limits tells whether any node's limit for a driver is known.
func (c *csiNodes) limits(driver string) bool {
	for _, of := range c.byType {
		if _, ok := limitOf(of, driver); ok {
			return true
		}
	}
	return false
}

// limit returns how many volumes of a driver a node attaches.
func (c *csiNodes) limit(node *corev1.Node, driver string) int64 {
	of, err := c.Get(node.Name)
	if err != nil {
		of = c.byType[node.Labels[corev1.LabelInstanceTypeStable]]
	}
	if n, ok := limitOf(of, driver); ok {
		return n
	}
	return unlimited
}

func limitOf(of *storagev1.CSINode, driver string) (int64, bool) {
	if of != nil {
		for _, d := range of.Spec.Drivers {
			if d.Name == driver && d.Allocatable != nil && d.Allocatable.Count != nil {
				return int64(*d.Allocatable.Count), true
			}
		}
	}
	return 0, false
}

// attaches tells whether a template's node can attach all volumes of the pods.
func (v *verifier) attaches(template int, pods []*corev1.Pod) bool {
	if len(v.engine.csiNodes.byType) == 0 {
		return true
	}
	of := v.engine.csiNodes.byType[v.input.Templates[template].Node.Labels[corev1.LabelInstanceTypeStable]]
	if of == nil {
		return true
	}
	counted := map[string]bool{}
	byDriver := map[string]int{}
	for _, pod := range pods {
		for i := range pod.Spec.Volumes {
			if key := claimKey(pod, &pod.Spec.Volumes[i]); key != "" && !counted[key] {
				counted[key] = true
				byDriver[v.claims.driver(key)]++
			}
		}
	}
	for _, d := range of.Spec.Drivers {
		if d.Allocatable != nil && d.Allocatable.Count != nil && byDriver[d.Name] > int(*d.Allocatable.Count) {
			return false
		}
	}
	return true
}
