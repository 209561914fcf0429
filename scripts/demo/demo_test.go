package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPercentiles(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i)*time.Millisecond)
	}
	for _, tt := range []struct {
		name string
		in   []time.Duration
		want Percentiles
	}{
		{"none", nil, Percentiles{}},
		{"one", []time.Duration{time.Millisecond}, Percentiles{P50: 1, P99: 1}},
		{"a hundred, unsorted", hundred, Percentiles{P50: 50, P99: 99}},
	} {
		if diff := cmp.Diff(tt.want, percentiles(tt.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestJudge: a round only counts when everything really happened.
func TestJudge(t *testing.T) {
	good := RoundReport{Pods: 10, Bound: 10, BoundOnReserved: 10, Nodes: 5, InstancesLaunched: 5, ReapedAfterSeconds: 31}
	for _, tt := range []struct {
		name   string
		change func(*RoundReport)
		want   string
	}{
		{"good", func(*RoundReport) {}, ""},
		{"a pod is not bound", func(r *RoundReport) { r.Bound = 9 }, "9 of 10 pods were bound"},
		{"a pod is bound elsewhere", func(r *RoundReport) { r.BoundOnReserved = 9 }, "node reserved for them"},
		{"an instance too many", func(r *RoundReport) { r.InstancesLaunched = 6 }, "6 instances were launched"},
		{"an instance is left", func(r *RoundReport) { r.InstancesLeft = 1 }, "1 instances are left"},
		{"gone too early", func(r *RoundReport) { r.ReapedAfterSeconds = 3 }, "before their 30s were over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := good
			tt.change(&r)
			err := r.judge(10)
			if tt.want == "" {
				if err != nil || !r.OK {
					t.Errorf("%v, ok %v", err, r.OK)
				}
				return
			}
			if err == nil || r.OK || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, ok %v, want %q", err, r.OK, tt.want)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	line := `I1122 16:22:25.466963   18338 batch.go:163] "batch closed" logger="allocate" pods=2 because="all have come" after="102ms"`
	if got, want := plain(line), "batch closed pods=2 because=all have come after=102ms"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTimeline(t *testing.T) {
	var out bytes.Buffer
	tl := newTimeline(&out)
	tl.say("before")
	start := time.Now()
	tl.start(start)
	tl.sayAt(start.Add(1234*time.Millisecond), "%d pods", 3)
	if got, want := out.String(), "            before\n   +1.234s  3 pods\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
