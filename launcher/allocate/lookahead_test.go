package allocate

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/market"
)

func replicas(n int32, change ...func(*appsv1.ReplicaSet)) *appsv1.ReplicaSet {
	rs := &appsv1.ReplicaSet{ObjectMeta: objectMeta("rs"), Spec: appsv1.ReplicaSetSpec{Replicas: &n}}
	for _, c := range change {
		c(rs)
	}
	return rs
}

// replica is a pod of replicas, written at a version.
func replica(name, version string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := waiting(name, append(change, ownedBy("ReplicaSet", "rs"))...)
	p.ResourceVersion = version
	return p
}

// TestPodsToCome: how many pods are planned for ahead when pod a, written at version 50,
// is the first of its owner to fit nowhere.
func TestPodsToCome(t *testing.T) {
	failing := func(rs *appsv1.ReplicaSet) {
		rs.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue}}
	}
	set := func(change func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
		s := &appsv1.StatefulSet{ObjectMeta: objectMeta("rs"), Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](9), PodManagementPolicy: appsv1.ParallelPodManagement}}
		change(s)
		return s
	}
	job := func(change func(*batchv1.Job)) *batchv1.Job {
		j := &batchv1.Job{ObjectMeta: objectMeta("rs"), Spec: batchv1.JobSpec{Parallelism: ptr.To[int32](8), Completions: ptr.To[int32](20)}}
		change(j)
		return j
	}
	kind := func(kind string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.OwnerReferences[0].Kind = kind }
	}
	a := func(change ...func(*corev1.Pod)) *corev1.Pod {
		p := replica("a", "50")
		for _, c := range change {
			c(p)
		}
		return p
	}
	leaving := func(p *corev1.Pod) {
		p.DeletionTimestamp, p.Finalizers = &metav1.Time{Time: time.Now()}, []string{"x"}
	}
	done := func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }
	for _, tt := range []struct {
		name    string
		pod     *corev1.Pod
		objects []client.Object
		want    int
	}{
		{"all others", a(), []client.Object{replicas(10), a()}, 9},
		{"it was the last", a(), []client.Object{replicas(1), a()}, 0},
		{"two run already", a(), []client.Object{replicas(10), a(), replica("b", "70", onNode("n")), replica("c", "60", onNode("m"))}, 7},
		{"one was scheduled before, which the cache does not show yet", a(), []client.Object{replicas(10), a(), replica("b", "40")}, 8},
		{"one is there and comes after", a(), []client.Object{replicas(10), a(), replica("b", "60")}, 9},
		{"one is on its way out", a(), []client.Object{replicas(10), a(), replica("b", "40", onNode("n"), leaving)}, 9},
		{"one has failed and is replaced", a(), []client.Object{replicas(10), a(), replica("b", "40", onNode("n"), done)}, 9},
		{"the cache does not show the pod yet", a(), []client.Object{replicas(10)}, 0},
		{"the owner is unknown", a(), []client.Object{a()}, 0},
		{"the owner cannot create its pods", a(), []client.Object{replicas(10, failing), a()}, 0},
		{"a quota may keep them away", a(), []client.Object{replicas(10), a(), &corev1.ResourceQuota{ObjectMeta: objectMeta("q")}}, 0},
		{"a parallel set", a(kind("StatefulSet")), []client.Object{set(func(*appsv1.StatefulSet) {}), a(kind("StatefulSet"))}, 8},
		{"an ordered set", a(kind("StatefulSet")), []client.Object{set(func(s *appsv1.StatefulSet) { s.Spec.PodManagementPolicy = "" }), a(kind("StatefulSet"))}, 0},
		{"a set whose pods claim volumes of their own", a(kind("StatefulSet")), []client.Object{set(func(s *appsv1.StatefulSet) { s.Spec.VolumeClaimTemplates = make([]corev1.PersistentVolumeClaim, 1) }), a(kind("StatefulSet"))}, 0},
		{"a set that is rolled out", a(kind("StatefulSet")), []client.Object{set(func(s *appsv1.StatefulSet) { s.Status.UpdateRevision = "2" }), a(kind("StatefulSet"))}, 0},
		{"a job, as many as it runs at once", a(kind("Job")), []client.Object{job(func(*batchv1.Job) {}), a(kind("Job"))}, 7},
		{"a job that is nearly done", a(kind("Job")), []client.Object{job(func(j *batchv1.Job) { j.Status.Succeeded = 18 }), a(kind("Job"))}, 1},
		{"a job that has failed", a(kind("Job")), []client.Object{job(func(j *batchv1.Job) {
			j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailureTarget}}
		}), a(kind("Job"))}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLoop(t, tt.objects...)
			l.cfg.MaxWaiting = 100
			l.add(tt.pod, time.Now())
			pods, kins := l.lookAhead([]*corev1.Pod{tt.pod})
			if len(pods) != tt.want || len(kins) != tt.want {
				t.Errorf("%d pods to come of %d kins, want %d", len(pods), len(kins), tt.want)
			}
			if got := l.complete(); tt.want > 0 && !got {
				t.Error("the batch waits for pods that are planned for ahead")
			}
		})
	}
}

// TestLookaheadIsBounded: pods to come count among those that may wait.
func TestLookaheadIsBounded(t *testing.T) {
	l := newLoop(t, replicas(1000), replica("a", "50"))
	l.add(replica("a", "50"), time.Now())
	if pods, _ := l.lookAhead([]*corev1.Pod{replica("a", "50")}); len(pods) != l.cfg.MaxWaiting-1 {
		t.Errorf("%d pods to come", len(pods))
	}
}

// ahead is a loop that has planned for pod a and three to come: two claims, c1 with a and
// a seat, c2 with two seats.
func ahead(t *testing.T) *loop {
	t.Helper()
	l := newLoop(t, replicas(4), replica("a", "50"))
	l.cfg.MaxWaiting = 100
	l.reserve([]*corev1.Pod{replica("a", "50")})
	l.plan("test")
	if b := l.queue[0].batch; len(b.pods) != 4 || len(b.toCome) != 3 {
		t.Fatalf("%d pods, %d of them to come", len(b.pods), len(b.toCome))
	}
	l.queue = nil
	k, _ := kinOf(replica("a", "50"))
	c1, c2 := claimFor("c1", "a"), claimFor("c2")
	c1.Spec.ExpectedPods, c2.Spec.ExpectedPods = 1, 2
	l.observe(event{claim: c2}) // an informer may be faster
	l.planned(result{claims: []*v1alpha1.NodeClaim{c1, c2}, seats: []seat{{"c1", k, 1}, {"c2", k, 2}}})
	return l
}

// standing says on which claim each pod is.
func standing(l *loop) map[string]string {
	on := map[string]string{}
	for uid, e := range l.pods {
		on[string(uid)] = fmt.Sprintf("%s %s", e.Phase, e.Claim)
	}
	return on
}

func TestSeatsAreTaken(t *testing.T) {
	l := ahead(t)
	l.reserve([]*corev1.Pod{replica("b", "60"), replica("c", "61"), waiting("x", func(p *corev1.Pod) { p.Spec.SchedulerName = "slipway-scheduler" })})
	want := map[string]string{"a": "planned c1", "b": "planned c1", "c": "planned c2", "x": "waiting "}
	if diff := cmp.Diff(want, standing(l)); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	if len(l.queue) != 1 || l.queue[0].seated.claim != "c1" {
		t.Errorf("jobs %v, want who sits on c1 written, where no seat is left", l.queue)
	}
	// What the claim does not show yet is not forgotten.
	launched := claimFor("c2")
	launched.Spec.ExpectedPods, launched.Status.NodeName, launched.Status.InstanceID = 2, "node-2", "i-2"
	l.observe(event{claim: launched})
	if got := l.pods["c"]; got.Phase != Launched || got.NodeName != "node-2" {
		t.Errorf("pod c is %s on node %q", got.Phase, got.NodeName)
	}
	if b := l.standIns(); len(b["c2"]) != 1 || len(b["c1"]) != 0 {
		t.Errorf("stand-ins: %v", b)
	}
	// The claim fails: all its pods wait again, also the one that is not written on it.
	l.observe(event{claim: launched, gone: true})
	if got := l.pods["c"]; got.Phase != Waiting {
		t.Errorf("pod c is %s", got.Phase)
	}
	if n := l.freeSeats("c2"); n != 0 {
		t.Fatalf("%d seats", n)
	}
	l.reserve([]*corev1.Pod{replica("d", "62")})
	if got := l.pods["d"]; got.Phase != Waiting {
		t.Errorf("pod d is %s on %s, which is gone", got.Phase, got.Claim)
	}
}

// TestPodsComeWhileTheyArePlannedFor: those that come before their seats are known get
// them as soon as they are.
func TestPodsComeWhileTheyArePlannedFor(t *testing.T) {
	l := newLoop(t, replicas(3), replica("a", "50"))
	l.cfg.MaxWaiting = 100
	l.reserve([]*corev1.Pod{replica("a", "50")})
	l.plan("test")
	l.reserve([]*corev1.Pod{replica("b", "51")})
	k, _ := kinOf(replica("a", "50"))
	c := claimFor("c", "a")
	c.Spec.ExpectedPods = 2
	l.planned(result{claims: []*v1alpha1.NodeClaim{c}, seats: []seat{{"c", k, 2}}})
	if diff := cmp.Diff(map[string]string{"a": "planned c", "b": "planned c"}, standing(l)); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	if n := l.freeSeats("c"); n != 1 {
		t.Errorf("%d seats left", n)
	}
}

// TestSeatsThatNobodyTakes are given up: a claim that is for nobody is not launched.
func TestSeatsThatNobodyTakes(t *testing.T) {
	l := ahead(t)
	now := time.Now()
	if next := l.stopExpecting(now); next.Sub(now) > expectFor {
		t.Errorf("next look in %s", next.Sub(now))
	}
	if len(l.queue) != 0 {
		t.Fatalf("jobs: %v", l.queue)
	}
	l.stopExpecting(now.Add(2 * expectFor))
	if len(l.expected) != 0 || len(l.queue) != 1 || l.queue[0].cancel == nil || l.queue[0].cancel.name != "c2" {
		t.Errorf("expected %v, jobs %v; want claim c2 cancelled", l.expected, l.queue)
	}
	l.reserve([]*corev1.Pod{replica("b", "60")})
	if got := l.pods["b"]; got.Phase != Waiting {
		t.Errorf("pod b is %s on %s", got.Phase, got.Claim)
	}
}

// TestBatchWaitsForOwnersThatGrow: a batch is not closed while other owners are about to
// create pods of ours.
func TestBatchWaitsForOwnersThatGrow(t *testing.T) {
	ours := func(name string, scheduler string, has int32) *appsv1.ReplicaSet {
		rs := &appsv1.ReplicaSet{ObjectMeta: objectMeta(name), Spec: appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](3)}}
		rs.Spec.Template.Spec.SchedulerName, rs.Status.Replicas = scheduler, has
		return rs
	}
	for _, tt := range []struct {
		name  string
		other *appsv1.ReplicaSet
		gone  bool
		want  bool
	}{
		{"another is about to create pods", ours("other", "slipway-scheduler", 1), false, false},
		{"it has created them", ours("other", "slipway-scheduler", 3), false, true},
		{"it is gone", ours("other", "slipway-scheduler", 1), true, true},
		{"its pods are not ours", ours("other", "default-scheduler", 1), false, true},
		{"its pods have begun to come", ours("rs", "slipway-scheduler", 1), false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLoop(t, replicas(1), replica("a", "50"))
			l.observe(event{owner: ours(tt.other.Name, "slipway-scheduler", 0)})
			l.observe(event{owner: tt.other, gone: tt.gone})
			now := time.Now()
			l.add(replica("a", "50"), now)
			if closed, _, later := l.closeBatch(now); closed || later.Sub(now) != settle {
				t.Errorf("closed at once, or looked at again after %s", later.Sub(now))
			}
			if closed, why, _ := l.closeBatch(now.Add(settle)); closed != tt.want {
				t.Errorf("closed = %v because %s", closed, why)
			}
		})
	}
}

// TestSeatsCountInTheNextPlan: no sibling is planned for twice.
func TestSeatsCountInTheNextPlan(t *testing.T) {
	l := ahead(t)
	l.reserve([]*corev1.Pod{waiting("x")})
	l.plan("test")
	b := l.queue[0].batch
	if len(b.pods) != 1 || len(b.standIns["c1"]) != 1 || len(b.standIns["c2"]) != 2 {
		t.Errorf("%d pods, stand-ins %d and %d", len(b.pods), len(b.standIns["c1"]), len(b.standIns["c2"]))
	}
	seen := map[types.UID]bool{}
	for _, pods := range b.standIns {
		for _, p := range pods {
			if seen[p.UID] {
				t.Errorf("UID %s twice", p.UID)
			}
			seen[p.UID] = true
		}
	}
}

// TestTakenSeatsAreKept: seats that pods have taken, and that are not written yet, are not
// forgotten when the planner tells of an older version of the claim than an informer.
func TestTakenSeatsAreKept(t *testing.T) {
	l := newLoop(t, replica("s", "50"), waiting("x"))
	l.cfg.MaxWaiting = 100
	k, _ := kinOf(replica("s", "50"))
	claim := launched("a")
	claim.Spec.ExpectedPods = 2
	l.observe(event{claim: claim})
	l.expected[k] = &expectation{sample: replica("s", "50"), seats: map[string]int{}}
	l.openSeats([]seat{{"c", k, 2}}, time.Now())
	l.reserve([]*corev1.Pod{replica("s", "50")}) // takes one
	l.reserve([]*corev1.Pod{waiting("x")})
	l.plan("test")
	written := giving(claim, "6", "x")
	newest := giving(claim, "7", "x")
	l.observe(event{claim: newest})
	l.planned(result{grown: []*v1alpha1.NodeClaim{written}})
	l.observe(event{claim: written}) // an informer that was listed anew may be behind
	if held := l.claims["c"].claim.HeldPods(); len(held) != 3 {
		t.Errorf("it holds %v, want a, s and x", held)
	}
	l.stopExpecting(time.Now().Add(2 * expectFor))
	if n := len(l.queue); l.queue[n-1].seated == nil {
		t.Errorf("jobs %v, want the seat written", l.queue)
	}
	l.observe(event{claim: newest, gone: true})
	if e := l.pods["s"]; e.Phase != Waiting || e.Claim != "" {
		t.Errorf("pod s is %s on %q after its claim ended", e.Phase, e.Claim)
	}
}

// TestPodOfVanishedClaimWaitsAgain: whatever made the loop miss the end of its claim, a pod
// that is handed over again does not wait for it.
func TestPodOfVanishedClaimWaitsAgain(t *testing.T) {
	l := newLoop(t, waiting("a"))
	l.observe(event{claim: launched("a")})
	delete(l.claims, "c")
	l.reserve([]*corev1.Pod{waiting("a")})
	if e := l.pods["a"]; e.Phase != Waiting || e.Claim != "" || l.batchSince.IsZero() {
		t.Errorf("the pod is %s on %q", e.Phase, e.Claim)
	}
}

// TestSeatsCountForOtherSchedulers: what one scheduler's plan gives to pods to come, the next
// one's does not give away.
func TestSeatsCountForOtherSchedulers(t *testing.T) {
	claim := launched("a")
	there, toCome := replica("b", "50"), replica("to-come", "50")
	k, _ := kinOf(there)
	mine := map[string][]*corev1.Pod{"c": {waiting("stand-in")}}
	b := batch{claims: []*v1alpha1.NodeClaim{claim}, toCome: map[types.UID]kin{"to-come": k}, standIns: mine}
	first := &view{Market: &market.Market{}, rooms: map[string]*v1alpha1.NodeClaim{"nodeclaim/c": claim}}
	b.giveSeats(first, []fit.Reused{{Node: "nodeclaim/c", Pods: []*corev1.Pod{there, toCome}}})
	p, _ := newPlanner(t, interceptor.Funcs{})
	second := &view{Market: &market.Market{}, rooms: map[string]*v1alpha1.NodeClaim{}, guessed: map[string]func(string) bool{}}
	if err := p.addNodes(t.Context(), second, b, sets.New[types.UID]()); err != nil {
		t.Fatal(err)
	}
	var on []string
	for _, pod := range second.nodes[0].Pods {
		on = append(on, pod.GetPod().Name)
	}
	if diff := cmp.Diff([]string{"stand-in", "to-come"}, on); diff != "" {
		t.Errorf("pods on the node (-want +got):\n%s", diff)
	}
	if len(mine["c"]) != 1 {
		t.Error("the loop's own stand-ins were changed")
	}
}
