// Package catalog owns what can be bought where AWS is not asked: instance types and their
// on-demand prices, from a table that is built in or from a CSV file.
package catalog

import (
	"context"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// Entry is an instance type with its on-demand price.
type Entry struct {
	ec2.Hardware
	Price float64 // US dollars per hour
}

// Catalog is what can be bought, at the same price in every zone. It implements
// offering.Source.
type Catalog []Entry

var _ offering.Source = Catalog(nil)

// Zones are where everything in a Catalog is offered.
func Zones() []string { return []string{"us-east-1a", "us-east-1b", "us-east-1c"} }

// Types implements offering.Source: the types that the daemon would offer, predicted with
// its arithmetic.
func (c Catalog) Types(_ context.Context, class *v1alpha1.EC2NodeClass) ([]offering.Type, error) {
	var types []offering.Type
	for _, e := range c {
		if !e.RunsAL2023() {
			continue
		}
		var offerings []offering.Offering
		for _, zone := range Zones() {
			offerings = append(offerings, offering.Offering{
				Zone: zone, CapacityType: v1alpha1.CapacityTypeOnDemand, Price: e.Price, Available: true,
			})
		}
		t, ok, err := e.TypeFor(class, offerings)
		if err != nil {
			return nil, err
		}
		if ok {
			types = append(types, t)
		}
	}
	return types, nil
}
