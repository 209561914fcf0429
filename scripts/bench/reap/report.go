package reap

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/slipway-dev/slipway/scripts/devcluster"
	"github.com/slipway-dev/slipway/scripts/observe"
)

// Report is what bin/bench-reap.json holds.
type Report struct {
	Date    time.Time `json:"date"`
	CPUs    int       `json:"cpus"`
	Machine string    `json:"machine"`
	// TTLSeconds is the pool's consolidateAfter; its budget is 100 %.
	TTLSeconds float64   `json:"ttlSeconds"`
	Runs       []Figures `json:"runs"`
}

// Figures are what one run showed. "After the last pod" is after the last of all pods.
type Figures struct {
	Nodes int `json:"nodes"`
	// PodsGoneSeconds is from the first pod gone to the last.
	PodsGoneSeconds float64 `json:"podsGoneSeconds"`
	// LastCordonedSeconds and LastGoneSeconds are when the last node was tainted and gone, after
	// the last pod.
	LastCordonedSeconds float64 `json:"lastCordonedSeconds"`
	LastGoneSeconds     float64 `json:"lastGoneSeconds"`
	// Cordoned and Gone are, by node, after its own pod was gone.
	Cordoned observe.Percentiles `json:"cordonedMs"`
	Gone     observe.Percentiles `json:"goneMs"`

	LauncherCPUSeconds float64 `json:"launcherCPUSeconds"`
}

// allowance is how long after the TTL the last of 100 nodes may be gone.
const allowance = 5 * time.Second

func newReport(cfg Config) *Report {
	return &Report{
		Date: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Machine: devcluster.Machine(), TTLSeconds: cfg.TTL.Seconds(),
	}
}

// measure makes figures of what was seen of nodes that are gone.
func measure(v *observe.View) Figures {
	var podsGone, cordonedAt, goneAt []time.Time
	var cordoned, gone []time.Duration
	for _, p := range v.Pods {
		podsGone = append(podsGone, p.Gone)
		n := v.Nodes[p.Node]
		if n == nil {
			continue
		}
		cordonedAt, goneAt = append(cordonedAt, n.Cordoned), append(goneAt, n.Gone)
		cordoned, gone = append(cordoned, n.Cordoned.Sub(p.Gone)), append(gone, n.Gone.Sub(p.Gone))
	}
	if len(podsGone) == 0 || len(goneAt) == 0 {
		return Figures{}
	}
	first, last := slices.MinFunc(podsGone, time.Time.Compare), slices.MaxFunc(podsGone, time.Time.Compare)
	return Figures{
		Nodes:               len(v.Nodes),
		PodsGoneSeconds:     last.Sub(first).Seconds(),
		LastCordonedSeconds: slices.MaxFunc(cordonedAt, time.Time.Compare).Sub(last).Seconds(),
		LastGoneSeconds:     slices.MaxFunc(goneAt, time.Time.Compare).Sub(last).Seconds(),
		Cordoned:            observe.PercentilesOf(cordoned),
		Gone:                observe.PercentilesOf(gone),
	}
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
	fmt.Fprintf(out, "\n%s, %d × %s, TTL %g s, budget 100 %%\n\n", //nolint:errcheck // a terminal
		r.Date.Format("2006-01-02 15:04"), r.CPUs, r.Machine, r.TTLSeconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) } //nolint:errcheck // flushed below
	row("nodes\tpods gone in\tlast tainted\tlast gone\ttainted after its pod\tgone after its pod\tlauncher\t")
	row("\ts\ts after the last pod\ts after the last pod\tp50 / p99 s\tp50 / p99 s\tCPU s\t")
	for _, f := range r.Runs {
		verdict := "met"
		if f.LastGoneSeconds > r.TTLSeconds+allowance.Seconds() {
			verdict = "MISSED"
		}
		row("%d\t%.1f\t%.1f\t%.1f\t%.1f / %.1f\t%.1f / %.1f\t%.2f\t%s", f.Nodes, f.PodsGoneSeconds, f.LastCordonedSeconds, f.LastGoneSeconds,
			f.Cordoned.P50/1000, f.Cordoned.P99/1000, f.Gone.P50/1000, f.Gone.P99/1000, f.LauncherCPUSeconds, verdict)
	}
	_ = w.Flush() // a terminal
}
