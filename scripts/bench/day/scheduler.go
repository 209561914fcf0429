package day

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/slipway-dev/slipway/launcher/fit"
)

const schedulerName = "slipway-scheduler"

// judge is the scheduler, in process, and the engine that plans by its plugins. Neither has
// an API server: the scheduler is told of nodes and pods directly.
type judge struct {
	engine    *fit.Engine
	scheduler *scheduler.Scheduler
	framework framework.Framework
	snapshot  *cache.Snapshot
	pins      pins
}

// pins stand for the plugin: they keep pods to the nodes that are theirs.
type pins map[types.UID]string

// Name implements fwk.Plugin.
func (pins) Name() string { return "Slipway" }

// PreFilter implements fwk.PreFilterPlugin.
func (p pins) PreFilter(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if node, ok := p[pod.UID]; ok {
		return &fwk.PreFilterResult{NodeNames: sets.New(node)}, nil
	}
	return nil, fwk.NewStatus(fwk.Skip)
}

// PreFilterExtensions implements fwk.PreFilterPlugin.
func (pins) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// newJudge runs with the first profile of a KubeSchedulerConfiguration.
func newJudge(ctx context.Context, file string) (*judge, error) {
	ctx = klog.NewContext(ctx, logr.Discard())
	cfg, err := options.LoadConfigFromFile(klog.Background(), file)
	if err != nil {
		return nil, fmt.Errorf("scheduler configuration %s: %w", file, err)
	}
	profile := &cfg.Profiles[0]
	client := fake.NewClientset(&corev1.Namespace{ObjectMeta: objectMeta(corev1.NamespaceDefault)})
	factory := scheduler.NewInformerFactory(client, 0)
	j := &judge{pins: pins{}}
	if j.engine, err = fit.NewEngine(ctx, fit.Config{Profile: profile, Client: client, Informers: factory, OutOfTree: []string{"Slipway"}}); err != nil {
		return nil, err
	}
	own := profile.DeepCopy()
	own.Plugins.PostFilter.Enabled = []schedulerconfig.Plugin{{Name: "DefaultPreemption"}}
	j.scheduler, err = scheduler.New(ctx, client, factory, nil,
		func(string) events.EventRecorderLogger { return &events.FakeRecorder{} },
		scheduler.WithProfiles(*own),
		scheduler.WithFrameworkOutOfTreeRegistry(frameworkruntime.Registry{
			"Slipway": func(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) { return j.pins, nil },
		}))
	if err != nil {
		return nil, fmt.Errorf("scheduler: %w", err)
	}
	j.framework = j.scheduler.Profiles[profile.SchedulerName]
	snapshot, ok := j.framework.SnapshotSharedLister().(*cache.Snapshot)
	if !ok {
		return nil, fmt.Errorf("the scheduler's snapshot is a %T", j.framework.SnapshotSharedLister())
	}
	j.snapshot = snapshot
	factory.Start(ctx.Done())
	return j, j.engine.WaitForSync(ctx)
}

// place returns the node that the scheduler chooses for a pod; none where it fits nowhere.
func (j *judge) place(ctx context.Context, pod *corev1.Pod) (string, error) {
	if err := j.scheduler.Cache.UpdateSnapshot(logr.Discard(), j.snapshot); err != nil {
		return "", err
	}
	info, err := framework.NewPodInfo(pod)
	if err != nil {
		return "", err
	}
	result, err := j.scheduler.SchedulePod(ctx, j.framework, framework.NewCycleState(), &framework.QueuedPodInfo{PodInfo: info})
	var refused *framework.FitError
	if errors.As(err, &refused) || errors.Is(err, scheduler.ErrNoNodesAvailable) {
		return "", nil
	}
	return result.SuggestedHost, err
}

// placeOn is place where the pod may go to one node only.
func (j *judge) placeOn(ctx context.Context, pod *corev1.Pod, node string) (string, error) {
	j.pins[pod.UID] = node
	defer delete(j.pins, pod.UID)
	return j.place(ctx, pod)
}

func (j *judge) bind(pod *corev1.Pod) error { return j.scheduler.Cache.AddPod(logr.Discard(), pod) }
func (j *judge) end(pod *corev1.Pod) error  { return j.scheduler.Cache.RemovePod(logr.Discard(), pod) }
func (j *judge) join(node *corev1.Node)     { j.scheduler.Cache.AddNode(logr.Discard(), node) }
func (j *judge) update(before, after *corev1.Node) {
	j.scheduler.Cache.UpdateNode(logr.Discard(), before, after)
}
func (j *judge) leave(node *corev1.Node) error {
	return j.scheduler.Cache.RemoveNode(logr.Discard(), node)
}
