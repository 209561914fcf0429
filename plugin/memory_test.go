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
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/slipway-dev/slipway/plugin/ledger"
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

// step has something happen.
func (w *randomWorld) step() {
	w.t.Helper()
	steps := []struct {
		name string
		do   func() bool
	}{
		{"node added", w.newNode}, {"node changed", w.changeNode}, {"node changed", w.changeNode}, {"node deleted", w.dropNode},
		{"pod placed", w.placePod}, {"pod deleted", w.endPod}, {"pod deleted", w.endPod}, {"pod changed", w.changePod},
		{"reservation made", w.reserve}, {"reservation ended", w.unreserve}, {"nomination made", w.nominate}, {"nomination ended", w.unnominate},
	}
	s := steps[w.r.IntN(len(steps))]
	w.history = append(w.history, s.name)
	if s.do() {
		w.counts[s.name]++
	}
}

func (w *randomWorld) note(format string, args ...any) {
	w.history = append(w.history, "  "+fmt.Sprintf(format, args...))
}

func (w *randomWorld) newNode() bool {
	if len(w.nodes) >= 6 {
		return false
	}
	name := w.name("n")
	n := st.MakeNode().Name(name).Label("host", name).Capacity(map[v1.ResourceName]string{
		v1.ResourceCPU: pick(w.r, "2", "4"), v1.ResourcePods: pick(w.r, "2", "4", "8"),
	}).Obj()
	if w.social {
		n.Status.Allocatable[v1.ResourcePods] = resource.MustParse("99")
	}
	if w.chance(20) {
		n.Labels[labelNodePool] = "p" // keeps everybody off until the node is registered
	}
	w.relabel(n)
	w.retaint(n)
	w.addNode(n)
	w.nodes[name] = n
	w.note("%s %v %v", name, n.Labels, n.Spec.Taints)
	return true
}

func (w *randomWorld) relabel(n *v1.Node) {
	delete(n.Labels, "zone")
	delete(n.Labels, "disk")
	if w.chance(85) {
		n.Labels["zone"] = pick(w.r, "x", "y")
	}
	if w.chance(60) {
		n.Labels["disk"] = pick(w.r, "ssd", "hdd")
	}
}

func (w *randomWorld) retaint(n *v1.Node) {
	n.Spec.Taints = nil
	if w.chance(30) {
		n.Spec.Taints = []v1.Taint{{Key: "team", Effect: v1.TaintEffectNoSchedule}}
	}
	n.Spec.Unschedulable = w.chance(10)
}

func (w *randomWorld) changeNode() bool {
	before, ok := anyOf(w, w.nodes)
	if !ok {
		return false
	}
	n := before.DeepCopy()
	switch what := w.r.IntN(3); {
	case unregistered(n) && w.chance(70):
		n.Labels["slipway.dev/registered"] = "true"
		n.OwnerReferences = []metav1.OwnerReference{{APIVersion: "slipway.dev/v1alpha1", Kind: "NodeClaim", Name: "c", UID: "c"}}
	case what == 0 || w.social && what == 2:
		w.relabel(n)
	case what == 1:
		w.retaint(n)
	default:
		n.Status.Allocatable[pick(w.r, v1.ResourceCPU, v1.ResourcePods)] = resource.MustParse(pick(w.r, "1", "2", "4", "6"))
	}
	w.updateNode(before, n)
	w.nodes[n.Name] = n
	w.note("%s %v %v %v", n.Name, n.Labels, n.Spec.Taints, n.Status.Allocatable)
	return true
}

// dropNode deletes a node; its pods are left, as they are by the API server.
func (w *randomWorld) dropNode() bool {
	n, ok := anyOf(w, w.nodes)
	if !ok || len(w.nodes) < 3 {
		return false
	}
	w.deleteNode(n.Name)
	delete(w.nodes, n.Name)
	w.note("%s", n.Name)
	return true
}

func (w *randomWorld) placePod() bool {
	n, ok := anyOf(w, w.nodes)
	if !ok || len(w.running) > 20 {
		return false
	}
	p := w.shapes[w.r.IntN(len(w.shapes))]()
	p.Spec.NodeName = n.Name
	w.run(p)
	w.note("%s on %s %v", p.Name, n.Name, p.Labels)
	return true
}

func (w *randomWorld) endPod() bool {
	p, ok := anyOf(w, w.running)
	if !ok {
		return false
	}
	w.deletePod(p)
	delete(w.running, p.Name)
	w.note("%s on %s %v", p.Name, p.Spec.NodeName, p.Labels)
	return true
}

func (w *randomWorld) changePod() bool {
	before, ok := anyOf(w, w.running)
	if !ok {
		return false
	}
	p := before.DeepCopy()
	switch w.r.IntN(3) {
	case 0:
		p.Labels["app"] = pick(w.r, "a", "b", "c")
	case 1:
		p.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceCPU: resource.MustParse(pick(w.r, "1", "2", "3"))}
	case 2:
		p.DeletionTimestamp = new(metav1.Now())
	}
	w.updatePod(before, p)
	w.running[p.Name] = p
	w.note("%s on %s %v %v", p.Name, p.Spec.NodeName, p.Labels, p.DeletionTimestamp)
	return true
}

// reserve promises room on a node, or moves the promise to another.
func (w *randomWorld) reserve() bool {
	n, ok := anyOf(w, w.nodes)
	if !ok {
		return false
	}
	name, known := anyOf(w, w.holders)
	if !known || w.chance(70) {
		name = w.name("h")
	}
	holder := pod(name, pick(w.r, "1", "2", "3")).Priority(int32(w.r.IntN(2) * 10)).Obj()
	u := launched(name, w.name("c"), n.Name)
	u.Pod = podOf(holder)
	w.plugin.Apply([]ledger.Update{u})
	w.holders[name] = name
	w.note("%s on %s", name, n.Name)
	return true
}

func (w *randomWorld) unreserve() bool {
	name, ok := anyOf(w, w.holders)
	if !ok {
		return false
	}
	w.plugin.Apply([]ledger.Update{update(name, ledger.PhaseEnded, "")})
	delete(w.holders, name)
	return true
}

// nominate has a pending pod count on a node.
func (w *randomWorld) nominate() bool {
	n, ok := anyOf(w, w.nodes)
	if !ok || len(w.nominated) > 3 {
		return false
	}
	p := w.shapes[w.r.IntN(len(w.shapes))]()
	byStatus := w.chance(50)
	if byStatus {
		p.Status.NominatedNodeName = n.Name
	}
	w.addPod(p)
	if !byStatus {
		pi, err := framework.NewPodInfo(p)
		if err != nil {
			w.t.Fatal(err)
		}
		w.sched.SchedulingQueue.AddNominatedPod(klog.Background(), pi, &fwk.NominatingInfo{NominatingMode: fwk.ModeOverride, NominatedNodeName: n.Name})
	}
	w.nominated[p.Name] = p
	w.note("%s to %s", p.Name, n.Name)
	return true
}

func (w *randomWorld) unnominate() bool {
	p, ok := anyOf(w, w.nominated)
	if !ok {
		return false
	}
	pi, err := framework.NewPodInfo(p)
	if err != nil {
		w.t.Fatal(err)
	}
	switch how := w.r.IntN(5); {
	case how == 0:
		w.fw.DeleteNominatedPodIfExists(p)
	case how == 1:
		w.sched.SchedulingQueue.AddNominatedPod(klog.Background(), pi, clearNomination().NominatingInfo)
	case how == 2 && p.Status.NominatedNodeName != "":
		after := p.DeepCopy()
		after.Status.NominatedNodeName = ""
		w.updatePod(p, after)
		w.nominated[p.Name] = after
	case how == 3:
		w.failToBind(p)
	}
	w.note("%s", p.Name)
	if w.chance(30) {
		// What is in memory and what is in the status differ by now; gone is gone.
		return true
	}
	current, err := w.client.CoreV1().Pods(p.Namespace).Get(w.ctx, p.Name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.deletePod(current)
	delete(w.nominated, p.Name)
	return true
}
