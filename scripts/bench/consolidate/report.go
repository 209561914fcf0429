package consolidate

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

// What a run is held against.
const (
	passWithin     = 5 * time.Second
	convergeWithin = 10 * time.Minute
	priceWithin    = 1.08
	memoryWithin   = 1 << 30 // bytes
)

// Report is what bin/bench-consolidate.json holds.
type Report struct {
	Date    time.Time `json:"date"`
	CPUs    int       `json:"cpus"`
	Machine string    `json:"machine"`
	// Types that may be bought, in three zones.
	Types int       `json:"types"`
	Runs  []Figures `json:"runs"`
}

// Figures are what one run showed.
type Figures struct {
	Nodes       int `json:"nodes"`
	Pods        int `json:"pods"`
	Deployments int `json:"deployments"`
	// Budget is the share of the nodes that may be on their way out at once, in percent.
	Budget int `json:"budget"`
	// CPUUsed and MemoryUsed are what pods request of the first nodes' allocatable.
	CPUUsed    float64 `json:"cpuUsed"`
	MemoryUsed float64 `json:"memoryUsed"`
	// First pass, the median and the longest, in seconds.
	FirstSeconds  float64 `json:"firstPassSeconds"`
	MedianSeconds float64 `json:"medianPassSeconds"`
	MaxSeconds    float64 `json:"maxPassSeconds"`
	// ConvergedSeconds is when the last node had gone, on the simulated clock.
	ConvergedSeconds int `json:"convergedSeconds"`
	NodesLeft        int `json:"nodesLeft"`
	// PriceBefore, PriceAfter and LowerBound of any nodes for the pods, in dollars per hour.
	PriceBefore float64 `json:"priceBefore"`
	PriceAfter  float64 `json:"priceAfter"`
	LowerBound  float64 `json:"lowerBound"`
	// PodsMoved counts every move.
	PodsMoved int `json:"podsMoved"`
	Bought    int `json:"nodesBought"`
	// GaveUp counts nodes that stayed, as the plan for their pods did not pay when it was made anew.
	GaveUp int `json:"gaveUp"`
	// MostLeaving nodes were on their way out at once; AboveBudget is how many that were too many.
	MostLeaving int `json:"mostLeaving"`
	AboveBudget int `json:"aboveBudget"`
	// MovesAfter are those of further passes, when nothing moved any more.
	MovesAfter int `json:"movesAfter"`
	// PeakBytes of the process' memory while passes were made.
	PeakBytes int64 `json:"peakBytes"`
}

func newReport(types int) *Report {
	return &Report{Date: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Machine: devcluster.Machine(), Types: types}
}

// Missed lists what a run should have met.
func (f Figures) Missed() (missed []string) {
	for _, c := range []struct {
		what   string
		failed bool
	}{
		{"pass", f.MaxSeconds > passWithin.Seconds() && f.Nodes <= 2000},
		{"converged", f.ConvergedSeconds > int(convergeWithin.Seconds())},
		{"price", f.PriceAfter > priceWithin*f.LowerBound},
		{"budget", f.AboveBudget > 0},
		{"churn", f.MovesAfter > 0},
		{"memory", f.PeakBytes > memoryWithin},
	} {
		if c.failed {
			missed = append(missed, c.what)
		}
	}
	return missed
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
	fmt.Fprintf(out, "\n%s, %d × %s, %d instance types in three zones\n\n", r.Date.Format("2006-01-02 15:04"), r.CPUs, r.Machine, r.Types) //nolint:errcheck // a terminal
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) } //nolint:errcheck // flushed below
	row("nodes\tpods\tused\tbudget\tpass\tconverged\tnodes\tprice\tof bound\tpods\tgone at once\tmoves\tmemory\t")
	row("\t\tCPU / memory\t\tfirst / median / longest s\tsimulated min\tleft\t$/h before → after\tbefore → after\tmoved\tmost\tafterwards\tMiB\t")
	for _, f := range r.Runs {
		verdict := "met"
		if missed := f.Missed(); len(missed) > 0 {
			verdict = fmt.Sprint("MISSED: ", missed)
		}
		row("%d\t%d\t%.0f %% / %.0f %%\t%d %%\t%.2f / %.2f / %.2f\t%.1f\t%d\t%.2f → %.2f\t%.3f → %.3f\t%d\t%d\t%d\t%d\t%s",
			f.Nodes, f.Pods, 100*f.CPUUsed, 100*f.MemoryUsed, f.Budget, f.FirstSeconds, f.MedianSeconds, f.MaxSeconds,
			float64(f.ConvergedSeconds)/60, f.NodesLeft, f.PriceBefore, f.PriceAfter, f.PriceBefore/f.LowerBound, f.PriceAfter/f.LowerBound,
			f.PodsMoved, f.MostLeaving, f.MovesAfter, f.PeakBytes>>20, verdict)
	}
	_ = w.Flush() // a terminal
}
