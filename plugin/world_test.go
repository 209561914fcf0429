package plugin

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	basemetrics "k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/backend/queue"
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
	queue   *queue.PriorityQueue // for its nominations
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
	schedulermetrics.Register()
	older := func(a, b fwk.QueuedPodInfo) bool { return a.GetTimestamp().Before(b.GetTimestamp()) }
	w.queue = queue.NewTestQueueWithInformerFactory(ctx, older, w.factory,
		queue.WithMetricsRecorder(schedulermetrics.NewMetricsAsyncRecorder(10, time.Second, ctx.Done())))
	args := &config.SlipwayArgs{LauncherAddress: "-"}
	config.SetDefaults(args)
	m, err := newMetrics(func(basemetrics.Registerable) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
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
	w.fw, err = tf.NewFramework(ctx, register, SchedulerName,
		frameworkruntime.WithInformerFactory(w.factory), frameworkruntime.WithClientSet(w.client),
		frameworkruntime.WithEventRecorder(w.events), frameworkruntime.WithPodActivator(w),
		frameworkruntime.WithSnapshotSharedLister(w.lister), frameworkruntime.WithPodNominator(w.queue))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.plugin.shutDown)
	return w
}

// nodes sets what the scheduler's cache shows, and has the ledger see the nodes.
func (w *world) nodes(pods []*v1.Pod, nodes ...*v1.Node) {
	w.lister.SharedLister = cache.NewSnapshot(pods, nodes)
	for _, n := range nodes {
		w.nodeSeen(n)
	}
}

func (w *world) nodeSeen(n *v1.Node) { w.plugin.act(w.plugin.nodeSeen(n)) }

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
			s := w.fw.RunFilterPluginsWithNominatedPods(w.ctx, state, pod, info)
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
	return st.MakePod().Namespace("ns").Name(name).UID(name).SchedulerName(SchedulerName).Req(map[v1.ResourceName]string{v1.ResourceCPU: cpu})
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
