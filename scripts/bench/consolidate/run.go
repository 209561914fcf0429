package consolidate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// Config says what clusters are consolidated.
type Config struct {
	// Repo is the root of the checkout, for the shipped scheduler configuration.
	Repo string
	// Nodes of each cluster, and Budgets in percent that each is consolidated under.
	Nodes, Budgets []int
	Deployments    int
	// Utilisation is the share of the CPUs, or of the memory where more of that is, that is
	// requested before anything moves.
	Utilisation float64
	// Boot is how long a node takes to come that is bought, Drain how long one takes to go whose
	// pods have room. With 0 moves take until the next look at the cluster.
	Boot, Drain time.Duration
	Seed        uint64
}

// Validate checks a configuration.
func (c Config) Validate() error {
	if len(c.Nodes) == 0 || len(c.Budgets) == 0 || slices.Min(c.Nodes) < 1 || slices.Min(c.Budgets) < 1 || slices.Max(c.Budgets) > 100 {
		return errors.New("nodes must be positive, budgets from 1 to 100 percent")
	}
	if c.Deployments < 1 || c.Utilisation <= 0 || c.Utilisation >= 1 {
		return errors.New("deployments must be positive, the utilisation between 0 and 1")
	}
	return nil
}

// Run consolidates each cluster under each budget.
func Run(ctx context.Context, cfg Config, out io.Writer) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	engine, err := newEngine(ctx, cfg.Repo)
	if err != nil {
		return nil, err
	}
	templates, types, err := market(ctx)
	if err != nil {
		return nil, err
	}
	report := newReport(types)
	for _, n := range cfg.Nodes {
		nodes, err := grow(ctx, engine, templates, cfg, n)
		if err != nil {
			return report, err
		}
		for _, budget := range cfg.Budgets {
			f, err := play(ctx, engine, templates, nodes, cfg, budget)
			if err != nil {
				return report, fmt.Errorf("%d nodes, budget %d %%: %w", n, budget, err)
			}
			f.Deployments = cfg.Deployments
			fmt.Fprintf(out, "  %d nodes, budget %d %%: %d are left after %d simulated seconds, first pass %.2f s\n", //nolint:errcheck // a terminal
				f.Nodes, budget, f.NodesLeft, f.ConvergedSeconds, f.FirstSeconds)
			report.Runs = append(report.Runs, f)
		}
	}
	return report, nil
}

// play consolidates one cluster under one budget, in percent.
func play(ctx context.Context, engine *fit.Engine, templates []fit.Template, nodes []*node, cfg Config, budget int) (Figures, error) {
	s := newSimulation(engine, templates, nodes, cfg, budget)
	f := Figures{Nodes: len(nodes), Budget: budget, PriceBefore: s.price()}
	f.CPUUsed, f.MemoryUsed = used(nodes)
	pods := s.pods()
	f.Pods = len(pods)
	debug.FreeOSMemory()
	forgetPeak()
	if err := s.run(ctx); err != nil {
		return f, err
	}
	f.PeakBytes = peak()
	f.FirstSeconds, f.MaxSeconds = s.passes[0].Seconds(), slices.Max(s.passes).Seconds()
	sorted := slices.Sorted(slices.Values(s.passes))
	f.MedianSeconds = sorted[len(sorted)/2].Seconds()
	f.ConvergedSeconds, f.NodesLeft, f.PriceAfter = s.lastMove, len(s.nodes), s.price()
	f.PodsMoved, f.Bought, f.GaveUp, f.MostLeaving, f.AboveBudget = s.moved, s.bought, s.gaveUp, s.most, s.excess
	if n := len(s.pods()); n != f.Pods {
		return f, fmt.Errorf("%d pods of %d are left", n, f.Pods)
	}
	after, err := s.pass(ctx)
	if err != nil {
		return f, err
	}
	f.MovesAfter = after
	for i, pod := range pods {
		pods[i] = on(pod, "")
	}
	plan, err := engine.Plan(ctx, fit.Input{Pods: pods, Templates: templates, DaemonSets: daemonSets(), Alternatives: 1, Improve: 2 * time.Second})
	if err != nil {
		return f, err
	}
	f.LowerBound = plan.LowerBound
	return f, nil
}

// used is what pods request of what nodes have.
func used(nodes []*node) (cpu, memory float64) {
	var cpus, bytes, wantCPUs, wantBytes int64
	for _, n := range nodes {
		cpus += n.Status.Allocatable.Cpu().MilliValue()
		bytes += n.Status.Allocatable.Memory().Value()
		for _, pod := range n.pods {
			r := pod.Spec.Containers[0].Resources.Requests
			wantCPUs += r.Cpu().MilliValue()
			wantBytes += r.Memory().Value()
		}
	}
	return float64(wantCPUs) / float64(cpus), float64(wantBytes) / float64(bytes)
}

// forgetPeak has the kernel measure the peak of the process' memory from now on; where it
// cannot, the peak is that of the whole process.
func forgetPeak() {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// peak is the most memory that the process had, in bytes; 0 where it is not known.
func peak() int64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
