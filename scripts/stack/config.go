package stack

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
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

// configFile is the key of a ConfigMap that holds a daemon's configuration.
const configFile = "config.yaml"

// shippedConfig is the configuration of a daemon as the chart makes it.
func (s *Stack) shippedConfig(daemon string) (string, error) {
	var m corev1.ConfigMap
	if err := s.find("ConfigMap", daemon, &m); err != nil {
		return "", err
	}
	return m.Data[configFile], nil
}

// launcherConfig adapts the shipped configuration to this machine and to short tests.
// ports are the addresses of gRPC, metrics and health.
func (s *Stack) launcherConfig(ports []string) (string, error) {
	shipped, err := s.shippedConfig(launcherDaemon)
	if err != nil {
		return "", err
	}
	var cfg launcherconfig.Config
	if err := yaml.UnmarshalStrict([]byte(shipped), &cfg); err != nil {
		return "", fmt.Errorf("shipped launcher configuration: %w", err)
	}
	cfg.Cluster.Name, cfg.Cluster.Endpoint = s.clusterName(), ""
	cfg.AWS.InterruptionQueue = s.clusterName() // as the simulated EC2 names it
	cfg.GRPC.Address, cfg.MetricsAddress, cfg.HealthAddress = ports[0], ports[1], ports[2]
	cfg.LeaderElection.LeaseDuration = metav1.Duration{Duration: leaseDuration}
	cfg.LeaderElection.RenewDeadline = metav1.Duration{Duration: renewDeadline}
	cfg.LeaderElection.RetryPeriod = metav1.Duration{Duration: retryPeriod}
	cfg.NodeClaims.CollectEvery = metav1.Duration{Duration: 10 * time.Second}
	if s.cfg.Launcher != nil {
		s.cfg.Launcher(&cfg)
	}
	raw, err := yaml.Marshal(cfg)
	return string(raw), err
}

func (s *Stack) clusterName() string {
	if s.cfg.Sim.ClusterName == "" {
		return "slipway-dev"
	}
	return s.cfg.Sim.ClusterName
}

// adaptSchedulerConfig adapts the shipped configuration to this machine: addresses and lease
// times, nothing else.
func (s *Stack) adaptSchedulerConfig() error {
	kubeconfig, err := s.Cluster.Kubeconfig(devcluster.Scheduler())
	if err != nil {
		return err
	}
	shipped, err := s.shippedConfig(schedulerDaemon)
	if err != nil {
		return err
	}
	var object map[string]any
	if err := yaml.Unmarshal([]byte(shipped), &object); err != nil {
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
			plugin["args"].(map[string]any)["launcherAddress"] = address
		}
	}
	if err := unstructured.SetNestedSlice(object, profiles, "profiles"); err != nil {
		return err
	}
	raw, err := yaml.Marshal(object)
	s.schedulerConfig = string(raw)
	return err
}
