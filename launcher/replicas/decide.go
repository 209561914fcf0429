package replicas

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// standing is a claim and what is on its node.
type standing struct {
	claim *v1alpha1.NodeClaim
	pods  int // that would have to move
	// protected: something on it forbids its disruption.
	protected bool
}

// decision is what is to be done for a pool.
type decision struct {
	launch int
	// surplus claims are to go, all others of the pool to stay.
	surplus []*v1alpha1.NodeClaim
	// replaced claims need a substitute and are not known to have one.
	replaced []string
}

// decide compares a pool's claims with what it wants. look tells what is on the nodes; it is
// only asked when there are too many.
func decide(replicas int64, claims []*v1alpha1.NodeClaim, look func(*v1alpha1.NodeClaim) standing) decision {
	var d decision
	var kept []*v1alpha1.NodeClaim
	for _, c := range claims {
		switch {
		case c.DeletionTimestamp != nil:
		case !c.IsBeingReplaced():
			kept = append(kept, c)
		case !slices.ContainsFunc(claims, func(o *v1alpha1.NodeClaim) bool {
			return o.DeletionTimestamp == nil && slices.Contains(o.Spec.Replaces, c.Name)
		}):
			d.replaced = append(d.replaced, c.Name)
		}
	}
	lack := int(replicas) - len(kept)
	if lack >= 0 {
		d.launch = lack
		return d
	}
	all := make([]standing, len(kept))
	for i, c := range kept {
		all[i] = look(c)
	}
	slices.SortFunc(all, neededLess)
	for _, s := range all[:-lack] {
		d.surplus = append(d.surplus, s.claim)
	}
	return d
}

// neededLess orders nodes by how little they are needed. Those that were chosen before come
// first: otherwise pods that come and go would have ever others go.
func neededLess(a, b standing) int {
	return cmp.Or(
		first(is(a.claim, v1alpha1.ConditionSurplus), is(b.claim, v1alpha1.ConditionSurplus)),
		first(!is(a.claim, v1alpha1.ConditionInitialized), !is(b.claim, v1alpha1.ConditionInitialized)),
		first(!a.protected, !b.protected),
		first(isAiling(a.claim), isAiling(b.claim)),
		first(isOutdated(a.claim), isOutdated(b.claim)),
		cmp.Compare(a.pods, b.pods),
		b.claim.CreationTimestamp.Compare(a.claim.CreationTimestamp.Time),
		cmp.Compare(a.claim.Name, b.claim.Name),
	)
}

// first orders what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

func is(c *v1alpha1.NodeClaim, condition string) bool {
	return meta.IsStatusConditionTrue(c.Status.Conditions, condition)
}

func isAiling(c *v1alpha1.NodeClaim) bool {
	return is(c, v1alpha1.ConditionUnhealthy) || is(c, v1alpha1.ConditionImpaired)
}

func isOutdated(c *v1alpha1.NodeClaim) bool {
	return is(c, v1alpha1.ConditionDrifted) || is(c, v1alpha1.ConditionExpired)
}

// hasFailed tells whether a claim ends for what would happen again at once.
func hasFailed(c *v1alpha1.NodeClaim) bool {
	if c.DeletionTimestamp == nil || is(c, v1alpha1.ConditionInitialized) {
		return false
	}
	for _, kind := range []string{v1alpha1.ConditionLaunched, v1alpha1.ConditionRegistered, v1alpha1.ConditionInitialized} {
		if meta.IsStatusConditionFalse(c.Status.Conditions, kind) {
			return true
		}
	}
	return false
}
