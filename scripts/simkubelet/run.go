package simkubelet

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/scripts/simec2"
)

// Cloud is where the instances are; *simec2.Server is one.
type Cloud interface {
	// Changed returns a channel that closes at the next change of any
	// instance.
	Changed() <-chan struct{}
	Instances() []simec2.Instance
}

// Config of the kubelets. Cloud and Credentials are required.
type Config struct {
	Cloud Cloud
	// Credentials stand in for what the cloud's authenticator would give a
	// kubelet. Kubelets use only its token or client certificate: where the
	// API server is and how to trust it, each reads from its user data.
	// KWOK uses all of it.
	Credentials *rest.Config
	// ClusterName is the only name the authenticator lets in; default
	// slipway-dev.
	ClusterName string
	// Access is how the nodes' role is let in; default AccessEC2, as manifests/aws grants.
	Access Access
	// StartDelay is the time from a running instance to its kubelet's first
	// call; default 0.
	StartDelay time.Duration
	// Register, if set, decides what an instance registers in place of the Node it would
	// have: a nil one never becomes a node. It is called concurrently.
	Register func(simec2.Instance, *corev1.Node) *corev1.Node
	// KubeletVersion is what nodes report; default v1.36.3.
	KubeletVersion string
	// Clock is the time for delays; default the real clock. Leases always run
	// on real time, as the API server's does.
	Clock clock.WithTicker
	// Logger receives a line per kubelet event; default none.
	Logger *slog.Logger
}

// Kubelets runs one kubelet per running instance.
type Kubelets struct {
	cfg     Config
	clients *clients
	view    *nodeView

	running map[string]*handle // by instance id; only Run touches it
	wg      sync.WaitGroup
}

// handle is a kubelet at work.
type handle struct{ stop context.CancelFunc }

// New checks the configuration; nothing runs until Run.
func New(cfg Config) (*Kubelets, error) {
	if cfg.Cloud == nil || cfg.Credentials == nil {
		return nil, fmt.Errorf("simkubelet: Cloud and Credentials are required")
	}
	if cfg.StartDelay < 0 {
		return nil, fmt.Errorf("simkubelet: start delay %v is negative", cfg.StartDelay)
	}
	if cfg.ClusterName == "" {
		cfg.ClusterName = "slipway-dev"
	}
	switch cfg.Access {
	case "":
		cfg.Access = AccessEC2
	case AccessEC2, AccessEC2Linux:
	default:
		return nil, fmt.Errorf("simkubelet: an access entry of type %s lets no node in", cfg.Access)
	}
	if cfg.KubeletVersion == "" {
		cfg.KubeletVersion = "v1.36.3"
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Kubelets{
		cfg: cfg, clients: newClients(cfg.Credentials), view: newNodeView(), running: map[string]*handle{},
	}, nil
}

// Run starts and stops kubelets as instances come and go, until ctx ends and
// every kubelet has stopped. That of an instance that fails its own status check
// stands still.
func (k *Kubelets) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer k.wg.Wait()
	defer cancel()
	if err := startKWOK(ctx, k.cfg.Credentials, k.view, k.cfg.Logger); err != nil {
		return fmt.Errorf("simkubelet: %w", err)
	}
	for {
		changed := k.cfg.Cloud.Changed()
		k.reconcile(ctx, k.cfg.Cloud.Instances())
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

func (k *Kubelets) reconcile(ctx context.Context, instances []simec2.Instance) {
	alive := map[string]bool{}
	for _, i := range instances {
		if i.State != simec2.StateRunning || i.Impaired == simec2.CheckInstance {
			continue
		}
		alive[i.ID] = true
		if _, ok := k.running[i.ID]; !ok {
			k.start(ctx, i)
		}
	}
	for id, h := range k.running {
		if !alive[id] {
			h.stop()
			delete(k.running, id)
		}
	}
}

func (k *Kubelets) start(ctx context.Context, i simec2.Instance) {
	ctx, stop := context.WithCancel(ctx)
	k.running[i.ID] = &handle{stop}
	k.wg.Go(func() {
		defer stop()
		log := k.cfg.Logger.With("instance", i.ID)
		if err := k.runKubelet(ctx, i, log); err != nil && ctx.Err() == nil {
			log.Error("kubelet failed: this instance does not become a node", "error", err)
		}
	})
}
