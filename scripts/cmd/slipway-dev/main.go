// Command slipway-dev runs a whole Slipway on this machine: the demo, benchmarks, and a
// dev cluster that stays up.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/slipway-dev/slipway/scripts/demo"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctrl.SetLogger(klog.NewKlogr())
	root := &cobra.Command{
		Use: "slipway-dev", Short: "Run a whole Slipway on this machine: real control plane, simulated EC2.",
		SilenceUsage: true, SilenceErrors: true,
	}
	o := &options{shutdownDelay: time.Second}
	root.PersistentFlags().StringVar(&o.bin, "bin", "bin", "directory of the daemons, and of what is written")
	root.PersistentFlags().StringVar(&o.repo, "repo", ".", "root of the checkout, for manifests")
	root.PersistentFlags().DurationVar(&o.bootDelay, "boot-delay", 2*time.Second, "time from a launch until the instance's kubelet starts")
	root.AddCommand(
		&cobra.Command{Use: "demo", Short: "Play the walkthrough and write demo-report.json", Args: cobra.NoArgs, RunE: o.demo},
		&cobra.Command{Use: "up", Short: "Start a dev cluster and leave it running", Args: cobra.NoArgs, RunE: o.up},
		&cobra.Command{Use: "down", Short: "Stop the dev cluster", Args: cobra.NoArgs, RunE: o.down},
		&cobra.Command{Use: "serve", Hidden: true, Args: cobra.NoArgs, RunE: o.serve},
		o.benchBurst(),
		o.benchReap(), o.benchConsolidate(), o.benchDay(),
		o.benchScheduler(),
		o.soak(),
	)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "slipway-dev:", err)
		os.Exit(1) //nolint:gocritic // nothing is deferred but the signal handler
	}
}

type options struct {
	bin, repo                string
	bootDelay, shutdownDelay time.Duration
}

// dir makes a fresh directory below bin.
func (o *options) dir(name string) (string, error) {
	dir, err := filepath.Abs(filepath.Join(o.bin, name))
	if err != nil {
		return "", err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755) //nolint:gosec // for its owner to look into
}

func (o *options) start(ctx context.Context, dir string, say func(string)) (*stack.Stack, error) {
	return stack.Start(ctx, stack.Config{
		Dir: dir, Repo: o.repo, Bin: o.bin, Say: say,
		Sim: simec2.Config{BootDelay: o.bootDelay, ShutdownDelay: o.shutdownDelay},
	})
}

func (o *options) demo(cmd *cobra.Command, _ []string) (err error) {
	dir, err := o.dir("demo")
	if err != nil {
		return err
	}
	say := func(what string) { fmt.Println("           " + what) }
	s, err := o.start(cmd.Context(), dir, say)
	if err != nil {
		return fmt.Errorf("%w\nlogs are in %s", err, filepath.Join(dir, "logs"))
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	report := filepath.Join(o.bin, "demo-report.json")
	if err := demo.Play(cmd.Context(), s, os.Stdout, report); err != nil {
		return fmt.Errorf("%w\nlogs are in %s", err, s.Logs())
	}
	fmt.Printf("\nEverything happened. The figures are in %s.\n", report)
	return nil
}
