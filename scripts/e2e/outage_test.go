package e2e

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/plugin/courier/launchertest"
	"github.com/slipway-dev/slipway/scripts/stack"
)

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

// TestAPIServerOutage: both daemons get over 30 s without the API server in the middle of
// a burst, longer than either may stay without its lease.
func TestAPIServerOutage(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) { c.Sim.BootDelay = time.Second })
	w.poolReady(pool("web", never, "m5.large"))
	const n = 12
	w.create(deployment("web", n, "1200m"))
	w.moment("instances are bought", "web", func(s scene) bool { return slices.ContainsFunc(s.claims, bought) })
	if err := w.Cluster.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	w.always(30*time.Second, "no instance too many", func() error {
		if got := len(w.Sim.Instances()); got > n {
			return fmt.Errorf("%d instances for %d pods", got, n)
		}
		return nil
	})
	if err := w.Cluster.StartAPIServer(w.ctx); err != nil {
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
	w.nothingWaits()
}

// TestLauncherRestartsAgainAndAgain: a launcher that dies every 5 s makes progress in
// between, whatever it was about when it died.
func TestLauncherRestartsAgainAndAgain(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) { c.Sim.BootDelay = 2 * time.Second })
	w.poolReady(pool("web", never, "m5.large"))
	const rounds = 3
	for round := range rounds {
		p := pod("web", "1200m")
		p.Name = fmt.Sprint("web-", round)
		w.create(p)
		w.always(5*time.Second, "no instance too many", func() error {
			if got := len(w.Sim.Instances()); got > round+1 {
				return fmt.Errorf("%d instances for %d pods", got, round+1)
			}
			return nil
		})
		w.Launcher.Kill()
		w.restartLauncher()
	}
	w.settled("web", rounds)
	w.nothingWaits()
}

// TestTwoLeaders: a launcher that hangs, loses its lease and wakes up again finds its pods
// with its successor, and buys nothing for them.
func TestTwoLeaders(t *testing.T) {
	t.Parallel()
	proxy := launchertest.NewProxy(t)
	w := start(t, func(c *stack.Config) {
		c.Via = func(address string) string {
			proxy.Target(address)
			return proxy.Address()
		}
		c.Launcher = func(l *launcherconfig.Config) {
			l.Batch = launcherconfig.Batch{Idle: metav1.Duration{Duration: 2 * time.Second}, Longest: metav1.Duration{Duration: 4 * time.Second}}
		}
	})
	c := crash{name: "web", bare: true}
	w.crashPool(c)
	successor, err := w.StandbyLauncher(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.create(c.pods()...)
	w.moment("the leader has the pods", c.name, func(s scene) bool { return len(s.claims) == 0 && w.launcherKnows("waiting", crashPods) })
	w.Launcher.Signal(syscall.SIGSTOP)
	proxy.Target(successor)
	w.moment("the successor has planned", c.name, func(s scene) bool { return len(s.claims) > 0 })
	w.Launcher.Signal(syscall.SIGCONT)
	select {
	case <-w.Launcher.Done():
	case <-time.After(patience):
		t.Fatal("the former leader goes on")
	}
	w.settled(c.name, crashPods)
	if n := len(w.look(c.name).instances); n != crashPods {
		t.Errorf("%d instances were bought for %d pods", n, crashPods)
	}
	w.nothingWaits()
}
