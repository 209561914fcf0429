// Package courier owns the scheduler's side of the conversation with the launcher: it
// carries pods and releases there, in batches and until they are answered, and brings
// back what the launcher says about reservations. Nothing in it ever blocks its callers.
package courier

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	_ "google.golang.org/grpc/health" // only replicas that report SERVING are called
	"google.golang.org/grpc/keepalive"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/plugin/ledger"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// ErrQueueFull says that as many pods or releases wait for the launcher as may.
var ErrQueueFull = errors.New("the courier's queue is full")

const (
	// maxBatch is the contract's bound on a call; see proto/slipway/v1.
	maxBatch = 1000
	// maxBatchBytes stays below the 16 MiB that the launcher accepts; no pod is larger
	// than the 1.5 MiB of an etcd value.
	maxBatchBytes = 8 << 20
	maxReceive    = 16 << 20
	// maxSnapshot bounds the reservations of one snapshot.
	maxSnapshot = 1 << 20
)

// serviceConfig calls one of the replicas whose health service says SERVING, which only
// the leader's does.
const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "healthCheckConfig": {"serviceName": "slipway.v1.LauncherService"}
}`

// Sink takes in what the launcher says. Its methods are not called concurrently with
// themselves, but Apply may be called during Resync.
type Sink interface {
	// Resync brings everything the launcher knows.
	Resync(all []ledger.Update)
	// Apply brings changes, and the answers to pods that were handed over.
	Apply(updates []ledger.Update)
}

// Observer is told what happens, for metrics. Its methods must not block.
type Observer interface {
	RPC(method, code string)
	QueueLength(n int)
}

// Config is what a Courier needs.
type Config struct {
	// Address is the launcher's, as a gRPC target.
	Address string
	TLS     Files
	// CallTimeout bounds a call, including the wait for a leader.
	CallTimeout time.Duration
	// QueueLimit bounds the pods, and also the releases, that wait to be sent.
	QueueLimit int
	// MinBackoff and MaxBackoff bound the pause after a failure; the defaults are 100 ms
	// and 10 s.
	MinBackoff, MaxBackoff time.Duration
	Clock                  clock.Clock
	// Jitter returns a number in [0, 1); the default is random.
	Jitter   func() float64
	Sink     Sink
	Observer Observer
}

// Courier carries pods to the launcher. See Run.
type Courier struct {
	cfg    Config
	outbox *outbox
	creds  *reloading
}

// New returns a courier that has connected to nothing yet. It fails if the certificates
// cannot be read.
func New(cfg Config) (*Courier, error) {
	if cfg.Address == "" || cfg.Sink == nil || cfg.Observer == nil || cfg.Clock == nil {
		return nil, errors.New("courier: address, sink, observer and clock are required")
	}
	if cfg.CallTimeout <= 0 || cfg.QueueLimit <= 0 {
		return nil, errors.New("courier: call timeout and queue limit must be positive")
	}
	if cfg.MinBackoff <= 0 {
		cfg.MinBackoff = 100 * time.Millisecond
	}
	if cfg.MaxBackoff <= 0 {
		cfg.MaxBackoff = 10 * time.Second
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	creds, err := newReloading(cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("courier: %w", err)
	}
	return &Courier{cfg: cfg, creds: creds, outbox: newOutbox(cfg.QueueLimit, cfg.Observer.QueueLength)}, nil
}

// Reserve hands a pod over. The pod must not be changed afterwards. It is kept until the
// launcher answers, Drop is called or Run ends; handing it over again does no harm. The
// error is ErrQueueFull.
func (c *Courier) Reserve(pod *v1.Pod) error { return c.outbox.addPod(pod) }

// Release gives reservations back. They are sent before any pod that waits, so that a
// pod may be released and handed over again. The error is ErrQueueFull.
func (c *Courier) Release(releases ...ledger.Release) error { return c.outbox.addReleases(releases) }

// Drop forgets a pod that was bound or deleted, if it was not sent yet.
func (c *Courier) Drop(uid types.UID) { c.outbox.drop(uid) }

// Run carries until ctx ends, and has ended all it started when it returns.
func (c *Courier) Run(ctx context.Context) error {
	conn, err := grpc.NewClient(c.cfg.Address,
		grpc.WithTransportCredentials(c.creds),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: c.cfg.MinBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: c.cfg.MaxBackoff},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxReceive),
			grpc.MaxCallSendMsgSize(maxReceive),
			grpc.WaitForReady(true),
		),
	)
	if err != nil {
		return fmt.Errorf("courier: launcher %s: %w", c.cfg.Address, err)
	}
	client := slipwayv1.NewLauncherServiceClient(conn)
	var wg sync.WaitGroup
	wg.Go(func() { c.deliver(ctx, client) })
	wg.Go(func() { c.watch(ctx, client) })
	<-ctx.Done()
	err = conn.Close()
	wg.Wait()
	return err
}

// pause waits before the next try after a number of failures in a row. It returns false
// when ctx has ended.
func (c *Courier) pause(ctx context.Context, failures int) bool {
	d := c.cfg.MaxBackoff
	if shift := failures - 1; shift < 20 {
		d = min(d, c.cfg.MinBackoff<<shift)
	}
	timer := c.cfg.Clock.NewTimer(d/2 + time.Duration(c.cfg.Jitter()*float64(d/2)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}
