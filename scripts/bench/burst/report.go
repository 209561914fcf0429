package burst

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/scripts/devcluster"
	"github.com/slipway-dev/slipway/scripts/observe"
)

// Report is what bin/bench-burst.json holds. Units are in the fields' names; times are by
// the benchmark's own clock.
type Report struct {
	Date    time.Time `json:"date"`
	CPUs    int       `json:"cpus"`
	Machine string    `json:"machine"`
	// Deployments the pods of each burst were divided among.
	Deployments int `json:"deployments"`
	// ColdStartSeconds is until the very first pod was bound, which counts in no burst.
	ColdStartSeconds float64 `json:"coldStartSeconds"`
	// FloorMillis is how long the control plane alone takes to bind podsOnNode pods at once.
	FloorMillis float64 `json:"floorMs"`
	Bursts      []Burst `json:"bursts"`
}

// Burst is what was measured of one size.
type Burst struct {
	Pods    int       `json:"pods"`
	Median  Figures   `json:"median"` // of each figure by itself
	Budgets []Budget  `json:"budgets"`
	Runs    []Figures `json:"runs"`
	// Failure says which pods were not bound, and ended the runs.
	Failure string `json:"failure,omitempty"`
}

// Budget is what a figure of the median should stay within.
type Budget struct {
	What     string  `json:"what"`
	Unit     string  `json:"unit"`
	Limit    float64 `json:"limit"`
	Measured float64 `json:"measured"`
	Met      bool    `json:"met"`
}

func newReport(cfg Config) *Report {
	return &Report{Date: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Machine: devcluster.Machine(), Deployments: cfg.Deployments}
}

func (r *Report) add(pods int, runs []Figures, failure error) {
	b := Burst{Pods: pods, Runs: runs}
	if len(runs) > 0 {
		b.Median = medianOf(runs)
		b.Budgets = budgets(pods, b.Median)
	}
	if failure != nil {
		b.Failure = failure.Error()
	}
	r.Bursts = append(r.Bursts, b)
}

// Write writes the report as JSON.
func (r *Report) Write(file string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644) //nolint:gosec // for everyone to read
}

// budgets are those that are set for a burst of so many pods.
func budgets(pods int, f Figures) []Budget {
	var all []Budget
	set := func(what, unit string, limit, measured float64) {
		all = append(all, Budget{What: what, Unit: unit, Limit: limit, Measured: measured, Met: measured <= limit})
	}
	if pods == 100 {
		set("created → CreateFleet, p50", "ms", 150, f.CreatedToCreateFleet.P50)
		set("created → CreateFleet, p99", "ms", 400, f.CreatedToCreateFleet.P99)
	}
	if limit, ok := map[int]float64{1: 0.3, 10: 0.4, 100: 1, 1000: 6}[pods]; ok {
		set("all bound after the first pod's creation", "s", limit, f.AllBoundSeconds)
	}
	if pods == 10_000 {
		set("all bound after the last pod's creation", "s", 60, f.AllBoundAfterLastPodSeconds)
	}
	set(fmt.Sprintf("node ready → all its pods bound (at most %d), p99", f.MostPodsOnOne), "ms", 50, f.ReadyToAllBound.P99)
	return all
}

// medianOf takes the median of each figure of at least one run by itself.
func medianOf(runs []Figures) Figures {
	med := func(of func(Figures) float64) float64 {
		var values []float64
		for _, r := range runs {
			values = append(values, of(r))
		}
		return median(values)
	}
	count := func(of func(Figures) int) int { return int(med(func(f Figures) float64 { return float64(of(f)) })) }
	both := func(of func(Figures) observe.Percentiles) observe.Percentiles {
		return observe.Percentiles{
			P50: med(func(f Figures) float64 { return of(f).P50 }), P99: med(func(f Figures) float64 { return of(f).P99 }),
		}
	}
	m := Figures{
		Nodes:                       count(func(f Figures) int { return f.Nodes }),
		MostPodsOnOne:               count(func(f Figures) int { return f.MostPodsOnOne }),
		BoundElsewhere:              count(func(f Figures) int { return f.BoundElsewhere }),
		Batches:                     count(func(f Figures) int { return f.Batches }),
		CreateFleetCalls:            count(func(f Figures) int { return f.CreateFleetCalls }),
		RefusedCalls:                count(func(f Figures) int { return f.RefusedCalls }),
		CreationSeconds:             med(func(f Figures) float64 { return f.CreationSeconds }),
		CreatedToCreateFleet:        both(func(f Figures) observe.Percentiles { return f.CreatedToCreateFleet }),
		ReadyToBound:                both(func(f Figures) observe.Percentiles { return f.ReadyToBound }),
		ReadyToAllBound:             both(func(f Figures) observe.Percentiles { return f.ReadyToAllBound }),
		AllBoundSeconds:             med(func(f Figures) float64 { return f.AllBoundSeconds }),
		AllBoundAfterLastPodSeconds: med(func(f Figures) float64 { return f.AllBoundAfterLastPodSeconds }),
		Processes:                   map[string]Process{}, WritesPerPod: map[string]float64{},
	}
	for i, s := range runs[0].Stages {
		at := func(of func(Stage) float64) float64 { return med(func(f Figures) float64 { return of(f.Stages[i]) }) }
		m.Stages = append(m.Stages, Stage{
			Name: s.Name, First: at(func(s Stage) float64 { return s.First }), P50: at(func(s Stage) float64 { return s.P50 }),
			P99: at(func(s Stage) float64 { return s.P99 }), Last: at(func(s Stage) float64 { return s.Last }),
		})
	}
	for _, r := range runs {
		for name := range r.Processes {
			m.Processes[name] = Process{
				CPUSeconds: med(func(f Figures) float64 { return f.Processes[name].CPUSeconds }),
				PeakMiB:    med(func(f Figures) float64 { return f.Processes[name].PeakMiB }),
			}
		}
		for what := range r.WritesPerPod {
			m.WritesPerPod[what] = med(func(f Figures) float64 { return f.WritesPerPod[what] })
		}
	}
	return m
}

// median of at least one value; of an even number, the lower of the two in the middle.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[(len(values)-1)/2]
}
