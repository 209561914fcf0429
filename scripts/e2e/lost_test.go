package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/simkubelet"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// loss is something that goes wrong with a pod's node before the pod is bound. The
// NodePool, the app and the loss have one name.
type loss struct {
	name string
	// held keeps the node from being initialized.
	held   bool
	faults []simec2.Fault
	// at is when do is done; a loss without it comes by itself.
	at func(scene) bool
	do func(*world, scene)
	// second says that another instance has to be bought.
	second bool
}

func losses() []loss {
	has := func(what func(v1alpha1.NodeClaim) bool) func(scene) bool {
		return func(s scene) bool { return every(1, s.claims, what) && !slices.ContainsFunc(s.pods, onNode) }
	}
	deleteClaim := func(w *world, s scene) { w.delete(&s.claims[0]) }
	return []loss{
		{
			name: "claim-deleted-planned", faults: []simec2.Fault{{Action: "CreateFleet", Latency: slow, Count: 1}},
			at: func(s scene) bool { return len(s.claims) == 1 && len(s.faults) == 0 }, do: deleteClaim, second: true,
		},
		{name: "claim-deleted-launched", at: has(bought), do: deleteClaim, second: true},
		{name: "claim-deleted-registered", held: true, at: has(registered), do: deleteClaim, second: true},
		{name: "node-deleted", held: true, at: has(registered), do: func(w *world, s scene) { w.delete(&s.nodes[0]) }, second: true},
		{name: "node-removed-by-force", held: true, at: has(registered), do: (*world).removeByForce, second: true},
		{
			name: "instance-terminated", held: true, at: has(registered), second: true,
			do: func(w *world, s scene) {
				if err := w.Sim.Terminate(s.claims[0].Status.InstanceID); err != nil {
					w.t.Fatal(err)
				}
			},
		},
		{name: "never-registers", second: true},
		{name: "other-name"},
	}
}

// removeByForce removes a Node past its finalizers.
func (w *world) removeByForce(s scene) {
	w.t.Helper()
	node := &s.nodes[0]
	w.eventually("node "+node.Name+" is gone", func() error {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		if err := w.Client.Patch(w.ctx, node, patch); client.IgnoreNotFound(err) != nil {
			return err
		}
		return client.IgnoreNotFound(w.Client.Delete(w.ctx, node))
	})
}

// TestNodesLost: whatever becomes of a node on its way, its pod gets another at once, or as
// soon as the loss can be known; the first instance ends, and no third is bought.
func TestNodesLost(t *testing.T) {
	t.Parallel()
	odd := oddities{seen: map[string]bool{}}
	w := start(t, func(c *stack.Config) {
		c.Sim.BootDelay = 2 * time.Second
		c.Kubelets = func(k *simkubelet.Config) { k.Register = odd.register }
		c.Launcher = func(l *launcherconfig.Config) {
			l.NodeClaims.RegistrationTimeout = metav1.Duration{Duration: 5 * time.Second}
			l.NodeClaims.CollectEvery = metav1.Duration{Duration: 2 * time.Second}
		}
	})
	for _, l := range losses() {
		w.lose(l)
	}
	for _, l := range losses() {
		t.Run(l.name, func(t *testing.T) {
			w := &world{Stack: w.Stack, t: t, ctx: t.Context()}
			w.onReserved(w.bound(l.name, 1))
			w.moment("only what the pod needs is left", l.name, func(s scene) bool {
				running := slices.DeleteFunc(slices.Clone(s.instances), ended)
				return every(1, s.claims, initialized) && len(s.nodes) == 1 && every(1, running, works)
			})
			want := 1
			if l.second {
				want = 2
			}
			if s := w.look(l.name); len(s.instances) != want {
				t.Errorf("%d instances were bought, want %d", len(s.instances), want)
			}
		})
	}
	for name, is := range map[string]bool{"never-registers": true, "other-name": true} {
		if odd.seen[name] != is {
			t.Errorf("no kubelet did as %s says", name)
		}
	}
	w.nothingWaits()
}

// lose has one pod get a node, and the node lost.
func (w *world) lose(l loss) {
	w.t.Helper()
	p := pool(l.name, never, "m5.large")
	if l.held {
		p.Spec.Template.Spec.StartupTaints = []corev1.Taint{bootTaint}
	}
	w.poolReady(p)
	w.faults(l.faults...)
	w.create(deployment(l.name, 1, "1200m", func(s *corev1.PodSpec) {
		s.NodeSelector = map[string]string{v1alpha1.LabelNodePool: l.name}
	}))
	if l.at == nil {
		return
	}
	w.moment("the time for "+l.name, l.name, l.at)
	// What held the first node up must not hold up the second.
	w.eventually("start-up taints are dropped from pool "+l.name, func() error {
		if err := w.Client.Get(w.ctx, client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		p.Spec.Template.Spec.StartupTaints = nil
		return w.Client.Update(w.ctx, p)
	})
	l.do(w, w.look(l.name))
	w.faults()
}

// nothingWaits checks that the scheduler holds no reservation any more.
func (w *world) nothingWaits() {
	w.t.Helper()
	w.eventually("no reservation is left", func() error {
		for line := range strings.SplitSeq(w.scrape(w.SchedulerMetrics), "\n") {
			if strings.HasPrefix(line, "slipway_reservations{") && !strings.HasSuffix(line, " 0") {
				return fmt.Errorf("%s", line)
			}
		}
		return nil
	})
}

// oddities are kubelets that do not do as the launcher expects, by their NodePool.
type oddities struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (o *oddities) register(in simec2.Instance, node *corev1.Node) *corev1.Node {
	o.mu.Lock()
	defer o.mu.Unlock()
	pool := in.Tags[v1alpha1.TagNodePool]
	again := o.seen[pool]
	o.seen[pool] = true
	switch {
	case pool == "never-registers" && !again:
		return nil
	case pool == "other-name":
		node = node.DeepCopy()
		node.Name = "other-name"
		node.Labels = maps.Clone(node.Labels)
		node.Labels[corev1.LabelHostname] = node.Name
	}
	return node
}
