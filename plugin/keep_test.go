package plugin

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
)

// TestMemoryKeeps: pods that are alike share a refusal, and what cannot help them leaves
// it alone.
func TestMemoryKeeps(t *testing.T) {
	l := newLab(t)
	l.addNode(node("n", "4"))
	nominee := pod("nominee", "3").Priority(10).Obj()
	l.addPod(nominee)
	l.addNominated(nominee, &fwk.NominatingInfo{NominatingMode: fwk.ModeOverride, NominatedNodeName: "n"})
	l.refuse(pod("new", "2").Obj(), nil)
	like := func() bool {
		return l.remembers(pod("like", "2").Label("statefulset.kubernetes.io/pod-name", "like").PVC("data-like").Obj())
	}
	if !like() {
		t.Fatal("a pod that is alike is not refused from memory")
	}
	for _, other := range []*v1.Pod{
		pod("like", "1").Obj(),
		pod("like", "2").Priority(10).Obj(),
		pod("like", "2").Overhead(v1.ResourceList{v1.ResourceMemory: resource.MustParse("1")}).Obj(),
		pod("like", "2").HostPort(80).Obj(),
		pod("like", "2").Toleration("team").Obj(),
		pod("like", "2").NodeSelector(map[string]string{"disk": "ssd"}).Obj(),
		pod("like", "2").PodAffinityExists("app", "host", st.PodAffinityWithRequiredReq).Obj(),
		pod("like", "2").SpreadConstraint(1, "zone", v1.DoNotSchedule, nil, nil, nil, nil, nil).Obj(),
		pod("like", "2").InitReq(map[v1.ResourceName]string{v1.ResourceCPU: "1"}).Obj(),
		st.MakePod().Namespace("other").Name("like").UID("like").SchedulerName(SchedulerName).Req(map[v1.ResourceName]string{v1.ResourceCPU: "2"}).Obj(),
	} {
		if l.remembers(other) {
			t.Errorf("taken for alike: %+v", other)
		}
	}

	assumed := nominee.DeepCopy()
	assumed.Spec.NodeName = "n"
	if err := l.sched.Cache.AssumePod(klog.Background(), assumed); err != nil {
		t.Fatal(err)
	}
	l.sched.SchedulingQueue.DeleteNominatedPodIfExists(assumed)
	if !like() {
		t.Error("forgotten although the nominated pod takes its room up")
	}
	l.updateNode(node("n", "4"), st.MakeNode().Name("n").Label("a", "b").Capacity(map[v1.ResourceName]string{v1.ResourceCPU: "4", v1.ResourcePods: "10"}).Obj())
	if !like() {
		t.Error("forgotten upon a label that nobody reads")
	}
	l.addNode(node("small", "1"))
	if !like() {
		t.Error("forgotten upon a node that is too small")
	}
}
