package demo

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
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

// Deadlines of the steps; each is far above what a step takes.
const (
	boundWithin  = 2 * time.Minute
	reapedWithin = 3 * time.Minute
)

// ttl is how long the rounds' nodes stay when they are empty.
const ttl = 30 * time.Second

// walkthrough plays rounds against a stack.
type walkthrough struct {
	stack    *stack.Stack
	timeline *timeline
	observer *observe.Observer
	running  sync.WaitGroup // what watches until the walkthrough ends
}

// round is one act of the walkthrough.
type round struct {
	name, title string
	pool        *v1alpha1.NodePool
	deployments []*appsv1.Deployment
	pods        int
}

// Play plays the walkthrough and writes the report. It returns an error when any step did
// not really happen.
func Play(ctx context.Context, s *stack.Stack, out io.Writer, reportFile string) error {
	t := newTimeline(out)
	w := &walkthrough{stack: s, timeline: t}
	ctx, cancel := context.WithCancel(ctx)
	report := Report{OK: true}
	err := w.play(ctx, &report)
	cancel()
	w.running.Wait()
	if err != nil {
		report.OK, report.Error = false, err.Error()
	}
	if writeErr := report.write(reportFile); err == nil {
		err = writeErr
	}
	return err
}

func (w *walkthrough) play(ctx context.Context, report *Report) (err error) {
	w.observer, err = observe.Start(ctx, &w.running, observe.Config{
		REST: w.stack.Cluster.RESTConfig(), Scheme: w.stack.Client.Scheme(), Namespace: stack.Namespace, Hear: w.narrate,
	})
	if err != nil {
		return err
	}
	if err := tailLog(ctx, &w.running, filepath.Join(w.stack.Logs(), "slipway-launcher.log"), w.timeline); err != nil {
		return err
	}
	var nodes corev1.NodeList
	if err := w.stack.Client.List(ctx, &nodes); err != nil {
		return err
	}
	if len(nodes.Items) != 0 {
		return fmt.Errorf("the cluster should start without nodes, it has %d", len(nodes.Items))
	}
	for i, r := range []round{firstRound(), secondRound()} {
		w.timeline.title("Round %d: %s", i+1, r.title)
		result, err := w.playRound(ctx, r)
		report.Rounds = append(report.Rounds, result)
		if err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return nil
}

// playRound creates the pods, waits for their nodes, deletes the pods, waits for the end of the nodes.
func (w *walkthrough) playRound(ctx context.Context, r round) (result RoundReport, err error) {
	result.Name = r.name
	w.timeline.reset()
	w.observer.Reset()
	callsBefore, instancesBefore := len(w.stack.Sim.Calls()), ids(w.stack.Sim.Instances())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.running.Go(func() { w.tellCloud(ctx, callsBefore) })

	if err := w.stack.Client.Create(ctx, r.pool); err != nil {
		return result, fmt.Errorf("create NodePool %s: %w", r.pool.Name, err)
	}
	if err := w.within(ctx, boundWithin, "NodePool "+r.pool.Name+" ready", func(*observe.View) bool {
		return w.stack.PoolReady(ctx, r.pool.Name)
	}); err != nil {
		return result, err
	}
	w.timeline.say("NodePool %s is ready", r.pool.Name)
	for _, d := range r.deployments {
		if err := w.stack.Client.Create(ctx, d); err != nil {
			return result, fmt.Errorf("create Deployment %s: %w", d.Name, err)
		}
	}
	boundErr := w.within(ctx, boundWithin, fmt.Sprintf("all %d pods bound", r.pods), func(v *observe.View) bool {
		return v.Bound() == r.pods
	})
	time.Sleep(2 * tallyFor) // the timeline's last tallies
	calls, instances := w.stack.Sim.Calls()[callsBefore:], since(w.stack.Sim.Instances(), instancesBefore)
	w.observer.Read(func(v *observe.View) { result.measure(v, calls, instances) })
	if boundErr != nil {
		return result, boundErr
	}
	w.timeline.say("all %d pods are bound, %d of them on the node reserved for them, %d elsewhere before that was ready: %d nodes, $%.4f per hour",
		result.Bound, result.BoundOnReserved, result.BoundAhead, result.Nodes, result.PricePerHour)

	if err := w.cleanUp(ctx, r, &result, instancesBefore); err != nil {
		return result, err
	}
	return result, result.judge(r.pods)
}

// cleanUp deletes the deployments and waits until every trace of the round is gone.
func (w *walkthrough) cleanUp(ctx context.Context, r round, result *RoundReport, before map[string]bool) error {
	for _, d := range r.deployments {
		if err := w.stack.Client.Delete(ctx, d, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
			return fmt.Errorf("delete Deployment %s: %w", d.Name, err)
		}
	}
	if err := w.within(ctx, boundWithin, "all pods gone", func(v *observe.View) bool {
		return v.LivePods() == 0
	}); err != nil {
		return err
	}
	emptied := time.Now()
	w.timeline.say("all pods are gone; the nodes have %s left", ttl)
	err := w.within(ctx, reapedWithin, "every node, NodeClaim and instance gone", func(v *observe.View) bool {
		return v.Empty() && running(since(w.stack.Sim.Instances(), before)) == 0
	})
	result.InstancesLeft = running(since(w.stack.Sim.Instances(), before))
	if err != nil {
		return err
	}
	result.ReapedAfterSeconds = time.Since(emptied).Round(time.Millisecond).Seconds()
	w.timeline.say("no node, NodeClaim or instance is left, %.1f s after the last pod", result.ReapedAfterSeconds)
	return client.IgnoreNotFound(w.stack.Client.Delete(ctx, r.pool))
}

// judge says what of a round is not as it should be.
func (r *RoundReport) judge(pods int) error {
	switch {
	case r.Pods != pods || r.Bound != pods:
		return fmt.Errorf("%d of %d pods were bound", r.Bound, pods)
	case r.BoundOnReserved+r.BoundAhead != pods:
		return fmt.Errorf("%d of %d pods were bound on the node reserved for them, and %d elsewhere before that was ready", r.BoundOnReserved, pods, r.BoundAhead)
	case r.InstancesLaunched != r.Nodes:
		return fmt.Errorf("%d instances were launched, %d nodes were used", r.InstancesLaunched, r.Nodes)
	case r.InstancesLeft != 0:
		return fmt.Errorf("%d instances are left", r.InstancesLeft)
	case r.ReapedAfterSeconds < ttl.Seconds():
		return fmt.Errorf("nodes were gone %.1f s after the last pod, before their %s were over", r.ReapedAfterSeconds, ttl)
	}
	r.OK = true
	return nil
}

func (w *walkthrough) within(ctx context.Context, d time.Duration, what string, done func(*observe.View) bool) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return w.observer.Wait(ctx, what, done)
}

// tellCloud puts CreateFleet calls on the timeline.
func (w *walkthrough) tellCloud(ctx context.Context, calls int) {
	for ctx.Err() == nil {
		changed := w.stack.Sim.Changed()
		all := w.stack.Sim.Calls()
		for _, c := range all[min(calls, len(all)):] {
			if c.Action == "CreateFleet" {
				w.timeline.sayAt(c.Time, "CreateFleet → %s", orError(c))
			}
		}
		calls = len(all)
		select {
		case <-changed:
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func orError(c simec2.Call) string {
	if c.Error != "" {
		return c.Error
	}
	return fmt.Sprint(c.InstanceIDs)
}

func ids(instances []simec2.Instance) map[string]bool {
	known := map[string]bool{}
	for _, in := range instances {
		known[in.ID] = true
	}
	return known
}

func since(instances []simec2.Instance, before map[string]bool) []simec2.Instance {
	var later []simec2.Instance
	for _, in := range instances {
		if !before[in.ID] {
			later = append(later, in)
		}
	}
	return later
}

func running(instances []simec2.Instance) (n int) {
	for _, in := range instances {
		if in.State != simec2.StateTerminated {
			n++
		}
	}
	return n
}
