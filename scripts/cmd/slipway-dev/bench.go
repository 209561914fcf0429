package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/scripts/bench/burst"
	"github.com/slipway-dev/slipway/scripts/bench/consolidate"
	"github.com/slipway-dev/slipway/scripts/bench/reap"
	"github.com/slipway-dev/slipway/scripts/bench/scheduler"
	"github.com/slipway-dev/slipway/scripts/devcluster/assets"
)

// benchBurst is the command that measures bursts.
func (o *options) benchBurst() *cobra.Command {
	var cfg burst.Config
	cmd := &cobra.Command{
		Use: "bench-burst", Short: "Measure bursts of pods that need nodes and write bench-burst.json", Args: cobra.NoArgs,
		Long: `Starts a stack whose instances boot at once, and creates bursts of pods that need nodes,
each after the nodes of the one before have gone; with --boot-delay, they boot so long. Prints figures, where the time goes, and which
budgets are met; writes bench-burst.json (package scripts/bench/burst documents its fields).
A missed budget is no error, a pod that is not bound is one.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.runBenchBurst(cmd, cfg) },
	}
	cmd.Flags().IntSliceVar(&cfg.Pods, "pods", []int{1, 10, 100, 1000, 10_000}, "sizes of the bursts")
	cmd.Flags().IntVar(&cfg.Runs, "runs", 5, "runs of each burst of up to 100 pods; up to 1,000 at most three, above one")
	cmd.Flags().IntVar(&cfg.Deployments, "deployments", 1, "Deployments that the pods of a burst are divided among")
	return cmd
}

func (o *options) runBenchBurst(cmd *cobra.Command, cfg burst.Config) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	dir, err := o.dir("bench-burst")
	if err != nil {
		return err
	}
	o.shutdownDelay = 0
	if !cmd.Flags().Changed("boot-delay") {
		o.bootDelay = 0
	}
	s, err := o.start(cmd.Context(), dir, func(what string) { fmt.Println("  " + what) })
	if err != nil {
		return fmt.Errorf("%w\nlogs are in %s", err, filepath.Join(dir, "logs"))
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	report, failed := burst.Run(cmd.Context(), s, cfg, os.Stdout)
	report.Print(os.Stdout)
	file := filepath.Join(o.bin, "bench-burst.json")
	if err := errors.Join(failed, report.Write(file)); err != nil {
		return fmt.Errorf("%w\nlogs are in %s", err, s.Logs())
	}
	fmt.Printf("The figures are in %s.\n", file)
	return nil
}

// benchReap is the command that measures how nodes that are emptied together go.
func (o *options) benchReap() *cobra.Command {
	var cfg reap.Config
	cmd := &cobra.Command{
		Use: "bench-reap", Short: "Measure how nodes that are emptied at once go and write bench-reap.json", Args: cobra.NoArgs,
		Long: `Starts a stack whose instances boot and end at once, fills nodes with a pod each, deletes all
pods together, and measures until the last node is gone. A missed budget is no error, a node that
stays is one.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.runBenchReap(cmd, cfg) },
	}
	cmd.Flags().IntVar(&cfg.Nodes, "nodes", 100, "nodes that are emptied")
	cmd.Flags().IntVar(&cfg.Runs, "runs", 3, "how often")
	cmd.Flags().DurationVar(&cfg.TTL, "ttl", 30*time.Second, "the pool's consolidateAfter")
	return cmd
}

func (o *options) runBenchReap(cmd *cobra.Command, cfg reap.Config) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	dir, err := o.dir("bench-reap")
	if err != nil {
		return err
	}
	o.bootDelay, o.shutdownDelay = 0, 0
	s, err := o.start(cmd.Context(), dir, func(what string) { fmt.Println("  " + what) })
	if err != nil {
		return fmt.Errorf("%w\nlogs are in %s", err, filepath.Join(dir, "logs"))
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	report, failed := reap.Run(cmd.Context(), s, cfg, os.Stdout)
	report.Print(os.Stdout)
	file := filepath.Join(o.bin, "bench-reap.json")
	if err := errors.Join(failed, report.Write(file)); err != nil {
		return fmt.Errorf("%w\nlogs are in %s", err, s.Logs())
	}
	fmt.Printf("The figures are in %s.\n", file)
	return nil
}

// benchConsolidate is the command that measures consolidation.
func (o *options) benchConsolidate() *cobra.Command {
	cfg := consolidate.Config{Seed: 1}
	cmd := &cobra.Command{
		Use: "bench-consolidate", Short: "Measure how underused clusters are consolidated and write bench-consolidate.json", Args: cobra.NoArgs,
		Long: `Makes clusters in memory that are used to less than a third, at real prices, and consolidates them
on a simulated clock. Prints how long a look at the cluster takes, when nothing moves any more, and how far
the price then is from the lower bound. It needs no control plane. A missed budget is no error.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Repo = o.repo
			report, failed := consolidate.Run(cmd.Context(), cfg, os.Stdout)
			if report == nil {
				return failed
			}
			report.Print(os.Stdout)
			return errors.Join(failed, report.Write(filepath.Join(o.bin, "bench-consolidate.json")))
		},
	}
	cmd.Flags().IntSliceVar(&cfg.Nodes, "nodes", []int{700, 2000}, "nodes of the clusters")
	cmd.Flags().IntSliceVar(&cfg.Budgets, "budgets", []int{10, 100}, "percent of the nodes that may be on their way out at once")
	cmd.Flags().IntVar(&cfg.Deployments, "deployments", 300, "Deployments that the pods are of")
	cmd.Flags().Float64Var(&cfg.Utilisation, "utilisation", 0.3, "share of the nodes that is used before anything moves")
	cmd.Flags().DurationVar(&cfg.Boot, "boot", 0, "how long a node takes to come that is bought; whole seconds")
	cmd.Flags().DurationVar(&cfg.Drain, "drain", 0, "how long a node takes to go whose pods have room; whole seconds")
	return cmd
}

// benchScheduler is the command that compares scheduling throughput.
func (o *options) benchScheduler() *cobra.Command {
	cfg := scheduler.Config{Timeout: 5 * time.Minute}
	cmd := &cobra.Command{
		Use: "bench-scheduler", Short: "Compare scheduling throughput with the stock profile and write bench-scheduler.json", Args: cobra.NoArgs,
		Long: `Runs the workloads of scripts/bench/scheduler/perf with the stock profile and with Slipway's, in
pairs, and prints pods scheduled per second side by side. The harness is built by
make bench-scheduler; the directory of etcd is $KUBEBUILDER_ASSETS.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.runBenchScheduler(cmd, cfg) },
	}
	cmd.Flags().StringSliceVar(&cfg.Workloads, "workloads", scheduler.Workloads(), "workloads to run")
	cmd.Flags().StringVar(&cfg.Against, "against", scheduler.Slipway, "what is compared with stock: slipway, or tuned, which is stock with slipway's settings of stock plugins")
	cmd.Flags().IntVar(&cfg.Pairs, "pairs", 5, "pairs of measurements of each workload, half a minute to a minute each")
	return cmd
}

func (o *options) runBenchScheduler(cmd *cobra.Command, cfg scheduler.Config) (err error) {
	if cfg.Logs, err = o.dir("bench-scheduler"); err != nil {
		return err
	}
	if cfg.Binary, err = filepath.Abs(filepath.Join(o.bin, "bench-scheduler.test")); err != nil {
		return err
	}
	cfg.Dir = filepath.Join(o.repo, "scripts", "bench", "scheduler", "perf")
	if cfg.Etcd, err = assets.Find(); err != nil {
		return err
	}
	report, failed := scheduler.Run(cmd.Context(), cfg, os.Stdout)
	report.Print(os.Stdout)
	return errors.Join(failed, report.Write(filepath.Join(o.bin, "bench-scheduler.json")))
}
