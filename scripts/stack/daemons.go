package stack

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/scripts/devcluster"
)

// lease settings that let a successor take over within seconds after a crash.
const (
	leaseDuration = 4 * time.Second
	renewDeadline = 3 * time.Second
	retryPeriod   = 500 * time.Millisecond
)

func (s *Stack) startLauncher(ctx context.Context) error {
	return devcluster.OnFreePorts(3, func(at []string) (err error) {
		s.GRPCAddress = at[0]
		s.LauncherMetrics = "http://" + at[1] + "/metrics"
		// The launcher's fit needs the scheduler's configuration, the scheduler the launcher's address.
		if err := s.writeSchedulerConfig(); err != nil {
			return err
		}
		s.Launcher, err = s.startLauncherAt(ctx, "slipway-launcher", at)
		return err
	})
}

// StandbyLauncher starts another launcher, and returns where it will serve once it leads.
func (s *Stack) StandbyLauncher(ctx context.Context) (address string, err error) {
	err = devcluster.OnFreePorts(3, func(at []string) error {
		p, err := s.startLauncherAt(ctx, "slipway-launcher-standby", at)
		if err == nil {
			address, s.Standbys = at[0], append(s.Standbys, p)
		}
		return err
	})
	return address, err
}

// startLauncherAt starts one on the addresses of gRPC, metrics and health.
func (s *Stack) startLauncherAt(ctx context.Context, name string, ports []string) (*devcluster.Process, error) {
	kubeconfig, err := s.Cluster.Kubeconfig(devcluster.Launcher())
	if err != nil {
		return nil, err
	}
	cfg := launcherconfig.Config{
		Cluster:             launcherconfig.Cluster{Name: s.clusterName(), ServiceCIDR: "10.100.0.0/16"},
		GRPC:                launcherconfig.GRPC{Address: ports[0], CertFile: s.Certs.Server.Cert, KeyFile: s.Certs.Server.Key, ClientCAFile: s.Certs.CAFile},
		SchedulerConfigFile: s.schedulerConfig(),
		MetricsAddress:      ports[1],
		HealthAddress:       ports[2],
		LeaderElection: launcherconfig.LeaderElection{
			LeaseDuration: metav1.Duration{Duration: leaseDuration},
			RenewDeadline: metav1.Duration{Duration: renewDeadline},
			RetryPeriod:   metav1.Duration{Duration: retryPeriod},
		},
		NodeClaims: launcherconfig.NodeClaims{CollectEvery: metav1.Duration{Duration: 10 * time.Second}},
	}
	if s.cfg.Launcher != nil {
		s.cfg.Launcher(&cfg)
	}
	raw, err := yaml.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.cfg.Dir, name+".yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return nil, err
	}
	return devcluster.StartProcess(ctx, devcluster.ProcessConfig{
		Name: name, Path: filepath.Join(s.cfg.Bin, "slipway-launcher"),
		Args: []string{"--config", file, "--kubeconfig", kubeconfig},
		Env: []string{
			"AWS_ENDPOINT_URL=" + s.Sim.URL(), "AWS_REGION=us-east-1",
			"AWS_ACCESS_KEY_ID=AKIASIMULATED", "AWS_SECRET_ACCESS_KEY=simulated", "AWS_EC2_METADATA_DISABLED=true",
		},
		LogDir: s.Logs(), Ready: devcluster.HTTPReady("http://"+ports[2]+"/healthz", nil), StartTimeout: startTimeout,
	})
}

func (s *Stack) startScheduler(ctx context.Context) error {
	return devcluster.OnFreePorts(1, func(at []string) (err error) {
		s.SchedulerMetrics = "https://" + at[0] + "/metrics"
		s.Scheduler, err = s.startSchedulerAt(ctx, "slipway-scheduler", at[0])
		return err
	})
}

// StandbyScheduler starts another scheduler, and returns the URL of its metrics.
func (s *Stack) StandbyScheduler(ctx context.Context) (metrics string, err error) {
	err = devcluster.OnFreePorts(1, func(at []string) error {
		p, err := s.startSchedulerAt(ctx, "slipway-scheduler-standby", at[0])
		if err == nil {
			metrics, s.Standbys = "https://"+at[0]+"/metrics", append(s.Standbys, p)
		}
		return err
	})
	return metrics, err
}

func (s *Stack) startSchedulerAt(ctx context.Context, name, address string) (*devcluster.Process, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	kubeconfig := s.schedulerKubeconfig()
	// A failed attempt need not wait until the API server has noted it.
	gates := append([]string{"SchedulerAsyncAPICalls"}, s.cfg.FeatureGates...)
	return devcluster.StartProcess(ctx, devcluster.ProcessConfig{
		Name: name, Path: filepath.Join(s.cfg.Bin, "slipway-scheduler"),
		Args: []string{
			"--config", s.schedulerConfig(), "--bind-address", "127.0.0.1", "--secure-port", port,
			"--authentication-kubeconfig", kubeconfig, "--authorization-kubeconfig", kubeconfig,
			"--feature-gates", strings.Join(gates, "=true,") + "=true",
		},
		LogDir: s.Logs(), Ready: devcluster.HTTPReady("https://"+address+"/healthz", nil), StartTimeout: startTimeout,
	})
}

func (s *Stack) clusterName() string {
	if s.cfg.Sim.ClusterName == "" {
		return "slipway-dev"
	}
	return s.cfg.Sim.ClusterName
}

func (s *Stack) schedulerConfig() string { return filepath.Join(s.cfg.Dir, "scheduler.yaml") }

func (s *Stack) schedulerKubeconfig() string {
	return filepath.Join(s.cfg.Dir, "kubeconfig", devcluster.Scheduler().File+".yaml")
}

// writeSchedulerConfig adapts the shipped configuration to this machine: addresses,
// certificates and lease times, nothing else.
func (s *Stack) writeSchedulerConfig() error {
	kubeconfig, err := s.Cluster.Kubeconfig(devcluster.Scheduler())
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(s.manifest("scheduler", "config.yaml"))
	if err != nil {
		return err
	}
	var object map[string]any
	if err := yaml.Unmarshal(raw, &object); err != nil {
		return fmt.Errorf("shipped scheduler configuration: %w", err)
	}
	for _, set := range []struct {
		value string
		path  []string
	}{
		{kubeconfig, []string{"clientConnection", "kubeconfig"}},
		{leaseDuration.String(), []string{"leaderElection", "leaseDuration"}},
		{renewDeadline.String(), []string{"leaderElection", "renewDeadline"}},
		{retryPeriod.String(), []string{"leaderElection", "retryPeriod"}},
	} {
		if err := unstructured.SetNestedField(object, set.value, set.path...); err != nil {
			return err
		}
	}
	address := s.GRPCAddress
	if s.cfg.Via != nil {
		address = s.cfg.Via(address)
	}
	profiles, _, err := unstructured.NestedSlice(object, "profiles")
	if err != nil || len(profiles) == 0 {
		return fmt.Errorf("shipped scheduler configuration: profiles: %w", err)
	}
	for _, p := range profiles[0].(map[string]any)["pluginConfig"].([]any) {
		plugin := p.(map[string]any)
		if plugin["name"] == "Slipway" {
			plugin["args"] = map[string]any{
				"launcherAddress": address,
				"tls":             map[string]any{"certFile": s.Certs.Client.Cert, "keyFile": s.Certs.Client.Key, "caFile": s.Certs.CAFile},
			}
		}
	}
	if err := unstructured.SetNestedSlice(object, profiles, "profiles"); err != nil {
		return err
	}
	if raw, err = yaml.Marshal(object); err != nil {
		return err
	}
	return os.WriteFile(s.schedulerConfig(), raw, 0o600)
}
