package plugin

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/backend/queue"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	schedulermetrics "k8s.io/kubernetes/pkg/scheduler/metrics"
	tf "k8s.io/kubernetes/pkg/scheduler/testing/framework"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

const guardScenarios = 3000

// TestGuardAsNominator holds the guard against the scheduler's own way to keep pods out of
// promised room: a node counts for a pod as if those that are nominated to it, of its
// priority and above, ran there. Holders are such pods.
func TestGuardAsNominator(t *testing.T) {
	kept, let := 0, 0
	f := newFit(t)
	for seed := range uint64(guardScenarios) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		here, holders := randomPods(rnd, "here", 3), randomPods(rnd, "holder", 4)
		candidate := randomPods(rnd, "candidate", 0)[0]
		n := node("n", fmt.Sprint(2+rnd.IntN(5)))
		n.Status.Allocatable[v1.ResourcePods] = *resource.NewQuantity(int64(2+rnd.IntN(7)), resource.DecimalSI)
		n.Status.Allocatable["example.com/gpu"] = *resource.NewQuantity(int64(rnd.IntN(3)), resource.DecimalSI)
		info := framework.NewNodeInfo(here...)
		info.SetNode(n)

		state := framework.NewCycleState()
		if _, s, _ := f.RunPreFilterPlugins(t.Context(), state, candidate); !s.IsSuccess() {
			t.Fatal(s)
		}
		for _, h := range holders {
			f.nominate(t, h, n.Name)
		}
		want := f.RunFilterPluginsWithNominatedPods(t.Context(), state, candidate, info).IsSuccess()
		for _, h := range holders {
			f.queue.Delete(h)
		}

		var held []ledger.Holder
		for _, h := range holders {
			held = append(held, ledger.Holder{UID: h.UID, Pod: podOf(h)})
		}
		reason := crowdedOut(podOf(candidate), info, held)
		got := reason == "" && f.RunFilterPlugins(t.Context(), state, candidate, info).IsSuccess()
		if got != want {
			t.Errorf("seed %d: the guard lets it in: %v (%q), the scheduler: %v\ncandidate %s\nholders %s\nthere %s\nnode %v",
				seed, got, reason, want, spell(candidate), spell(holders...), spell(here...), n.Status.Allocatable)
		}
		if want {
			let++
		} else if reason != "" {
			kept++
		}
	}
	if kept < guardScenarios/20 || let < guardScenarios/20 {
		t.Errorf("of %d pods %d were kept out for holders and %d let in: that proves little", guardScenarios, kept, let)
	}
}

// randomPods makes up to most pods, at least one where that is 0.
func randomPods(rnd *rand.Rand, name string, most int) []*v1.Pod {
	n := 1
	if most > 0 {
		n = rnd.IntN(most + 1)
	}
	var pods []*v1.Pod
	for i := range n {
		p := pod(fmt.Sprintf("%s-%d", name, i), fmt.Sprintf("%dm", 250*rnd.IntN(9))).Priority(int32(rnd.IntN(3)))
		if rnd.IntN(4) == 0 {
			p = p.HostPort(int32(8000 + rnd.IntN(2)))
		}
		if rnd.IntN(4) == 0 {
			p = p.Req(map[v1.ResourceName]string{"example.com/gpu": "1"})
		}
		pods = append(pods, p.Obj())
	}
	return pods
}

func spell(pods ...*v1.Pod) (text string) {
	for _, p := range pods {
		r := podOf(p)
		text += fmt.Sprintf("%s (priority %d, %+v, ports %v) ", p.Name, r.Priority, r.Requests, r.Ports)
	}
	return text
}

// fit is the scheduler's framework with the plugins that look at room, and its nominator.
type fit struct {
	framework.Framework
	queue     queue.SchedulingQueue
	informers informers.SharedInformerFactory
}

func newFit(t *testing.T) *fit {
	t.Helper()
	schedulermetrics.Register()
	f := &fit{informers: informers.NewSharedInformerFactory(fake.NewClientset(), 0)}
	f.queue = queue.NewSchedulingQueue(func(_, _ fwk.QueuedPodInfo) bool { return false }, f.informers)
	var err error
	registry := plugins.NewInTreeRegistry()
	f.Framework, err = tf.NewFramework(t.Context(), []tf.RegisterPluginFunc{
		tf.RegisterQueueSortPlugin(names.PrioritySort, registry[names.PrioritySort]),
		tf.RegisterBindPlugin(names.DefaultBinder, registry[names.DefaultBinder]),
		tf.RegisterPluginAsExtensions(names.NodeResourcesFit, frameworkruntime.PluginFactory(registry[names.NodeResourcesFit]), "PreFilter", "Filter"),
		tf.RegisterPluginAsExtensions(names.NodePorts, frameworkruntime.PluginFactory(registry[names.NodePorts]), "PreFilter", "Filter"),
	}, SchedulerName, frameworkruntime.WithPodNominator(f.queue), frameworkruntime.WithInformerFactory(f.informers),
		frameworkruntime.WithSnapshotSharedLister(cache.NewEmptySnapshot()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fit) nominate(t *testing.T, pod *v1.Pod, node string) {
	t.Helper()
	pod.Status.NominatedNodeName = node
	if err := f.informers.Core().V1().Pods().Informer().GetIndexer().Add(pod); err != nil {
		t.Fatal(err)
	}
	f.queue.Add(t.Context(), pod)
	if got := f.queue.NominatedPodsForNode(node); !slices.ContainsFunc(got, func(i fwk.PodInfo) bool { return i.GetPod().UID == pod.UID }) {
		t.Fatalf("%s is not nominated to %s: %v", pod.Name, node, got)
	}
}
