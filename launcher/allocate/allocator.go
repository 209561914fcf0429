package allocate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// Catalog tells what can be bought; offering.Catalog is one.
type Catalog interface {
	Types(ctx context.Context, class *v1alpha1.EC2NodeClass) ([]offering.Type, error)
	// Changed is closed when a pod that fitted nothing may fit something.
	Changed() <-chan struct{}
}

// Config is what an Allocator is made from.
type Config struct {
	// Client reads from the informers' caches, with the indexes of package cluster, and writes NodeClaims.
	Client client.Client
	// Live reads from the API server itself, where the caches may be behind.
	Live client.Reader
	// Cache is where Client reads from; its events drive the loop.
	Cache   cache.Cache
	Catalog Catalog
	// Engines by scheduler name; pods of other schedulers are refused.
	Engines map[string]*fit.Engine
	Metrics prometheus.Registerer
	// Leads returns an error once another process may lead, whose plans ours must not add to;
	// nil where there is only one.
	Leads func() error
	// Idle closes a batch when no pod has come for so long; default 100 ms.
	Idle time.Duration
	// Longest closes a batch however many pods still come; default 1 s.
	Longest time.Duration
	// MaxWaiting bounds the pods that wait for a plan; default 50,000.
	MaxWaiting int
	// Alternatives bounds how many instance types a claim lists; default 60.
	Alternatives int
	// Improve bounds the search for a cheaper plan; default 200 ms. Small batches search
	// for less: a tenth of a millisecond a pod.
	Improve time.Duration
}

func (c *Config) complete() error {
	if c.Client == nil || c.Live == nil || c.Cache == nil || c.Catalog == nil || len(c.Engines) == 0 || c.Metrics == nil {
		return errors.New("allocate: Client, Live, Cache, Catalog, Engines and Metrics are required")
	}
	setDefault(&c.Idle, 100*time.Millisecond)
	setDefault(&c.Longest, time.Second)
	setDefault(&c.MaxWaiting, 50_000)
	setDefault(&c.Alternatives, 60)
	setDefault(&c.Improve, 200*time.Millisecond)
	if c.Leads == nil {
		c.Leads = func() error { return nil }
	}
	if c.Idle < 0 || c.Longest < c.Idle {
		return fmt.Errorf("allocate: batch idle %s must be positive and at most the longest batch %s", c.Idle, c.Longest)
	}
	return nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Allocator is the fast loop. Its methods are safe for concurrent use while Run runs.
type Allocator struct {
	cfg     Config
	metrics *metrics
	calls   chan func(*loop) // work for the loop's goroutine
	running chan struct{}    // closed once the loop has read what exists
}

// New returns an Allocator that does nothing until Run.
func New(cfg Config) (*Allocator, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	return &Allocator{cfg: cfg, metrics: m, calls: make(chan func(*loop)), running: make(chan struct{})}, nil
}

// Running is closed once reservations made by earlier leaders are known, so that calls are answered.
func (a *Allocator) Running() <-chan struct{} { return a.running }

// Verdict is the answer to one pod of Reserve.
type Verdict struct {
	Pod    types.UID
	Code   VerdictCode
	Reason string // of a refusal
}

// VerdictCode says what became of a pod handed to Reserve.
type VerdictCode int

// The verdicts.
const (
	Accepted VerdictCode = iota + 1
	AlreadyReserved
	Refused
)

// Reserve takes pods that fit on no node. It never waits for a plan. The pods must not
// be changed afterwards.
func (a *Allocator) Reserve(ctx context.Context, pods []*corev1.Pod) ([]Verdict, error) {
	return call(ctx, a, func(l *loop) []Verdict { return l.reserve(pods) })
}

// Release is a reservation given back.
type Release struct {
	Pod types.UID
	// Claim the reservation was on; empty for a pod that waits as far as the scheduler knows,
	// which gives back whatever it has.
	Claim  string
	Reason string
}

// Release gives reservations back. What is unknown is ignored.
func (a *Allocator) Release(ctx context.Context, releases []Release) error {
	_, err := call(ctx, a, func(l *loop) struct{} { l.release(releases); return struct{}{} })
	return err
}

// Watch returns how things stand with every pod, and a channel of changes that is
// closed when the watcher is too slow, or when ctx or the Allocator ends.
func (a *Allocator) Watch(ctx context.Context) ([]Reservation, <-chan []Reservation, error) {
	type answer struct {
		snapshot []Reservation
		changes  <-chan []Reservation
	}
	got, err := call(ctx, a, func(l *loop) answer {
		snapshot, changes := l.watch(ctx)
		return answer{snapshot, changes}
	})
	return got.snapshot, got.changes, err
}

// call runs f in the loop's goroutine and returns what it returns.
func call[T any](ctx context.Context, a *Allocator, f func(*loop) T) (T, error) {
	answer := make(chan T, 1)
	select {
	case a.calls <- func(l *loop) { answer <- f(l) }:
	case <-ctx.Done():
		var zero T
		return zero, fmt.Errorf("allocator is not running: %w", context.Cause(ctx))
	}
	return <-answer, nil
}
