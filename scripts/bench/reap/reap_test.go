package reap

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/scripts/observe"
)

func TestMeasure(t *testing.T) {
	epoch := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }
	v := observe.NewView()
	v.Pods["a"] = &observe.Pod{Node: "na", Gone: at(0)}
	v.Pods["b"] = &observe.Pod{Node: "nb", Gone: at(2)}
	v.Nodes["na"] = &observe.Node{Cordoned: at(30), Gone: at(31)}
	v.Nodes["nb"] = &observe.Node{Cordoned: at(33), Gone: at(36)}
	got := measure(v)
	want := Figures{
		Nodes: 2, PodsGoneSeconds: 2, LastCordonedSeconds: 31, LastGoneSeconds: 34,
		Cordoned: observe.Percentiles{P50: 30_000, P99: 31_000}, Gone: observe.Percentiles{P50: 31_000, P99: 34_000},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPrintTellsOfAMissedBudget(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		gone       float64
	}{{"met", "met", 35}, {"missed", "MISSED", 35.1}} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			(&Report{TTLSeconds: 30, Runs: []Figures{{LastGoneSeconds: tt.gone}}}).Print(&out)
			if !strings.Contains(out.String(), tt.want) {
				t.Errorf("does not say %s:\n%s", tt.want, &out)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
		ok   bool
	}{
		{"fine", Config{Nodes: 1, Runs: 1}, true},
		{"no nodes", Config{Runs: 1}, false},
		{"no runs", Config{Nodes: 1}, false},
		{"TTL below 0", Config{Nodes: 1, Runs: 1, TTL: -1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.cfg.Validate(); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}
