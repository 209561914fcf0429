package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
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

// rendered is a file of what the chart installs by default.
func (s *Stack) rendered(name string) string { return s.manifest("rendered", "default", name) }

// grant gives the daemons the rights that the chart gives them.
func (s *Stack) grant(ctx context.Context) error {
	objects, err := Read(s.rendered("slipway.yaml"))
	if err != nil {
		return err
	}
	return Apply(ctx, s.Client, slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() != "ServiceAccount" && o.GroupVersionKind().Group != "rbac.authorization.k8s.io"
	})...)
}

// shippedGates returns the feature gates, such as A=true, that the chart starts the scheduler with.
func (s *Stack) shippedGates() ([]string, error) {
	objects, err := Read(s.rendered("slipway.yaml"))
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.GetKind() != "Deployment" || o.GetName() != "slipway-scheduler" {
			continue
		}
		var d appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d); err != nil {
			return nil, err
		}
		for _, arg := range d.Spec.Template.Spec.Containers[0].Args {
			if gates, ok := strings.CutPrefix(arg, "--feature-gates="); ok {
				return strings.Split(gates, ","), nil
			}
		}
	}
	return nil, fmt.Errorf("%s: the scheduler is started without feature gates", s.rendered("slipway.yaml"))
}

// writeLauncherConfig adapts the shipped configuration to this machine and to short tests.
// ports are the addresses of gRPC, metrics and health.
func (s *Stack) writeLauncherConfig(file string, ports []string) error {
	raw, err := os.ReadFile(s.rendered("launcher.yaml"))
	if err != nil {
		return err
	}
	var cfg launcherconfig.Config
	if err := yaml.UnmarshalStrict(raw, &cfg); err != nil {
		return fmt.Errorf("shipped launcher configuration: %w", err)
	}
	cfg.Cluster.Name, cfg.Cluster.Endpoint = s.clusterName(), ""
	cfg.AWS.InterruptionQueue = s.clusterName() // as the simulated EC2 names it
	cfg.GRPC = launcherconfig.GRPC{Address: ports[0], CertFile: s.Certs.Server.Cert, KeyFile: s.Certs.Server.Key, ClientCAFile: s.Certs.CAFile}
	cfg.SchedulerConfigFile = s.schedulerConfig()
	cfg.MetricsAddress, cfg.HealthAddress = ports[1], ports[2]
	cfg.LeaderElection.LeaseDuration = metav1.Duration{Duration: leaseDuration}
	cfg.LeaderElection.RenewDeadline = metav1.Duration{Duration: renewDeadline}
	cfg.LeaderElection.RetryPeriod = metav1.Duration{Duration: retryPeriod}
	cfg.NodeClaims.CollectEvery = metav1.Duration{Duration: 10 * time.Second}
	if s.cfg.Launcher != nil {
		s.cfg.Launcher(&cfg)
	}
	if raw, err = yaml.Marshal(cfg); err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o600)
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
	raw, err := os.ReadFile(s.rendered("scheduler.yaml"))
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
