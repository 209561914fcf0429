// Package stack owns a whole Slipway on this machine: a control plane (devcluster), the
// simulated EC2 with its kubelets (simec2, simkubelet), and the two daemons as the
// processes an operator would run, with the RBAC that the Helm chart installs by default and,
// read from its Deployments, their arguments, environment, configuration and certificates' places.
// Only addresses, lease times and credentials are this machine's.
package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/scripts/devcluster"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/simkubelet"
)

// SchedulerName is the profile that pods name to be scheduled here.
const SchedulerName = "slipway-scheduler"

// Config says what to start.
type Config struct {
	// Dir receives state, certificates, configuration and logs.
	Dir string
	// Repo is the root of the checkout, for manifests; Bin holds the daemons.
	Repo, Bin string
	Sim       simec2.Config
	// Launcher changes the launcher's configuration, if set, and Kubelets the kubelets'.
	Launcher func(*launcherconfig.Config)
	Kubelets func(*simkubelet.Config)
	// FeatureGates are turned on in the API server and in the scheduler; APIs are served by
	// the former beside those that are by default.
	FeatureGates, APIs []string
	// APIServerArgs are added to the API server's command line.
	APIServerArgs []string
	// Via, if set, is told where the launcher serves and returns where the scheduler is to
	// look for it instead.
	Via func(address string) string
	// Say is told what is being started, if set.
	Say func(string)
}

// Stack is a running Slipway.
type Stack struct {
	Cluster             *devcluster.Cluster
	Sim                 *simec2.Server
	Launcher, Scheduler *devcluster.Process
	// Standbys were started beside them; see StandbyLauncher and StandbyScheduler.
	Standbys []*devcluster.Process
	// Client is the administrator's.
	Client client.Client
	// Kubeconfig is the administrator's file.
	Kubeconfig string
	// LauncherMetrics and SchedulerMetrics are URLs.
	LauncherMetrics, SchedulerMetrics string
	// GRPCAddress is where the launcher serves, Certs what it takes to call it.
	GRPCAddress string
	Certs       *devcluster.Certs

	cfg             Config
	schedulerConfig string // as the ConfigMap holds it
	stopKubelet     context.CancelFunc
	kubelets        sync.WaitGroup
	stop            sync.Once
}

// Start starts everything and waits until it is ready. On an error nothing is left running.
func Start(ctx context.Context, cfg Config) (s *Stack, err error) {
	if cfg.Say == nil {
		cfg.Say = func(string) {}
	}
	s = &Stack{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	for _, step := range []struct {
		what  string
		start func(context.Context) error
	}{
		{"etcd, kube-apiserver and kube-controller-manager", s.startCluster},
		{"simulated EC2 and kubelets", s.startSim},
		{"slipway-launcher", s.startLauncher},
		{"slipway-scheduler", s.startScheduler},
	} {
		cfg.Say("starting " + step.what)
		if err := step.start(ctx); err != nil {
			return s, fmt.Errorf("start %s: %w", step.what, err)
		}
	}
	return s, nil
}

// Stop ends everything, the last started first. More than one call does no harm.
func (s *Stack) Stop() (err error) {
	s.stop.Do(func() {
		for _, p := range append(s.Standbys, s.Scheduler, s.Launcher) {
			if p != nil {
				err = errors.Join(err, p.Stop())
			}
		}
		if s.stopKubelet != nil {
			s.stopKubelet()
			s.kubelets.Wait()
		}
		if s.Sim != nil {
			err = errors.Join(err, s.Sim.Close())
		}
		if s.Cluster != nil {
			err = errors.Join(err, s.Cluster.Stop())
		}
	})
	return err
}

// Logs is the directory of the logs.
func (s *Stack) Logs() string { return filepath.Join(s.cfg.Dir, "logs") }

func (s *Stack) startCluster(ctx context.Context) (err error) {
	cluster := devcluster.Config{Dir: s.cfg.Dir, CRDs: []string{s.manifest("crd")}, APIServerArgs: s.cfg.APIServerArgs}
	if gates := s.cfg.FeatureGates; len(gates) > 0 {
		cluster.APIServerArgs = append(cluster.APIServerArgs, "--feature-gates="+strings.Join(gates, "=true,")+"=true")
	}
	for _, api := range s.cfg.APIs {
		cluster.APIServerArgs = append(cluster.APIServerArgs, "--runtime-config="+api+"=true")
	}
	s.Cluster, err = devcluster.Start(ctx, cluster)
	if err != nil {
		return err
	}
	if s.Kubeconfig, err = s.Cluster.Kubeconfig(devcluster.Admin()); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if s.Client, err = client.New(s.Cluster.RESTConfig(), client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if err := s.grant(ctx); err != nil {
		return err
	}
	s.Certs, err = devcluster.WriteCerts(filepath.Join(s.cfg.Dir, "tls"), schedulerDaemon, "127.0.0.1", launcherDaemon+"."+devcluster.Namespace+".svc")
	return err
}

func (s *Stack) startSim(context.Context) (err error) {
	log, err := os.OpenFile(filepath.Join(s.Logs(), "slipway-sim.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(log, nil))
	s.cfg.Sim.Logger = logger
	if s.Sim, err = simec2.New(s.cfg.Sim); err != nil {
		return err
	}
	if err := s.Sim.Start(); err != nil {
		return err
	}
	credentials, err := s.Cluster.UserConfig(devcluster.Kubelets())
	if err != nil {
		return err
	}
	cfg := simkubelet.Config{Cloud: s.Sim, Credentials: credentials, ClusterName: s.cfg.Sim.ClusterName, Logger: logger}
	if s.cfg.Kubelets != nil {
		s.cfg.Kubelets(&cfg)
	}
	kubelets, err := simkubelet.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stopKubelet = cancel
	s.kubelets.Go(func() {
		defer log.Close() //nolint:errcheck // a log
		if err := kubelets.Run(ctx); err != nil {
			logger.Error("kubelets ended", "error", err)
		}
	})
	return nil
}

func (s *Stack) manifest(path ...string) string {
	return filepath.Join(append([]string{s.cfg.Repo, "manifests"}, path...)...)
}

// startTimeout bounds the start of one daemon.
const startTimeout = time.Minute
