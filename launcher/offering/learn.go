package offering

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Learn compares what a node of the type, run from the image under the class's settings,
// reported as allocatable with what the Source predicted. From then on Types predicts, for
// this image and all classes of the same sizing, what the node is short of the less; for
// images not seen yet the most that was seen. It returns whether the node has less than Types
// told. What a node has beyond the Source's prediction is not counted on, and a resource that
// it does not report at all, as before its device plugin registers, is not missed.
//
// The caller sees to it that the class has not been edited since the node was launched
// (NodeClaimStatus.Sizing). Nothing is learned while the class's list is not loaded, or is
// of an earlier sizing.
//
// The memory is not durable: feed it again with the nodes that exist at start.
func (c *Catalog) Learn(class *v1alpha1.EC2NodeClass, typeName, imageID string, reported corev1.ResourceList) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	sizing := class.Sizing()
	l, ok := c.lists[className(class)]
	if !ok || l.loadedFor.Sizing() != sizing {
		return false
	}
	for _, t := range l.types {
		if t.Name != typeName {
			continue
		}
		worse, better := c.shortfalls.record(sized{typeName, sizing}, imageID, missing(t.Allocatable, reported))
		if worse || better {
			c.bump(better)
		}
		return worse
	}
	return false
}

// missing is how much less of each resource is reported than predicted.
func missing(predicted, reported corev1.ResourceList) corev1.ResourceList {
	short := corev1.ResourceList{}
	for name, want := range predicted {
		if got, ok := reported[name]; ok && want.Cmp(got) > 0 {
			want.Sub(got)
			short[name] = want
		}
	}
	return short
}
