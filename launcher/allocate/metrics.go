package allocate

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// stage is a step in the life of a pod, as labelled in slipway_pod_stage_seconds.
type stage string

const (
	stagePlanned    stage = "planned"
	stageLaunched   stage = "launched"
	stageRegistered stage = "registered"
	stageReady      stage = "ready"
	stageBound      stage = "bound"
)

type metrics struct {
	pods                 *prometheus.GaugeVec
	batchPods, batchOpen prometheus.Histogram
	fitSeconds           prometheus.Histogram
	packSeconds          prometheus.Histogram
	planPrice, planBound prometheus.Gauge
	stages               *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	durations := prometheus.ExponentialBuckets(0.001, 2, 16) // 1 ms to 33 s
	m := &metrics{
		pods: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slipway_pods", Help: "Pods the launcher knows, by the phase of their reservation.",
		}, []string{"phase"}),
		batchPods: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "slipway_batch_pods", Help: "Pods planned for together.", Buckets: prometheus.ExponentialBuckets(1, 2, 16),
		}),
		batchOpen: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "slipway_batch_seconds", Help: "Time a batch was open.", Buckets: durations,
		}),
		fitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "slipway_fit_seconds", Help: "Time to find what fits where, for one plan.", Buckets: durations,
		}),
		packSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "slipway_pack_seconds", Help: "Time to choose what to buy, for one plan.", Buckets: durations,
		}),
		planPrice: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "slipway_plan_price_dollars_per_hour", Help: "Price of the latest plan.",
		}),
		planBound: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "slipway_plan_lower_bound_dollars_per_hour", Help: "Proven lower bound on the price of the latest plan.",
		}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slipway_pod_stage_seconds", Help: "Time from a pod's hand-over to each stage of its reservation.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 16), // 10 ms to 5.5 min
		}, []string{"stage"}),
	}
	for _, c := range []prometheus.Collector{m.pods, m.batchPods, m.batchOpen, m.fitSeconds, m.packSeconds, m.planPrice, m.planBound, m.stages} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) batch(pods int, open time.Duration) {
	m.batchPods.Observe(float64(pods))
	m.batchOpen.Observe(open.Seconds())
}

func (m *metrics) planned(p *fit.Plan) {
	m.fitSeconds.Observe((p.Took.Fit + p.Took.Verify).Seconds())
	m.packSeconds.Observe(p.Took.Pack.Seconds())
	m.planPrice.Set(p.Price)
	m.planBound.Set(p.LowerBound)
}

// progress observes the stages that a pod's reservation has just reached.
func (m *metrics) progress(before Phase, e *entry) {
	for _, s := range []struct {
		phase Phase
		stage stage
	}{{Planned, stagePlanned}, {Launched, stageLaunched}, {Ready, stageReady}} {
		if before < s.phase && e.Phase >= s.phase && e.Phase <= Ready {
			m.observe(s.stage, e.Since)
		}
	}
}

func (m *metrics) observe(s stage, since time.Time) {
	m.stages.WithLabelValues(string(s)).Observe(time.Since(since).Seconds())
}

// moved counts a pod that went from one phase to another; the zero Phase is none.
func (m *metrics) moved(from, to Phase) {
	if name := phaseNames[from]; name != "" {
		m.pods.WithLabelValues(name).Dec()
	}
	if to != Ended {
		m.pods.WithLabelValues(to.String()).Inc()
	}
}
