package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Report is what a soak found.
type Report struct {
	Seed            uint64    `json:"seed"`
	Began           time.Time `json:"began"`
	DurationSeconds float64   `json:"durationSeconds"` // of the noise
	// Done counts what was done, by what it was.
	Done map[string]int `json:"done"`
	// EndedThemselves counts the ends of daemons that nobody killed, as upon a lost lease.
	EndedThemselves map[string]int `json:"endedThemselves"`
	// InstancesBought is how many instances there ever were.
	InstancesBought   int     `json:"instancesBought"`
	QuietAfterSeconds float64 `json:"quietAfterSeconds"` // since the end of the noise
	EmptyAfterSeconds float64 `json:"emptyAfterSeconds"` // since the end of the workloads
	// Memory of each daemon.
	Memory map[string]Memory `json:"memory"`

	// The violations: what was stuck when all was quiet, what was left when nobody needed
	// it, what was bought more than once, whose memory grew, and who panicked.
	Stuck       []string `json:"stuck"`
	Leaked      []string `json:"leaked"`
	BoughtTwice []string `json:"boughtTwice"`
	Grew        []string `json:"grew"`
	Panicked    []string `json:"panicked"`
}

// Memory is how much a daemon's resident set was.
type Memory struct {
	PeakMiB float64 `json:"peakMiB"`
	// SlopeMiBPerMinute is by least squares, over WatchedSeconds in which nothing was killed.
	SlopeMiBPerMinute float64 `json:"slopeMiBPerMinute"`
	WatchedSeconds    float64 `json:"watchedSeconds"`
}

const (
	// maxSlope is more than a heap that settles grows by, in MiB a minute, over at least
	// minWatched.
	maxSlope   = 3.0
	minWatched = 4 * time.Minute
)

func newReport(cfg Config) *Report {
	return &Report{Seed: cfg.Seed, Began: time.Now().UTC(), DurationSeconds: cfg.Duration.Seconds(), Done: map[string]int{}, Memory: map[string]Memory{}}
}

func (r *Report) count(what string) { r.Done[what]++ }

func (r *Report) finish(s *soak) {
	instances := s.Sim.Instances()
	r.InstancesBought, r.BoughtTwice = len(instances), boughtTwice(instances, s.fleets())
	r.EndedThemselves = s.daemons.endedThemselves()
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	for name, series := range s.meter.by {
		m := Memory{PeakMiB: series.peak, SlopeMiBPerMinute: slope(series.samples)}
		if n := len(series.samples); n > 0 {
			m.WatchedSeconds = (series.samples[n-1].minutes - series.samples[0].minutes) * 60
		}
		r.Memory[name] = m
		if m.SlopeMiBPerMinute > maxSlope && m.WatchedSeconds >= minWatched.Seconds() {
			r.Grew = append(r.Grew, fmt.Sprintf("%s by %.1f MiB a minute", name, m.SlopeMiBPerMinute))
		}
	}
}

// findPanics looks through the daemons' logs.
func (r *Report) findPanics(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "slipway-*.log"))
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := r.findPanicsIn(name); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) findPanicsIn(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it is only read
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		for _, sign := range []string{"panic:", "fatal error:", "WARNING: DATA RACE", "Observed a panic"} {
			if strings.Contains(line, sign) {
				r.Panicked = append(r.Panicked, filepath.Base(name)+": "+line)
			}
		}
	}
	return lines.Err()
}

// Violations are all that were found.
func (r *Report) Violations() (all []string) {
	for _, kind := range []struct {
		name string
		list []string
	}{
		{"stuck", r.Stuck}, {"leaked", r.Leaked}, {"bought twice", r.BoughtTwice}, {"grew", r.Grew}, {"panicked", r.Panicked},
	} {
		for _, v := range kind.list {
			all = append(all, kind.name+": "+v)
		}
	}
	return all
}

// Print writes the report for people.
func (r *Report) Print(out io.Writer) {
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) } //nolint:errcheck // a terminal
	say("\nsoak of %.0f s, seed %d", r.DurationSeconds, r.Seed)
	for _, what := range sortedKeys(r.Done) {
		say("  %5d × %s", r.Done[what], what)
	}
	say("  %d instances were bought; settled after %.1f s, empty after %.1f s", r.InstancesBought, r.QuietAfterSeconds, r.EmptyAfterSeconds)
	for _, name := range sortedKeys(r.Memory) {
		m := r.Memory[name]
		say("  %-18s peak %4.0f MiB, %+.2f MiB a minute over %.0f s; ended by itself %d times", name, m.PeakMiB, m.SlopeMiBPerMinute, m.WatchedSeconds, r.EndedThemselves[name])
	}
	violations := r.Violations()
	for _, v := range violations {
		say("  VIOLATION %s", v)
	}
	say("  %d violations", len(violations))
}

// Write writes the report as JSON.
func (r *Report) Write(file string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o600)
}
