package demo

import (
	"encoding/json"
	"os"
	"time"

	"github.com/slipway-dev/slipway/scripts/observe"
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
	Name            string `json:"name"`
	Pods            int    `json:"pods"`
	Bound           int    `json:"bound"`
	BoundOnReserved int    `json:"boundOnReserved"`
	// BoundAhead pods found room on another node before theirs could be used.
	BoundAhead            int                 `json:"boundAhead"`
	Nodes                 int                 `json:"nodes"`
	InstancesLaunched     int                 `json:"instancesLaunched"`
	InstancesLeft         int                 `json:"instancesLeft"`
	CreateFleetCalls      int                 `json:"createFleetCalls"`
	PricePerHour          float64             `json:"pricePerHour"`
	FirstPodToCreateFleet observe.Percentiles `json:"firstPodToCreateFleetMs"`
	NodeReadyToBound      observe.Percentiles `json:"nodeReadyToBoundMs"`
	AllBoundAfterSeconds  float64             `json:"allBoundAfterSeconds"`
	ReapedAfterSeconds    float64             `json:"reapedAfterSeconds"`
	OK                    bool                `json:"ok"`
}

// write writes the report where `make demo` says it is.
func (r *Report) write(file string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644) //nolint:gosec // for everyone to read
}

// measure fills in what the watches and the simulated EC2 saw of a round whose pods are bound.
func (r *RoundReport) measure(v *observe.View, calls []simec2.Call, instances []simec2.Instance) {
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
	for uid, p := range v.Pods {
		r.Pods++
		if first.IsZero() || p.Created.Before(first) {
			first = p.Created
		}
		if p.Node == "" {
			continue
		}
		r.Bound++
		nodes[p.Node] = true
		if p.Bound.After(last) {
			last = p.Bound
		}
		if n := v.Nodes[p.Node]; n != nil && !n.Schedulable.IsZero() {
			toBound = append(toBound, max(0, p.Bound.Sub(n.Schedulable)))
		}
		claim := v.ClaimOf(uid)
		if claim == nil || claim.Status.NodeName != p.Node {
			// A try may be under way when the pod's own node becomes ready.
			if own := v.Nodes[p.Promised]; p.Promised != p.Node && (own == nil || own.Schedulable.IsZero() || p.Bound.Before(own.Schedulable.Add(time.Second))) {
				r.BoundAhead++
			}
			continue
		}
		r.BoundOnReserved++
		if at, ok := fleet[claim.Status.InstanceID]; ok {
			toFleet = append(toFleet, max(0, at.Sub(p.Created))) // a replica may be planned for before it is created
		}
	}
	r.Nodes = len(nodes)
	r.FirstPodToCreateFleet, r.NodeReadyToBound = observe.PercentilesOf(toFleet), observe.PercentilesOf(toBound)
	r.AllBoundAfterSeconds = last.Sub(first).Round(time.Millisecond).Seconds()
}
