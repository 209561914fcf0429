package stack

import (
	"context"
	"net"
	"path/filepath"

	"github.com/slipway-dev/slipway/scripts/devcluster"
)

func (s *Stack) startLauncher(ctx context.Context) error {
	return devcluster.OnFreePorts(3, func(at []string) (err error) {
		s.GRPCAddress = at[0]
		s.LauncherMetrics = "http://" + at[1] + "/metrics"
		// The launcher's fit needs the scheduler's configuration, the scheduler the launcher's address.
		if err := s.adaptSchedulerConfig(); err != nil {
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
	config, err := s.launcherConfig(ports)
	if err != nil {
		return nil, err
	}
	c, err := s.container(launcherDaemon, s.root(name), map[string]string{launcherDaemon: config, schedulerDaemon: s.schedulerConfig})
	if err != nil {
		return nil, err
	}
	return devcluster.StartProcess(ctx, devcluster.ProcessConfig{
		Name: name, Path: filepath.Join(s.cfg.Bin, launcherDaemon),
		Args: append(c.args, "--kubeconfig="+kubeconfig),
		Env: append(c.env,
			"AWS_ENDPOINT_URL="+s.Sim.URL(), "AWS_REGION=us-east-1",
			"AWS_ACCESS_KEY_ID=AKIASIMULATED", "AWS_SECRET_ACCESS_KEY=simulated", "AWS_EC2_METADATA_DISABLED=true",
		),
		LogDir: s.Logs(), Ready: devcluster.HTTPReady("http://"+ports[2]+c.ready, nil), StartTimeout: startTimeout,
	})
}

// root is what stands for / in the mounts of a daemon's container.
func (s *Stack) root(name string) string { return filepath.Join(s.cfg.Dir, "root", name) }

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
	kubeconfig, err := s.Cluster.Kubeconfig(devcluster.Scheduler())
	if err != nil {
		return nil, err
	}
	c, err := s.container(schedulerDaemon, s.root(name), map[string]string{schedulerDaemon: s.schedulerConfig})
	if err != nil {
		return nil, err
	}
	args := append(c.args, "--bind-address=127.0.0.1", "--secure-port="+port,
		"--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig)
	for _, gate := range s.cfg.FeatureGates {
		args = append(args, "--feature-gates="+gate+"=true")
	}
	return devcluster.StartProcess(ctx, devcluster.ProcessConfig{
		Name: name, Path: filepath.Join(s.cfg.Bin, schedulerDaemon), Args: args, Env: c.env,
		LogDir: s.Logs(), Ready: devcluster.HTTPReady("https://"+address+c.ready, nil), StartTimeout: startTimeout,
	})
}
