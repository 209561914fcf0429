package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Profiles that can be compared with stock, which is the scheduler's default profile.
const (
	Stock = "stock"
	// Tuned is stock with the settings of stock plugins that Slipway is installed with:
	// it tells what these do apart from what the plugin does.
	Tuned   = "tuned"
	Slipway = "slipway"
)

// Workloads are those of perf/testdata.
func Workloads() []string {
	return []string{
		"SchedulingBasic", "SchedulingWithMixedChurn", "Unschedulable",
		"TopologySpreading", "SchedulingPodAntiAffinity", "PreemptionAsync",
	}
}

// Config says what to compare.
type Config struct {
	// Binary is the test binary of package perf, Dir that package's directory.
	Binary, Dir string
	// Etcd is the directory of the etcd program.
	Etcd string
	// Logs receives the harness's output, a file per measurement.
	Logs      string
	Workloads []string
	// Against is what is compared with stock: Slipway or Tuned.
	Against string
	Pairs   int
	// Timeout of a measurement.
	Timeout time.Duration
}

// Report is what bin/bench-scheduler.json holds.
type Report struct {
	Date    time.Time `json:"date"`
	Against string    `json:"against"`
	Rows    []Row     `json:"workloads"`
}

// Row compares one workload; all throughputs are pods scheduled per second.
type Row struct {
	Workload string    `json:"workload"`
	Stock    []float64 `json:"stock"`
	Other    []float64 `json:"other"`
	// Ratio is the median of the pairs' ratios, other ÷ stock; Low and High bound the
	// middle half of them.
	Ratio float64 `json:"ratio"`
	Low   float64 `json:"lowRatio"`
	High  float64 `json:"highRatio"`
}

// errNoFigure says that a measurement ended without a throughput.
var errNoFigure = errors.New("no throughput was measured")

// Run measures pair by pair. The report holds the workloads that were finished before an error.
func Run(ctx context.Context, cfg Config, out io.Writer) (*Report, error) {
	report := &Report{Date: time.Now().UTC().Truncate(time.Second), Against: cfg.Against}
	if cfg.Pairs < 1 || (cfg.Against != Slipway && cfg.Against != Tuned) {
		return report, fmt.Errorf("%d pairs of stock and %q cannot be measured", cfg.Pairs, cfg.Against)
	}
	for _, workload := range cfg.Workloads {
		row := Row{Workload: workload}
		for pair := range cfg.Pairs {
			order := []string{Stock, cfg.Against}
			if pair%2 == 1 {
				slices.Reverse(order)
			}
			got := map[string]float64{}
			for _, profile := range order {
				throughput, err := cfg.measure(ctx, workload, profile, pair)
				if err != nil {
					return report, fmt.Errorf("%s, %s: %w", workload, profile, err)
				}
				got[profile] = throughput
			}
			row.Stock, row.Other = append(row.Stock, got[Stock]), append(row.Other, got[cfg.Against])
			fmt.Fprintf(out, "  %s, pair %d: stock %.0f, %s %.0f pods/s\n", workload, pair+1, got[Stock], cfg.Against, got[cfg.Against]) //nolint:errcheck // a terminal
		}
		row.compare()
		report.Rows = append(report.Rows, row)
	}
	return report, nil
}

func (cfg Config) measure(ctx context.Context, workload, profile string, pair int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	dir := filepath.Join(cfg.Logs, fmt.Sprintf("%s-%s-%d", workload, profile, pair+1))
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // for everyone to read
		return 0, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()                                                                          //nolint:errcheck // the program has its own descriptor
	cmd := exec.CommandContext(ctx, cfg.Binary, "-test.run=^$", "-test.bench=PerfScheduling$", //nolint:gosec // runs what the caller names
		"-test.benchtime=1ns", "-profile="+profile, "-workload="+workload, "-data-items-dir="+dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr = cfg.Dir, log, log
	cmd.Env = append(os.Environ(), "PATH="+cfg.Etcd+string(os.PathListSeparator)+os.Getenv("PATH"))
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%w; see %s", err, log.Name())
	}
	return readThroughput(dir)
}

// readThroughput finds the figure in the file that the harness leaves.
func readThroughput(dir string) (float64, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("%w: %s: %w", errNoFigure, dir, err)
	}
	raw, err := os.ReadFile(slices.Max(files)) // named by the time
	if err != nil {
		return 0, err
	}
	return parseThroughput(raw)
}

func parseThroughput(raw []byte) (float64, error) {
	var results struct {
		DataItems []struct {
			Data   map[string]float64 `json:"data"`
			Labels map[string]string  `json:"labels"`
		} `json:"dataItems"`
	}
	if err := json.Unmarshal(raw, &results); err != nil {
		return 0, err
	}
	for _, item := range results.DataItems {
		if average := item.Data["Average"]; item.Labels["Metric"] == "SchedulingThroughput" && average > 0 {
			return average, nil
		}
	}
	return 0, errNoFigure
}

func (r *Row) compare() {
	var ratios []float64
	for i := range r.Stock {
		ratios = append(ratios, r.Other[i]/r.Stock[i])
	}
	slices.Sort(ratios)
	quarter := len(ratios) / 4
	r.Ratio, r.Low, r.High = median(ratios), ratios[quarter], ratios[len(ratios)-1-quarter]
}

// median of at least one value.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// verdict holds a row against the budget of 1.0×. A difference is noise where the middle
// half of the pairs does not agree on its sign; one odd pair makes no noise.
func (r Row) verdict() string {
	switch {
	case r.Ratio >= 1:
		return "met"
	case r.High >= 1:
		return "met within noise"
	default:
		return "MISSED"
	}
}

// Print writes the report for people.
func (r *Report) Print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) } //nolint:errcheck // flushed below
	row("workload", "stock, pods/s", r.Against+", pods/s", "ratio", "middle half of the pairs", "≥ 1.0×")
	for _, x := range r.Rows {
		row(x.Workload, fmt.Sprintf("%.0f", median(x.Stock)), fmt.Sprintf("%.0f", median(x.Other)), fmt.Sprintf("%.3f", x.Ratio),
			fmt.Sprintf("%.2f … %.2f (%d)", x.Low, x.High, len(x.Stock)), x.verdict())
	}
	_ = w.Flush() // a terminal
}

// Write writes the report as JSON.
func (r *Report) Write(file string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644) //nolint:gosec // for everyone to read
}
