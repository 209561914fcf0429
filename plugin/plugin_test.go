package plugin

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

const handedOver = "Success: handed over to the launcher, which plans a node for this pod"

// TestLife follows a pod from fitting nowhere to being bound.
func TestLife(t *testing.T) {
	w := newWorld(t)
	a := pod("a", "2").Obj()
	w.exists(a)
	w.nodes(nil, node("small", "1"))

	if s := w.plugin.PreEnqueue(w.ctx, a); !s.IsSuccess() {
		t.Errorf("a new pod is gated: %v", s)
	}
	w.want("first cycle", w.schedule(a), handedOver)
	w.wantLog("reserve a")
	if s := w.plugin.PreEnqueue(w.ctx, a); s.Code() != fwk.UnschedulableAndUnresolvable {
		t.Errorf("a pod that was handed over is not gated: %v", s)
	}
	w.want("a cycle past the gate", w.schedule(a), "Success: waiting for the launcher to plan a node for this pod")

	w.plugin.Apply([]ledger.Update{launched("a", "claim-1", "big")})
	w.want("a cycle past the gate", w.schedule(a), "Success: node big is being launched for this pod (claim claim-1)")
	w.wantLog()

	// The ledger may hear of the node before the scheduler's cache does.
	w.nodeSeen(node("big", "3"))
	w.wantLog("activate a")
	if s := w.plugin.PreEnqueue(w.ctx, a); !s.IsSuccess() {
		t.Errorf("the gate is closed although the node is ready: %v", s)
	}
	w.want("without the node in the snapshot", w.schedule(a), "Success: node big was launched for this pod and is ready (claim claim-1)")
	w.nodes(nil, node("roomy", "9"), node("big", "3"))
	w.want("with the node", w.schedule(a), "node big")

	if s := w.fw.RunReservePluginsReserve(w.ctx, framework.NewCycleState(), a, "big"); !s.IsSuccess() {
		t.Fatal(s)
	}
	w.clock.Step(time.Hour)
	w.plugin.act(w.plugin.ledger.Expire(w.clock.Now()))
	w.fw.RunPostBindPlugins(w.ctx, framework.NewCycleState(), a, "big")
	w.wantLog("drop a")
	if _, ok := w.plugin.ledger.Get("a"); ok {
		t.Error("the reservation outlives the binding")
	}
}

// TestFellowHolders: pods that share a node and a spread constraint do not count each other
// before they run, or those of two zones would wait for each other for ever.
func TestFellowHolders(t *testing.T) {
	w := newWorld(t)
	spread := func(name string) *v1.Pod {
		return pod(name, "1").Label("app", "web").SpreadConstraint(1, "zone", v1.DoNotSchedule, st.MakeLabelSelector().Label("app", "web").Obj(), nil, nil, nil, nil).Obj()
	}
	inZone := func(n *v1.Node, zone string) *v1.Node {
		n.Labels = map[string]string{"zone": zone}
		return n
	}
	for name, node := range map[string]string{"a1": "a", "a2": "a", "b1": "b", "b2": "b"} {
		p := spread(name)
		w.exists(p)
		w.plugin.Apply([]ledger.Update{launched(name, "claim-"+node, node)})
		p.Status.NominatedNodeName = node
		w.queue.Add(w.ctx, p)
	}
	w.nodes(nil, inZone(node("a", "3"), "a"), inZone(node("b", "3"), "b"))
	w.want("the first of zone a", w.schedule(spread("a1")), "node a")
	w.want("the first of zone b", w.schedule(spread("b1")), "node b")
}

func TestPostFilter(t *testing.T) {
	victim := pod("victim", "1").Node("small").Terminating().Obj()
	daemon := ofDaemonSet(pod("a", "2").Obj())
	for _, tc := range []struct {
		name    string
		pod     *v1.Pod
		prepare func(*world)
		nodes   []*v1.Node
		pods    []*v1.Pod
		want    string
		log     []string
	}{
		{name: "no node at all", want: handedOver, log: []string{"reserve a"}},
		{name: "no node is large enough", nodes: []*v1.Node{node("small", "1")}, want: handedOver, log: []string{"reserve a"}},
		{
			name: "victims are leaving", pod: pod("a", "2").Priority(1).NominatedNodeName("small").Obj(),
			nodes: []*v1.Node{node("small", "2")}, pods: []*v1.Pod{victim},
			want: "Unschedulable: waiting for victims to leave node small",
		},
		{
			name: "a nomination that is out of date", pod: pod("a", "2").NominatedNodeName("gone").Obj(),
			nodes: []*v1.Node{node("small", "1")},
			want:  handedOver + " (clears the nomination)", log: []string{"reserve a"},
		},
		{
			name: "a DaemonSet's pod", pod: daemon, nodes: []*v1.Node{node("small", "1")},
			want: "Unschedulable: a DaemonSet's pod is for its own node",
		},
		{
			name: "unlaunchable", nodes: []*v1.Node{node("small", "1")},
			prepare: func(w *world) {
				w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseUnlaunchable, "too large")})
			},
			want: "Unschedulable: no node can be launched for this pod: too large",
		},
		{
			name: "unlaunchable, without any node",
			prepare: func(w *world) {
				w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseUnlaunchable, "too large")})
			},
			want: "UnschedulableAndUnresolvable: no node can be launched for this pod: too large",
		},
		{
			name: "no answer", nodes: []*v1.Node{node("small", "1")},
			prepare: func(w *world) {
				w.schedule(pod("a", "2").Obj())
				w.clock.Step(time.Minute)
				w.plugin.act(w.plugin.ledger.Expire(w.clock.Now()))
			},
			want: "Unschedulable: the launcher has not answered in time; handed over again",
			log:  []string{"reserve a", "activate a", "reserve a"},
		},
		{
			name: "the courier's queue is full", nodes: []*v1.Node{node("small", "1")},
			prepare: func(w *world) { w.full = true },
			want:    "Unschedulable: the courier's queue is full",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			a := tc.pod
			if a == nil {
				a = pod("a", "2").Obj()
			}
			w.exists(a)
			if len(tc.nodes) > 0 {
				w.nodes(tc.pods, tc.nodes...)
			}
			if tc.prepare != nil {
				tc.prepare(w)
			}
			w.want("outcome", w.schedule(a), tc.want)
			w.wantLog(tc.log...)
		})
	}
}

// TestNodeCannotTakeItsPod: what a node's rejection of its own pod leads to.
func TestNodeCannotTakeItsPod(t *testing.T) {
	spread := pod("a", "2").Label("app", "a").
		SpreadConstraint(1, "zone", v1.DoNotSchedule, &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}, nil, nil, nil, nil).Obj()
	zone := func(n *v1.Node, name string) *v1.Node {
		n.Labels = map[string]string{"zone": name}
		return n
	}
	stale := node("n1", "1")
	stale.ResourceVersion = "0"
	const back = "release a of c1: node n1 cannot take the pod: NodeResourcesFit: Insufficient cpu"
	for _, tc := range []struct {
		name  string
		pod   *v1.Pod
		nodes []*v1.Node
		pods  []*v1.Pod
		cache *v1.Node // what the scheduler sees instead
		want  string
		log   []string
	}{
		{
			name: "smaller than predicted", nodes: []*v1.Node{node("n1", "1")},
			want: "Success: node n1 cannot take the pod: NodeResourcesFit: Insufficient cpu; handed over to the launcher again (clears the nomination)",
			log:  []string{"activate a", back, "reserve a"},
		},
		{
			name: "the scheduler's cache is behind", nodes: []*v1.Node{node("n1", "3")}, cache: stale,
			want: "Success: node n1 was launched for this pod and is ready (claim c1)",
			log:  []string{"activate a"},
		},
		{
			name: "siblings are still to come", pod: spread,
			nodes: []*v1.Node{zone(node("n1", "8"), "z1"), zone(node("n2", "8"), "z2")},
			pods:  []*v1.Pod{pod("sibling", "1").Label("app", "a").Node("n1").Obj()},
			want:  "Success: node n1 was launched for this pod and is ready (claim c1)",
			log:   []string{"activate a"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			a := tc.pod
			if a == nil {
				a = pod("a", "2").Obj()
			}
			w.exists(a)
			w.plugin.lead()
			w.plugin.Apply([]ledger.Update{launched("a", "c1", "n1")})
			w.nodes(tc.pods, tc.nodes...)
			if tc.cache != nil {
				w.lister.SharedLister = cache.NewSnapshot(nil, []*v1.Node{tc.cache})
			}
			w.want("outcome", w.schedule(a), tc.want)
			w.wantLog(tc.log...)
		})
	}
}

// TestEnds: how reservations end outside of the scheduling loop.
func TestEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(w *world, a *v1.Pod)
		want []string
	}{
		{"bound elsewhere", func(w *world, a *v1.Pod) {
			w.fw.RunPostBindPlugins(w.ctx, framework.NewCycleState(), a, "other")
		}, []string{"drop a", "release a of c1: bound to node other"}},
		{"bound by somebody else", func(w *world, a *v1.Pod) {
			bound := a.DeepCopy()
			bound.Spec.NodeName = "other"
			w.plugin.podSeen(bound)
		}, []string{"drop a", "release a of c1: bound to node other"}},
		{"deleted", func(w *world, a *v1.Pod) { w.plugin.podDeleted(a) },
			[]string{"drop a", "release a of c1: the pod is gone"}},
		{"being deleted", func(w *world, a *v1.Pod) {
			going := a.DeepCopy()
			going.DeletionTimestamp = &metav1.Time{}
			w.plugin.podSeen(going)
		}, []string{"drop a", "release a of c1: the pod is gone"}},
		{"node deleted", func(w *world, _ *v1.Pod) { w.plugin.act(w.plugin.nodeDeleted("n1")) },
			[]string{"release a of c1: node n1 was deleted", "activate a"}},
		{"node late", func(w *world, _ *v1.Pod) {
			w.clock.Step(20 * time.Minute)
			w.plugin.act(w.plugin.ledger.Expire(w.clock.Now()))
		}, []string{"release a of c1: node n1 was not ready within 20m0s", "activate a"}},
		{"lost by the launcher", func(w *world, _ *v1.Pod) { w.plugin.Resync(nil) }, []string{"activate a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			a := pod("a", "1").Obj()
			w.exists(a)
			w.plugin.lead()
			w.plugin.Apply([]ledger.Update{launched("a", "c1", "n1")})
			tc.do(w, a)
			w.wantLog(tc.want...)
			if _, ok := w.plugin.ledger.Get("a"); ok {
				t.Error("the reservation is still there")
			}
		})
	}
}

// TestStandby: a process that does not schedule follows, but tells nobody.
func TestStandby(t *testing.T) {
	w := newWorld(t)
	w.exists(pod("a", "1").Obj())
	w.plugin.Apply([]ledger.Update{launched("a", "c1", "n1")})
	w.plugin.act(w.plugin.nodeDeleted("n1"))
	w.wantLog("activate a")
	if n := w.plugin.teller.queue.Len(); n != 0 {
		t.Errorf("%d pods would be told of", n)
	}
	w.plugin.Apply([]ledger.Update{launched("a", "c2", "n2")})
	w.plugin.lead()
	if n := w.plugin.teller.queue.Len(); n != 1 {
		t.Errorf("%d pods are told of on taking over, want 1", n)
	}
}

// TestBoundDuringUpdate: a pod whose binding is seen while the launcher's word on it is taken
// in keeps no reservation.
func TestBoundDuringUpdate(t *testing.T) {
	w := newWorld(t)
	w.exists(pod("a", "1").Node("n1").Obj())
	w.plugin.act(w.plugin.ledger.Apply(w.clock.Now(), []ledger.Update{launched("a", "c1", "n1")}))
	if _, reserved := w.plugin.ledger.Get("a"); !reserved {
		t.Fatal("the update made no reservation")
	}
	w.plugin.endBound([]ledger.Update{launched("a", "c1", "n1"), launched("unknown", "c1", "n1")})
	if r, reserved := w.plugin.ledger.Get("a"); reserved {
		t.Errorf("reservation left: %+v", r)
	}
}

// TestStandbySendsAgain: what the launcher lost while a process was on standby is sent
// again when it takes over.
func TestStandbySendsAgain(t *testing.T) {
	w := newWorld(t)
	w.exists(pod("a", "1").Obj())
	w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseWaiting, "")})
	w.plugin.Resync(nil)
	w.wantLog()
	w.plugin.lead()
	w.wantLog("reserve a")
}

// TestHints: after which events a pod is looked at again.
func TestHints(t *testing.T) {
	w := newWorld(t)
	w.exists(pod("ready", "1").Obj())
	w.plugin.Apply([]ledger.Update{
		launched("ready", "c1", "n1"), launched("coming", "c2", "n2"), update("hopeless", ledger.PhaseUnlaunchable, "too large"),
	})
	w.nodeSeen(node("n1", "1"))
	onNode := func(name, node string) string {
		h, err := w.plugin.afterNodeChange(klog.Background(), pod(name, "1").Obj(), nil, st.MakeNode().Name(node).Obj())
		if err != nil {
			t.Fatal(err)
		}
		return name + " " + node + " " + h.String()
	}
	onDeletion := func(name string, deleted *v1.Pod) string {
		h, err := w.plugin.afterPodFreesRoom(klog.Background(), pod(name, "1").Obj(), deleted, nil)
		if err != nil {
			t.Fatal(err)
		}
		return name + " deletion " + h.String()
	}
	got := []string{
		onNode("other", "n1"), onNode("ready", "n1"), onNode("ready", "n2"), onNode("coming", "n2"), onNode("hopeless", "n1"),
		onDeletion("other", pod("x", "1").Node("n1").Obj()), onDeletion("other", pod("x", "1").Obj()), onDeletion("coming", pod("x", "1").Node("n1").Obj()),
	}
	want := []string{
		"other n1 Queue", "ready n1 Queue", "ready n2 QueueSkip", "coming n2 QueueSkip", "hopeless n1 Queue",
		"other deletion Queue", "other deletion QueueSkip", "coming deletion QueueSkip",
	}
	if !slices.Equal(got, want) {
		t.Errorf("hints (-want +got):\n%s", cmp.Diff(want, got))
	}
}
