package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/scripts/bench/day"
)

// benchDay is the command that plays a day in simulated time.
func (o *options) benchDay() *cobra.Command {
	var cfg day.Config
	cmd := &cobra.Command{
		Use: "bench-day", Short: "Play a day of load in simulated time and write bench-day.json and bench-day.svg", Args: cobra.NoArgs,
		Long: `Plays a day in simulated time: Deployments that follow the sun, batch jobs, rollouts, spot
interruptions and spot prices that walk. Pods are placed by the real scheduler, and nodes bought and moved by the launcher's
own decisions, all in this process, without an API server. Prints what was paid, the proven lower bound, how long pods waited
and how many were moved; writes bench-day.json and a picture, bench-day.svg.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.runBenchDay(cmd, cfg) },
	}
	cmd.Flags().Uint64Var(&cfg.Seed, "seed", 1, "of the load, prices and interruptions")
	cmd.Flags().DurationVar(&cfg.Length, "length", 24*time.Hour, "simulated time, from midnight")
	cmd.Flags().StringSliceVar(&cfg.Policies, "policies", day.Policies(), "consolidationPolicies that the same day is played with")
	return cmd
}

func (o *options) runBenchDay(cmd *cobra.Command, cfg day.Config) error {
	cfg.SchedulerConfig = filepath.Join(o.repo, "manifests", "rendered", "default", "scheduler.yaml")
	if err := cfg.Validate(); err != nil {
		return err
	}
	report, failed := day.Run(cmd.Context(), cfg, os.Stdout)
	report.Print(os.Stdout)
	file, picture := filepath.Join(o.bin, "bench-day.json"), filepath.Join(o.bin, "bench-day.svg")
	if err := errors.Join(failed, report.Write(file), report.Draw(picture)); err != nil {
		return err
	}
	fmt.Printf("The figures are in %s, the picture in %s.\n", file, picture)
	return nil
}
