package demo

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/scripts/simec2"
)

// Report is what bin/demo-report.json holds.
type Report struct {
	OK     bool          `json:"ok"`
	Rounds []RoundReport `json:"rounds"`
	Error  string        `json:"error,omitempty"`
}

// RoundReport is what was seen of one round.
type RoundReport struct {
	Name                  string      `json:"name"`
	Pods                  int         `json:"pods"`
	Bound                 int         `json:"bound"`
	BoundOnReserved       int         `json:"boundOnReserved"`
	Nodes                 int         `json:"nodes"`
	InstancesLaunched     int         `json:"instancesLaunched"`
	InstancesLeft         int         `json:"instancesLeft"`
	CreateFleetCalls      int         `json:"createFleetCalls"`
	PricePerHour          float64     `json:"pricePerHour"`
	FirstPodToCreateFleet Percentiles `json:"firstPodToCreateFleetMs"`
	NodeReadyToBound      Percentiles `json:"nodeReadyToBoundMs"`
	AllBoundAfterSeconds  float64     `json:"allBoundAfterSeconds"`
	ReapedAfterSeconds    float64     `json:"reapedAfterSeconds"`
	OK                    bool        `json:"ok"`
}

// Percentiles over pods, in milliseconds.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

func percentiles(durations []time.Duration) Percentiles {
	if len(durations) == 0 {
		return Percentiles{}
	}
	slices.Sort(durations)
	at := func(q float64) float64 {
		i := min(len(durations)-1, int(math.Ceil(q*float64(len(durations))))-1)
		return float64(durations[max(i, 0)].Microseconds()) / 1000
	}
	return Percentiles{P50: at(0.50), P99: at(0.99)}
}

// write writes the report where `make demo` says it is.
func (r *Report) write(file string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644) //nolint:gosec // for everyone to read
}

// measure fills in what the observer and the simulated EC2 saw of a round whose pods are bound.
func (r *RoundReport) measure(o *observer, calls []simec2.Call, instances []simec2.Instance) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fleet := map[string]time.Time{} // instance → when its CreateFleet call came
	for _, c := range calls {
		if c.Action != "CreateFleet" {
			continue
		}
		r.CreateFleetCalls++
		for _, id := range c.InstanceIDs {
			fleet[id] = c.Time
		}
	}
	r.InstancesLaunched = len(instances)
	for _, in := range instances {
		r.PricePerHour += in.Price
	}
	var toFleet, toBound []time.Duration
	var first, last time.Time
	nodes := map[string]bool{}
	for uid, p := range o.pods {
		r.Pods++
		if first.IsZero() || p.created.Before(first) {
			first = p.created
		}
		if p.node == "" {
			continue
		}
		r.Bound++
		nodes[p.node] = true
		if p.bound.After(last) {
			last = p.bound
		}
		if n := o.nodes[p.node]; n != nil && !n.ready.IsZero() {
			toBound = append(toBound, max(0, p.bound.Sub(n.ready)))
		}
		claim := o.claimOf(uid)
		if claim == nil || claim.Status.NodeName != p.node {
			continue
		}
		r.BoundOnReserved++
		if at, ok := fleet[claim.Status.InstanceID]; ok {
			toFleet = append(toFleet, at.Sub(p.created))
		}
	}
	r.Nodes = len(nodes)
	r.FirstPodToCreateFleet, r.NodeReadyToBound = percentiles(toFleet), percentiles(toBound)
	r.AllBoundAfterSeconds = last.Sub(first).Round(time.Millisecond).Seconds()
}
