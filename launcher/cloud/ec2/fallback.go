package ec2

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// What the provider goes on with where AWS has not told it since the start what there is and what it
// costs: types and prices that are built in of the region, and for spot prices, which change
// from day to day, on-demand ones. Each is replaced when it can be read.

// builtInTypes stands in for what EC2 says of its instance types. In which zones they are sold
// is not built in.
func (p *Provider) builtInTypes() (typeTable, time.Time, error) {
	t, err := BuiltIn(p.cfg.AWS.Region)
	table := typeTable{}
	for _, l := range t.Types {
		usage := []string{v1alpha1.CapacityTypeOnDemand, v1alpha1.CapacityTypeSpot}
		if l.NoSpot {
			usage = usage[:1]
		}
		table[l.Name] = sold{Hardware: l.Hardware, usage: usage, anywhere: true}
	}
	return table, t.Date, err
}

func (p *Provider) builtInPrices() (onDemandPrices, time.Time, error) {
	t, err := BuiltIn(p.cfg.AWS.Region)
	listed := onDemandPrices{}
	for _, l := range t.Types {
		listed[l.Name] = l.Price
	}
	return listed, t.Date, err
}

// noSpotPrices stands in for spot prices; see prices.of.
func noSpotPrices() (spotPrices, time.Time, error) { return nil, time.Time{}, nil }

// Snapshot reads anew what AWS sells in the region, for BuiltIn to have.
func (p *Provider) Snapshot(ctx context.Context) (Table, error) {
	types, err := p.describeTypes(ctx)
	if err != nil {
		return Table{}, fmt.Errorf("instance types: %w", err)
	}
	listed, err := p.readOnDemandPrices(ctx)
	if err != nil {
		return Table{}, fmt.Errorf("on-demand prices: %w", err)
	}
	t := Table{Date: p.cfg.Clock.Now().UTC().Truncate(24 * time.Hour)}
	for _, name := range sortedKeys(types) {
		if usd, ok := listed[name]; ok {
			t.Types = append(t.Types, Listed{types[name].Hardware, usd, !types[name].isSold(v1alpha1.CapacityTypeSpot)})
		}
	}
	return t, nil
}

// substituted says which data were never read from AWS, and what is used in their place; nil
// where all were, or nobody asked for any yet.
func (p *Provider) substituted() *metav1.Condition {
	var all []string
	for _, s := range []struct {
		what string
		with *substitution
	}{
		{"instance types", p.types.substituted.Load()},
		{"on-demand prices", p.onDemand.substituted.Load()},
		{"spot prices", p.spot.substituted.Load()},
	} {
		switch {
		case s.with == nil:
		case s.with.date.IsZero():
			all = append(all, fmt.Sprintf("%s are taken to be on-demand ones, which they do not exceed: %v", s.what, s.with.cause))
		default:
			all = append(all, fmt.Sprintf("%s are those built in, of %s: %v", s.what, s.with.date.Format(time.DateOnly), s.with.cause))
		}
	}
	if all == nil {
		return nil
	}
	return &metav1.Condition{
		Type: v1alpha1.ConditionOfferingsCurrent, Status: metav1.ConditionFalse, Reason: "Substituted", Message: strings.Join(all, "; "),
	}
}
