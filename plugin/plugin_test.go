package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	basemetrics "k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	schedulermetrics "k8s.io/kubernetes/pkg/scheduler/metrics"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
	tf "k8s.io/kubernetes/pkg/scheduler/testing/framework"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/slipway-dev/slipway/plugin/config"
	"github.com/slipway-dev/slipway/plugin/courier"
	"github.com/slipway-dev/slipway/plugin/ledger"
)

// world is the plugin in a real framework, over nodes and pods that the test sets. What
// the plugin asks of others is noted in log.
type world struct {
	t       *testing.T
	ctx     context.Context
	stop    context.CancelFunc
	plugin  *Slipway
	fw      framework.Framework
	clock   *clocktesting.FakeClock
	client  *fake.Clientset
	factory informers.SharedInformerFactory
	events  *events.FakeRecorder
	lister  *lister

	mu   sync.Mutex
	log  []string
	full bool
}

// lister lets a test put another snapshot in place.
type lister struct{ fwk.SharedLister }

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// took returns the log and empties it.
func (w *world) took() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

func (w *world) Reserve(pod *v1.Pod) error {
	if w.full {
		return courier.ErrQueueFull
	}
	w.note("reserve %s", pod.Name)
	return nil
}

func (w *world) Release(releases ...ledger.Release) error {
	for _, r := range releases {
		w.note("release %s of %s: %s", r.Pod.Name, r.Claim, r.Reason)
	}
	return nil
}

func (w *world) Drop(uid types.UID) { w.note("drop %s", uid) }

func (w *world) Activate(_ klog.Logger, pods map[string]*v1.Pod) {
	for key := range pods {
		w.note("activate %s", strings.TrimPrefix(key, "ns/"))
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	w := &world{
		t: t, ctx: ctx, stop: cancel, clock: clocktesting.NewFakeClock(time.Unix(1e9, 0)), client: fake.NewClientset(),
		events: events.NewFakeRecorder(100), lister: &lister{cache.NewEmptySnapshot()},
	}
	w.factory = informers.NewSharedInformerFactory(w.client, 0)
	args := &config.SlipwayArgs{LauncherAddress: "-"}
	config.SetDefaults(args)
	m, err := newMetrics(func(basemetrics.Registerable) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	schedulermetrics.Register()
	registry := plugins.NewInTreeRegistry()
	register := []tf.RegisterPluginFunc{
		tf.RegisterQueueSortPlugin(names.PrioritySort, registry[names.PrioritySort]),
		tf.RegisterBindPlugin(names.DefaultBinder, registry[names.DefaultBinder]),
		tf.RegisterPluginAsExtensions(names.TaintToleration, registry[names.TaintToleration], "Filter"),
		tf.RegisterPluginAsExtensions(names.NodeResourcesFit, registry[names.NodeResourcesFit], "PreFilter", "Filter"),
		tf.RegisterPluginAsExtensions(names.PodTopologySpread, registry[names.PodTopologySpread], "PreFilter", "Filter"),
		tf.RegisterPluginAsExtensions(Name, func(ctx context.Context, _ runtime.Object, h fwk.Handle) (fwk.Plugin, error) {
			w.plugin = assemble(ctx, h, args, w.clock, m)
			w.plugin.launcher = w
			return w.plugin, nil
		}, "PreEnqueue", "PreFilter", "Filter", "PostFilter", "Reserve", "PostBind"),
	}
	w.fw, err = tf.NewFramework(ctx, register, "slipway-scheduler",
		frameworkruntime.WithInformerFactory(w.factory), frameworkruntime.WithClientSet(w.client),
		frameworkruntime.WithEventRecorder(w.events), frameworkruntime.WithPodActivator(w),
		frameworkruntime.WithSnapshotSharedLister(w.lister))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.plugin.teller.queue.ShutDown)
	return w
}

// nodes sets what the scheduler's cache shows, and has the ledger see the nodes.
func (w *world) nodes(pods []*v1.Pod, nodes ...*v1.Node) {
	w.lister.SharedLister = cache.NewSnapshot(pods, nodes)
	for _, n := range nodes {
		w.plugin.nodeSeen(n)
	}
}

// exists has the informer know a pod.
func (w *world) exists(pods ...*v1.Pod) {
	w.t.Helper()
	for _, pod := range pods {
		if err := w.factory.Core().V1().Pods().Informer().GetIndexer().Add(pod); err != nil {
			w.t.Fatal(err)
		}
		if err := w.client.Tracker().Add(pod); err != nil {
			w.t.Fatal(err)
		}
	}
}

// outcome is what a scheduling cycle came to.
type outcome struct {
	Node string
	// Code and Message are of the last extension point that was reached.
	Code    fwk.Code
	Message string
	// Clears says that PostFilter clears the nomination.
	Clears bool
}

// schedule runs a cycle as the scheduler does, up to and with PostFilter.
func (w *world) schedule(pod *v1.Pod) outcome {
	w.t.Helper()
	state := framework.NewCycleState()
	statuses := framework.NewDefaultNodeToStatus()
	pre, s, _ := w.fw.RunPreFilterPlugins(w.ctx, state, pod)
	switch {
	case s.IsSuccess():
		if !pre.AllNodes() {
			statuses.SetAbsentNodesStatus(fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "not among the nodes"))
		}
		infos, err := w.lister.NodeInfos().List()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, info := range infos {
			name := info.Node().Name
			if !pre.AllNodes() && !pre.NodeNames.Has(name) {
				continue
			}
			s := w.fw.RunFilterPlugins(w.ctx, state, pod, info)
			if s.IsSuccess() {
				return outcome{Node: name}
			}
			statuses.Set(name, s)
		}
	case s.IsRejected():
		statuses.SetAbsentNodesStatus(s)
	default:
		w.t.Fatalf("PreFilter: %v", s)
	}
	result, s := w.fw.RunPostFilterPlugins(w.ctx, state, pod, statuses)
	return outcome{
		Code: s.Code(), Message: s.Message(),
		Clears: result != nil && result.Mode() == fwk.ModeOverride && result.NominatedNodeName == "",
	}
}

func (o outcome) String() string {
	if o.Node != "" {
		return "node " + o.Node
	}
	s := o.Code.String() + ": " + o.Message
	if o.Clears {
		s += " (clears the nomination)"
	}
	return s
}

func pod(name string, cpu string) *st.PodWrapper {
	return st.MakePod().Namespace("ns").Name(name).UID(name).Req(map[v1.ResourceName]string{v1.ResourceCPU: cpu})
}

func node(name string, cpu string) *v1.Node {
	n := st.MakeNode().Name(name).Capacity(map[v1.ResourceName]string{v1.ResourceCPU: cpu, v1.ResourcePods: "10"}).
		Condition(v1.NodeReady, v1.ConditionTrue, "", "").Obj()
	n.ResourceVersion = "1"
	return n
}

func ofDaemonSet(pod *v1.Pod) *v1.Pod {
	controls := true
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "d", UID: "d", Controller: &controls}}
	return pod
}

func launched(pod, claim, node string) ledger.Update {
	return ledger.Update{
		Ref: ledger.PodRef{UID: types.UID(pod), Namespace: "ns", Name: pod}, Phase: ledger.PhaseLaunched, Claim: claim, Node: node,
		Offer: ledger.Offer{InstanceType: "t3.medium", Zone: "us-east-1a", CapacityType: "on-demand", Price: 0.0416},
	}
}

func update(pod string, phase ledger.Phase, reason string) ledger.Update {
	return ledger.Update{Ref: ledger.PodRef{UID: types.UID(pod), Namespace: "ns", Name: pod}, Phase: phase, Reason: reason}
}

func (w *world) want(what string, got fmt.Stringer, want string) {
	w.t.Helper()
	if diff := cmp.Diff(want, got.String()); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (w *world) wantLog(want ...string) {
	w.t.Helper()
	got := w.took()
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("log (-want +got):\n%s", diff)
	}
}

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
	w.plugin.nodeSeen(node("big", "3"))
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

func TestGuard(t *testing.T) {
	daemon := ofDaemonSet(pod("b", "2").Obj())
	for _, tc := range []struct {
		name    string
		pod     *v1.Pod
		holders []*v1.Pod
		pods    []*v1.Pod // on the node
		fits    bool
	}{
		{name: "enough is left", pod: pod("b", "2").Obj(), holders: []*v1.Pod{pod("h", "2").Obj()}, fits: true},
		{name: "too little is left", pod: pod("b", "2").Obj(), holders: []*v1.Pod{pod("h", "3").Obj()}},
		{name: "higher priority", pod: pod("b", "2").Priority(1).Obj(), holders: []*v1.Pod{pod("h", "3").Obj()}, fits: true},
		{name: "lower priority", pod: pod("b", "2").Obj(), holders: []*v1.Pod{pod("h", "3").Priority(1).Obj()}},
		{name: "a holder that is assumed already", pod: pod("b", "2").Obj(), holders: []*v1.Pod{pod("h", "2").Obj()},
			pods: []*v1.Pod{pod("h", "2").Node("n").Obj()}, fits: true},
		{name: "other holders beside it", pod: pod("b", "2").Obj(), holders: []*v1.Pod{pod("h", "1").Obj(), pod("i", "2").Obj()},
			pods: []*v1.Pod{pod("h", "1").Node("n").Obj()}},
		{name: "a DaemonSet's pod", pod: daemon, holders: []*v1.Pod{pod("h", "4").Obj()}, fits: true},
		{name: "nothing is requested", pod: st.MakePod().Namespace("ns").Name("b").UID("b").Obj(), holders: []*v1.Pod{pod("h", "4").Obj()}, fits: true},
		{name: "the number of pods", pod: st.MakePod().Namespace("ns").Name("b").UID("b").Obj(), holders: []*v1.Pod{
			pod("1", "0").Obj(), pod("2", "0").Obj(), pod("3", "0").Obj(), pod("4", "0").Obj(), pod("5", "0").Obj(),
			pod("6", "0").Obj(), pod("7", "0").Obj(), pod("8", "0").Obj(), pod("9", "0").Obj(), pod("10", "0").Obj(),
		}},
		{name: "another resource", pod: pod("b", "1").Req(map[v1.ResourceName]string{"example.com/gpu": "1"}).Obj(),
			holders: []*v1.Pod{st.MakePod().Namespace("ns").Name("h").UID("h").Req(map[v1.ResourceName]string{"example.com/gpu": "1"}).Obj()}},
		{name: "a host port", pod: pod("b", "1").HostPort(80).Obj(), holders: []*v1.Pod{pod("h", "1").HostPort(80).Obj()}},
		{name: "another host port", pod: pod("b", "1").HostPort(81).Obj(), holders: []*v1.Pod{pod("h", "1").HostPort(80).Obj()}, fits: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.exists(tc.pod)
			w.exists(tc.holders...)
			var updates []ledger.Update
			for _, h := range tc.holders {
				updates = append(updates, launched(h.Name, "c", "n"))
			}
			w.plugin.Apply(updates)
			n := node("n", "4")
			n.Status.Allocatable["example.com/gpu"] = resource.MustParse("1")
			w.nodes(tc.pods, n)
			got := w.schedule(tc.pod)
			if fits := got.Node == "n"; fits != tc.fits {
				t.Errorf("fits is %v, want %v: %v", fits, tc.fits, got)
			}
		})
	}
}

// TestSignatures: pods that Filter treats alike may share results, others may not.
func TestSignatures(t *testing.T) {
	w := newWorld(t)
	sign := func(pod *v1.Pod) string {
		fragments, s := w.plugin.SignPod(w.ctx, pod)
		if !s.IsSuccess() {
			t.Fatal(s)
		}
		data, err := json.Marshal(fragments)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	w.plugin.Apply([]ledger.Update{launched("h", "c", "n"), launched("i", "c", "n"), launched("j", "c", "m")})
	same := [][2]*v1.Pod{
		{pod("a", "1").Obj(), pod("b", "1").Obj()},
		{pod("h", "1").Obj(), pod("i", "1").Obj()},
	}
	for _, pair := range same {
		if sign(pair[0]) != sign(pair[1]) {
			t.Errorf("%s and %s differ", pair[0].Name, pair[1].Name)
		}
	}
	different := [][2]*v1.Pod{
		{pod("a", "1").Obj(), pod("h", "1").Obj()},
		{pod("h", "1").Obj(), pod("j", "1").Obj()},
		{pod("a", "1").Obj(), pod("b", "1").Priority(1).Obj()},
		{pod("a", "1").Obj(), ofDaemonSet(pod("b", "1").Obj())},
	}
	for _, pair := range different {
		if sign(pair[0]) == sign(pair[1]) {
			t.Errorf("%s and %s are alike", pair[0].Name, pair[1].Name)
		}
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
		{"node deleted", func(w *world, _ *v1.Pod) { w.plugin.nodeDeleted(node("n1", "4")) },
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
	w.plugin.nodeDeleted(node("n1", "1"))
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

// TestTelling: nominations and events follow the ledger.
func TestTelling(t *testing.T) {
	w := newWorld(t)
	a := pod("a", "1").Obj()
	w.exists(a)
	ref := ledger.PodRef{UID: "a", Namespace: "ns", Name: "a"}
	sync := func() []string {
		t.Helper()
		w.client.ClearActions()
		if err := w.plugin.teller.sync(w.ctx, ref); err != nil {
			t.Fatal(err)
		}
		var did []string
		for _, action := range w.client.Actions() {
			patch, ok := action.(clienttesting.PatchAction)
			if !ok || action.GetSubresource() != "status" {
				t.Fatalf("unexpected request: %v", action)
			}
			did = append(did, string(patch.GetPatch()))
			updated, err := w.client.CoreV1().Pods("ns").Get(w.ctx, "a", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.factory.Core().V1().Pods().Informer().GetIndexer().Update(updated); err != nil {
				t.Fatal(err)
			}
		}
		for len(w.events.Events) > 0 {
			did = append(did, <-w.events.Events)
		}
		return did
	}
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"nothing to tell", func() {}, nil},
		{"unlaunchable", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseUnlaunchable, "too large")}) },
			[]string{"Warning Unlaunchable no node can be launched for this pod: too large"}},
		{"the same again", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseUnlaunchable, "too large")}) }, nil},
		{"for another reason", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseUnlaunchable, "limit")}) },
			[]string{"Warning Unlaunchable no node can be launched for this pod: limit"}},
		{"launched", func() { w.plugin.Apply([]ledger.Update{launched("a", "c1", "i-1")}) }, []string{
			`{"metadata":{"uid":"a"},"status":{"nominatedNodeName":"i-1"}}`,
			"Normal Reserved node i-1 (t3.medium, us-east-1a, on-demand, $0.0416/h) is being launched for this pod (claim c1)",
		}},
		{"ready", func() { w.plugin.nodeSeen(node("i-1", "1")) }, nil},
		{"ended", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseEnded, "")}) },
			[]string{`{"metadata":{"uid":"a"},"status":{"nominatedNodeName":null}}`}},
		{"nothing more", func() {}, nil},
	} {
		step.do()
		if diff := cmp.Diff(step.want, sync()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	if n := len(w.plugin.teller.told); n != 0 {
		t.Errorf("%d pods are remembered for ever", n)
	}
}

// TestHints: after which events a pod is looked at again.
func TestHints(t *testing.T) {
	w := newWorld(t)
	w.exists(pod("ready", "1").Obj())
	w.plugin.Apply([]ledger.Update{
		launched("ready", "c1", "n1"), launched("coming", "c2", "n2"), update("hopeless", ledger.PhaseUnlaunchable, "too large"),
	})
	w.plugin.nodeSeen(node("n1", "1"))
	onNode := func(name, node string) string {
		h, err := w.plugin.afterNodeChange(klog.Background(), pod(name, "1").Obj(), nil, st.MakeNode().Name(node).Obj())
		if err != nil {
			t.Fatal(err)
		}
		return name + " " + node + " " + h.String()
	}
	onDeletion := func(name string, deleted *v1.Pod) string {
		h, err := w.plugin.afterPodDeletion(klog.Background(), pod(name, "1").Obj(), deleted, nil)
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
