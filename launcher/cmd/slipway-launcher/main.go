// Command slipway-launcher is the daemon that launches nodes for pods that fit nowhere,
// and removes nodes that nobody needs.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	_ "golang.org/x/crypto/x509roots/fallback" // the image has no certificates of its own
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/slipway-dev/slipway/launcher"
	"github.com/slipway-dev/slipway/launcher/allocate"
	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/nodeclaim"
	"github.com/slipway-dev/slipway/launcher/nodepool"
	"github.com/slipway-dev/slipway/launcher/offering"
	"github.com/slipway-dev/slipway/launcher/reallocate"
	"github.com/slipway-dev/slipway/launcher/replicas"
)

// version is set by the linker.
var version = "unknown"

func main() {
	if err := command().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "slipway-launcher:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var file, kubeconfig string
	cmd := &cobra.Command{
		Use:   "slipway-launcher --config FILE",
		Short: "Launch nodes for pods that fit nowhere, and remove nodes that nobody needs.",
		Long: `slipway-launcher launches nodes for pods that fit nowhere, and removes nodes that nobody needs.

It serves slipway-scheduler over gRPC with mutual TLS, keeps what it decides in NodeClaims,
and buys instances directly from EC2. Of several replicas one leads; the others stand by.
AWS credentials and endpoints come from the SDK's usual places (environment, web identity, IMDS).`,
		Version: version, SilenceUsage: true, SilenceErrors: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			return run(cmd.Context(), cfg, kubeconfig)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (required; see the README for its fields)")
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file; by default $KUBECONFIG, or the pod's service account")
	utilruntime.Must(cmd.MarkFlagRequired("config"))
	logFlags := flag.NewFlagSet("log", flag.ContinueOnError)
	klog.InitFlags(logFlags)
	cmd.Flags().AddGoFlag(logFlags.Lookup("v"))
	return cmd
}

func run(ctx context.Context, cfg *config.Config, kubeconfig string) error {
	ctrl.SetLogger(klog.NewKlogr())
	ctrl.Log.Info("starting slipway-launcher", "version", version)
	restConfig, err := clientConfig(cfg, kubeconfig)
	if err != nil {
		return err
	}
	lock, err := newLease(cfg, restConfig)
	if err != nil {
		return err
	}
	mgr, err := newManager(cfg, restConfig, lock)
	if err != nil {
		return err
	}
	if err := cluster.Index(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	kube, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return err
	}
	provider, err := newProvider(ctx, cfg, restConfig, kube)
	if err != nil {
		return err
	}
	catalog, err := offering.NewCatalog(offering.Config{Source: provider, Clock: clock.RealClock{}, UnavailableFor: cfg.UnavailableFor.Duration})
	if err != nil {
		return err
	}
	allocating, consolidating, err := newEngines(ctx, cfg, mgr, kube)
	if err != nil {
		return err
	}
	allocator, err := allocate.New(allocate.Config{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Cache: mgr.GetCache(), Catalog: catalog, Engines: allocating, Metrics: metrics.Registry,
		Idle: cfg.Batch.Idle.Duration, Longest: cfg.Batch.Longest.Duration, Leads: lock.Leads,
	})
	if err != nil {
		return err
	}
	server, err := launcher.NewServer(cfg.GRPC.Address, launcher.TLSFiles{
		CertFile: cfg.GRPC.CertFile, KeyFile: cfg.GRPC.KeyFile, ClientCAFile: cfg.GRPC.ClientCAFile,
	}, allocator)
	if err != nil {
		return err
	}
	if err := setUp(mgr, cfg, lock, provider, catalog, allocator, consolidating, server); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// setUp has the manager run all parts.
func setUp(mgr ctrl.Manager, cfg *config.Config, lock *lease, provider *ec2.Provider, catalog *offering.Catalog, allocator *allocate.Allocator, consolidating map[string]*fit.Engine, server *launcher.Server) error {
	for _, add := range []func() error{
		func() error {
			return mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { catalog.Run(ctx); return nil }))
		},
		func() error { return mgr.Add(manager.RunnableFunc(provider.Run)) },
		func() error { return mgr.Add(manager.RunnableFunc(allocator.Run)) },
		func() error { return mgr.Add(server) },
		func() error {
			return nodepool.SetupWithManager(mgr, nodepool.Config{
				Resolver: provider, Catalog: catalog, Recorder: mgr.GetEventRecorder("slipway-launcher"), Clock: clock.RealClock{},
			})
		},
		func() error {
			return nodeclaim.SetupWithManager(mgr, nodeclaim.Config{
				Provider: provider, Catalog: catalog, Recorder: mgr.GetEventRecorder("slipway-launcher"),
				Clock: clock.RealClock{}, Metrics: metrics.Registry, Notices: notices(provider, cfg),
				MaxLaunchesPerMinute:  *cfg.NodeClaims.MaxLaunchesPerMinute,
				LaunchTimeout:         cfg.NodeClaims.LaunchTimeout.Duration,
				RegistrationTimeout:   cfg.NodeClaims.RegistrationTimeout.Duration,
				InitializationTimeout: cfg.NodeClaims.InitializationTimeout.Duration,
				CollectEvery:          cfg.NodeClaims.CollectEvery.Duration,
			})
		},
		func() error {
			return reallocate.SetupWithManager(mgr, reallocate.Config{
				Resolver: provider, Recorder: mgr.GetEventRecorder("slipway-launcher"), Clock: clock.RealClock{}, Metrics: metrics.Registry,
				Engines: consolidating, Catalog: catalog,
				ConsolidateEvery: cfg.Consolidation.Every.Duration, MinAge: cfg.Consolidation.MinAge.Duration,
				Toleration: cfg.Repair.Toleration.Duration,
			})
		},
		func() error {
			return replicas.SetupWithManager(mgr, replicas.Config{
				Catalog: catalog, Recorder: mgr.GetEventRecorder("slipway-launcher"), Clock: clock.RealClock{}, Leads: lock.Leads,
			})
		},
		func() error { return metrics.Registry.Register(cluster.NewCollector(mgr.GetClient())) },
		func() error { return mgr.AddHealthzCheck("ping", healthz.Ping) },
		func() error { return mgr.AddReadyzCheck("ping", healthz.Ping) },
	} {
		if err := add(); err != nil {
			return err
		}
	}
	return nil
}

// clientConfig is how the API server is reached.
func clientConfig(cfg *config.Config, kubeconfig string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("API server: %w", err)
	}
	c.QPS, c.Burst = cfg.Client.QPS, cfg.Client.Burst
	c.UserAgent = "slipway-launcher"
	return c, nil
}

func newManager(cfg *config.Config, restConfig *rest.Config, lock *lease) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	grace := 10 * time.Second
	return ctrl.NewManager(restConfig, ctrl.Options{
		Scheme:                              scheme,
		Logger:                              ctrl.Log,
		Metrics:                             metricsserver.Options{BindAddress: cfg.MetricsAddress},
		HealthProbeBindAddress:              cfg.HealthAddress,
		LeaderElection:                      true,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true,
		LeaseDuration:                       &cfg.LeaderElection.LeaseDuration.Duration,
		RenewDeadline:                       &cfg.LeaderElection.RenewDeadline.Duration,
		RetryPeriod:                         &cfg.LeaderElection.RetryPeriod.Duration,
		GracefulShutdownTimeout:             &grace,
		Cache:                               cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Client:                              client.Options{Cache: &client.CacheOptions{}},
	})
}
