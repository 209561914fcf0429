package offering

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// InFlight returns the node that a claim will be once it is initialized, without a name. A
// claim that was launched is what was bought, and guessed is nil. One that was not is taken
// to be the cheapest offering that it accepts, and guessed tells of which labels another one
// may turn out to have another value, or none.
func InFlight(claim *v1alpha1.NodeClaim, types map[string]Type) (node *corev1.Node, guessed func(label string) bool) {
	status, o := &claim.Status, claim.Spec.Cheapest()
	if status.InstanceType != "" {
		o = v1alpha1.AcceptedOffering{
			InstanceType: status.InstanceType, Zone: status.Zone, CapacityType: status.CapacityType, ReservationID: status.ReservationID,
		}
	}
	t := types[o.InstanceType]
	node = &corev1.Node{}
	node.Labels = make(map[string]string, len(t.Labels)+len(claim.Spec.Labels)+len(t.Aliases)+4)
	maps.Copy(node.Labels, t.Labels)
	maps.Copy(node.Labels, claim.Spec.Labels)
	node.Labels[corev1.LabelInstanceTypeStable] = o.InstanceType
	node.Labels[corev1.LabelTopologyZone] = o.Zone
	node.Labels[v1alpha1.LabelCapacityType] = o.CapacityType
	if o.ReservationID != "" {
		node.Labels[v1alpha1.LabelReservationID] = o.ReservationID
	}
	t.AddAliases(node.Labels)
	node.Spec.Taints = claim.Spec.Taints
	node.Status.Allocatable = t.Allocatable
	if len(status.Allocatable) > 0 {
		node.Status.Allocatable = status.Allocatable
	}
	if status.InstanceType != "" {
		return node, nil
	}
	return node, func(label string) bool {
		if key, ok := t.Aliases[label]; ok {
			label = key
		}
		return differs(claim, types, label, node.Labels)
	}
}

// differs tells whether an offering that a claim accepts may have another value of a label than
// the labels given.
func differs(claim *v1alpha1.NodeClaim, types map[string]Type, label string, labels map[string]string) bool {
	value, has := labels[label]
	other := func(g v1alpha1.OfferingGroup) bool {
		switch label {
		case corev1.LabelTopologyZone:
			return slices.ContainsFunc(g.Zones, func(zone string) bool { return zone != value })
		case v1alpha1.LabelCapacityType:
			return g.CapacityType != value
		case v1alpha1.LabelReservationID:
			return g.ReservationID != value
		case corev1.LabelInstanceTypeStable:
			return slices.ContainsFunc(g.Types, func(name string) bool { return name != value })
		}
		return slices.ContainsFunc(g.Types, func(name string) bool {
			v, ok := types[name].Labels[label]
			return ok != has || v != value
		})
	}
	_, own := claim.Spec.Labels[label] // whatever is bought
	return !own && slices.ContainsFunc(claim.Spec.Offerings, other)
}

// Least returns what a claim's node will have for pods at the least: of every resource the
// least that any type has which the claim accepts.
func Least(claim *v1alpha1.NodeClaim, types map[string]Type) corev1.ResourceList {
	if len(claim.Status.Allocatable) > 0 {
		return claim.Status.Allocatable
	}
	var least corev1.ResourceList
	for _, g := range claim.Spec.Offerings {
		for _, name := range g.Types {
			has := types[name].Allocatable
			if least == nil {
				least = corev1.ResourceList{}
				maps.Copy(least, has)
			}
			for resource, q := range least {
				if have, ok := has[resource]; !ok {
					delete(least, resource)
				} else if have.Cmp(q) < 0 {
					least[resource] = have
				}
			}
		}
	}
	return least
}

// Most returns the most capacity that a claim's node can have: a claim that is not launched
// yet counts as the largest node it accepts.
func Most(claim *v1alpha1.NodeClaim, types map[string]Type) corev1.ResourceList {
	if t := claim.Status.InstanceType; t != "" {
		if known, ok := types[t]; ok {
			return known.Capacity
		}
		return claim.Status.Allocatable
	}
	most := corev1.ResourceList{}
	for _, g := range claim.Spec.Offerings {
		for _, name := range g.Types {
			for resource, q := range types[name].Capacity {
				if have := most[resource]; q.Cmp(have) > 0 {
					most[resource] = q
				}
			}
		}
	}
	return most
}
