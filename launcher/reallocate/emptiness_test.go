package reallocate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func (w *world) expect(claim, want string) {
	w.t.Helper()
	if got := w.state(claim); got != want {
		w.t.Errorf("%s is %q, want %q", claim, got, want)
	}
}

func TestEmptyNodeIsRemovedAfterItsTTL(t *testing.T) {
	w := newWorld(t, append(nodeOf("a"), newPool(nil))...)
	if wait := w.look("a"); wait != 30*time.Second {
		t.Errorf("waits %s", wait)
	}
	w.expect("a", "True NoPods")
	w.lookAfter(29*time.Second, "a")
	w.expect("a", "True NoPods")
	if wait := w.lookAfter(time.Second, "a"); wait != time.Second {
		t.Errorf("settles for %s", wait)
	}
	w.expect("a", "True Disrupting tainted")
	w.lookAfter(time.Second/2, "a") // the event of its own write
	w.expect("a", "True Disrupting tainted")
	w.lookAfter(time.Second/2, "a")
	w.expect("a", "True Disrupting tainted deleted")
	if n := w.events.count("*v1.Node EmptyTTLStarted"); n != 1 {
		t.Errorf("EmptyTTLStarted %d times", n)
	}
}

func TestOccupied(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pod   *corev1.Pod
		claim func(*v1alpha1.NodeClaim)
		want  string
	}{
		{name: "running pod", pod: newPod("p", "node-a", nil), want: "occupied"},
		{name: "DaemonSet pod", want: "True NoPods", pod: newPod("p", "node-a", func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "d", UID: "d", Controller: new(true)}}
		})},
		{name: "mirror pod", want: "True NoPods", pod: newPod("p", "node-a", func(p *corev1.Pod) {
			p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		})},
		{name: "finished pod", want: "True NoPods", pod: newPod("p", "node-a", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })},
		{name: "open reservation", pod: newPod("reserved", "", nil), want: "occupied"},
		{name: "released reservation", pod: newPod("reserved", "", nil), want: "True NoPods", claim: func(c *v1alpha1.NodeClaim) {
			c.Status.Released = []types.UID{"uid-reserved"}
		}},
		{name: "reserved pod bound elsewhere", pod: newPod("reserved", "node-b", nil), want: "True NoPods"},
		{name: "nominated pod", want: "occupied", pod: newPod("p", "", func(p *corev1.Pod) { p.Status.NominatedNodeName = "node-a" })},
		{name: "not initialized", want: "occupied", claim: func(c *v1alpha1.NodeClaim) { c.Status.Conditions = c.Status.Conditions[:2] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objs := append(nodeOf("a"), newPool(nil))
			if tt.claim != nil {
				tt.claim(objs[0].(*v1alpha1.NodeClaim))
			}
			if tt.pod != nil {
				objs = append(objs, tt.pod)
			}
			w := newWorld(t, objs...)
			w.look("a")
			w.expect("a", tt.want)
		})
	}
}

func TestPodRestartsTheTTL(t *testing.T) {
	w := newWorld(t, append(nodeOf("a"), newPool(nil))...)
	w.look("a")
	w.clock.Step(20 * time.Second)
	pod := newPod("p", "node-a", nil)
	w.create(pod)
	w.look("a")
	w.expect("a", "False PodsPresent")
	w.clock.Step(5 * time.Second)
	w.delete(pod)
	if wait := w.look("a"); wait != 30*time.Second {
		t.Errorf("waits %s", wait)
	}
	w.expect("a", "True NoPods")
	if n := w.events.count("*v1.Node EmptyTTLStarted"); n != 2 {
		t.Errorf("EmptyTTLStarted %d times, want 2", n)
	}
}

func TestPodSeenOnlyAsItLeftRestartsTheTTL(t *testing.T) {
	w := newWorld(t, append(nodeOf("a"), newPool(nil))...)
	w.look("a")
	w.clock.Step(20 * time.Second)
	w.remover.noteLeaving(t.Context(), newPod("p", "node-a", nil))
	w.clock.Step(5 * time.Second)
	if wait := w.look("a"); wait != 25*time.Second {
		t.Errorf("waits %s, want the rest of 30 s since the pod left", wait)
	}
	w.lookAfter(24*time.Second, "a")
	w.expect("a", "True NoPods")
}

func TestPodLandsOnTaintedNode(t *testing.T) {
	for _, tt := range []struct {
		name string
		pod  *corev1.Pod
	}{
		{"bound", newPod("p", "node-a", nil)},
		{"nominated", newPod("p", "", func(p *corev1.Pod) { p.Status.NominatedNodeName = "node-a" })},
		{"reserved", newPod("reserved", "", nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, append(nodeOf("a"), newPool(nil))...)
			w.look("a")
			w.lookAfter(30*time.Second, "a")
			w.expect("a", "True Disrupting tainted")
			w.create(tt.pod)
			w.lookAfter(time.Second, "a")
			w.expect("a", "False PodsPresent")
			if w.events.count("*v1.Node DisruptionCancelled") != 1 {
				t.Errorf("events %v", w.events.events)
			}
		})
	}
}

func TestCacheThatLagsStopsNothing(t *testing.T) {
	w := newWorld(t, append(nodeOf("a"), newPool(nil))...)
	w.look("a")
	w.create(newPod("p", "node-a", nil))
	w.remover.client = withoutPods{w.client}
	w.lookAfter(30*time.Second, "a")
	w.expect("a", "True Disrupting tainted")
	w.lookAfter(time.Second, "a")
	w.expect("a", "False PodsPresent")
}

func TestProtected(t *testing.T) {
	yes := map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"}
	daemon := newPod("d", "node-a", func(p *corev1.Pod) {
		p.Annotations = yes
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "d", UID: "d", Controller: new(true)}}
	})
	for _, tt := range []struct {
		name   string
		change func([]client.Object) []client.Object
	}{
		{"node", func(o []client.Object) []client.Object { o[1].SetAnnotations(yes); return o }},
		{"claim", func(o []client.Object) []client.Object { o[0].SetAnnotations(yes); return o }},
		{"DaemonSet pod", func(o []client.Object) []client.Object { return append(o, daemon) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.change(append(nodeOf("a"), newPool(nil)))...)
			w.look("a")
			for range 3 {
				w.lookAfter(time.Minute, "a")
			}
			w.expect("a", "True DoNotDisrupt")
			if w.events.count("*v1.Node DisruptionBlocked") != 1 {
				t.Errorf("events %v", w.events.events)
			}
		})
	}
}

func TestProtectedForAWhile(t *testing.T) {
	objs := append(nodeOf("a"), newPool(nil))
	objs[1].SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	objs[1].SetAnnotations(map[string]string{v1alpha1.DoNotDisruptAnnotation: "5m"})
	w := newWorld(t, objs...)
	w.look("a")
	w.lookAfter(time.Minute, "a")
	w.expect("a", "True DoNotDisrupt")
	w.lookAfter(5*time.Minute, "a")
	w.expect("a", "True Disrupting tainted")
}

func TestAnnotationOnTaintedNode(t *testing.T) {
	w := newWorld(t, append(nodeOf("a"), newPool(nil))...)
	w.look("a")
	w.lookAfter(30*time.Second, "a")
	node := get(t, w.client, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}})
	node.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"}
	w.update(node)
	w.lookAfter(time.Second, "a")
	w.expect("a", "True DoNotDisrupt")
}

func TestNeverAndChangedPolicy(t *testing.T) {
	w := newWorld(t, append(nodeOf("a"), newPool(nil))...)
	w.look("a")
	w.lookAfter(30*time.Second, "a")
	w.expect("a", "True Disrupting tainted")
	pool := get(t, w.client, newPool(nil))
	pool.Spec.Disruption.ConsolidateAfter = v1alpha1.Never
	w.update(pool)
	if wait := w.lookAfter(time.Second, "a"); wait != lookForDrift {
		// The taint is not old enough to act on, but the pool no longer wants it.
		t.Errorf("waits %s", wait)
	}
	w.expect("a", "True NoPods")
}

func TestBudgetIsNeverExceeded(t *testing.T) {
	for _, tt := range []struct {
		budget string
		nodes  int
		want   int
	}{{"0", 3, 0}, {"1", 5, 1}, {"10%", 20, 2}, {"10%", 21, 3}, {"100%", 4, 4}} {
		t.Run(fmt.Sprintf("%s of %d", tt.budget, tt.nodes), func(t *testing.T) {
			objs := []client.Object{newPool(func(p *v1alpha1.NodePool) { p.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: tt.budget}} })}
			for i := range tt.nodes {
				objs = append(objs, nodeOf(fmt.Sprintf("n%02d", i))...)
			}
			w := newWorld(t, objs...)
			all := func() {
				for i := range tt.nodes {
					w.look(fmt.Sprintf("n%02d", i))
				}
			}
			all()
			for range 4 {
				w.clock.Step(31 * time.Second)
				all()
			}
			leaving, blocked := 0, 0
			for i := range tt.nodes {
				switch state := w.state(fmt.Sprintf("n%02d", i)); {
				case strings.HasSuffix(state, "deleted"):
					leaving++
				case state == "True BlockedByBudget":
					blocked++
				}
			}
			if leaving != tt.want || blocked != tt.nodes-tt.want {
				t.Errorf("%d leaving, %d blocked; want %d, %d", leaving, blocked, tt.want, tt.nodes-tt.want)
			}
			if n := w.events.count("*v1.Node DisruptionBlocked"); n != blocked {
				t.Errorf("%d events for %d blocked nodes", n, blocked)
			}
		})
	}
}

func TestBudgetCountsWhatTheCacheDoesNotShow(t *testing.T) {
	pool := newPool(func(p *v1alpha1.NodePool) { p.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: "1"}} })
	w := newWorld(t, append(append(nodeOf("a"), nodeOf("b")...), pool)...)
	w.look("a")
	w.look("b")
	stale := &v1alpha1.NodeClaimList{}
	if err := w.client.List(t.Context(), stale); err != nil {
		t.Fatal(err)
	}
	w.remover.client = staleClaims{w.client, stale}
	w.lookAfter(30*time.Second, "a")
	w.lookAfter(time.Second, "a")
	w.expect("a", "True Disrupting tainted deleted")
	w.lookAfter(time.Second, "b")
	w.expect("b", "True BlockedByBudget")

	w.restart() // and a new leader whose cache lags
	w.remover.client = staleClaims{w.client, stale}
	w.look("b")
	w.lookAfter(time.Minute, "b")
	w.expect("b", "True BlockedByBudget")
}

func TestPlaceFreedByLastNode(t *testing.T) {
	pool := newPool(func(p *v1alpha1.NodePool) { p.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: "1"}} })
	w := newWorld(t, append(append(nodeOf("a"), nodeOf("b")...), pool)...)
	w.look("a")
	w.look("b")
	w.lookAfter(30*time.Second, "a")
	w.look("b")
	w.lookAfter(time.Second, "a")
	claim := get(t, w.client, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	claim.Finalizers = nil
	w.update(claim)
	w.look("a")
	if names := w.remover.waiting.some("default"); len(names) != 1 || names[0] != "b" {
		t.Errorf("waiting: %v", names)
	}
	w.look("b")
	w.lookAfter(time.Second, "b")
	w.expect("b", "True Disrupting tainted deleted")
}

func TestRestart(t *testing.T) {
	t.Run("while empty", func(t *testing.T) {
		w := newWorld(t, append(nodeOf("a"), newPool(nil))...)
		w.look("a")
		w.clock.Step(20 * time.Second)
		w.restart()
		if wait := w.look("a"); wait < 10*time.Second || wait > 11*time.Second {
			t.Errorf("waits %s, want the rest of the TTL", wait)
		}
	})
	t.Run("after tainting", func(t *testing.T) {
		w := newWorld(t, append(nodeOf("a"), newPool(nil))...)
		w.look("a")
		w.lookAfter(30*time.Second, "a")
		w.restart()
		w.lookAfter(time.Second, "a")
		w.expect("a", "True Disrupting tainted") // how old the taint is was forgotten
		w.lookAfter(time.Second, "a")
		w.expect("a", "True Disrupting tainted deleted")
	})
	t.Run("after tainting, then a pod", func(t *testing.T) {
		w := newWorld(t, append(nodeOf("a"), newPool(nil))...)
		w.look("a")
		w.lookAfter(30*time.Second, "a")
		w.create(newPod("p", "node-a", nil))
		w.restart()
		w.look("a")
		w.expect("a", "False PodsPresent")
	})
}

// TestPodLandsBeforeTheCacheKnowsOfTheTaint: the taint goes, though the cached claim does not
// say yet who put it there.
func TestPodLandsBeforeTheCacheKnowsOfTheTaint(t *testing.T) {
	w := newWorld(t, append(nodeOf("a"), newPool(nil))...)
	w.look("a")
	before := &v1alpha1.NodeClaimList{}
	if err := w.client.List(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	w.lookAfter(30*time.Second, "a")
	w.expect("a", "True Disrupting tainted")
	w.remover.client = staleClaims{w.client, before}
	w.create(newPod("late", "node-a", nil))
	w.look("a")
	w.expect("a", "False PodsPresent")
}
