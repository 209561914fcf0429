package offering

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Offer is an offering as a node of one NodePool would be. Offers are shared: neither
// they nor what they point to may be modified.
type Offer struct {
	Offering
	Pool *v1alpha1.NodePool
	Type string
	// Node has the labels, annotations, taints, capacity and allocatable of such a node. It
	// has no name. Startup taints are left out: they go before pods come.
	Node *corev1.Node
}

// Accepted is the offer as a NodeClaim records it.
func (o *Offer) Accepted() v1alpha1.AcceptedOffering {
	return v1alpha1.AcceptedOffering{
		InstanceType: o.Type, Zone: o.Zone, CapacityType: o.CapacityType, ReservationID: o.reservationID(),
		Price: *resource.NewScaledQuantity(int64(o.Price*1e6+0.5), resource.Micro), // to a millionth of a dollar
	}
}

// Offers is what one NodePool may buy.
type Offers struct {
	Available []Offer
	// SoldOut counts the offerings that match but are not available at the moment.
	SoldOut int
}

// Of lists what the pool may buy of the types. An error is about the pool's requirements
// and wraps v1alpha1.ErrInvalidRequirement.
func Of(pool *v1alpha1.NodePool, instanceTypes []Type) (Offers, error) {
	matcher, err := v1alpha1.CompileRequirements(pool.EffectiveRequirements())
	if err != nil {
		return Offers{}, err
	}
	var found Offers
	for _, t := range instanceTypes {
		for _, o := range t.Offerings {
			if o.Price <= 0 {
				continue
			}
			labels := nodeLabels(pool, t, o)
			switch {
			case !matcher.Match(labels):
			case !o.Available:
				found.SoldOut++
			default:
				found.Available = append(found.Available, Offer{Offering: o, Pool: pool, Type: t.Name, Node: newNode(pool, t, labels)})
			}
		}
	}
	return found, nil
}

// nodeLabels are those of the node an offering would become, but for its hostname.
func nodeLabels(pool *v1alpha1.NodePool, t Type, o Offering) map[string]string {
	own := pool.Spec.Template.Metadata.Labels
	labels := make(map[string]string, len(t.Labels)+len(own)+len(t.Aliases)+5)
	maps.Copy(labels, t.Labels)
	maps.Copy(labels, own)
	labels[corev1.LabelTopologyZone] = o.Zone
	labels[v1alpha1.LabelCapacityType] = o.CapacityType
	labels[v1alpha1.LabelNodePool] = pool.Name
	if o.Reservation != nil {
		labels[v1alpha1.LabelReservationID] = o.Reservation.ID
	}
	t.AddAliases(labels)
	return labels
}

func newNode(pool *v1alpha1.NodePool, t Type, labels map[string]string) *corev1.Node {
	node := &corev1.Node{}
	node.Labels = labels
	node.Annotations = pool.Spec.Template.Metadata.Annotations
	node.Spec.Taints = pool.Spec.Template.Spec.Taints
	node.Status.Capacity, node.Status.Allocatable = t.Capacity, t.Allocatable
	return node
}

// maxPools bounds what OfferCache keeps.
const maxPools = 256

// OfferCache remembers what Of found, pool by pool, as long as neither the pool's spec nor
// the list of types changes: a plan of thousands of offerings would spend its time on
// labels. The zero value is ready; it belongs to one goroutine.
type OfferCache struct {
	byPool map[string]remembered
}

type remembered struct {
	uid        types.UID
	generation int64
	types      []Type
	offers     Offers
}

// Of is as the function Of. A list of types is known by its identity, as Catalog.Types
// promises the very same slice while nothing changes. Pools that the API server has not
// numbered are not remembered.
func (c *OfferCache) Of(pool *v1alpha1.NodePool, instanceTypes []Type) (Offers, error) {
	if known, ok := c.byPool[pool.Name]; ok && known.holdsFor(pool, instanceTypes) {
		return known.offers, nil
	}
	offers, err := Of(pool, instanceTypes)
	if err != nil || pool.UID == "" || len(instanceTypes) == 0 {
		return offers, err
	}
	if c.byPool == nil || len(c.byPool) >= maxPools {
		c.byPool = map[string]remembered{}
	}
	c.byPool[pool.Name] = remembered{pool.UID, pool.Generation, instanceTypes, offers}
	return offers, nil
}

func (r remembered) holdsFor(pool *v1alpha1.NodePool, instanceTypes []Type) bool {
	return r.uid == pool.UID && r.generation == pool.Generation &&
		len(r.types) == len(instanceTypes) && &r.types[0] == &instanceTypes[0]
}
