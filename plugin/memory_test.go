package plugin

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodeports"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
)

// TestMemoryRefusesWhatNodesRefuse drives a real scheduler through random changes of the
// cluster and holds everything that the memory says against a look at every node.
// SLIPWAY_MEMORY_STEPS lengthens it.
func TestMemoryRefusesWhatNodesRefuse(t *testing.T) {
	steps := 100
	if s, err := strconv.Atoi(os.Getenv("SLIPWAY_MEMORY_STEPS")); err == nil {
		steps = s
	}
	total := map[string]int{}
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRandomWorld(t, seed)
			for range steps {
				r.step()
				for range 12 {
					r.cycle()
				}
			}
			for what, n := range r.counts {
				total[what] += n
			}
		})
	}
	for _, what := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%-32s %d", what, total[what])
	}
	for _, what := range []string{"hit", "fits", "forgotten meanwhile"} {
		if total[what] == 0 {
			t.Errorf("%q never happened", what)
		}
	}
}

// randomWorld is a small cluster in which anything may happen.
type randomWorld struct {
	*lab
	r      *rand.Rand
	shapes []func() *v1.Pod
	nodes  map[string]*v1.Node
	// running are pods on nodes, nominated those that count on nodes by nomination.
	running   map[string]*v1.Pod
	nominated map[string]*v1.Pod
	holders   map[string]string
	serial    int
	// social is a world of roomy nodes and of pods that care about one another.
	social  bool
	counts  map[string]int
	history []string
}

func newRandomWorld(t *testing.T, seed uint64) *randomWorld {
	w := &randomWorld{
		lab: newLab(t), r: rand.New(rand.NewPCG(seed, 2)), counts: map[string]int{},
		social: seed%2 == 1,
		nodes:  map[string]*v1.Node{}, running: map[string]*v1.Pod{}, nominated: map[string]*v1.Pod{}, holders: map[string]string{},
	}
	for range 30 {
		w.shapes = append(w.shapes, w.shape())
	}
	for range 4 {
		w.newNode()
	}
	return w
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (w *randomWorld) chance(percent int) bool { return w.r.IntN(100) < percent }

// anyOf returns a value of the map, the same for the same seed.
func anyOf[T any](w *randomWorld, m map[string]T) (T, bool) {
	if len(m) == 0 {
		var none T
		return none, false
	}
	keys := slices.Sorted(maps.Keys(m))
	return m[keys[w.r.IntN(len(keys))]], true
}

func (w *randomWorld) name(prefix string) string {
	w.serial++
	return prefix + strconv.Itoa(w.serial)
}

// shape returns a maker of pods that are alike but for what tells them apart: name, UID
// and a label.
func (w *randomWorld) shape() func() *v1.Pod {
	cpu, app, priority := pick(w.r, "0", "1", "2", "3", "4"), pick(w.r, "a", "b", "c"), int32(w.r.IntN(2)*10)
	labelled, ssd, tolerates, port, spread, affine, averse, seconds := w.chance(70), w.chance(25), w.chance(40), w.chance(15), w.chance(30), w.chance(20), w.chance(25), w.chance(30)
	key, other := pick(w.r, "zone", "host"), pick(w.r, "a", "b", "c")
	honor := w.chance(50)
	if w.social {
		cpu, port, labelled = "0", false, true
		ssd = w.chance(40)
		switch w.r.IntN(3) {
		case 0:
			spread, affine, averse = true, false, false
		case 1:
			spread, affine, averse = false, true, false
		case 2:
			spread, affine, averse, seconds = false, false, true, w.chance(60)
		}
	}
	return func() *v1.Pod {
		name := w.name("p")
		p := st.MakePod().Namespace("ns").Name(name).UID(name).SchedulerName(SchedulerName).Priority(priority)
		if !w.social {
			p.Label("pod", name)
		}
		if cpu != "0" {
			p.Req(map[v1.ResourceName]string{v1.ResourceCPU: cpu})
		} else {
			p.Container("image")
		}
		if labelled {
			p.Label("app", app)
		}
		if ssd {
			p.NodeAffinityIn("disk", []string{"ssd"}, st.NodeSelectorTypeMatchExpressions)
		}
		if tolerates {
			p.Tolerations([]v1.Toleration{{Key: "team", Operator: v1.TolerationOpExists}})
		}
		if port {
			p.HostPort(80)
		}
		if spread {
			var taints *v1.NodeInclusionPolicy
			if honor {
				taints = new(v1.NodeInclusionPolicyHonor)
			}
			p.SpreadConstraint(1, key, v1.DoNotSchedule, st.MakeLabelSelector().Label("app", other).Obj(), nil, nil, taints, nil)
		}
		if affine {
			p.PodAffinity(key, st.MakeLabelSelector().Label("app", other).Obj(), st.PodAffinityWithRequiredReq)
		}
		if averse {
			p.PodAntiAffinity(key, st.MakeLabelSelector().Label("app", app).Obj(), st.PodAntiAffinityWithRequiredReq)
			if seconds {
				p.PodAntiAffinity("host", st.MakeLabelSelector().Label("app", other).Obj(), st.PodAntiAffinityWithRequiredReq)
			}
		}
		return p.Obj()
	}
}

// cycle is the scheduling loop for one pod.
func (w *randomWorld) cycle() {
	w.t.Helper()
	pod := w.shapes[w.r.IntN(len(w.shapes))]()
	w.memory.Begin()
	defer w.memory.End()
	w.snapshot()
	refusal, remembered := w.memory.Recall(pod)
	before := w.heard.calls.Load()
	meanwhile := !remembered && w.chance(10)
	if meanwhile {
		w.step()
	}
	host, err := w.look(pod)
	var fit *framework.FitError
	switch {
	case errors.Is(err, scheduler.ErrNoNodesAvailable):
	case err != nil && !errors.As(err, &fit):
		w.t.Fatal(err)
	case remembered && fit == nil:
		for _, h := range w.history[max(0, len(w.history)-12):] {
			w.t.Log(h)
		}
		w.t.Fatalf("refused from memory for %v (%s), but node %s takes %+v", refusal.Diagnosis.UnschedulablePlugins.UnsortedList(), refusal.Error(), host, pod)
	case remembered:
		w.counts["hit"]++
		for plugin := range refusal.Diagnosis.UnschedulablePlugins {
			w.counts["hit on "+plugin]++
		}
	case fit != nil:
		w.memory.Record(pod, fit, w.fw.SnapshotSharedLister().NodeInfos())
		w.counts["refused"]++
		if meanwhile && w.heard.calls.Load() != before {
			w.counts["forgotten meanwhile"]++
		}
	default:
		w.counts["fits"]++
		if w.chance(30) && !meanwhile {
			w.bind(pod, host)
		}
	}
}

// bind assumes the pod and, mostly, binds it.
func (w *randomWorld) bind(pod *v1.Pod, host string) {
	w.t.Helper()
	assumed := pod.DeepCopy()
	assumed.Spec.NodeName = host
	if err := w.sched.Cache.AssumePod(klog.Background(), assumed); err != nil {
		w.t.Fatal(err)
	}
	w.sched.SchedulingQueue.DeleteNominatedPodIfExists(assumed)
	if w.chance(20) {
		// The binding fails (schedule_one.go, handleBindingCycleError).
		if err := w.sched.Cache.ForgetPod(klog.Background(), assumed); err != nil {
			w.t.Fatal(err)
		}
		w.sched.SchedulingQueue.MoveAllToActiveOrBackoffQueue(klog.Background(), framework.EventAssignedPodDelete, assumed, nil, nil)
		return
	}
	w.run(assumed)
}

// failToBind has a nominated pod be assumed, and a Reserve plugin refuse it: no event tells
// of that (schedule_one.go, assumeAndReserve).
func (w *randomWorld) failToBind(pod *v1.Pod) {
	w.t.Helper()
	n, ok := anyOf(w, w.nodes)
	if !ok {
		return
	}
	assumed := pod.DeepCopy()
	assumed.Spec.NodeName = n.Name
	if nominated := w.nodes[pod.Status.NominatedNodeName]; nominated != nil && w.chance(70) {
		assumed.Spec.NodeName = nominated.Name
	}
	if !nodeports.Fits(pod, w.sched.Cache.Dump().Nodes[assumed.Spec.NodeName]) {
		return // never assumed; and forgetting it would free the port that another pod has
	}
	if err := w.sched.Cache.AssumePod(klog.Background(), assumed); err != nil {
		w.t.Fatal(err)
	}
	w.sched.SchedulingQueue.DeleteNominatedPodIfExists(assumed)
	if err := w.sched.Cache.ForgetPod(klog.Background(), assumed); err != nil {
		w.t.Fatal(err)
	}
	pi, err := framework.NewPodInfo(pod)
	if err != nil {
		w.t.Fatal(err)
	}
	w.sched.SchedulingQueue.AddNominatedPod(klog.Background(), pi, clearNomination().NominatingInfo)
}

func (w *randomWorld) run(pod *v1.Pod) {
	w.t.Helper()
	w.addPod(pod)
	w.running[pod.Name] = pod
}
