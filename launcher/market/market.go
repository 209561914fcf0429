// Package market owns the answer to what may be bought at the moment: the offerings that the
// NodePools and their classes allow, as templates of package fit, with the limits and capacity
// reservations that they count against.
package market

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// typesTimeout bounds the wait for a pool's instance types, when they are not known yet.
const typesTimeout = 20 * time.Second

// Catalog tells what the cloud sells; offering.Catalog is one.
type Catalog interface {
	Types(ctx context.Context, class *v1alpha1.EC2NodeClass) ([]offering.Type, error)
}

// Market is what may be bought.
type Market struct {
	Pools     []v1alpha1.NodePool // by name
	Templates []fit.Template
	Types     map[string]offering.Type // all that are known, for sale or not
	// DaemonSets have a pod on every node.
	DaemonSets []*appsv1.DaemonSet
	// Budget has the offers beside Templates.
	Budget offering.Budget
	// Unusable says why nothing of a pool may be bought at the moment, pool by pool.
	Unusable []string
	// Variety that pools want (minValues), by their names.
	Variety map[string]fit.Variety
}

// Observer looks at the market, again and again. It belongs to one goroutine.
type Observer struct {
	Client  client.Reader
	Catalog Catalog
	offers  offering.OfferCache
}

// Look gathers what may be bought beside what the claims held have: they count against the
// pools' limits and have places in capacity reservations.
func (o *Observer) Look(ctx context.Context, held []*v1alpha1.NodeClaim) (*Market, error) {
	m := &Market{Types: map[string]offering.Type{}, Variety: map[string]fit.Variety{}}
	var pools v1alpha1.NodePoolList
	if err := o.Client.List(ctx, &pools); err != nil {
		return nil, fmt.Errorf("list nodepools: %w", err)
	}
	m.Pools = pools.Items
	slices.SortFunc(m.Pools, func(a, b v1alpha1.NodePool) int { return strings.Compare(a.Name, b.Name) })
	m.Budget.Slots = map[string]int{}
	for i := range m.Pools {
		pool := &m.Pools[i]
		if why := o.addPool(ctx, m, pool, held); why != "" {
			m.Unusable = append(m.Unusable, "nodepool "+pool.Name+": "+why)
		}
	}
	m.Budget.Limits = offering.NewLimits(m.Pools)
	for _, c := range held {
		m.Budget.Limits.Count(c.Spec.NodePool, offering.Most(c, m.Types))
	}
	var daemonSets appsv1.DaemonSetList
	if err := o.Client.List(ctx, &daemonSets); err != nil {
		return nil, fmt.Errorf("list daemonsets: %w", err)
	}
	for i := range daemonSets.Items {
		m.DaemonSets = append(m.DaemonSets, &daemonSets.Items[i])
	}
	return m, nil
}

// addPool adds the templates of a pool's available offerings, or says why it has none.
func (o *Observer) addPool(ctx context.Context, m *Market, pool *v1alpha1.NodePool, held []*v1alpha1.NodeClaim) (why string) {
	if pool.DeletionTimestamp != nil {
		return "is being deleted"
	}
	if c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Status == metav1.ConditionFalse {
		return "not ready: " + c.Message
	}
	class, err := o.classOf(ctx, pool)
	if err != nil {
		return err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, typesTimeout)
	defer cancel()
	instanceTypes, err := o.Catalog.Types(ctx, class)
	if err != nil {
		return "instance types are not known: " + err.Error()
	}
	for _, t := range instanceTypes {
		m.Types[t.Name] = t
	}
	if pool.Spec.Replicas != nil {
		return "keeps a fixed number of nodes (spec.replicas)"
	}
	offers, err := o.offers.Of(pool, instanceTypes)
	if err != nil {
		return err.Error()
	}
	maps.Copy(m.Budget.Slots, offering.Slots(instanceTypes, held))
	used := m.addOffers(pool, offers.Available)
	switch {
	case len(offers.Available) > used:
	case offers.SoldOut+used > 0:
		return fmt.Sprintf("EC2 has no capacity for any of its %d offerings at the moment", offers.SoldOut+used)
	default:
		return "no offering matches its requirements"
	}
	if least := pool.MinValues(); least != nil {
		m.Variety[pool.Name] = least
	}
	return ""
}

// addOffers adds a pool's offers, save those whose reservation is used up, which it counts.
func (m *Market) addOffers(pool *v1alpha1.NodePool, offers []offering.Offer) (usedUp int) {
	for _, o := range offers {
		limit := 0
		if r := o.Reservation; r != nil {
			if limit = m.Budget.Slots[r.ID]; limit == 0 {
				usedUp++
				continue
			}
		}
		m.Budget.Offers = append(m.Budget.Offers, o)
		m.Templates = append(m.Templates, fit.Template{Node: o.Node, Price: o.Cost(), Tier: pool.Spec.Weight, Pool: pool.Name, Limit: limit})
	}
	return usedUp
}

// classOf reads the pool's class; nil stands for the defaults.
func (o *Observer) classOf(ctx context.Context, pool *v1alpha1.NodePool) (*v1alpha1.EC2NodeClass, error) {
	ref := pool.Spec.Template.Spec.NodeClassRef
	if ref == nil {
		return nil, nil
	}
	class := &v1alpha1.EC2NodeClass{}
	if err := o.Client.Get(ctx, types.NamespacedName{Name: ref.Name}, class); err != nil {
		return nil, fmt.Errorf("EC2NodeClass %s: %w", ref.Name, err)
	}
	if c := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Status == metav1.ConditionFalse {
		return nil, fmt.Errorf("EC2NodeClass %s is not ready: %s", ref.Name, c.Message)
	}
	return class, nil
}
