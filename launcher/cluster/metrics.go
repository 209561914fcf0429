package cluster

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// collector counts launched nodes and what they cost, when it is asked.
type collector struct {
	client       client.Reader
	nodes, price *prometheus.Desc
}

// NewCollector returns the metrics slipway_nodes and slipway_price_dollars_per_hour.
func NewCollector(c client.Reader) prometheus.Collector {
	labels := []string{"nodepool", "type", "zone", "capacity_type"}
	return &collector{
		client: c,
		nodes:  prometheus.NewDesc("slipway_nodes", "Instances that are bought and not terminated yet.", labels, nil),
		price:  prometheus.NewDesc("slipway_price_dollars_per_hour", "What these instances cost together.", labels, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { ch <- c.nodes; ch <- c.price }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var claims v1alpha1.NodeClaimList
	if err := c.client.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache has not synced yet
	}
	type key [4]string
	nodes, price := map[key]int{}, map[key]float64{}
	for _, claim := range claims.Items {
		s := claim.Status
		if s.InstanceID == "" {
			continue
		}
		k := key{claim.Spec.NodePool, s.InstanceType, s.Zone, s.CapacityType}
		nodes[k]++
		if s.Price != nil {
			price[k] += s.Price.AsApproximateFloat64()
		}
	}
	for k, n := range nodes {
		ch <- prometheus.MustNewConstMetric(c.nodes, prometheus.GaugeValue, float64(n), k[:]...)
		ch <- prometheus.MustNewConstMetric(c.price, prometheus.GaugeValue, price[k], k[:]...)
	}
}
