// Command slipway-sim runs a simulated EC2 region and the kubelets of its
// instances: all of the cloud that a development cluster needs.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/simkubelet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "slipway-sim:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "slipway-sim",
		Short:         "A simulated EC2 region with kubelets, on loopback",
		Long:          longHelp,
		Example:       examples,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		PreRunE:       func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags(), os.LookupEnv) },
		RunE:          func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.bind(cmd.Flags())
	return cmd
}

// run serves until ctx ends.
func (o *options) run(ctx context.Context) (err error) {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	cfg, err := o.region(logger)
	if err != nil {
		return err
	}
	server, err := simec2.New(cfg)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()

	fmt.Println(server.URL())
	if err := o.writeAddress(server.URL()); err != nil {
		return err
	}
	logger.Info("serving", "endpoint", server.URL(), "control", server.URL()+"/_sim/")

	group, ctx := errgroup.WithContext(ctx)
	if o.kubeconfig == "" {
		logger.Warn("no --kubeconfig: instances boot, but no kubelet registers a node")
	} else {
		credentials, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
		if err != nil {
			return fmt.Errorf("kubeconfig %s: %w", o.kubeconfig, err)
		}
		kubelets, err := simkubelet.New(simkubelet.Config{
			Cloud: server, Credentials: credentials, ClusterName: o.clusterName, StartDelay: o.kubeletDelay, Logger: logger,
		})
		if err != nil {
			return err
		}
		group.Go(func() error { return kubelets.Run(ctx) })
	}

	group.Go(func() error { <-ctx.Done(); return nil })
	return group.Wait()
}
