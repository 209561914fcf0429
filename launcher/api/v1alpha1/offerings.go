package v1alpha1

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
)

// OfferingGroup is instance types that are accepted at one capacity type, each in all of
// the same zones.
//
// A claim accepts hundreds of offerings and is written several times before its node is up,
// each time decoded, compared with what it was and validated by the API server. Lists of
// plain strings and numbers cost least there: with 360 offerings a write took 5 ms, and 10 ms
// when every type was an object with its prices as quantities (2.5 ms with six; 16 writers
// on 2 vCPU AMD EPYC, 2026-11-22).
//
// +kubebuilder:validation:XValidation:rule="self.priceMicros.size() == self.types.size() || self.priceMicros.size() == self.types.size() * self.zones.size()",message="priceMicros: give one for every type, or one for every type and zone"
type OfferingGroup struct {
	// +kubebuilder:validation:Enum=on-demand;spot;reserved
	CapacityType string `json:"capacityType"`
	// ReservationID is the capacity reservation to launch into, where the capacity type is reserved.
	//
	// +kubebuilder:validation:MaxLength=64
	ReservationID string `json:"reservationID,omitempty"`
	// Zones, by name.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Zones []string `json:"zones"`
	// Types, the one of the lowest price first.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Types []string `json:"types"`
	// PriceMicros are the prices when the claim was planned, in millionths of a US dollar per
	// hour: one for every type that holds in all zones, or one for every zone of the first
	// type, then of the second, and so on.
	//
	// +kubebuilder:validation:MaxItems=1600
	PriceMicros []int64 `json:"priceMicros"`
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
	ReservationID                    string // where the capacity type is reserved
	// Price in US dollars per hour when the claim was planned; of reserved capacity, which
	// is paid for whether it is used or not, its on-demand price.
	Price resource.Quantity
}

// GroupOfferings puts offerings into the form that a claim has them in: groups and types in
// the order of Accepted. Of an offering that is given twice the lower price counts.
func GroupOfferings(offerings ...AcceptedOffering) []OfferingGroup {
	type sold struct{ instanceType, capacityType, reservationID string }
	prices := map[sold]map[string]int64{} // by zone
	var order []sold
	for _, o := range cheapestFirst(slices.Clone(offerings)) {
		k := sold{o.InstanceType, o.CapacityType, o.ReservationID}
		if prices[k] == nil {
			prices[k] = map[string]int64{}
			order = append(order, k)
		}
		if _, twice := prices[k][o.Zone]; !twice {
			prices[k][o.Zone] = o.Price.ScaledValue(resource.Micro)
		}
	}
	var groups []OfferingGroup
	for _, k := range order {
		zones := slices.Sorted(maps.Keys(prices[k]))
		i := slices.IndexFunc(groups, func(g OfferingGroup) bool {
			return g.CapacityType == k.capacityType && g.ReservationID == k.reservationID && slices.Equal(g.Zones, zones)
		})
		if i < 0 {
			i = len(groups)
			groups = append(groups, OfferingGroup{CapacityType: k.capacityType, ReservationID: k.reservationID, Zones: zones})
		}
		groups[i].Types = append(groups[i].Types, k.instanceType)
		for _, z := range zones {
			groups[i].PriceMicros = append(groups[i].PriceMicros, prices[k][z])
		}
	}
	for i := range groups {
		groups[i].shorten()
	}
	return groups
}

// shorten says prices once that are the same in all zones, if that goes for every type.
func (g *OfferingGroup) shorten() {
	var once []int64
	for prices := range slices.Chunk(g.PriceMicros, len(g.Zones)) {
		if slices.Min(prices) != slices.Max(prices) {
			return
		}
		once = append(once, prices[0])
	}
	g.PriceMicros = once
}

// offering of a type in a zone, by their places in the group.
func (g *OfferingGroup) offering(t, zone int) AcceptedOffering {
	micros := g.PriceMicros[t]
	if len(g.PriceMicros) > len(g.Types) {
		micros = g.PriceMicros[t*len(g.Zones)+zone]
	}
	return AcceptedOffering{
		InstanceType: g.Types[t], Zone: g.Zones[zone], CapacityType: g.CapacityType, ReservationID: g.ReservationID,
		Price: *resource.NewScaledQuantity(micros, resource.Micro),
	}
}

// Accepted lists the claim's offerings, reserved ones first, then cheapest first.
func (s *NodeClaimSpec) Accepted() []AcceptedOffering {
	var all []AcceptedOffering
	for i := range s.Offerings {
		g := &s.Offerings[i]
		for t := range g.Types {
			for zone := range g.Zones {
				all = append(all, g.offering(t, zone))
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
	g := &s.Offerings[0]
	cheapest := g.offering(0, 0)
	for zone := range g.Zones {
		if o := g.offering(0, zone); o.Price.Cmp(cheapest.Price) < 0 {
			cheapest = o
		}
	}
	return cheapest
}

// PriceOf returns the price of an offering, if the claim accepts it.
func (s *NodeClaimSpec) PriceOf(instanceType, zone, capacityType string) (resource.Quantity, bool) {
	for i := range s.Offerings {
		g := &s.Offerings[i]
		t, z := slices.Index(g.Types, instanceType), slices.Index(g.Zones, zone)
		if t >= 0 && z >= 0 && g.CapacityType == capacityType {
			return g.offering(t, z).Price, true
		}
	}
	return resource.Quantity{}, false
}

func cheapestFirst(offerings []AcceptedOffering) []AcceptedOffering {
	slices.SortStableFunc(offerings, func(a, b AcceptedOffering) int {
		if x, y := a.CapacityType == CapacityTypeReserved, b.CapacityType == CapacityTypeReserved; x != y {
			if x {
				return -1
			}
			return 1
		}
		return a.Price.Cmp(b.Price)
	})
	return offerings
}
