package reap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/devcluster"
	"github.com/slipway-dev/slipway/scripts/observe"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// Config says how many nodes are emptied, and how often.
type Config struct {
	Nodes int
	Runs  int
	// TTL is the pool's consolidateAfter.
	TTL time.Duration
}

// Validate checks a configuration.
func (c Config) Validate() error {
	if c.Nodes < 1 || c.Runs < 1 || c.TTL < 0 {
		return errors.New("nodes and runs must be positive, the TTL not negative")
	}
	return nil
}

const (
	pool = "reap"
	// One such pod fills a node of the pool's only type.
	instanceType, podCPU, podMemory = "t3.medium", "1500m", "256Mi"

	readyWithin = time.Minute
	boundWithin = 2 * time.Minute
	// goneWithin is how long after its TTL the last node may go.
	goneWithin = 3 * time.Minute
)

type runner struct {
	cfg      Config
	stack    *stack.Stack
	out      io.Writer
	observer *observe.Observer
}

// Run empties nodes of a stack that has no nodes and pools.
func Run(ctx context.Context, s *stack.Stack, cfg Config, out io.Writer) (*Report, error) {
	report := newReport(cfg)
	if err := cfg.Validate(); err != nil {
		return report, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	observer, err := observe.Start(ctx, &wg, observe.Config{
		REST: s.Cluster.RESTConfig(), Scheme: s.Client.Scheme(), Namespace: stack.Namespace,
	})
	if err != nil {
		return report, err
	}
	r := &runner{cfg: cfg, stack: s, out: out, observer: observer}
	p := stack.NodePool(pool, cfg.TTL, v1alpha1.Requirement{
		Key: corev1.LabelInstanceTypeStable, Operator: v1alpha1.OpIn, Values: []string{instanceType},
	})
	if err := s.Client.Create(ctx, p); err != nil {
		return report, fmt.Errorf("create NodePool: %w", err)
	}
	if err := r.observer.WaitFor(ctx, readyWithin, "NodePool ready", func(*observe.View) bool { return s.PoolReady(ctx, pool) }); err != nil {
		return report, err
	}
	for i := range cfg.Runs {
		f, err := r.play(ctx, i)
		if err != nil {
			return report, fmt.Errorf("run %d: %w", i+1, err)
		}
		r.say("%d nodes emptied: the last was gone %.1f s after the last pod", f.Nodes, f.LastGoneSeconds)
		report.Runs = append(report.Runs, f)
	}
	return report, nil
}

func (r *runner) say(format string, args ...any) {
	fmt.Fprintf(r.out, "  "+format+"\n", args...) //nolint:errcheck // a terminal
}

// play fills nodes with a pod each, deletes the pods, and measures until all nodes are gone.
func (r *runner) play(ctx context.Context, run int) (Figures, error) {
	r.observer.Reset()
	d := stack.Deployment(fmt.Sprintf("reap-%d", run), int32(r.cfg.Nodes), podCPU, podMemory) //nolint:gosec // G115: far below
	if err := r.stack.Client.Create(ctx, d); err != nil {
		return Figures{}, fmt.Errorf("create Deployment: %w", err)
	}
	if err := r.observer.WaitFor(ctx, boundWithin, "all pods bound, all nodes initialized", r.filled); err != nil {
		return Figures{}, err
	}
	before, err := devcluster.UsageOf(r.stack.Launcher.PID())
	if err != nil {
		return Figures{}, err
	}
	background := client.PropagationPolicy(metav1.DeletePropagationBackground)
	if err := r.stack.Client.Delete(ctx, &appsv1.Deployment{ObjectMeta: d.ObjectMeta}, background); err != nil {
		return Figures{}, fmt.Errorf("delete Deployment: %w", err)
	}
	if err := r.observer.WaitFor(ctx, r.cfg.TTL+goneWithin, "all nodes and instances gone", r.reaped); err != nil {
		return Figures{}, err
	}
	after, err := devcluster.UsageOf(r.stack.Launcher.PID())
	if err != nil {
		return Figures{}, err
	}
	var f Figures
	r.observer.Read(func(v *observe.View) { f = measure(v) })
	f.LauncherCPUSeconds = (after.CPU - before.CPU).Seconds()
	return f, nil
}

func (r *runner) filled(v *observe.View) bool {
	initialized := 0
	for _, c := range v.Claims {
		if meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionInitialized) {
			initialized++
		}
	}
	return v.Bound() == r.cfg.Nodes && initialized == r.cfg.Nodes
}

func (r *runner) reaped(v *observe.View) bool {
	return v.LivePods() == 0 && v.Empty() && !slices.ContainsFunc(r.stack.Sim.Instances(), func(in simec2.Instance) bool {
		return in.State != simec2.StateTerminated
	})
}
