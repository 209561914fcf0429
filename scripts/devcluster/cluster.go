package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/slipway-dev/slipway/scripts/devcluster/assets"
)

// ErrInvalidConfig says that Start or Kubeconfig was asked for something that cannot be done.
var ErrInvalidConfig = errors.New("invalid configuration")

// Config says what to start.
type Config struct {
	// Dir receives everything: etcd/, pki/, kubeconfig/, logs/. It is created
	// where it is missing and must not hold an earlier cluster's etcd.
	Dir string
	// Assets is the directory of the binaries; by default what assets.Find returns.
	Assets string
	// CRDs are files or directories of CustomResourceDefinitions to install.
	CRDs []string
	// WithoutControllerManager leaves kube-controller-manager out, for tests
	// that need an API server only: nothing creates service accounts then, and
	// pods need none.
	WithoutControllerManager bool
	// NodeMonitorGracePeriod is how long a node may stay silent before it
	// counts as lost (default 40 seconds).
	NodeMonitorGracePeriod time.Duration
	// StartTimeout bounds the start of each component (default one minute).
	StartTimeout time.Duration
	// APIServerArgs and ControllerManagerArgs are added to the command lines;
	// a flag given here wins over the same flag there.
	APIServerArgs         []string
	ControllerManagerArgs []string
}

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, fmt.Errorf("%w: no directory", ErrInvalidConfig)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, err
	}
	c.Dir = dir
	if _, err := os.Stat(filepath.Join(dir, "etcd")); err == nil {
		return c, fmt.Errorf("%w: %s holds an earlier cluster", ErrInvalidConfig, dir)
	}
	if c.Assets == "" {
		if c.Assets, err = assets.Find(); err != nil {
			return c, err
		}
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = defaultStartTimeout
	}
	if c.NodeMonitorGracePeriod == 0 {
		c.NodeMonitorGracePeriod = defaultNodeMonitorGracePeriod
	}
	return c, nil
}

// Cluster is a running control plane. Its methods may be called concurrently.
type Cluster struct {
	config Config
	assets string
	pki    *pki
	admin  *rest.Config

	apiServerAddress string // host:port

	mu                sync.Mutex // guards the processes
	etcd              *Process
	apiServer         *Process
	controllerManager *Process
}

// Start starts a control plane and waits until pods can be created in it.
// ctx bounds the start alone; the control plane runs until Stop.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	c, err := start(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("dev cluster: %w", err)
	}
	return c, nil
}

func start(ctx context.Context, config Config) (_ *Cluster, err error) {
	config, err = config.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := newCluster(config)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if err := c.startStorage(ctx); err != nil {
		return nil, err
	}
	if err := c.install(ctx); err != nil {
		return nil, err
	}
	if config.WithoutControllerManager {
		return c, nil
	}
	if err := c.startControllerManager(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// newCluster prepares what the components' command lines name.
func newCluster(config Config) (*Cluster, error) {
	c := &Cluster{config: config, assets: config.Assets}
	var err error
	c.pki, err = newPKI(filepath.Join(config.Dir, "pki"))
	return c, err
}

// startStorage starts etcd and the API server before it.
func (c *Cluster) startStorage(ctx context.Context) error {
	var etcdURL string
	err := OnFreePorts(2, func(at []string) (err error) {
		etcdURL = "http://" + at[0]
		c.etcd, err = StartProcess(ctx, c.etcdProcess(etcdURL, "http://"+at[1]))
		return err
	})
	if err != nil {
		return err
	}
	return OnFreePorts(1, func(at []string) (err error) {
		c.apiServerAddress = at[0]
		if c.admin, err = c.UserConfig(Admin()); err != nil {
			return err
		}
		c.apiServer, err = StartProcess(ctx, c.apiServerProcess(etcdURL))
		return err
	})
}

// startControllerManager runs it as an administrator: its controllers then
// share one identity instead of waiting for a service account each.
func (c *Cluster) startControllerManager(ctx context.Context) error {
	kubeconfig, err := c.Kubeconfig(User{
		File: "controller-manager", Name: "system:kube-controller-manager", Groups: []string{"system:masters"},
	})
	if err != nil {
		return err
	}
	err = OnFreePorts(1, func(at []string) (err error) {
		c.controllerManager, err = StartProcess(ctx, c.controllerManagerProcess(kubeconfig, at[0]))
		return err
	})
	if err != nil {
		return err
	}
	return c.waitForServiceAccount(ctx)
}

// URL returns the API server's address.
func (c *Cluster) URL() string { return "https://" + c.apiServerAddress }

// CA returns the certificate (PEM) that the API server's certificate is checked with.
func (c *Cluster) CA() []byte { return c.pki.servers.PEM() }

// Dir returns the absolute path of the cluster's directory.
func (c *Cluster) Dir() string { return c.config.Dir }

// Processes returns the components that run, by name.
func (c *Cluster) Processes() map[string]*Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	running := map[string]*Process{}
	for _, p := range []*Process{c.etcd, c.apiServer, c.controllerManager} {
		if p != nil {
			running[p.config.Name] = p
		}
	}
	return running
}

// StopAPIServer begins an outage that lasts until StartAPIServer.
func (c *Cluster) StopAPIServer() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apiServer.Stop()
}

// StartAPIServer starts the API server again, at the same address, and waits until it is ready.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	restarted, err := c.apiServer.Restart(ctx)
	if err != nil {
		return err
	}
	c.apiServer = restarted
	return nil
}

// RestartAPIServer stops the API server and starts it again, so that every
// connection and watch breaks.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	if err := c.StopAPIServer(); err != nil {
		return err
	}
	return c.StartAPIServer(ctx)
}

// Stop ends the components, the last started first. The directory stays. More
// than one call does no harm.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, p := range []*Process{c.controllerManager, c.apiServer, c.etcd} {
		if p != nil {
			errs = append(errs, p.Stop())
		}
	}
	return errors.Join(errs...)
}
