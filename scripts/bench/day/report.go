package day

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/slipway-dev/slipway/scripts/devcluster"
)

// Report is what bin/bench-day.json holds.
type Report struct {
	Date    time.Time `json:"date"`
	CPUs    int       `json:"cpus"`
	Machine string    `json:"machine"`
	Seed    uint64    `json:"seed"`
	Hours   float64   `json:"hours"`
	Runs    []Figures `json:"runs"`
}

// Figures are what a day showed under one consolidationPolicy.
type Figures struct {
	Policy string `json:"consolidationPolicy"`
	// Dollars paid, and BoundDollars that the same pods cost at the least, Ratio of the two.
	Dollars      float64 `json:"dollars"`
	BoundDollars float64 `json:"lowerBoundDollars"`
	Ratio        float64 `json:"ratio"`
	Launches     int     `json:"launches"`
	PeakNodes    int     `json:"peakNodes"`
	// Pods that were bound, and how long they had waited since their creation.
	Pods          int     `json:"pods"`
	WaitedMinutes float64 `json:"podMinutesWaited"`
	WaitP50       float64 `json:"waitP50Seconds"`
	WaitP99       float64 `json:"waitP99Seconds"`
	WaitMax       float64 `json:"waitMaxSeconds"`
	// Unplaced counts plans that left a pod without a place.
	Unplaced int `json:"unplaced"`
	// Disrupted counts pods that were moved, by why.
	Disrupted map[string]int `json:"disrupted"`
	// Passes of consolidation, and how long they took in real time.
	Passes      int      `json:"passes"`
	PassP50     float64  `json:"passP50Ms"`
	PassMax     float64  `json:"passMaxMs"`
	TookSeconds float64  `json:"tookSeconds"`
	Samples     []Sample `json:"samples"`
}

// Write writes the report as JSON.
func (r *Report) Write(file string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644) //nolint:gosec // for everyone to read
}

// Print writes the report for people.
func (r *Report) Print(out io.Writer) {
	fmt.Fprintf(out, "\n%s, %d × %s, seed %d, %g simulated hours\n\n", //nolint:errcheck // a terminal
		r.Date.Format("2006-01-02 15:04"), r.CPUs, r.Machine, r.Seed, r.Hours)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) } //nolint:errcheck // flushed below
	row("consolidationPolicy\tpaid\tlower bound\tratio\tlaunches\tmost nodes\tpods\twaited, pod-minutes\twait p50 / p99 / max\tmoved\tinterrupted\tpass p50 / max\tcomputed in")
	for _, f := range r.Runs {
		row("%s\t$%.2f\t$%.2f\t%.3f\t%d\t%d\t%d\t%.0f\t%.0f / %.0f / %.0f s\t%d\t%d\t%.0f / %.0f ms\t%.0f s", f.Policy, f.Dollars, f.BoundDollars, f.Ratio,
			f.Launches, f.PeakNodes, f.Pods, f.WaitedMinutes, f.WaitP50, f.WaitP99, f.WaitMax, f.Disrupted[underused], f.Disrupted[takenBack], f.PassP50, f.PassMax, f.TookSeconds)
	}
	_ = w.Flush() // a terminal
}

func newReport(cfg Config) *Report {
	return &Report{
		Date: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Machine: devcluster.Machine(), Seed: cfg.Seed, Hours: cfg.Length.Hours(),
	}
}
