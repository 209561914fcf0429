// Command slipway-scheduler is kube-scheduler with the Slipway plugin. It takes
// kube-scheduler's flags; its configuration is documented in plugin/config.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/component-base/term"
	baseversion "k8s.io/component-base/version"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	schedulerserverconfig "k8s.io/kubernetes/cmd/kube-scheduler/app/config"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	configv1 "k8s.io/kubernetes/pkg/scheduler/apis/config/v1"

	"github.com/slipway-dev/slipway/plugin"
	"github.com/slipway-dev/slipway/plugin/config"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(cli.Run(newCommand(server.SetupSignalContext()))) }

// newCommand is app.NewSchedulerCommand with a run that reaches the scheduler between its
// setup and its start.
func newCommand(ctx context.Context) *cobra.Command {
	opts := options.NewOptions()
	cmd := &cobra.Command{
		Use:               "slipway-scheduler",
		Long:              "slipway-scheduler assigns pods to nodes as kube-scheduler does, and has nodes launched for pods that fit on none.",
		Args:              cobra.NoArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error { return opts.ComponentGlobalsRegistry.Set() },
		RunE:              func(cmd *cobra.Command, _ []string) error { return run(ctx, cmd, opts) },
	}
	global := opts.Flags.FlagSet("global")
	verflag.AddFlags(global)
	globalflag.AddGlobalFlags(global, cmd.Name(), logs.SkipLoggingConfigurationFlags())
	for _, flags := range opts.Flags.FlagSets {
		cmd.Flags().AddFlagSet(flags)
	}
	columns, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, *opts.Flags, columns)
	return cmd
}

func run(ctx context.Context, cmd *cobra.Command, opts *options.Options) error {
	if cmd.Flag("version").Value.String() == string(verflag.VersionTrue) {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "slipway-scheduler %s (Kubernetes %s)\n", version, baseversion.Get())
		return err
	}
	verflag.PrintAndExitIfRequested() // --version=raw, which describes the build of Kubernetes
	gates := opts.ComponentGlobalsRegistry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	if err := logsapi.ValidateAndApply(opts.Logs, gates); err != nil {
		return fmt.Errorf("logging: %w", err)
	}
	klog.FromContext(ctx).Info("Starting slipway-scheduler", "version", version)
	cliflag.PrintFlags(cmd.Flags())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cc, sched, err := setup(ctx, opts)
	if err != nil {
		return err
	}
	gates.(featuregate.MutableFeatureGate).AddMetrics()
	opts.ComponentGlobalsRegistry.AddMetrics()
	return app.Run(ctx, cc, sched)
}

// setup builds the scheduler with the plugin, ready to run.
func setup(ctx context.Context, opts *options.Options) (*schedulerserverconfig.CompletedConfig, *scheduler.Scheduler, error) {
	for _, s := range []*runtime.Scheme{scheme.Scheme, configv1.GetPluginArgConversionScheme()} {
		if err := config.AddToScheme(s); err != nil {
			return nil, nil, err
		}
	}
	var builder plugin.Builder
	cc, sched, err := app.Setup(ctx, opts, app.WithPlugin(plugin.Name, builder.New))
	if err != nil {
		return nil, nil, err
	}
	return cc, sched, builder.Attach(sched)
}
