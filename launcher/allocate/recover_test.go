package allocate

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestInheritedSeats: a claim for pods to come, whose seats an earlier leader gave away
// without writing it down, is neither cancelled nor bought for a second time.
func TestInheritedSeats(t *testing.T) {
	setup := func(t *testing.T) *loop {
		t.Helper()
		claim := claimFor("c1")
		claim.Spec.ExpectedPods = 1
		l := newLoop(t, waiting("a"), claim)
		l.timer = time.NewTimer(time.Hour)
		if err := l.recover(); err != nil {
			t.Fatal(err)
		}
		l.reserve([]*corev1.Pod{waiting("a")})
		l.batchSince, l.lastPod, l.lastOwner = l.batchSince.Add(-time.Minute), l.lastPod.Add(-time.Minute), l.lastOwner.Add(-time.Minute)
		l.schedule()
		if len(l.queue) > 0 || l.planning {
			t.Fatalf("jobs %v: the claim was not waited for", l.queue)
		}
		return l
	}
	t.Run("launched", func(t *testing.T) {
		l := setup(t)
		claim := claimFor("c1")
		claim.Spec.ExpectedPods, claim.Status.InstanceID = 1, "i-1"
		l.observe(event{claim: claim})
		l.schedule()
		if !l.planning || len(l.queue) != 1 || l.queue[0].batch == nil {
			t.Errorf("jobs %v, want a batch that finds the claim's room", l.queue)
		}
	})
	t.Run("not launched in time", func(t *testing.T) {
		l := setup(t)
		l.recoverBy = time.Now()
		l.schedule()
		if !l.planning || len(l.queue) != 2 || l.queue[0].cancel == nil || l.queue[0].cancel.name != "c1" || l.queue[1].batch == nil {
			t.Errorf("jobs %v, want the claim cancelled and the batch planned", l.queue)
		}
	})
}
