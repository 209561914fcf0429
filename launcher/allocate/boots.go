package allocate

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// boots remembers how long nodes took from the purchase to being initialized, by what
// decides about it; the zero kind stands for all.
type boots map[boot]time.Duration

// boot is a kind of node.
type boot struct{ instanceType, image string }

// maxBoots bounds the kinds that are remembered; the rest goes by the average of all.
const maxBoots = 4096

// learn takes in a node that is initialized. The latest nodes count most: a quarter each.
func (b boots) learn(claim *v1alpha1.NodeClaim) {
	bought := trueSince(claim, v1alpha1.ConditionLaunched)
	ready := trueSince(claim, v1alpha1.ConditionInitialized)
	if bought.IsZero() || ready.Before(bought) {
		return
	}
	took := ready.Sub(bought)
	for _, kind := range []boot{{}, bootOf(claim)} {
		known, ok := b[kind]
		switch {
		case ok:
			b[kind] = known + (took-known)/4
		case len(b) < maxBoots:
			b[kind] = took
		}
	}
}

// expect says when the node of a claim will be initialized; zero where nothing is known.
func (b boots) expect(claim *v1alpha1.NodeClaim) time.Time {
	bought := trueSince(claim, v1alpha1.ConditionLaunched)
	took, ok := b[bootOf(claim)]
	if !ok {
		took, ok = b[boot{}]
	}
	if !ok || bought.IsZero() {
		return time.Time{}
	}
	return bought.Add(took)
}

func bootOf(claim *v1alpha1.NodeClaim) boot {
	return boot{claim.Status.InstanceType, claim.Status.ImageID}
}

// trueSince is when a condition came true; zero while it is not.
func trueSince(claim *v1alpha1.NodeClaim, condition string) time.Time {
	c := meta.FindStatusCondition(claim.Status.Conditions, condition)
	if c == nil || c.Status != metav1.ConditionTrue {
		return time.Time{}
	}
	return c.LastTransitionTime.Time
}
