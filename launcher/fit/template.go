package fit

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helpers "k8s.io/component-helpers/resource"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/pack"
)

// Template is an offering as a node of one NodePool would be.
type Template struct {
	// Node has the labels, taints, capacity and allocatable of such a node; its name does not matter.
	Node  *corev1.Node
	Price float64 // US dollars per hour
	// Tier: templates of a lower tier only serve pods that none of a higher one holds.
	Tier int32
	// Pool is the NodePool's name. A planned node may become any template of its pool.
	Pool string
	// Limit bounds how many nodes can be bought of the template; 0 is no bound.
	Limit int
}

func addTo(sum, more corev1.ResourceList) {
	for name, q := range more {
		total := sum[name]
		total.Add(q)
		sum[name] = total
	}
}

// resources fixes the order of resource names in the vectors of one Space.
type resources []corev1.ResourceName

// vector converts amounts to base units: milli-CPU, else whole units. A pod also takes one of "pods".
func (r resources) vector(list corev1.ResourceList) pack.Vector {
	v := make(pack.Vector, len(r))
	for i, name := range r {
		q := list[name]
		if name == corev1.ResourceCPU {
			v[i] = q.MilliValue()
		} else {
			v[i] = q.Value()
		}
	}
	return v
}

// podsAt is where vectors count pods.
const podsAt = 3

// amounts are those of the scheduler's own bookkeeping; pods are not among what it sums up.
func (r resources) amounts(of *framework.Resource) pack.Vector {
	v := make(pack.Vector, len(r))
	for i, name := range r {
		switch name {
		case corev1.ResourceCPU:
			v[i] = of.MilliCPU
		case corev1.ResourceMemory:
			v[i] = of.Memory
		case corev1.ResourceEphemeralStorage:
			v[i] = of.EphemeralStorage
		case corev1.ResourcePods:
		default:
			v[i] = of.ScalarResources[name]
		}
	}
	return v
}

// listOf sums up what a node's pods request.
func listOf(n *framework.NodeInfo) corev1.ResourceList {
	list := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(n.Requested.MilliCPU, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(n.Requested.Memory, resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(int64(len(n.Pods)), resource.DecimalSI),
	}
	if n.Requested.EphemeralStorage > 0 {
		list[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(n.Requested.EphemeralStorage, resource.BinarySI)
	}
	for name, count := range n.Requested.ScalarResources {
		list[name] = *resource.NewQuantity(count, resource.DecimalSI)
	}
	return list
}

// requests of a pod, the place it takes among the node's pods included.
func requests(pod *corev1.Pod) corev1.ResourceList {
	list := helpers.PodRequests(pod, helpers.PodResourcesOptions{})
	list[corev1.ResourcePods] = onePod
	return list
}

// InFlight is the node that a claim will be: like node, which it takes and names after the
// claim, with the pods that are on the one that has registered for it, if there is one.
func InFlight(claim string, node *corev1.Node, registered *framework.NodeInfo) *framework.NodeInfo {
	node.Name = "nodeclaim/" + claim
	node.Labels[corev1.LabelHostname] = node.Name
	info := framework.NewNodeInfo()
	info.SetNode(node)
	if registered != nil {
		for _, p := range registered.Pods {
			info.AddPodInfo(p)
		}
	}
	return info
}
