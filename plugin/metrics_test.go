package plugin

import (
	"testing"
	"time"

	basemetrics "k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// TestOldest: the age of the oldest reservation of a state, while there is one.
func TestOldest(t *testing.T) {
	registry := basemetrics.NewKubeRegistry()
	m, err := newMetrics(registry.Register)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Unix(1e9, 0)
	l := ledger.New(ledger.Config{TTL: ledger.TTL{Waiting: time.Hour}, MaxReservations: 10})
	for i, name := range []string{"a", "b"} {
		if _, _, err := l.HandOver(began.Add(time.Duration(i)*time.Minute), podOf(pod(name, "1").Obj())); err != nil {
			t.Fatal(err)
		}
	}
	now := began.Add(3 * time.Minute)
	want := func(state ledger.State, seconds float64) {
		t.Helper()
		m.setOldest(now, l.Oldest())
		got, err := testutil.GetGaugeMetricValue(m.oldest.WithLabelValues(state.String()))
		if err != nil || got != seconds {
			t.Errorf("the oldest that is %v has %v seconds (%v), want %v", state, got, err, seconds)
		}
	}
	want(ledger.Waiting, 180)
	want(ledger.Ready, 0)
	l.Deleted(now, "a")
	want(ledger.Waiting, 120)
	l.Apply(now, []ledger.Update{update("b", ledger.PhaseUnlaunchable, "too large")})
	want(ledger.Waiting, 0)
	want(ledger.Unlaunchable, 120)
}
