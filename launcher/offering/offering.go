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
	// Capacity and Allocatable as a node of this type will report them. They are a
	// prediction; a Catalog corrects Allocatable by what real nodes reported.
	Capacity    corev1.ResourceList
	Allocatable corev1.ResourceList
	Offerings   []Offering
	// Current is whether AWS calls the type a current generation.
	Current bool
}

// Offering is one instance type in one zone at one capacity type.
type Offering struct {
	Zone         string
	CapacityType string  // v1alpha1.CapacityType…
	Price        float64 // US dollars per hour
	// Available is false while EC2 is known to have none.
	Available bool
}

// Key names an offering.
type Key struct {
	InstanceType, Zone, CapacityType string
}
