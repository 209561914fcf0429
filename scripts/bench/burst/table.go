package burst

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// Print writes the report for people.
func (r *Report) Print(out io.Writer) {
	fmt.Fprintf(out, "\n%s, %d × %s, Deployments per burst: %d; medians; the very first pod was bound after %.3f s\n\n", //nolint:errcheck // a terminal
		r.Date.Format("2006-01-02 15:04"), r.CPUs, r.Machine, r.Deployments, r.ColdStartSeconds)
	table(out, func(row func(cells ...any)) {
		row("pods", "runs", "nodes", "batches", "CreateFleet", "refused", "created→CreateFleet", "ready→bound", "ready→all bound", "all bound", "after last pod")
		row("", "", "", "", "calls", "calls", "p50/p99 ms", "p50/p99 ms", "of a node p50/p99 ms", "s", "s")
		for _, b := range r.Bursts {
			m := b.Median
			row(b.Pods, len(b.Runs), m.Nodes, m.Batches, m.CreateFleetCalls, m.RefusedCalls,
				pair(m.CreatedToCreateFleet.P50, m.CreatedToCreateFleet.P99), pair(m.ReadyToBound.P50, m.ReadyToBound.P99),
				pair(m.ReadyToAllBound.P50, m.ReadyToAllBound.P99), seconds(m.AllBoundSeconds), seconds(m.AllBoundAfterLastPodSeconds))
		}
	})
	fmt.Fprintf(out, "The control plane alone takes %.0f ms to bind %d pods that are all asked for at once, with no scheduler and no kubelet.\n\n", r.FloorMillis, podsOnNode) //nolint:errcheck // a terminal
	r.printBudgets(out)
	r.printStages(out)
	r.printUse(out)
}

func (r *Report) printBudgets(out io.Writer) {
	table(out, func(row func(cells ...any)) {
		row("pods", "budget", "limit", "measured", "")
		for _, b := range r.Bursts {
			if b.Failure != "" {
				row(b.Pods, "every pod is bound", "", "", "FAILED")
			}
			for _, x := range b.Budgets {
				verdict := "met"
				if !x.Met {
					verdict = "MISSED"
				}
				row(b.Pods, x.What, fmt.Sprintf("%g %s", x.Limit, x.Unit), fmt.Sprintf("%.3g %s", x.Measured, x.Unit), verdict)
			}
		}
	})
}

// printStages shows when the pods had reached each stage.
func (r *Report) printStages(out io.Writer) {
	table(out, func(row func(cells ...any)) {
		head := []any{"ms since the first pod's creation: first … p50 … last pod"}
		for _, b := range r.Bursts {
			head = append(head, fmt.Sprintf("%d pods", b.Pods))
		}
		row(head...)
		for i, name := range stageNames {
			cells := []any{name}
			for _, b := range r.Bursts {
				var s Stage
				if i < len(b.Median.Stages) {
					s = b.Median.Stages[i]
				}
				cells = append(cells, fmt.Sprintf("%.0f … %.0f … %.0f", s.First, s.P50, s.Last))
			}
			row(cells...)
		}
	})
}

// printUse shows what the processes used and what was written.
func (r *Report) printUse(out io.Writer) {
	processes, writes := map[string]bool{}, map[string]bool{}
	head := []any{"CPU s / peak MiB"}
	for _, b := range r.Bursts {
		head = append(head, fmt.Sprintf("%d pods", b.Pods))
		for name := range b.Median.Processes {
			processes[name] = true
		}
		for what := range b.Median.WritesPerPod {
			writes[what] = true
		}
	}
	table(out, func(row func(cells ...any)) {
		row(head...)
		for _, name := range slices.Sorted(maps.Keys(processes)) {
			cells := []any{name}
			for _, b := range r.Bursts {
				p := b.Median.Processes[name]
				cells = append(cells, fmt.Sprintf("%.2f / %.0f", p.CPUSeconds, p.PeakMiB))
			}
			row(cells...)
		}
	})
	table(out, func(row func(cells ...any)) {
		row(append([]any{"API writes per pod"}, head[1:]...)...)
		for _, what := range slices.Sorted(maps.Keys(writes)) {
			cells := []any{what}
			for _, b := range r.Bursts {
				cells = append(cells, fmt.Sprintf("%.2f", b.Median.WritesPerPod[what]))
			}
			row(cells...)
		}
	})
}

func table(out io.Writer, fill func(row func(cells ...any))) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fill(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(w, "\t") //nolint:errcheck // flushed below
			}
			fmt.Fprint(w, c) //nolint:errcheck // flushed below
		}
		fmt.Fprintln(w) //nolint:errcheck // flushed below
	})
	_ = w.Flush()     // a terminal
	fmt.Fprintln(out) //nolint:errcheck // a terminal
}

func pair(a, b float64) string { return fmt.Sprintf("%.0f / %.0f", a, b) }
func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }
