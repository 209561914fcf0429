package plugin

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

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
		n.Labels["slipway.dev/nodepool"] = "p" // keeps everybody off until the node is registered
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
	case n.Labels["slipway.dev/nodepool"] != "" && len(n.OwnerReferences) == 0 && w.chance(70):
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
