package day

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/catalog"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// market is what can be bought, at the prices of the moment.
type market struct {
	pool  *v1alpha1.NodePool
	types []offering.Type
	// spot is what share of the on-demand price spot capacity costs, by type and zone. It
	// walks between cheapest and dearest.
	spot map[offering.Key]float64

	offers    []offering.Offer
	templates []fit.Template
	prices    map[offering.Key]float64
}

// Spot prices: shares of the on-demand price, and how far one walks in an hour.
const (
	cheapestSpot = 0.25
	dearestSpot  = 0.65
	spotWalk     = 0.03
)

// newMarket draws the spot prices of the first hour. Prices of on-demand capacity are those
// that are built in.
func newMarket(ctx context.Context, r *rand.Rand) (*market, error) {
	known, err := catalog.Builtin()
	if err != nil {
		return nil, err
	}
	m := &market{pool: &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "general"}}, spot: map[offering.Key]float64{}}
	m.pool.Spec.Template.Spec.Requirements = []v1alpha1.Requirement{
		{Key: v1alpha1.LabelInstanceCategory, Operator: v1alpha1.OpIn, Values: []string{"c", "m", "r"}},
		{Key: v1alpha1.LabelCapacityType, Operator: v1alpha1.OpIn, Values: []string{v1alpha1.CapacityTypeSpot, v1alpha1.CapacityTypeOnDemand}},
	}
	if m.types, err = known.Types(ctx, nil); err != nil {
		return nil, err
	}
	m.types = slices.DeleteFunc(m.types, func(t offering.Type) bool { return !t.Current })
	for i := range m.types {
		t := &m.types[i]
		for _, o := range slices.Clone(t.Offerings) {
			o.CapacityType = v1alpha1.CapacityTypeSpot
			m.spot[keyOf(t.Name, o)] = cheapestSpot + (dearestSpot-cheapestSpot)*r.Float64()
			t.Offerings = append(t.Offerings, o)
		}
	}
	return m, m.list()
}

func keyOf(instanceType string, o offering.Offering) offering.Key {
	return offering.Key{InstanceType: instanceType, Zone: o.Zone, CapacityType: o.CapacityType}
}

// walk is an hour of the spot market.
func (m *market) walk(r *rand.Rand) error {
	keys := make([]offering.Key, 0, len(m.spot))
	for k := range m.spot {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b offering.Key) int {
		return cmp.Or(cmp.Compare(a.InstanceType, b.InstanceType), cmp.Compare(a.Zone, b.Zone))
	})
	for _, k := range keys {
		m.spot[k] = min(dearestSpot, max(cheapestSpot, m.spot[k]+spotWalk*r.NormFloat64()))
	}
	return m.list()
}

// list brings offers in line with the prices.
func (m *market) list() error {
	priced := make([]offering.Type, len(m.types))
	for i, t := range m.types {
		onDemand := t.Offerings[0].Price
		t.Offerings = slices.Clone(t.Offerings)
		for j := range t.Offerings {
			if share, ok := m.spot[keyOf(t.Name, t.Offerings[j])]; ok {
				t.Offerings[j].Price = math.Round(onDemand*share*1e4) / 1e4
			}
		}
		priced[i] = t
	}
	offers, err := offering.Of(m.pool, priced)
	if err != nil {
		return fmt.Errorf("nodepool %s: %w", m.pool.Name, err)
	}
	m.offers, m.templates, m.prices = offers.Available, nil, map[offering.Key]float64{}
	for _, o := range m.offers {
		m.templates = append(m.templates, fit.Template{Node: o.Node, Price: o.Cost(), Pool: m.pool.Name})
		m.prices[keyOf(o.Type, o.Offering)] = o.Price
	}
	return nil
}

// priceOf is what a node costs now, in dollars an hour.
func (m *market) priceOf(node *corev1.Node) float64 {
	return m.prices[offering.Key{
		InstanceType: node.Labels[corev1.LabelInstanceTypeStable], Zone: node.Labels[corev1.LabelTopologyZone],
		CapacityType: node.Labels[v1alpha1.LabelCapacityType],
	}]
}
