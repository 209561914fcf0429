// Package offering owns what can be bought: instance types with their predicted
// capacity, and their offerings (one type in one zone at one capacity type) with price
// and availability.
//
// What a node of a type will have for pods is predicted by the Source (package ec2 documents
// every term) and corrected by real nodes: what a node fell short of its prediction by is
// remembered by type, image and sizing, the settings of its class that the arithmetic depends
// on, and taken off later predictions for the same. See Catalog.Learn.
package offering

import (
	corev1 "k8s.io/api/core/v1"
)

// Type is one instance type as a node of one class would be.
type Type struct {
	Name string
	// ImageID is the image that nodes of the class are started from on this type; empty
	// where it is not known.
	ImageID string
	// Labels every node of this type has: kubernetes.io/{arch,os}, node.kubernetes.io/instance-type,
	// slipway.dev/instance-*.
	Labels map[string]string
	// Aliases are keys under which the nodes have labels a second time, with the key that the
	// value is found under; nil where there are none.
	Aliases map[string]string
	// Capacity and Allocatable as a node of this type will report them. They are a
	// prediction; a Catalog corrects Allocatable by what real nodes reported.
	Capacity    corev1.ResourceList
	Allocatable corev1.ResourceList
	Offerings   []Offering
	// Current is whether AWS calls the type a current generation.
	Current bool
}

// AddAliases gives the labels of a node of the type their second keys. Labels that are there
// under these keys already are left alone.
func (t Type) AddAliases(labels map[string]string) { AddAliases(labels, t.Aliases) }

// AddAliases adds labels to those given: the value of each of the aliases' values under its key.
func AddAliases(labels, aliases map[string]string) {
	for alias, key := range aliases {
		value, has := labels[key]
		if _, own := labels[alias]; has && !own {
			labels[alias] = value
		}
	}
}

// Offering is one instance type in one zone at one capacity type.
type Offering struct {
	Zone         string
	CapacityType string  // v1alpha1.CapacityType…
	Price        float64 // US dollars per hour; of reserved capacity, its on-demand price
	// Available is false while EC2 is known to have none.
	Available bool
	// Reservation is what is launched into, where the capacity type is reserved; else nil.
	Reservation *Reservation
}

// Reservation is a number of instances of one type in one zone that are paid for whether
// they are used or not.
type Reservation struct {
	ID string
	// Total instances, and how many nobody used when the Source counted.
	Total, Available int
}

// reservedShare of its price is what reserved capacity counts for when nodes are chosen:
// it goes before all else, and the cheaper before the dearer.
const reservedShare = 1e-7

// Cost is what buying the offering adds to the bill, in US dollars per hour: its price, and
// next to nothing where that is paid already.
func (o Offering) Cost() float64 {
	if o.Reservation != nil {
		return o.Price * reservedShare
	}
	return o.Price
}

// reservationID is empty where there is no reservation.
func (o Offering) reservationID() string {
	if o.Reservation == nil {
		return ""
	}
	return o.Reservation.ID
}

// Key names an offering.
type Key struct {
	InstanceType, Zone, CapacityType string
	ReservationID                    string // where the capacity type is reserved
}
