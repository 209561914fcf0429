package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/soak"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// soak is the command that looks for what wears out.
func (o *options) soak() *cobra.Command {
	var cfg soak.Config
	cmd := &cobra.Command{
		Use: "soak", Short: "Create, delete, kill and fail at random, then check what is left, and write soak.json", Args: cobra.NoArgs,
		Long: `Starts a stack with two launchers and two schedulers, does random things to it, leaves it alone
and checks that no instance is left over, no pod is stuck, nothing was bought twice and no
daemon's memory grows. A violation is an error. Package scripts/soak says more.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.runSoak(cmd, cfg) },
	}
	cmd.Flags().DurationVar(&cfg.Duration, "duration", 10*time.Minute, "for how long things happen")
	cmd.Flags().Uint64Var(&cfg.Seed, "seed", 0, "what random things happen; 0 for others each time")
	return cmd
}

func (o *options) runSoak(cmd *cobra.Command, cfg soak.Config) (err error) {
	dir, err := o.dir("soak")
	if err != nil {
		return err
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64N(1e6) //nolint:gosec // G404: no secret
	}
	cfg.Stack = stack.Config{
		Dir: dir, Repo: o.repo, Bin: o.bin, Say: func(what string) { fmt.Println("  " + what) },
		Sim: simec2.Config{BootDelay: o.bootDelay, ShutdownDelay: o.shutdownDelay},
	}
	report, failed := soak.Run(cmd.Context(), cfg, os.Stdout)
	report.Print(os.Stdout)
	file := filepath.Join(o.bin, "soak.json")
	if failed == nil && len(report.Violations()) > 0 {
		failed = fmt.Errorf("%d violations", len(report.Violations()))
	}
	if err := errors.Join(failed, report.Write(file)); err != nil {
		return fmt.Errorf("%w\nlogs are in %s", err, filepath.Join(dir, "logs"))
	}
	fmt.Printf("The figures are in %s.\n", file)
	return nil
}
