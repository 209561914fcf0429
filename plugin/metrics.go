package plugin

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	basemetrics "k8s.io/component-base/metrics"

	"github.com/slipway-dev/slipway/plugin/ledger"
	"github.com/slipway-dev/slipway/plugin/memory"
)

// metrics are the plugin's, among the scheduler's own on its /metrics.
type metrics struct {
	handedOver       *basemetrics.Counter
	reservations     *basemetrics.GaugeVec
	oldest           *basemetrics.GaugeVec
	gateOpen         *basemetrics.CounterVec
	tries            *basemetrics.CounterVec
	guardRejections  *basemetrics.Counter
	memory           *basemetrics.CounterVec
	rpcs             *basemetrics.CounterVec
	queueLength      *basemetrics.Gauge
	readyToBound     *basemetrics.Histogram
	firstSeenToBound *basemetrics.Histogram

	mu sync.Mutex // of reservations
}

const subsystem = "slipway"

// newMetrics makes the metrics and registers them. In a process with several schedulers,
// as tests are, the first one's are shown.
func newMetrics(register func(basemetrics.Registerable) error) (*metrics, error) {
	m := &metrics{
		handedOver: basemetrics.NewCounter(&basemetrics.CounterOpts{
			Subsystem: subsystem, Name: "pods_handed_over_total", StabilityLevel: basemetrics.ALPHA,
			Help: "Pods handed to the launcher because they fit on no node, counted each time.",
		}),
		reservations: basemetrics.NewGaugeVec(&basemetrics.GaugeOpts{
			Subsystem: subsystem, Name: "reservations", StabilityLevel: basemetrics.ALPHA,
			Help: "Reservations by state.",
		}, []string{"state"}),
		oldest: basemetrics.NewGaugeVec(&basemetrics.GaugeOpts{
			Subsystem: subsystem, Name: "oldest_reservation_seconds", StabilityLevel: basemetrics.ALPHA,
			Help: "Age of the oldest reservation in each state, from when its pod first fitted nowhere; 0 where there is none.",
		}, []string{"state"}),
		gateOpen: basemetrics.NewCounterVec(&basemetrics.CounterOpts{
			Subsystem: subsystem, Name: "gate_open_total", StabilityLevel: basemetrics.ALPHA,
			Help: "Pods let into the scheduling queue, by why.",
		}, []string{"reason"}),
		tries: basemetrics.NewCounterVec(&basemetrics.CounterOpts{
			Subsystem: subsystem, Name: "tries_total", StabilityLevel: basemetrics.ALPHA,
			Help: "Pods that wait for their node and were tried elsewhere, by what came of it.",
		}, []string{"result"}),
		guardRejections: basemetrics.NewCounter(&basemetrics.CounterOpts{
			Subsystem: subsystem, Name: "guard_rejections_total", StabilityLevel: basemetrics.ALPHA,
			Help: "Times a node was refused to a pod because its room is promised to others.",
		}),
		memory: basemetrics.NewCounterVec(&basemetrics.CounterOpts{
			Subsystem: subsystem, Name: "memory_total", StabilityLevel: basemetrics.ALPHA,
			Help: "Pods looked up among those that were just refused by every node (hit, miss), and refusals kept (recorded), not kept (discarded) or dropped (forgotten), by why.",
		}, []string{"result", "reason"}),
		rpcs: basemetrics.NewCounterVec(&basemetrics.CounterOpts{
			Subsystem: subsystem, Name: "courier_rpcs_total", StabilityLevel: basemetrics.ALPHA,
			Help: "Calls to the launcher that have ended.",
		}, []string{"method", "code"}),
		queueLength: basemetrics.NewGauge(&basemetrics.GaugeOpts{
			Subsystem: subsystem, Name: "courier_queue_length", StabilityLevel: basemetrics.ALPHA,
			Help: "Pods and releases that the launcher has not answered for.",
		}),
		readyToBound: basemetrics.NewHistogram(&basemetrics.HistogramOpts{
			Subsystem: subsystem, Name: "node_ready_to_bound_seconds", StabilityLevel: basemetrics.ALPHA,
			Help:    "Time from a node being ready to a pod it was launched for being bound.",
			Buckets: basemetrics.ExponentialBuckets(0.001, 2, 16),
		}),
		firstSeenToBound: basemetrics.NewHistogram(&basemetrics.HistogramOpts{
			Subsystem: subsystem, Name: "pod_first_seen_to_bound_seconds", StabilityLevel: basemetrics.ALPHA,
			Help:    "Time from a pod first fitting nowhere to its being bound.",
			Buckets: basemetrics.ExponentialBuckets(0.1, 2, 14),
		}),
	}
	for _, c := range []basemetrics.Registerable{
		m.handedOver, m.reservations, m.oldest, m.gateOpen, m.tries, m.guardRejections, m.memory, m.rpcs, m.queueLength, m.readyToBound, m.firstSeenToBound,
	} {
		var again prometheus.AlreadyRegisteredError
		if err := register(c); err != nil && !errors.As(err, &again) {
			return nil, err
		}
	}
	for _, result := range []string{triedWell, triedInVain} {
		m.tries.WithLabelValues(result) // 0, rather than nothing
	}
	return m, nil
}

// What comes of trying a pod elsewhere.
const (
	triedWell   = "found room"
	triedInVain = "failed"
)

// setReservations shows the ledger's counts. They are read under the lock, so that of two
// who show them the later one has the later counts.
func (m *metrics) setReservations(counts func() map[ledger.State]int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for state, n := range counts() {
		m.reservations.WithLabelValues(state.String()).Set(float64(n))
	}
}

func (m *metrics) setOldest(now time.Time, since map[ledger.State]time.Time) {
	for _, state := range ledger.States() {
		age := 0.0
		if t, ok := since[state]; ok {
			age = now.Sub(t).Seconds()
		}
		m.oldest.WithLabelValues(state.String()).Set(age)
	}
}

func (m *metrics) gateOpened(reason string) { m.gateOpen.WithLabelValues(reason).Inc() }

func (m *metrics) remembered(result memory.Result, reason string) {
	m.memory.WithLabelValues(string(result), reason).Inc()
}

// RPC implements courier.Observer.
func (m *metrics) RPC(method, code string) { m.rpcs.WithLabelValues(method, code).Inc() }

// QueueLength implements courier.Observer.
func (m *metrics) QueueLength(n int) { m.queueLength.Set(float64(n)) }
