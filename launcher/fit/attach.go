package fit

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	fwk "k8s.io/kube-scheduler/framework"
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

// attaches tells whether a template's node can attach all volumes of the pods.
func (v *verifier) attaches(template int, pods []*corev1.Pod) bool {
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
