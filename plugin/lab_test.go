package plugin

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	basemetrics "k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/backend/queue"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/profile"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/plugin/config"
	"github.com/slipway-dev/slipway/plugin/ledger"
	"github.com/slipway-dev/slipway/plugin/memory"
)

// lab is a real scheduler with the plugin over a fake API server. Nobody runs it: the
// test takes the scheduling loop's part, step by step, so that it knows what the
// scheduler has heard of and when.
type lab struct {
	t      testing.TB
	ctx    context.Context
	client *fake.Clientset
	sched  *scheduler.Scheduler
	fw     framework.Framework
	plugin *Slipway
	memory *memory.Memory
	// full is the scheduler's own look at every node.
	full schedulePod
	// heard counts what the scheduler's event handlers have told the queue.
	heard *counting
	// results counts what the memory has observed.
	results map[memory.Result]int
}

// counting is a queue that counts the calls of the event handlers when they are done.
type counting struct {
	queue.SchedulingQueue
	calls atomic.Int64
}

func (q *counting) MoveAllToActiveOrBackoffQueue(logger klog.Logger, event fwk.ClusterEvent, oldObj, newObj any, preCheck queue.PreEnqueueCheck) {
	q.SchedulingQueue.MoveAllToActiveOrBackoffQueue(logger, event, oldObj, newObj, preCheck)
	q.calls.Add(1)
}

func (q *counting) Add(ctx context.Context, pod *v1.Pod) {
	q.SchedulingQueue.Add(ctx, pod)
	q.calls.Add(1)
}

func (q *counting) Update(ctx context.Context, oldPod, newPod *v1.Pod) {
	q.SchedulingQueue.Update(ctx, oldPod, newPod)
	q.calls.Add(1)
}

func (q *counting) Delete(pod *v1.Pod) {
	q.SchedulingQueue.Delete(pod)
	q.calls.Add(1)
}

// unreachable is a launcher that takes everything and never answers.
type unreachable struct{}

func (unreachable) Reserve(*v1.Pod) error           { return nil }
func (unreachable) Release(...ledger.Release) error { return nil }
func (unreachable) Drop(types.UID)                  {}

func newLab(t testing.TB) *lab {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &lab{t: t, ctx: ctx, client: fake.NewClientset(), results: map[memory.Result]int{}}
	args := &config.SlipwayArgs{LauncherAddress: "-", TLS: config.TLS{CertFile: "-", KeyFile: "-", CAFile: "-"}}
	config.SetDefaults(args)
	m, err := newMetrics(func(basemetrics.Registerable) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	factory := scheduler.NewInformerFactory(l.client, 0)
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: l.client.EventsV1()})
	l.sched, err = scheduler.New(ctx, l.client, factory, nil, profile.NewRecorderFactory(broadcaster),
		scheduler.WithProfiles(ShippedProfiles(t, args)...),
		scheduler.WithFrameworkOutOfTreeRegistry(frameworkruntime.Registry{Name: func(ctx context.Context, _ runtime.Object, h fwk.Handle) (fwk.Plugin, error) {
			l.plugin = assemble(ctx, h, args, clock.RealClock{}, m)
			l.plugin.launcher = unreachable{}
			l.plugin.stop = func() {}
			return l.plugin, nil
		}}))
	if err != nil {
		t.Fatal(err)
	}
	l.fw = l.sched.Profiles[SchedulerName]
	l.full = l.sched.SchedulePod
	l.sched.Cache = nodes{Cache: l.sched.Cache, plugin: l.plugin}
	if l.memory, err = l.plugin.newMemory(l.sched); err != nil {
		t.Fatal(err)
	}
	l.heard = &counting{SchedulingQueue: l.sched.SchedulingQueue}
	l.sched.SchedulingQueue = l.heard
	l.start(factory)
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
		broadcaster.Shutdown()
		l.plugin.shutDown()
	})
	return l
}

func (l *lab) start(factory informers.SharedInformerFactory) {
	l.t.Helper()
	factory.Start(l.ctx.Done())
	factory.WaitForCacheSync(l.ctx.Done())
	if err := l.sched.WaitForHandlersSync(l.ctx); err != nil {
		l.t.Fatal(err)
	}
}

// await waits until the event handlers have made so many more calls than before do.
func (l *lab) await(calls int, what string, do func() error) {
	l.t.Helper()
	want := l.heard.calls.Load() + int64(calls)
	if err := do(); err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
	err := wait.PollUntilContextTimeout(l.ctx, 50*time.Microsecond, 10*time.Second, true, func(context.Context) (bool, error) {
		return l.heard.calls.Load() >= want, nil
	})
	if err != nil {
		l.t.Fatalf("%s: waiting for the scheduler to hear of it: %v", what, err)
	}
}

func (l *lab) addNode(n *v1.Node) {
	l.t.Helper()
	l.await(1, "add node "+n.Name, func() error {
		_, err := l.client.CoreV1().Nodes().Create(l.ctx, n, metav1.CreateOptions{})
		return err
	})
}

func (l *lab) updateNode(before, after *v1.Node) {
	l.t.Helper()
	l.await(len(framework.NodeSchedulingPropertiesChange(after, before)), "update node "+after.Name, func() error {
		_, err := l.client.CoreV1().Nodes().Update(l.ctx, after, metav1.UpdateOptions{})
		return err
	})
}

func (l *lab) addPod(p *v1.Pod) {
	l.t.Helper()
	l.await(1, "add pod "+p.Name, func() error {
		_, err := l.client.CoreV1().Pods(p.Namespace).Create(l.ctx, p, metav1.CreateOptions{})
		return err
	})
}

func (l *lab) updatePod(before, after *v1.Pod) {
	l.t.Helper()
	calls := len(framework.PodSchedulingPropertiesChange(after, before))
	if after.Spec.NodeName == "" {
		calls = 1
		if was := before.Status.NominatedNodeName; was != "" && was != after.Status.NominatedNodeName {
			calls++
		}
	}
	after.ResourceVersion = fmt.Sprint(l.heard.calls.Load() + 1_000_000) // the fake API server gives none, and the scheduler compares them
	l.await(calls, "update pod "+after.Name, func() error {
		_, err := l.client.CoreV1().Pods(after.Namespace).Update(l.ctx, after, metav1.UpdateOptions{})
		return err
	})
}

// deletePod deletes a pod; its deletion is one event where it is assigned, else one for
// the queue and one for its nomination.
func (l *lab) deletePod(p *v1.Pod) {
	l.t.Helper()
	calls := 1
	if p.Spec.NodeName == "" && p.Status.NominatedNodeName != "" {
		calls++
	}
	l.await(calls, "delete pod "+p.Name, func() error {
		return l.client.CoreV1().Pods(p.Namespace).Delete(l.ctx, p.Name, metav1.DeleteOptions{})
	})
}

// snapshot brings the scheduler's snapshot up to date, as every cycle begins.
func (l *lab) snapshot() {
	l.t.Helper()
	if err := l.sched.Cache.UpdateSnapshot(klog.Background(), l.fw.SnapshotSharedLister().(*cache.Snapshot)); err != nil {
		l.t.Fatal(err)
	}
}

// look has the scheduler look at every node for the pod.
func (l *lab) look(p *v1.Pod) (string, error) {
	l.t.Helper()
	pi, err := framework.NewPodInfo(p)
	if err != nil {
		l.t.Fatal(err)
	}
	result, err := l.full(l.ctx, l.fw, framework.NewCycleState(), &framework.QueuedPodInfo{PodInfo: pi})
	return result.SuggestedHost, err
}

func (l *lab) eventually(what string, cond func() bool) {
	l.t.Helper()
	err := wait.PollUntilContextTimeout(l.ctx, 50*time.Microsecond, 10*time.Second, true, func(context.Context) (bool, error) { return cond(), nil })
	if err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
}

func (l *lab) deleteNode(name string) {
	l.t.Helper()
	l.await(1, "delete node "+name, func() error {
		return l.client.CoreV1().Nodes().Delete(l.ctx, name, metav1.DeleteOptions{})
	})
	// The cache hears last (eventhandlers.go, deleteNodeFromCache).
	l.eventually("node "+name+" is gone from the cache", func() bool {
		info := l.sched.Cache.Dump().Nodes[name]
		return info == nil || info.Node() == nil
	})
}
