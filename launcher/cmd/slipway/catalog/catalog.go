// Package catalog owns what can be bought where AWS is not asked: instance types and their
// on-demand prices, from the table that is built in of us-east-1 or from a CSV file.
package catalog

import (
	"context"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// Catalog is what can be bought, on demand and at the same price in every zone. It implements
// offering.Source.
type Catalog []ec2.Listed

var _ offering.Source = Catalog(nil)

// region is the one whose table is taken where there is no other.
const region = "us-east-1"

// Zones are where everything in a Catalog is offered.
func Zones() []string { return []string{region + "a", region + "b", region + "c"} }

// Builtin returns the table that the launcher falls back on.
func Builtin() (Catalog, error) {
	t, err := ec2.BuiltIn(region)
	return t.Types, err
}

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
