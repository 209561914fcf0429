package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// scene is what there is of one NodePool, at one look.
type scene struct {
	pods      []corev1.Pod // of the app named as the pool
	claims    []v1alpha1.NodeClaim
	nodes     []corev1.Node
	instances []simec2.Instance // that were ever launched
	faults    []simec2.Fault    // still in force
}

func (s scene) String() string {
	states := map[string]int{}
	for _, in := range s.instances {
		states[in.State]++
	}
	return fmt.Sprintf("%d pods, %d claims, %d nodes, instances %v, %d faults", len(s.pods), len(s.claims), len(s.nodes), states, len(s.faults))
}

func (w *world) look(pool string) scene {
	w.t.Helper()
	s := scene{pods: w.pods(pool), claims: w.claims(), nodes: w.nodes(), instances: w.Sim.Instances(), faults: w.Sim.Faults()}
	s.claims = slices.DeleteFunc(s.claims, func(c v1alpha1.NodeClaim) bool { return c.Spec.NodePool != pool })
	s.nodes = slices.DeleteFunc(s.nodes, func(n corev1.Node) bool { return n.Labels[v1alpha1.LabelNodePool] != pool })
	s.instances = slices.DeleteFunc(s.instances, func(in simec2.Instance) bool { return in.Tags[v1alpha1.TagNodePool] != pool })
	return s
}

// every tells whether there are n things, and all are so.
func every[T any](n int, things []T, so func(T) bool) bool {
	return len(things) == n && !slices.ContainsFunc(things, func(t T) bool { return !so(t) })
}

func onNode(p corev1.Pod) bool              { return p.Spec.NodeName != "" }
func leaving(c v1alpha1.NodeClaim) bool     { return c.DeletionTimestamp != nil }
func bought(c v1alpha1.NodeClaim) bool      { return c.Status.InstanceID != "" }
func initialized(c v1alpha1.NodeClaim) bool { return is(c, v1alpha1.ConditionInitialized) }
func registered(c v1alpha1.NodeClaim) bool  { return is(c, v1alpha1.ConditionRegistered) }
func works(in simec2.Instance) bool         { return in.State == simec2.StateRunning }
func ended(in simec2.Instance) bool         { return in.State == simec2.StateTerminated }

func is(c v1alpha1.NodeClaim, condition string) bool {
	return meta.IsStatusConditionTrue(c.Status.Conditions, condition)
}

// moment waits until the scene is as wanted.
func (w *world) moment(what, pool string, wanted func(scene) bool) {
	w.t.Helper()
	w.eventually(what, func() error {
		if s := w.look(pool); !wanted(s) {
			return fmt.Errorf("there are %s", s)
		}
		return nil
	})
}

// settled waits until n pods of a pool run on n nodes that were reserved for them, and
// checks that nothing was bought twice and nothing beside.
func (w *world) settled(pool string, n int) {
	w.t.Helper()
	w.onReserved(w.bound(pool, n))
	w.moment("every claim has its node", pool, func(s scene) bool {
		return every(n, s.claims, initialized) && len(s.nodes) == n
	})
	w.boughtOnce(pool)
}

// boughtOnce checks that each claim has one instance, and each instance that was ever
// launched its claim.
func (w *world) boughtOnce(pool string) {
	w.t.Helper()
	s := w.look(pool)
	claims := map[string]int{}
	for _, c := range s.claims {
		claims[string(c.UID)] = 0
	}
	for _, in := range s.instances {
		uid := in.Tags[v1alpha1.TagClaimUID]
		if _, known := claims[uid]; !known {
			w.t.Errorf("instance %s (%s) was bought for claim %s (%s), which is gone", in.ID, in.State, in.Tags[v1alpha1.TagNodeClaim], uid)
		}
		claims[uid]++
	}
	for uid, n := range claims {
		if n != 1 {
			w.t.Errorf("claim %s has %d instances", uid, n)
		}
	}
}

// crash says when to kill the launcher, and how to be sure that it happened then: at holds
// before it is killed and still does afterwards.
type crash struct {
	name string
	// bare pods have no owner, so that their batch stays open for a while.
	bare   bool
	faults []simec2.Fault
	at     func(*world, scene) bool
	// frozen, if set, has the launcher stopped in its tracks at that moment, and killed
	// once this holds.
	frozen func(scene) bool
	// held keeps nodes from being initialized until the launcher has been restarted.
	held bool
}

const crashPods = 2 // a node each

var bootTaint = corev1.Taint{Key: "example.com/booting", Effect: corev1.TaintEffectNoSchedule}

// slow is longer than a test needs to see that a call hangs.
const slow = simec2.Duration(5 * time.Second)

// launchCrashes are between any two steps of a launch.
func launchCrashes() []crash {
	return []crash{
		{
			name: "pods-accepted", bare: true,
			at: func(w *world, s scene) bool { return len(s.claims) == 0 && w.launcherKnows("waiting", crashPods) },
		},
		{
			name:   "claims-written",
			faults: []simec2.Fault{{Action: "CreateLaunchTemplate", Latency: slow, Count: 1}},
			at:     func(_ *world, s scene) bool { return len(s.claims) == crashPods && len(s.instances)+len(s.faults) == 0 },
		},
		{
			name:   "instances-asked-for",
			faults: []simec2.Fault{{Action: "CreateFleet", Latency: slow, Count: crashPods}},
			at:     func(_ *world, s scene) bool { return len(s.claims) == crashPods && len(s.instances)+len(s.faults) == 0 },
		},
		{
			name:   "instances-bought-unheard",
			faults: []simec2.Fault{{Action: "CreateFleet", Latency: simec2.Duration(time.Second), Count: crashPods}},
			at:     func(_ *world, s scene) bool { return len(s.claims) == crashPods && len(s.faults) == 0 },
			frozen: func(s scene) bool { return len(s.instances) == crashPods && !slices.ContainsFunc(s.claims, bought) },
		},
		{
			name:   "one-of-two-bought",
			faults: []simec2.Fault{{Action: "CreateFleet", Latency: slow, Count: 1}},
			at: func(_ *world, s scene) bool {
				return len(s.claims) == crashPods && len(s.instances) == 1 && slices.ContainsFunc(s.claims, bought)
			},
		},
		{
			name: "launched",
			at:   func(_ *world, s scene) bool { return every(crashPods, s.claims, bought) && len(s.nodes) == 0 },
		},
		{
			name: "registered", held: true,
			at: func(_ *world, s scene) bool {
				return every(crashPods, s.claims, registered) && len(s.nodes) == crashPods && !slices.ContainsFunc(s.pods, onNode)
			},
		},
	}
}

// terminationCrashes are between any two steps of a termination.
func terminationCrashes() []crash {
	return []crash{
		{
			name: "instances-about-to-end", bare: true,
			faults: []simec2.Fault{{Action: "TerminateInstances", Latency: slow}},
			at: func(_ *world, s scene) bool {
				return every(crashPods, s.claims, leaving) && every(crashPods, s.instances, works) && len(s.pods) == 0
			},
		},
		{
			name: "instances-ended", bare: true,
			faults: []simec2.Fault{{Action: "DescribeInstances", Latency: slow}},
			at: func(_ *world, s scene) bool {
				return every(crashPods, s.claims, leaving) && every(crashPods, s.instances, ended)
			},
		},
	}
}

// TestLauncherKilled kills the launcher between any two steps of a launch and of a
// termination. Its successor ends with the same nodes as if nothing had happened.
func TestLauncherKilled(t *testing.T) {
	w := start(t, func(c *stack.Config) {
		c.Sim.BootDelay = 2 * time.Second
		c.Launcher = func(l *launcherconfig.Config) {
			l.Batch = launcherconfig.Batch{Idle: metav1.Duration{Duration: 2 * time.Second}, Longest: metav1.Duration{Duration: 4 * time.Second}}
		}
	})
	part := func(name string, f func(*world)) {
		t.Run(name, func(t *testing.T) { f(&world{Stack: w.Stack, t: t, ctx: t.Context()}) })
	}
	for _, c := range launchCrashes() {
		part(c.name, func(w *world) {
			w.crashPool(c)
			w.faults(c.faults...)
			w.create(c.pods()...)
			w.crash(c)
			if c.held {
				w.removeBootTaint(c.name)
			}
			w.settled(c.name, crashPods)
		})
	}
	for _, c := range terminationCrashes() {
		part(c.name, func(w *world) {
			w.crashPool(c)
			w.create(c.pods()...)
			w.settled(c.name, crashPods)
			w.faults(c.faults...)
			for _, claim := range w.look(c.name).claims {
				w.delete(&claim)
			}
			w.crash(c)
		})
	}
	// Only when EC2's reads are sure to have settled is an instance held to be gone: wait
	// for all of them at once.
	for _, c := range terminationCrashes() {
		part("after-"+c.name, func(w *world) {
			w.moment("nothing is left", c.name, func(s scene) bool {
				return len(s.claims)+len(s.nodes) == 0 && every(crashPods, s.instances, ended)
			})
		})
	}
}

// crashPool makes a pool whose nodes have room for one pod.
func (w *world) crashPool(c crash) {
	p := pool(c.name, never, "m5.large")
	if c.held {
		p.Spec.Template.Spec.StartupTaints = []corev1.Taint{bootTaint}
	}
	w.poolReady(p)
}

func (c crash) pods() []client.Object {
	own := func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{v1alpha1.LabelNodePool: c.name} }
	if !c.bare {
		return []client.Object{deployment(c.name, crashPods, "1200m", own)}
	}
	var pods []client.Object
	for i := range crashPods {
		p := pod(c.name, "1200m")
		p.Name = fmt.Sprintf("%s-%d", c.name, i)
		own(&p.Spec)
		pods = append(pods, p)
	}
	return pods
}

// crash kills the launcher at the moment, and starts it again without faults.
func (w *world) crash(c crash) {
	w.t.Helper()
	at := func(s scene) bool { return c.at(w, s) }
	w.moment(c.name, c.name, at)
	if c.frozen != nil {
		w.Launcher.Signal(syscall.SIGSTOP)
		at = c.frozen
		w.moment(c.name, c.name, at)
	}
	if c.bare && c.faults == nil {
		at = func(s scene) bool { return len(s.claims) == 0 } // the dead tell no metrics
	}
	w.Launcher.Kill()
	if s := w.look(c.name); !at(s) {
		w.t.Fatalf("the launcher was killed too late: there are %s", s)
	}
	w.faults()
	w.restartLauncher()
}

func (w *world) restartLauncher() {
	w.t.Helper()
	if err := w.RestartLauncher(w.ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) faults(list ...simec2.Fault) {
	w.t.Helper()
	if err := w.Sim.SetFaults(list...); err != nil {
		w.t.Fatal(err)
	}
}

// launcherKnows tells whether n pods are in a phase, as the launcher's metrics say.
func (w *world) launcherKnows(phase string, n int) bool {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.LauncherMetrics, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(response.Body)
	return err == nil && strings.Contains(string(body), fmt.Sprintf("slipway_pods{phase=%q} %d\n", phase, n))
}

// removeBootTaint does what removes a startup taint in life.
func (w *world) removeBootTaint(pool string) {
	w.t.Helper()
	for _, n := range w.look(pool).nodes {
		w.eventually("startup taint removed from "+n.Name, func() error {
			if err := w.Client.Get(w.ctx, types.NamespacedName{Name: n.Name}, &n); err != nil {
				return err
			}
			n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == bootTaint.Key })
			return w.Client.Update(w.ctx, &n)
		})
	}
}

// TestSchedulerKilled: reservations outlive the scheduler that asked for them.
func TestSchedulerKilled(t *testing.T) {
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
