package burst

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/observe"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// Config says which bursts to run.
type Config struct {
	// Pods are the bursts' sizes.
	Pods []int
	// Runs of each burst of up to 100 pods; up to 1,000 there are at most three, above one.
	Runs int
	// Deployments the pods of a burst are divided among.
	Deployments int
}

// Validate checks a configuration.
func (c Config) Validate() error {
	if len(c.Pods) == 0 || slices.Min(c.Pods) < 1 {
		return errors.New("bursts have at least one pod")
	}
	if c.Runs < 1 || c.Deployments < 1 {
		return errors.New("runs and deployments must be positive")
	}
	return nil
}

func (c Config) runs(pods int) int {
	switch {
	case pods <= 100:
		return c.Runs
	case pods <= 1000:
		return min(c.Runs, 3)
	default:
		return 1
	}
}

const (
	pool = "burst"
	// podsOnNode bounds the pods of a node, and with it what a node that turns ready sets free.
	podsOnNode = 50
	// A node of eight CPUs, the cheapest for such pods, holds 49.
	podCPU, podMemory = "160m", "256Mi"
	never             = time.Hour // the reaper stays away; nodes are removed between the runs

	readyWithin   = time.Minute
	emptiedWithin = 2 * time.Minute
	// stuckAfter is how long nothing may happen to any pod until those that have no node are
	// given up. The API server may take minutes to create 10,000 pods.
	stuckAfter = 30 * time.Second
	// settle is for what other watches than that of the last bound pod still have to show.
	settle = 100 * time.Millisecond
)

type runner struct {
	cfg      Config
	stack    *stack.Stack
	out      io.Writer
	observer *observe.Observer
	logFile  string // the launcher's
	seq      int    // of bursts
}

// Run runs the bursts against a stack without nodes and pools. The error says which pods
// were not bound; the other bursts are measured all the same.
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
	r := &runner{cfg: cfg, stack: s, out: out, observer: observer, logFile: filepath.Join(s.Logs(), "slipway-launcher.log")}
	return report, r.run(ctx, report)
}

func (r *runner) run(ctx context.Context, report *Report) error {
	if err := r.createPool(ctx); err != nil {
		return err
	}
	var err error
	if report.FloorMillis, err = r.floor(ctx); err != nil {
		return err
	}
	// The first launch of all makes launch templates and fills caches.
	r.say("a first pod, to warm up")
	cold, err := r.play(ctx, 1)
	if err != nil {
		return err
	}
	report.ColdStartSeconds = cold.AllBoundSeconds
	var failures []error
	for _, pods := range r.cfg.Pods {
		runs, err := r.repeat(ctx, pods)
		report.add(pods, runs, err)
		if failures = append(failures, err); ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failures...)
}

// repeat plays a burst as often as its size asks for, or until it fails.
func (r *runner) repeat(ctx context.Context, pods int) (runs []Figures, err error) {
	for range r.cfg.runs(pods) {
		if err := r.empty(ctx); err != nil {
			return runs, fmt.Errorf("before a burst of %d pods: %w", pods, err)
		}
		f, err := r.play(ctx, pods)
		if err != nil {
			r.say("%6d pods: FAILED", pods)
			return runs, fmt.Errorf("burst of %d pods: %w", pods, err)
		}
		r.say("%6d pods on %d nodes: all bound after %.3f s", pods, f.Nodes, f.AllBoundSeconds)
		runs = append(runs, f)
	}
	return runs, nil
}

func (r *runner) say(format string, args ...any) {
	fmt.Fprintf(r.out, "  "+format+"\n", args...) //nolint:errcheck // a terminal
}

func (r *runner) createPool(ctx context.Context) error {
	class := &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: pool}}
	class.Spec.Kubelet = &v1alpha1.KubeletConfiguration{MaxPods: new(int32(podsOnNode))}
	p := stack.NodePool(pool, never, v1alpha1.Requirement{
		Key: v1alpha1.LabelInstanceCategory, Operator: v1alpha1.OpIn, Values: []string{"c", "m", "r"},
	})
	p.Spec.Template.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Name: pool}
	for _, o := range []client.Object{class, p} {
		if err := r.stack.Client.Create(ctx, o); err != nil {
			return fmt.Errorf("create %T %s: %w", o, o.GetName(), err)
		}
	}
	return r.observer.WaitFor(ctx, readyWithin, "NodePool ready", func(*observe.View) bool { return r.stack.PoolReady(ctx, pool) })
}

// play creates the pods and measures until all are bound.
func (r *runner) play(ctx context.Context, pods int) (Figures, error) {
	log, err := r.logSize()
	if err != nil {
		return Figures{}, err
	}
	r.observer.Reset()
	meter, err := r.startMeter(ctx)
	if err != nil {
		return Figures{}, err
	}
	r.seq++
	start := time.Now()
	for i := range min(r.cfg.Deployments, pods) {
		d := r.deployment(i, pods)
		if err := r.stack.Client.Create(ctx, d); err != nil {
			return Figures{}, fmt.Errorf("create Deployment %s: %w", d.Name, err)
		}
	}
	if err := r.bound(ctx, pods); err != nil {
		return Figures{}, fmt.Errorf("%w: %s", err, r.unbound(ctx))
	}
	used, err := meter.stop(ctx, pods)
	if err != nil {
		return Figures{}, err
	}
	time.Sleep(settle)
	told, err := readLog(r.logFile, log)
	if err != nil {
		return Figures{}, err
	}
	var f Figures
	r.observer.Read(func(v *observe.View) { f = measure(v, since(r.stack.Sim.Calls(), start), told) })
	f.Processes, f.WritesPerPod = used.processes, used.writes
	return f, nil
}

// bound waits for all pods to be bound, as long as pods are created or bound.
func (r *runner) bound(ctx context.Context, pods int) error {
	for before := -1; ; {
		err := r.observer.WaitFor(ctx, stuckAfter, "all pods bound", func(v *observe.View) bool { return v.Bound() >= pods })
		if err == nil || ctx.Err() != nil {
			return err
		}
		var now int
		r.observer.Read(func(v *observe.View) { now = len(v.Pods) + v.Bound() })
		if now == before {
			return err
		}
		before = now
	}
}

// deployment is the i-th of the Deployments that share the pods.
func (r *runner) deployment(i, pods int) *appsv1.Deployment {
	n := min(r.cfg.Deployments, pods)
	replicas := pods / n
	if i < pods%n {
		replicas++
	}
	return stack.Deployment(fmt.Sprintf("burst-%d-%d", r.seq, i), int32(replicas), podCPU, podMemory) //nolint:gosec // far below
}

// unbound says how it stands with a pod that has no node.
func (r *runner) unbound(ctx context.Context) string {
	var pods corev1.PodList
	if err := r.stack.Client.List(ctx, &pods, client.InNamespace(stack.Namespace)); err != nil {
		return err.Error()
	}
	waiting, example := 0, ""
	for _, p := range pods.Items {
		if p.Spec.NodeName != "" {
			continue
		}
		waiting++
		if len(p.Status.Conditions) > 0 {
			example = fmt.Sprintf("; %s: %s", p.Name, p.Status.Conditions[0].Message)
		}
	}
	return fmt.Sprintf("%d of %d pods have no node%s", waiting, len(pods.Items), example)
}

func (r *runner) logSize() (int64, error) {
	info, err := os.Stat(r.logFile)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func since(calls []simec2.Call, start time.Time) []simec2.Call {
	return slices.DeleteFunc(calls, func(c simec2.Call) bool { return c.Time.Before(start) })
}
