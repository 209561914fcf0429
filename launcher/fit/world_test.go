package fit_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	internalcache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// world is one profile before two judges: the engine, and the scheduler itself with its
// own cache, snapshot and every plugin that ships with it. Both look at the same
// informers, which are never started: what they know is put there.
type world struct {
	ctx       context.Context //nolint:containedctx // of the test that the world belongs to
	engine    *fit.Engine
	scheduler *scheduler.Scheduler
	framework framework.Framework
	pins      pins
	informers informers.SharedInformerFactory
	// binds: what a pod claims is written to the API server before the next one comes.
	binds bool
}

// profiles are the shipped one and variations of the arguments that matter to fit.
var profiles = []struct {
	name   string
	change func(name string, args runtime.Object)
}{
	{"as shipped", func(string, runtime.Object) {}},
	{"pods spread over zones and hosts by default", func(_ string, args runtime.Object) {
		if a, ok := args.(*schedulerconfig.PodTopologySpreadArgs); ok {
			a.DefaultConstraints = []corev1.TopologySpreadConstraint{
				{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule},
				{MaxSkew: 3, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule},
			}
		}
	}},
	{"affinity added, a resource ignored", func(_ string, args runtime.Object) {
		switch a := args.(type) {
		case *schedulerconfig.NodeAffinityArgs:
			a.AddedAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpNotIn, Values: []string{"c"}},
				}}},
			}}
		case *schedulerconfig.NodeResourcesFitArgs:
			a.IgnoredResources = []string{"example.com/widget"}
			a.IgnoredResourceGroups = []string{"ignored.example.com"}
		}
	}},
}

const ignoring = 2 // the profile that ignores resources

// newWorld makes the world of one of the profiles, over an API server with the objects.
func newWorld(t testing.TB, number int, objects ...runtime.Object) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logr.Discard()))
	t.Cleanup(cancel)
	cfg, err := options.LoadConfigFromFile(klog.Background(), filepath.Join("..", "..", "manifests", "rendered", "default", "scheduler.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := &cfg.Profiles[0]
	for _, c := range p.PluginConfig {
		profiles[number].change(c.Name, c.Args)
	}
	client := fake.NewClientset(objects...)
	w := &world{ctx: ctx, pins: pins{}, informers: scheduler.NewInformerFactory(client, 0)}
	w.engine, err = fit.NewEngine(ctx, fit.Config{Profile: p, Client: client, Informers: w.informers, OutOfTree: []string{"Slipway"}})
	if err != nil {
		t.Fatal(err)
	}
	// In Slipway's place: what pins a pod to the node that was bought for it.
	registry := frameworkruntime.Registry{"Slipway": func(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) { return w.pins, nil }}
	w.scheduler, err = scheduler.New(ctx, client, w.informers, nil,
		func(string) events.EventRecorderLogger { return &events.FakeRecorder{} },
		scheduler.WithProfiles(withoutOwnPostFilter(p)), scheduler.WithFrameworkOutOfTreeRegistry(registry))
	if err != nil {
		t.Fatal(err)
	}
	w.framework = w.scheduler.Profiles[p.SchedulerName]
	return w
}

func withoutOwnPostFilter(p *schedulerconfig.KubeSchedulerProfile) schedulerconfig.KubeSchedulerProfile {
	p = p.DeepCopy()
	p.Plugins.PostFilter.Enabled = []schedulerconfig.Plugin{{Name: "DefaultPreemption"}}
	return *p
}

// pins are the nodes that pods may go to, by pod.
type pins map[types.UID]string

func (pins) Name() string { return "Slipway" }

func (p pins) PreFilter(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if node, ok := p[pod.UID]; ok {
		return &fwk.PreFilterResult{NodeNames: sets.New(node)}, nil
	}
	return nil, nil
}

func (pins) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// know replaces what the informers hold.
func (w *world) know(s *scenario) {
	core, apps, storage := w.informers.Core().V1(), w.informers.Apps().V1(), w.informers.Storage().V1()
	replace(core.Namespaces().Informer(), s.Namespaces)
	replace(core.Services().Informer(), s.Services)
	replace(core.PersistentVolumeClaims().Informer(), s.Claims)
	replace(core.PersistentVolumes().Informer(), s.Volumes)
	replace(apps.ReplicaSets().Informer(), s.ReplicaSets)
	replace(storage.StorageClasses().Informer(), s.Classes)
	replace(storage.CSINodes().Informer(), s.CSINodes)
	replace(storage.CSIDrivers().Informer(), s.Drivers)
	replace(storage.CSIStorageCapacities().Informer(), s.Capacities)
}

func replace[T metav1.Object](informer cache.SharedIndexInformer, objects []T) {
	all := make([]any, len(objects))
	for i, o := range objects {
		all[i] = o
	}
	if err := informer.GetIndexer().Replace(all, ""); err != nil {
		panic(err) // the in-memory store knows no error
	}
}

// session is the scheduler at work on one cluster.
type session struct {
	*world
	nodes   []*corev1.Node
	bound   []*corev1.Pod // that were there
	assumed []assumed
}

type assumed struct {
	pod   *corev1.Pod
	state fwk.CycleState
}

// open shows the scheduler a cluster.
func (w *world) open(nodes []*corev1.Node, bound []*corev1.Pod) *session {
	s := &session{world: w, nodes: nodes, bound: bound}
	for _, n := range nodes {
		w.scheduler.Cache.AddNode(logr.Discard(), n)
	}
	for _, p := range bound {
		s.must(w.scheduler.Cache.AddPod(logr.Discard(), p))
	}
	return s
}

func (s *session) must(err error) {
	if err != nil {
		panic(err)
	}
}

// try runs a pod's scheduling cycle, pinned to a node.
func (s *session) try(pod *corev1.Pod, node string) (fwk.CycleState, error) {
	snapshot, ok := s.framework.SnapshotSharedLister().(*internalcache.Snapshot)
	if !ok {
		return nil, fmt.Errorf("the scheduler's snapshot is a %T", s.framework.SnapshotSharedLister())
	}
	if err := s.scheduler.Cache.UpdateSnapshot(logr.Discard(), snapshot); err != nil {
		return nil, err
	}
	info, err := framework.NewPodInfo(pod)
	if err != nil {
		return nil, err
	}
	s.pins[pod.UID] = node
	defer delete(s.pins, pod.UID)
	state := framework.NewCycleState()
	result, err := s.scheduler.SchedulePod(s.ctx, s.framework, state, &framework.QueuedPodInfo{PodInfo: info})
	if err == nil && result.SuggestedHost != node {
		err = fmt.Errorf("scheduled to %s, not to %s", result.SuggestedHost, node)
	}
	return state, err
}

// schedule binds a pod to a node, as far as that can be done in memory.
func (s *session) schedule(pod *corev1.Pod, node string) error {
	state, err := s.try(pod, node)
	if err != nil {
		return err
	}
	pod = pod.DeepCopy()
	pod.Spec.NodeName = node
	if err := s.scheduler.Cache.AssumePod(logr.Discard(), pod); err != nil {
		return err
	}
	s.assumed = append(s.assumed, assumed{pod, state})
	if err := s.framework.RunReservePluginsReserve(s.ctx, state, pod, node).AsError(); err != nil || !s.binds {
		return err
	}
	return s.framework.RunPreBindPlugins(s.ctx, state, pod, node).AsError()
}

// close takes everything back.
func (s *session) close() {
	for _, a := range s.assumed {
		s.framework.RunReservePluginsUnreserve(s.ctx, a.state, a.pod, a.pod.Spec.NodeName)
		s.must(s.scheduler.Cache.ForgetPod(logr.Discard(), a.pod))
	}
	for _, p := range s.bound {
		s.must(s.scheduler.Cache.RemovePod(logr.Discard(), p))
	}
	for _, n := range s.nodes {
		s.must(s.scheduler.Cache.RemoveNode(logr.Discard(), n))
	}
}
