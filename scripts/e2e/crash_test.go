package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// crash says when to kill the launcher, and how to be sure that it happened then: at holds
// before it is killed and still does afterwards.
type crash struct {
	name string
	// bare pods have no owner, so that their batch stays open for a while.
	bare bool
	// volumes says that each bare pod has a volume claim of its name.
	volumes bool
	// apart puts the bare pods into zones of their own, so that no call buys for two.
	apart  bool
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
			faults: []simec2.Fault{{Action: "CreateFleet", Latency: slow, Count: 1}}, // for both
			at:     func(_ *world, s scene) bool { return len(s.claims) == crashPods && len(s.instances)+len(s.faults) == 0 },
		},
		{
			name:   "instances-bought-unheard",
			faults: []simec2.Fault{{Action: "CreateFleet", Latency: simec2.Duration(2 * time.Second), Count: 1}},
			at:     func(_ *world, s scene) bool { return len(s.claims) == crashPods && len(s.faults) == 0 },
			frozen: func(s scene) bool { return len(s.instances) == crashPods && !slices.ContainsFunc(s.claims, bought) },
		},
		{
			name: "one-of-two-bought", bare: true, apart: true,
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
	t.Parallel()
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
		if c.apart {
			p.Spec.NodeSelector[corev1.LabelTopologyZone] = []string{"us-east-1a", "us-east-1b"}[i]
		}
		if c.volumes {
			p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: p.Name},
			}}}
		}
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
		w.untaint(n.Name)
	}
}

// untaint removes the startup taint of a node.
func (w *world) untaint(node string) {
	w.t.Helper()
	w.eventually("startup taint removed from "+node, func() error {
		var n corev1.Node
		if err := w.Client.Get(w.ctx, types.NamespacedName{Name: node}, &n); err != nil {
			return err
		}
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == bootTaint.Key })
		return w.Client.Update(w.ctx, &n)
	})
}
