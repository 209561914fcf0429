package e2e

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/scripts/stack"
)

// TestSchedulerKilled: reservations outlive the scheduler that asked for them.
func TestSchedulerKilled(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) { c.Sim.BootDelay = 3 * time.Second })
	c := crash{name: "web"}
	w.crashPool(c)
	w.create(c.pods()...)
	w.moment("instances are bought", c.name, func(s scene) bool { return every(crashPods, s.claims, bought) })
	w.Scheduler.Kill()
	if s := w.look(c.name); len(s.nodes) > 0 {
		t.Fatalf("the scheduler was killed too late: there are %s", s)
	}
	w.moment("nodes are ready", c.name, func(s scene) bool { return every(crashPods, s.claims, initialized) })
	if err := w.RestartScheduler(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.settled(c.name, crashPods)
}

// TestLauncherDown: without the launcher pods that fit are scheduled as ever, and those
// that do not are launched for when it is back.
func TestLauncherDown(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.poolReady(pool("pool", never, "m5.xlarge"))
	w.create(pod("first", "1"))
	w.onReserved(w.bound("first", 1))

	w.Launcher.Kill()
	w.create(pod("fits", "1"))
	w.bound("fits", 1)
	w.create(pod("large", "2500m"))
	w.eventually("the large pod is unschedulable", func() error {
		p := w.pods("large")[0]
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable {
				return nil
			}
		}
		return fmt.Errorf("conditions: %v", p.Status.Conditions)
	})
	w.create(pod("fits-too", "500m"))
	w.bound("fits-too", 1)
	if p := w.pods("large")[0]; p.Spec.NodeName != "" || len(w.claims()) != 1 {
		t.Fatalf("the large pod is on node %q, there are %d claims", p.Spec.NodeName, len(w.claims()))
	}

	w.restartLauncher()
	w.onReserved(w.bound("large", 1))
	w.boughtOnce("pool")
}

// TestAPIServerRestart: both daemons get over a restart of the API server in the middle
// of a burst.
func TestAPIServerRestart(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) { c.Sim.BootDelay = time.Second })
	w.poolReady(pool("web", never, "m5.large"))
	const n = 12
	w.create(deployment("web", n, "1200m"))
	w.moment("instances are bought", "web", func(s scene) bool { return slices.ContainsFunc(s.claims, bought) })
	if err := w.Cluster.RestartAPIServer(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.eventually("all pods are bound", func() error {
		if err := w.Revive(w.ctx); err != nil {
			t.Fatal(err)
		}
		if s := w.look("web"); !every(n, s.pods, onNode) {
			return errors.New(s.String())
		}
		return nil
	})
	w.settled("web", n)
}
