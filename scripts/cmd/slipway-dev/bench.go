package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/scripts/bench/burst"
)

// benchBurst is the command that measures bursts.
func (o *options) benchBurst() *cobra.Command {
	var cfg burst.Config
	cmd := &cobra.Command{
		Use: "bench-burst", Short: "Measure bursts of pods that need nodes and write bench-burst.json", Args: cobra.NoArgs,
		Long: `Starts a stack whose instances boot at once, and creates bursts of pods that need nodes,
each after the nodes of the one before have gone. Prints figures, where the time goes, and which
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
	o.bootDelay, o.shutdownDelay = 0, 0
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
