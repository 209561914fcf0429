package allocate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// interruptedClaim is the claim "old" of node n.
func interruptedClaim(more ...string) *v1alpha1.NodeClaim {
	c := claimFor("old")
	c.Status.NodeName, c.Status.InstanceID = "n", "i-old"
	for _, kind := range append(more, v1alpha1.ConditionInterrupted) {
		setTrue(c, kind)
	}
	return c
}

func setTrue(c *v1alpha1.NodeClaim, kind string) {
	meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: kind})
}

// look has the loop look at what is due after a while.
func look(l *loop, after time.Duration) {
	for _, s := range l.successions {
		s.notBefore = s.notBefore.Add(-after)
		if !s.toldAt.IsZero() {
			s.toldAt = s.toldAt.Add(-after)
		}
	}
	l.succeed(time.Now())
}

// takeJobs takes the queue of the planner.
func (l *loop) takeJobs() []job {
	jobs := l.queue
	l.queue = nil
	return jobs
}

func newSuccessionLoop(t *testing.T) *loop {
	t.Helper()
	daemon := waiting("daemon", onNode("n"), ownedBy("DaemonSet", "ds"))
	lonely := waiting("lonely", onNode("n"))
	done := waiting("done", onNode("n"), ownedBy("ReplicaSet", "rs"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
	elsewhere := waiting("elsewhere", onNode("m"), ownedBy("ReplicaSet", "rs"))
	l := newLoop(t, replica("a", "10", onNode("n")), replica("b", "11", onNode("n")), daemon, lonely, done, elsewhere)
	l.timer = time.NewTimer(time.Hour)
	return l
}

// TestSuccession: from a notice until the interrupted node may be drained.
func TestSuccession(t *testing.T) {
	l := newSuccessionLoop(t)
	old := interruptedClaim()
	l.observe(event{claim: old})
	if l.live("old") != nil {
		t.Error("the interrupted claim still counts")
	}
	look(l, time.Minute)
	jobs := l.takeJobs()
	if len(jobs) != 1 || jobs[0].batch == nil || !l.planning {
		t.Fatalf("jobs %v, want a batch", jobs)
	}
	b := jobs[0].batch
	want := map[types.UID]string{"a/successor": "old", "b/successor": "old"}
	if diff := cmp.Diff(want, b.succeeds); diff != "" {
		t.Errorf("planned for: %s", diff)
	}
	if len(b.leaving) != 1 || len(b.claims) != 0 {
		t.Errorf("%d claims stay, %d leave", len(b.claims), len(b.leaving))
	}
	for _, pod := range b.pods {
		if pod.Spec.NodeName != "" {
			t.Errorf("%s is on node %s", pod.Name, pod.Spec.NodeName)
		}
	}

	look(l, time.Minute)
	if jobs := l.takeJobs(); len(jobs) != 0 {
		t.Fatalf("jobs %v while the plan is made", jobs)
	}

	k := b.toCome["a/successor"]
	next := claimFor("new")
	next.Spec.Replaces, next.Spec.ExpectedPods = []string{"old"}, 2
	l.planned(result{
		claims: []*v1alpha1.NodeClaim{next}, seats: []seat{{"new", k, 2}},
		succeeded: &succeeded{of: b.succeeds, on: map[types.UID]string{"a/successor": "new", "b/successor": "new"}},
	})
	look(l, time.Minute)
	if jobs := l.takeJobs(); len(jobs) != 0 {
		t.Fatalf("jobs %v before the node is ready", jobs)
	}

	next = next.DeepCopy()
	next.Status.InstanceID, next.Status.NodeName = "i-new", "new-node"
	setTrue(next, v1alpha1.ConditionInitialized)
	l.observe(event{claim: next})
	look(l, 0)
	told := func() {
		t.Helper()
		jobs := l.takeJobs()
		if len(jobs) != 1 || jobs[0].replaced == nil || jobs[0].replaced.name != "old" || jobs[0].replaced.status != metav1.ConditionTrue {
			t.Fatalf("jobs %v, want the claim to be marked as replaced", jobs)
		}
	}
	told()
	look(l, tellAgain) // the write may have failed
	told()

	// The drain takes its time; then a pod comes for its seat.
	l.expected[k].last = time.Now().Add(-time.Minute)
	l.stopExpecting(time.Now())
	old = interruptedClaim(v1alpha1.ConditionReplaced)
	old.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	l.observe(event{claim: old})
	l.reserve([]*corev1.Pod{replica("c", "90")})
	if e := l.pods["c"]; e == nil || e.Claim != "new" || e.Phase != Ready {
		t.Errorf("the successor got %+v, want its seat on the new claim", e)
	}
	l.observe(event{claim: old, gone: true})
	l.expected[k].last = time.Now().Add(-time.Minute)
	l.stopExpecting(time.Now())
	if len(l.expected) != 0 || len(l.successions) != 0 {
		t.Errorf("%d expectations and %d successions are kept", len(l.expected), len(l.successions))
	}
}

// TestSuccessionFails: what has no room, or loses it, is planned for again, and nothing else is.
func TestSuccessionFails(t *testing.T) {
	planned := func(t *testing.T, on map[types.UID]string) *loop {
		t.Helper()
		l := newSuccessionLoop(t)
		l.observe(event{claim: interruptedClaim()})
		look(l, time.Minute)
		b := l.takeJobs()[0].batch
		next := claimFor("new")
		next.Spec.Replaces, next.Spec.ExpectedPods = []string{"old"}, 1
		l.planned(result{
			claims: []*v1alpha1.NodeClaim{next}, seats: []seat{{"new", b.toCome["a/successor"], 1}},
			succeeded: &succeeded{of: b.succeeds, on: on, reasons: []string{"no pool"}},
		})
		return l
	}
	again := func(t *testing.T, l *loop) map[types.UID]string {
		t.Helper()
		l.succeed(time.Now())
		for _, j := range l.takeJobs() {
			if j.batch != nil {
				t.Error("it is planned for again at once")
			}
		}
		look(l, time.Minute)
		jobs := l.takeJobs()
		if len(jobs) != 1 || jobs[0].batch == nil {
			t.Fatalf("jobs %v, want a batch", jobs)
		}
		return jobs[0].batch.succeeds
	}
	t.Run("no room for one", func(t *testing.T) {
		l := planned(t, map[types.UID]string{"a/successor": "new"})
		if r := l.queue[len(l.queue)-1].replaced; r == nil || r.status != metav1.ConditionFalse || r.reason != "NoRoom" {
			t.Errorf("told %+v, want why it is not replaced", r)
		}
		if diff := cmp.Diff(map[types.UID]string{"b/successor": "old"}, again(t, l)); diff != "" {
			t.Errorf("planned for again: %s", diff)
		}
	})
	t.Run("the new claim ends", func(t *testing.T) {
		l := planned(t, map[types.UID]string{"a/successor": "new", "b/successor": ""})
		l.observe(event{claim: claimFor("new"), gone: true})
		if diff := cmp.Diff(map[types.UID]string{"a/successor": "old"}, again(t, l)); diff != "" {
			t.Errorf("planned for again: %s", diff)
		}
	})
	t.Run("the old claim is drained", func(t *testing.T) {
		l := planned(t, map[types.UID]string{})
		l.takeJobs()
		old := interruptedClaim()
		old.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		l.observe(event{claim: old})
		look(l, time.Hour)
		if jobs := l.takeJobs(); len(jobs) != 0 {
			t.Errorf("jobs %v: its pods speak for themselves by now", jobs)
		}
	})
}

// TestSuccessionOfNobody: a node without pods that come again may go at once.
func TestSuccessionOfNobody(t *testing.T) {
	l := newLoop(t, waiting("lonely", onNode("n")))
	l.observe(event{claim: interruptedClaim()})
	look(l, time.Minute)
	look(l, 0)
	if jobs := l.takeJobs(); len(jobs) != 1 || jobs[0].replaced == nil || jobs[0].replaced.status != metav1.ConditionTrue {
		t.Errorf("jobs %v, want the claim to be marked as replaced", jobs)
	}
}

// TestSuccessionOfEarlierLeader: what another leader has bought is waited for, not bought again.
func TestSuccessionOfEarlierLeader(t *testing.T) {
	old, next := interruptedClaim(), claimFor("new")
	next.Spec.Replaces, next.Spec.ExpectedPods = []string{"old"}, 2
	l := newLoop(t, old, next, replica("a", "10", onNode("n")))
	l.timer = time.NewTimer(time.Hour)
	if err := l.recover(); err != nil {
		t.Fatal(err)
	}
	look(l, time.Minute)
	if jobs := l.takeJobs(); len(jobs) != 0 {
		t.Errorf("jobs %v, want none", jobs)
	}
}

// TestReservationsOnInterruptedNode: pods that were to go there are planned for elsewhere.
func TestReservationsOnInterruptedNode(t *testing.T) {
	l := newLoop(t, waiting("a"))
	l.reserve([]*corev1.Pod{waiting("a")})
	claim := claimFor("old", "a")
	l.observe(event{claim: claim})
	claim = claim.DeepCopy()
	setTrue(claim, v1alpha1.ConditionInterrupted)
	l.observe(event{claim: claim})
	if e := l.pods["a"]; e.Phase != Waiting || e.Claim != "" {
		t.Errorf("the pod is %s on %q, want waiting", e.Phase, e.Claim)
	}
}

// TestSuccessionCalledOff: a node that stays after all has its reservations and its room again.
func TestSuccessionCalledOff(t *testing.T) {
	l := newSuccessionLoop(t)
	drifted := func(reason string) *v1alpha1.NodeClaim {
		c := claimFor("old")
		c.Status.NodeName, c.Status.InstanceID = "n", "i-old"
		meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionDrifted, Status: metav1.ConditionTrue, Reason: reason})
		return c
	}
	l.observe(event{claim: drifted("NodePoolChanged")})
	if l.live("old") == nil || len(l.successions) > 0 {
		t.Fatal("a node that merely drifted is replaced")
	}
	l.observe(event{claim: drifted(v1alpha1.ReasonDisrupting)})
	look(l, time.Minute)
	if jobs := l.takeJobs(); len(jobs) != 1 || jobs[0].batch == nil || len(jobs[0].batch.succeeds) != 2 {
		t.Fatalf("jobs %v, want a batch of two successors", jobs)
	}
	l.observe(event{claim: drifted("NotReplaced")})
	if l.live("old") == nil || len(l.successions) > 0 {
		t.Error("a node that stays counts as one that leaves")
	}
}
