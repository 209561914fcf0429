package replicas

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/storage/names"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

const (
	typesTimeout = 20 * time.Second // for a pool's instance types, when they are not known yet
	// alternatives bounds how many instance types a claim lists.
	alternatives = 60
)

// newClaims makes up to n claims of the pool, each for the cheapest offerings that its limits
// and the capacity reservations allow beside the claims that are held, of all pools. why says
// what allows no more.
func (r *reconciler) newClaims(ctx context.Context, pool *v1alpha1.NodePool, n int, held []*v1alpha1.NodeClaim) (claims []*v1alpha1.NodeClaim, why string) {
	if c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Status == metav1.ConditionFalse {
		return nil, "it is not ready: " + c.Message
	}
	class, err := r.classOf(ctx, pool)
	if err != nil {
		return nil, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, typesTimeout)
	defer cancel()
	instanceTypes, err := r.Catalog.Types(ctx, class)
	if err != nil {
		return nil, "instance types are not known: " + err.Error()
	}
	offers, err := offering.Of(pool, instanceTypes)
	switch {
	case err != nil:
		return nil, err.Error()
	case len(offers.Available) == 0 && offers.SoldOut > 0:
		return nil, fmt.Sprintf("EC2 has no capacity for any of its %d offerings at the moment", offers.SoldOut)
	case len(offers.Available) == 0:
		return nil, "no offering matches its requirements"
	}
	budget := offering.Budget{
		Limits: offering.NewLimits([]v1alpha1.NodePool{*pool}), Offers: cheapest(offers.Available), Slots: offering.Slots(instanceTypes, held),
	}
	byName := map[string]offering.Type{}
	for _, t := range instanceTypes {
		byName[t.Name] = t
	}
	for _, c := range held {
		budget.Limits.Count(c.Spec.NodePool, offering.Most(c, byName))
	}
	for range n {
		accepted, err := take(budget)
		if err != nil {
			return claims, err.Error()
		}
		groups := v1alpha1.GroupOfferings(accepted...)
		claims = append(claims, v1alpha1.NewNodeClaim(names.SimpleNameGenerator.GenerateName(pool.Name+"-"), pool, groups[:min(len(groups), v1alpha1.MaxOfferingGroups)]))
	}
	return claims, ""
}

// cheapest sorts offers, and leaves those of the cheapest types.
func cheapest(offers []offering.Offer) []offering.Offer {
	sorted := slices.Clone(offers)
	slices.SortStableFunc(sorted, func(a, b offering.Offer) int {
		switch x, y := a.Cost(), b.Cost(); {
		case x < y:
			return -1
		case x > y:
			return 1
		default:
			return 0
		}
	})
	kept := map[string]bool{}
	for _, o := range sorted {
		if len(kept) < alternatives {
			kept[o.Type] = true
		}
	}
	return slices.DeleteFunc(sorted, func(o offering.Offer) bool { return !kept[o.Type] })
}

// take counts one more node, the cheapest there is room for, and returns what it may be.
func take(budget offering.Budget) ([]v1alpha1.AcceptedOffering, error) {
	var last error
	for i := range budget.Offers {
		if last = budget.Take(i); last != nil {
			continue
		}
		may := []int{i}
		for j := range budget.Offers {
			if j != i {
				may = append(may, j)
			}
		}
		var accepted []v1alpha1.AcceptedOffering
		for _, j := range budget.Within(may) {
			accepted = append(accepted, budget.Offers[j].Accepted())
		}
		return accepted, nil
	}
	return nil, last
}

// formFleets has claims that accept the same bought together.
func formFleets(claims []*v1alpha1.NodeClaim) {
	for rest := claims; len(rest) > 0; {
		n := 1
		for n < min(len(rest), v1alpha1.MaxFleet) && sameOfferings(rest[0], rest[n]) {
			n++
		}
		if n > 1 {
			fleet := &v1alpha1.Fleet{ID: uuid.NewUUID(), Size: int32(n)}
			for _, c := range rest[:n] {
				c.Spec.Fleet = fleet
			}
		}
		rest = rest[n:]
	}
}

func sameOfferings(a, b *v1alpha1.NodeClaim) bool {
	return slices.EqualFunc(a.Spec.Offerings, b.Spec.Offerings, func(g, h v1alpha1.OfferingGroup) bool {
		return g.CapacityType == h.CapacityType && g.ReservationID == h.ReservationID && slices.Equal(g.Zones, h.Zones) && slices.Equal(g.Types, h.Types)
	})
}

// classOf reads the pool's class; nil stands for the defaults.
func (r *reconciler) classOf(ctx context.Context, pool *v1alpha1.NodePool) (*v1alpha1.EC2NodeClass, error) {
	ref := pool.Spec.Template.Spec.NodeClassRef
	if ref == nil {
		return nil, nil
	}
	class := &v1alpha1.EC2NodeClass{}
	if err := r.client.Get(ctx, types.NamespacedName{Name: ref.Name}, class); err != nil {
		return nil, fmt.Errorf("EC2NodeClass %s: %w", ref.Name, err)
	}
	if c := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Status == metav1.ConditionFalse {
		return nil, fmt.Errorf("EC2NodeClass %s is not ready: %s", ref.Name, c.Message)
	}
	return class, nil
}
