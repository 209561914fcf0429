package v1alpha1

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
)

// OfferingGroup is instance types that are accepted at one capacity type, each in all of
// the same zones. A claim accepts hundreds of offerings and is written, sent and validated
// several times before its node is up: said group by group they take a fifth of the bytes
// that they take one by one.
//
// +kubebuilder:validation:XValidation:rule="self.types.all(t, t.prices.size() == 1 || t.prices.size() == self.zones.size())",message="prices: give one for every zone, or a single one that holds in all of them"
type OfferingGroup struct {
	// +kubebuilder:validation:Enum=on-demand;spot;reserved
	CapacityType string `json:"capacityType"`
	// Zones, by name.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Zones []string `json:"zones"`
	// Types, those of the lowest price first.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	Types []PricedType `json:"types"`
}

// PricedType is one instance type of an OfferingGroup.
type PricedType struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// Prices in US dollars per hour when the claim was planned, zone by zone; a single one
	// holds in all zones.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Prices []resource.Quantity `json:"prices"`
}

// How much the schema lets a claim list.
const (
	MaxOfferingGroups = 32
	MaxReservedPods   = 512
)

// AcceptedOffering is one instance type in one zone at one capacity type.
//
// +kubebuilder:object:generate=false
type AcceptedOffering struct {
	InstanceType, Zone, CapacityType string
	// Price in US dollars per hour when the claim was planned.
	Price resource.Quantity
}

// GroupOfferings puts offerings into the form that a claim has them in: groups and types in
// the order of their lowest prices. Of an offering that is given twice the lower price counts.
func GroupOfferings(offerings ...AcceptedOffering) []OfferingGroup {
	type sold struct{ instanceType, capacityType string }
	prices := map[sold]map[string]resource.Quantity{}
	var order []sold
	for _, o := range cheapestFirst(slices.Clone(offerings)) {
		k := sold{o.InstanceType, o.CapacityType}
		if prices[k] == nil {
			prices[k] = map[string]resource.Quantity{}
			order = append(order, k)
		}
		if _, twice := prices[k][o.Zone]; !twice {
			prices[k][o.Zone] = o.Price
		}
	}
	var groups []OfferingGroup
	for _, k := range order {
		zones := slices.Sorted(maps.Keys(prices[k]))
		i := slices.IndexFunc(groups, func(g OfferingGroup) bool {
			return g.CapacityType == k.capacityType && slices.Equal(g.Zones, zones)
		})
		if i < 0 {
			i = len(groups)
			groups = append(groups, OfferingGroup{CapacityType: k.capacityType, Zones: zones})
		}
		t := PricedType{Name: k.instanceType}
		for _, z := range zones {
			t.Prices = append(t.Prices, prices[k][z])
		}
		if !slices.ContainsFunc(t.Prices, func(p resource.Quantity) bool { return p.Cmp(t.Prices[0]) != 0 }) {
			t.Prices = t.Prices[:1]
		}
		groups[i].Types = append(groups[i].Types, t)
	}
	return groups
}

// price in the i-th zone of the group.
func (t PricedType) price(i int) resource.Quantity {
	if len(t.Prices) == 1 {
		return t.Prices[0]
	}
	return t.Prices[i]
}

// Accepted lists the claim's offerings, cheapest first.
func (s *NodeClaimSpec) Accepted() []AcceptedOffering {
	var all []AcceptedOffering
	for _, g := range s.Offerings {
		for _, t := range g.Types {
			for i, zone := range g.Zones {
				all = append(all, AcceptedOffering{t.Name, zone, g.CapacityType, t.price(i)})
			}
		}
	}
	return cheapestFirst(all)
}

// Cheapest is the first of Accepted: what the node will be, unless it is sold out. It is
// the zero value for a claim without offerings.
func (s *NodeClaimSpec) Cheapest() AcceptedOffering {
	if len(s.Offerings) == 0 {
		return AcceptedOffering{}
	}
	first := NodeClaimSpec{Offerings: []OfferingGroup{s.Offerings[0]}}
	first.Offerings[0].Types = first.Offerings[0].Types[:1]
	return first.Accepted()[0]
}

// PriceOf returns the price of an offering, if the claim accepts it.
func (s *NodeClaimSpec) PriceOf(instanceType, zone, capacityType string) (resource.Quantity, bool) {
	for _, g := range s.Offerings {
		i := slices.Index(g.Zones, zone)
		if i < 0 || g.CapacityType != capacityType {
			continue
		}
		for _, t := range g.Types {
			if t.Name == instanceType {
				return t.price(i), true
			}
		}
	}
	return resource.Quantity{}, false
}

func cheapestFirst(offerings []AcceptedOffering) []AcceptedOffering {
	slices.SortStableFunc(offerings, func(a, b AcceptedOffering) int { return a.Price.Cmp(b.Price) })
	return offerings
}
