package nodeclaim

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Kinds of what the garbage collector collects.
const (
	kindInstance = "instance"
	kindClaim    = "nodeclaim"
	kindNode     = "node"
)

// metrics are the package's instruments.
type metrics struct {
	launched    prometheus.Histogram
	registered  prometheus.Histogram
	initialized prometheus.Histogram
	terminated  *prometheus.CounterVec
	collected   *prometheus.CounterVec

	notices      *prometheus.CounterVec
	noticeErrors prometheus.Counter
	noticeAge    prometheus.Histogram
}

// newMetrics makes and registers the instruments. The gauge of claims by phase is
// counted from the cache whenever it is read.
func newMetrics(r prometheus.Registerer, claims client.Reader) (*metrics, error) {
	since := func(name, what string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "slipway_nodeclaim_" + name + "_seconds",
			Help:    "Time from a NodeClaim's creation until " + what + ".",
			Buckets: prometheus.ExponentialBuckets(0.25, 2, 13), // to 17 min
		})
	}
	m := &metrics{
		launched:    since("launched", "its instance was bought"),
		registered:  since("registered", "its node registered"),
		initialized: since("initialized", "its node was ready for pods"),
		terminated: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_nodeclaims_terminated_total",
			Help: "NodeClaims of which nothing is left, by the reason they ended for.",
		}, []string{"reason"}),
		collected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_garbage_collected_total",
			Help: "Instances without a NodeClaim, NodeClaims without their instance and Nodes without either that were removed.",
		}, []string{"kind"}),
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_interruption_messages_total",
			Help: "Messages of the cloud's queue by kind (none where it is no notice) and outcome: heeded, ignored (not of our instances), malformed, foreign, failed (comes again).",
		}, []string{"kind", "outcome"}),
		noticeErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "slipway_interruption_queue_errors_total",
			Help: "Failures to read the cloud's queue or to delete from it.",
		}),
		noticeAge: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "slipway_interruption_notice_age_seconds",
			Help:    "Time from a notice of the cloud until its nodes were tainted and their replacement was asked for.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 13), // to 3.4 min
		}),
	}
	for _, kind := range []string{kindInstance, kindClaim, kindNode} {
		m.collected.WithLabelValues(kind)
	}
	for _, c := range []prometheus.Collector{
		m.launched, m.registered, m.initialized, m.terminated, m.collected, m.notices, m.noticeErrors, m.noticeAge, phaseCollector{claims},
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of nodeclaims: %w", err)
		}
	}
	return m, nil
}

var phaseDesc = prometheus.NewDesc("slipway_nodeclaims",
	"NodeClaims by phase: pending (not bought yet), launched, registered, initialized, terminating.",
	[]string{"phase"}, nil)

var cappedDesc = prometheus.NewDesc("slipway_nodeclaims_capped",
	"NodeClaims that are not bought yet because as many nodes were launched within a minute as may be.", nil, nil)

// phaseCollector counts NodeClaims by phase.
type phaseCollector struct{ claims client.Reader }

// Describe implements prometheus.Collector.
func (phaseCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- phaseDesc
	ch <- cappedDesc
}

// Collect implements prometheus.Collector. It reports nothing until the cache runs.
func (p phaseCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var claims v1alpha1.NodeClaimList
	if err := p.claims.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	counts := map[string]float64{"pending": 0, "launched": 0, "registered": 0, "initialized": 0, "terminating": 0}
	capped := 0
	for i := range claims.Items {
		c := &claims.Items[i]
		counts[phase(c)]++
		if c.DeletionTimestamp == nil && hasReason(c, v1alpha1.ConditionLaunched, reasonCapped) {
			capped++
		}
	}
	ch <- prometheus.MustNewConstMetric(cappedDesc, prometheus.GaugeValue, float64(capped))
	for phase, n := range counts {
		ch <- prometheus.MustNewConstMetric(phaseDesc, prometheus.GaugeValue, n, phase)
	}
}

// phase names how far a claim has come.
func phase(claim *v1alpha1.NodeClaim) string {
	switch {
	case claim.DeletionTimestamp != nil:
		return "terminating"
	case isTrue(claim, v1alpha1.ConditionInitialized):
		return "initialized"
	case isTrue(claim, v1alpha1.ConditionRegistered):
		return "registered"
	case isTrue(claim, v1alpha1.ConditionLaunched):
		return "launched"
	default:
		return "pending"
	}
}
