package allocate

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/cluster"
)

// schedule hands the open batch to the planner when it is time to, and sets the timer
// for the next look.
func (l *loop) schedule() {
	now := time.Now()
	recovering := l.recovering(now)
	next := earlier(recovering, earlier(l.wakeParked(now), l.stopExpecting(now)))
	if recovering.IsZero() {
		next = earlier(next, l.succeed(now))
	}
	if !l.batchSince.IsZero() && !l.planning && recovering.IsZero() {
		closed, why, later := l.closeBatch(now)
		if closed {
			l.plan(why)
		} else {
			next = earlier(next, later)
		}
	}
	if next.IsZero() {
		l.timer.Stop()
		return
	}
	l.timer.Reset(max(0, next.Sub(now)))
}

// earlier returns the earlier of two times; the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// wakeParked lets pods whose patience has ended wait again, and returns when the next one's ends.
func (l *loop) wakeParked(now time.Time) (next time.Time) {
	for _, e := range l.pods {
		switch {
		case e.Phase != Unlaunchable:
		case !now.Before(e.recheck):
			l.wait(e, now)
		default:
			next = earlier(next, e.recheck)
		}
	}
	return next
}

// settle is how long a batch stays open, once its pods' siblings are known, for pods of
// other owners: who creates one often creates several.
const settle = 20 * time.Millisecond

// closeBatch decides whether the open batch is planned now, why, and if not, when to look again.
func (l *loop) closeBatch(now time.Time) (closed bool, why string, later time.Time) {
	settled, idle, longest := l.lastOwner.Add(settle), l.lastPod.Add(l.cfg.Idle), l.batchSince.Add(l.cfg.Longest)
	switch {
	case !now.Before(idle):
		return true, fmt.Sprintf("no pod came for %s", l.cfg.Idle), time.Time{}
	case !now.Before(longest):
		return true, fmt.Sprintf("open for %s", l.cfg.Longest), time.Time{}
	case now.Before(settled):
		return false, "", earlier(settled, earlier(idle, longest))
	case l.complete():
		return true, "all pods of its owners are known", time.Time{}
	default:
		return false, "", earlier(idle, longest)
	}
}

// complete tells whether nothing more is to be known of the siblings of the waiting pods,
// that have come or are certain to, and no other owner is about to create pods.
func (l *loop) complete() bool {
	for owner := range l.growing {
		if l.ofOwner[owner] == 0 {
			return false
		}
	}
	open := map[types.UID]*corev1.Pod{} // one of each owner's waiting pods
	for _, e := range l.pods {
		if e.Phase != Waiting || e.lingers {
			continue
		}
		if e.owner == "" {
			return false
		}
		open[e.owner] = e.pod
	}
	for owner, pod := range open {
		switch want := l.wanted(pod.Namespace, metav1.GetControllerOfNoCopy(pod)); {
		case !want.known:
			return false
		case l.ofOwner[owner] >= want.pods:
		case want.certain && l.shown(pod) && cluster.GroupOf(pod) == "":
		case l.ofOwner[owner]+l.bound(owner) < want.pods:
			return false
		}
	}
	return true
}

// bound counts the pods of an owner that have a node already.
func (l *loop) bound(owner types.UID) int {
	pods, err := cluster.PodsOf(l.ctx, l.cfg.Client, owner)
	if err != nil {
		return 0
	}
	n := 0
	for i := range pods {
		if !cluster.IsWaiting(&pods[i]) && !cluster.IsFinished(&pods[i]) && pods[i].DeletionTimestamp == nil {
			n++
		}
	}
	return n
}

// waiting are the pods that wait for a plan, oldest first.
func (l *loop) waiting() []*entry {
	var waiting []*entry
	for _, e := range l.pods {
		if e.Phase == Waiting {
			waiting = append(waiting, e)
		}
	}
	slices.SortFunc(waiting, func(a, b *entry) int { return oldestFirst(a.pod, b.pod) })
	return waiting
}

// plan hands the waiting pods to the planner.
func (l *loop) plan(why string) {
	since := l.batchSince
	waiting, needs := l.gather(time.Now())
	pods := make([]*corev1.Pod, len(waiting))
	for i, e := range waiting {
		pods[i] = e.pod
		e.batch = fmt.Sprintf("planned with %d other pods after %s: %s", len(waiting)-1, time.Since(since).Round(time.Millisecond), why)
	}
	if len(pods) == 0 {
		return
	}
	standIns := l.standIns()
	toCome, kins := l.lookAhead(pods)
	l.metrics.batch(len(pods), time.Since(since))
	l.log.Info("batch closed", "pods", len(pods), "toCome", len(toCome), "because", why, "after", time.Since(since).Round(time.Millisecond))
	l.planning, l.ended = true, sets.New[types.UID]()
	claims, leaving := l.held()
	l.submit(job{batch: &batch{pods: slices.Concat(pods, toCome), toCome: kins, needs: needs, claims: claims, leaving: leaving, standIns: standIns, late: l.late(claims)}})
}
