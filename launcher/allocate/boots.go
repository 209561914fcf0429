package allocate

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

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

// A node is late when it takes lateFactor times as long as others did, and at least lateLeast;
// where nothing is known of others, lateUnknown.
const (
	lateFactor  = 3
	lateLeast   = 2 * time.Minute
	lateUnknown = 5 * time.Minute
)

// late tells whether the node of a claim should long have been initialized.
func (b boots) late(claim *v1alpha1.NodeClaim, now time.Time) bool {
	bought := trueSince(claim, v1alpha1.ConditionLaunched)
	if bought.IsZero() || !trueSince(claim, v1alpha1.ConditionInitialized).IsZero() {
		return false
	}
	patience := lateUnknown
	if ready := b.expect(claim); !ready.IsZero() {
		patience = max(lateLeast, lateFactor*ready.Sub(bought))
	}
	return now.Sub(bought) > patience
}

// late are those claims, by name, that may never be initialized: it would be for nothing to
// have more pods wait for them.
func (l *loop) late(claims []*v1alpha1.NodeClaim) sets.Set[string] {
	now, late := time.Now(), sets.New[string]()
	for _, c := range claims {
		if l.boots.late(c, now) {
			late.Insert(c.Name)
		}
	}
	return late
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
