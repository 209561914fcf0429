package plugin

import (
	"errors"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// refuse has the scheduler look for a place for the pod, which there is none for, and the
// memory keep that. meanwhile happens before the memory is told.
func (l *lab) refuse(pod *v1.Pod, meanwhile func()) {
	l.t.Helper()
	l.memory.Begin()
	defer l.memory.End()
	l.snapshot()
	host, err := l.look(pod)
	if meanwhile != nil {
		meanwhile()
	}
	var fit *framework.FitError
	if !errors.As(err, &fit) {
		l.t.Fatalf("pod %s: no node should take it, but %q does: %v", pod.Name, host, err)
	}
	l.memory.Record(pod, fit, l.fw.SnapshotSharedLister().NodeInfos())
}

// takes reports whether a node takes the pod.
func (l *lab) takes(pod *v1.Pod) bool {
	l.t.Helper()
	l.snapshot()
	_, err := l.look(pod)
	return err == nil
}

func (l *lab) remembers(pod *v1.Pod) bool {
	_, ok := l.memory.Recall(pod)
	return ok
}

func (l *lab) addNominated(pod *v1.Pod, info *fwk.NominatingInfo) {
	l.t.Helper()
	pi, err := framework.NewPodInfo(pod)
	if err != nil {
		l.t.Fatal(err)
	}
	l.sched.SchedulingQueue.AddNominatedPod(klog.Background(), pi, info)
}

// TestMemoryForgets: changes after which a pod fits that none did take before. Some are
// left out by the hints of the plugins that refused it.
func TestMemoryForgets(t *testing.T) {
	like := func(app string) *metav1.LabelSelector { return st.MakeLabelSelector().Label("app", app).Obj() }
	in := func(n *v1.Node, labels ...string) *v1.Node {
		n.Labels = map[string]string{"host": n.Name}
		for i := 0; i < len(labels); i += 2 {
			n.Labels[labels[i]] = labels[i+1]
		}
		return n
	}
	cordoned := func(n *v1.Node) *v1.Node {
		n.Spec.Unschedulable = true
		return n
	}
	app := func(name, app, node string) *v1.Pod {
		return pod(name, "0").Label("app", app).Node(node).Obj()
	}
	spread := func() *st.PodWrapper {
		return pod("new", "0").Label("app", "a").SpreadConstraint(1, "zone", v1.DoNotSchedule, like("a"), nil, nil, nil, nil)
	}
	nominee := func() *v1.Pod { return pod("nominee", "3").Priority(10).Obj() }
	to := func(node string) *fwk.NominatingInfo {
		return &fwk.NominatingInfo{NominatingMode: fwk.ModeOverride, NominatedNodeName: node}
	}
	holder := func(node string) ledger.Update {
		u := launched("holder", "c-"+node, node)
		u.Pod = podOf(pod("holder", "3").Obj())
		return u
	}
	for _, tc := range []struct {
		name    string
		nodes   []*v1.Node
		pods    []*v1.Pod
		prepare func(l *lab)
		pod     *v1.Pod
		then    func(l *lab)
	}{
		{
			name: "a pod is deleted that one of two anti-affinity terms was about", nodes: []*v1.Node{in(node("n", "4"))},
			pods: []*v1.Pod{app("a", "a", "n")},
			pod:  pod("new", "0").PodAntiAffinity("host", like("a"), st.PodAntiAffinityWithRequiredReq).PodAntiAffinity("host", like("b"), st.PodAntiAffinityWithRequiredReq).Obj(),
			then: func(l *lab) { l.deletePod(app("a", "a", "n")) },
		},
		{
			name: "the last pod is deleted that an affinity was about", nodes: []*v1.Node{cordoned(in(node("n", "4"))), in(node("m", "4"))},
			pods: []*v1.Pod{app("a", "a", "n")},
			pod:  pod("new", "0").Label("app", "a").PodAffinity("host", like("a"), st.PodAffinityWithRequiredReq).Obj(),
			then: func(l *lab) { l.deletePod(app("a", "a", "n")) },
		},
		{
			name: "a node goes with the pods that an anti-affinity was about", nodes: []*v1.Node{cordoned(in(node("n", "4"), "zone", "x")), in(node("m", "4"), "zone", "x")},
			pods: []*v1.Pod{app("a", "a", "n")},
			pod:  pod("new", "0").PodAntiAffinity("zone", like("a"), st.PodAntiAffinityWithRequiredReq).Obj(),
			then: func(l *lab) { l.deleteNode("n") },
		},
		{
			name: "a node with a pod that an anti-affinity was about leaves the zone", nodes: []*v1.Node{cordoned(in(node("n", "4"), "zone", "x")), in(node("m", "4"), "zone", "x")},
			pods: []*v1.Pod{app("a", "a", "n")},
			pod:  pod("new", "0").PodAntiAffinity("zone", like("a"), st.PodAntiAffinityWithRequiredReq).Obj(),
			then: func(l *lab) {
				l.updateNode(cordoned(in(node("n", "4"), "zone", "x")), cordoned(in(node("n", "4"), "zone", "y")))
			},
		},
		{
			name: "a pod is assumed that an affinity is about", nodes: []*v1.Node{in(node("n", "4"))},
			pod: pod("new", "0").PodAffinity("host", like("a"), st.PodAffinityWithRequiredReq).Obj(),
			then: func(l *lab) {
				assumed := app("a", "a", "n")
				if err := l.sched.Cache.AssumePod(klog.Background(), assumed); err != nil {
					l.t.Fatal(err)
				}
				l.sched.SchedulingQueue.DeleteNominatedPodIfExists(assumed)
			},
		},
		{
			name: "a pod begins to end that counted for spread", nodes: []*v1.Node{in(node("n", "4"), "zone", "x"), cordoned(in(node("m", "4"), "zone", "y"))},
			pods: []*v1.Pod{app("a", "a", "n")}, pod: spread().Obj(),
			then: func(l *lab) {
				after := app("a", "a", "n")
				after.DeletionTimestamp = new(metav1.Now())
				l.updatePod(app("a", "a", "n"), after)
			},
		},
		{
			name: "a zone no longer counts for spread by node affinity", nodes: []*v1.Node{in(node("n", "4"), "zone", "x", "disk", "ssd"), cordoned(in(node("m", "4"), "zone", "y", "disk", "ssd"))},
			pods: []*v1.Pod{app("a", "a", "n")}, pod: spread().NodeSelector(map[string]string{"disk": "ssd"}).Obj(),
			then: func(l *lab) {
				l.updateNode(cordoned(in(node("m", "4"), "zone", "y", "disk", "ssd")), cordoned(in(node("m", "4"), "zone", "y")))
			},
		},
		{
			name: "a node goes whose zone counted for spread", nodes: []*v1.Node{in(node("n", "4"), "zone", "x"), cordoned(in(node("m", "4"), "zone", "y"))},
			pods: []*v1.Pod{app("a", "a", "n")}, pod: spread().Obj(),
			then: func(l *lab) { l.deleteNode("m") },
		},
		{
			name: "a pod wants less", nodes: []*v1.Node{in(node("n", "4"))},
			pods: []*v1.Pod{pod("a", "3").Node("n").Obj()}, pod: pod("new", "2").Obj(),
			then: func(l *lab) { l.updatePod(pod("a", "3").Node("n").Obj(), pod("a", "1").Node("n").Obj()) },
		},
		{
			name: "a pod wants less of a node with promised room", nodes: []*v1.Node{in(node("n", "6"))},
			pods:    []*v1.Pod{pod("a", "2").Node("n").Obj()},
			prepare: func(l *lab) { l.plugin.Apply([]ledger.Update{holder("n")}) },
			pod:     pod("new", "2").Obj(),
			then:    func(l *lab) { l.updatePod(pod("a", "2").Node("n").Obj(), pod("a", "1").Node("n").Obj()) },
		},
		{
			name: "a node with promised room grows", nodes: []*v1.Node{in(node("n", "4"))},
			prepare: func(l *lab) { l.plugin.Apply([]ledger.Update{holder("n")}) },
			pod:     pod("new", "2").Obj(),
			then:    func(l *lab) { l.updateNode(in(node("n", "4")), in(node("n", "5"))) },
		},
		{
			name: "promised room moves", nodes: []*v1.Node{in(node("n", "4"))},
			prepare: func(l *lab) { l.plugin.Apply([]ledger.Update{holder("n")}) },
			pod:     pod("new", "2").Obj(),
			then:    func(l *lab) { l.plugin.Apply([]ledger.Update{holder("m")}) },
		},
		{
			name: "promised room is given up", nodes: []*v1.Node{in(node("n", "4"))},
			prepare: func(l *lab) { l.plugin.Apply([]ledger.Update{holder("n")}) },
			pod:     pod("new", "2").Obj(),
			then:    func(l *lab) { l.plugin.act(l.plugin.ledger.Deleted(l.plugin.clock.Now(), "holder")) },
		},
		{
			name: "a nomination ends", nodes: []*v1.Node{in(node("n", "4"))},
			prepare: func(l *lab) { l.addPod(nominee()); l.addNominated(nominee(), to("n")) },
			pod:     pod("new", "2").Obj(),
			then:    func(l *lab) { l.addNominated(nominee(), to("")) },
		},
		{
			name: "a plugin ends a nomination", nodes: []*v1.Node{in(node("n", "4"))},
			prepare: func(l *lab) { l.addPod(nominee()); l.addNominated(nominee(), to("n")) },
			pod:     pod("new", "2").Obj(),
			then:    func(l *lab) { l.plugin.handle.DeleteNominatedPodIfExists(nominee()) },
		},
		{
			name: "a nominated pod is deleted", nodes: []*v1.Node{in(node("n", "4"))},
			prepare: func(l *lab) { l.addPod(nominee()); l.addNominated(nominee(), to("n")) },
			pod:     pod("new", "2").Obj(),
			then:    func(l *lab) { l.deletePod(nominee()) },
		},
		{
			name: "a nominated pod is assumed and forgotten", nodes: []*v1.Node{in(node("n", "4"))},
			prepare: func(l *lab) { l.addPod(nominee()); l.addNominated(nominee(), to("n")) },
			pod:     pod("new", "2").Obj(),
			then: func(l *lab) {
				assumed := nominee()
				assumed.Spec.NodeName = "n"
				if err := l.sched.Cache.AssumePod(klog.Background(), assumed); err != nil {
					l.t.Fatal(err)
				}
				l.sched.SchedulingQueue.DeleteNominatedPodIfExists(assumed)
				if err := l.sched.Cache.ForgetPod(klog.Background(), assumed); err != nil {
					l.t.Fatal(err)
				}
				l.addNominated(nominee(), to(""))
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := func() *lab {
				l := newLab(t)
				for _, n := range tc.nodes {
					l.addNode(n.DeepCopy())
				}
				for _, p := range tc.pods {
					l.addPod(p.DeepCopy())
				}
				if tc.prepare != nil {
					tc.prepare(l)
				}
				return l
			}
			l := start()
			l.refuse(tc.pod, nil)
			if !l.remembers(tc.pod) {
				t.Fatal("not remembered")
			}
			tc.then(l)
			if l.remembers(tc.pod) {
				t.Error("not forgotten")
			}
			if !l.takes(tc.pod) {
				t.Error("no node takes the pod; the case shows nothing")
			}

			// The same while the pod is being looked at.
			l = start()
			l.refuse(tc.pod, func() { tc.then(l) })
			if l.remembers(tc.pod) {
				t.Error("remembered although it happened meanwhile")
			}
		})
	}
}
