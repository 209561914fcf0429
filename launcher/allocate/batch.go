package allocate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/cluster"
)

// schedule hands the open batch to the planner when it is time to, and sets the timer
// for the next look.
func (l *loop) schedule() {
	now := time.Now()
	next := l.wakeParked(now)
	if !l.batchSince.IsZero() && !l.planning {
		closed, why, later := l.closeBatch(now)
		if closed {
			l.plan(why)
		} else if next.IsZero() || later.Before(next) {
			next = later
		}
	}
	if next.IsZero() {
		l.timer.Stop()
		return
	}
	l.timer.Reset(max(0, next.Sub(now)))
}

// wakeParked lets pods whose patience has ended wait again, and returns when the next one's ends.
func (l *loop) wakeParked(now time.Time) (next time.Time) {
	for _, e := range l.pods {
		switch {
		case e.Phase != Unlaunchable:
		case !now.Before(e.recheck):
			l.wait(e, now)
		case next.IsZero() || e.recheck.Before(next):
			next = e.recheck
		}
	}
	return next
}

// closeBatch decides whether the open batch is planned now, why, and if not, when to look again.
func (l *loop) closeBatch(now time.Time) (closed bool, why string, later time.Time) {
	idle, longest := l.lastPod.Add(l.cfg.Idle), l.batchSince.Add(l.cfg.Longest)
	switch {
	case l.complete():
		return true, "all replicas of its owners have come", time.Time{}
	case !now.Before(idle):
		return true, fmt.Sprintf("no pod came for %s", l.cfg.Idle), time.Time{}
	case !now.Before(longest):
		return true, fmt.Sprintf("open for %s", l.cfg.Longest), time.Time{}
	case idle.Before(longest):
		return false, "", idle
	default:
		return false, "", longest
	}
}

// complete tells whether no sibling of the waiting pods is still to come.
func (l *loop) complete() bool {
	arrived := map[types.UID]int{}
	owners := map[types.UID]*metav1.OwnerReference{}
	namespaces := map[types.UID]string{}
	for _, e := range l.pods {
		owner := metav1.GetControllerOf(e.pod)
		if owner == nil {
			if e.Phase == Waiting {
				return false
			}
			continue
		}
		arrived[owner.UID]++
		if e.Phase == Waiting {
			owners[owner.UID], namespaces[owner.UID] = owner, e.pod.Namespace
		}
	}
	for uid, owner := range owners {
		wanted, known := l.wanted(namespaces[uid], owner)
		if !known || arrived[uid]+l.bound(uid) < wanted {
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

// wanted is how many pods the owner wants at once, as far as its kind is known.
func (l *loop) wanted(namespace string, owner *metav1.OwnerReference) (n int, known bool) {
	key := types.NamespacedName{Namespace: namespace, Name: owner.Name}
	get := func(o client.Object) bool {
		return l.cfg.Client.Get(l.ctx, key, o) == nil && o.GetUID() == owner.UID
	}
	switch owner.Kind {
	case "ReplicaSet":
		var rs appsv1.ReplicaSet
		if !get(&rs) {
			return 0, false
		}
		return int(ptr.Deref(rs.Spec.Replicas, 1)), true
	case "StatefulSet":
		var sts appsv1.StatefulSet
		if !get(&sts) {
			return 0, false
		}
		if sts.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
			return 1, true // one after the other
		}
		return int(ptr.Deref(sts.Spec.Replicas, 1)), true
	case "Job":
		var job batchv1.Job
		if !get(&job) {
			return 0, false
		}
		n := ptr.Deref(job.Spec.Parallelism, 1)
		if job.Spec.Completions != nil {
			n = min(n, *job.Spec.Completions-job.Status.Succeeded)
		}
		return int(n), true
	}
	return 0, false
}

// plan hands the waiting pods to the planner.
func (l *loop) plan(why string) {
	var pods []*corev1.Pod
	for _, e := range l.pods {
		if e.Phase == Waiting {
			pods = append(pods, e.pod)
		}
	}
	since := l.batchSince
	l.batchSince = time.Time{}
	if len(pods) == 0 {
		return
	}
	sortOldestFirst(pods)
	l.metrics.batch(len(pods), time.Since(since))
	l.log.Info("batch closed", "pods", len(pods), "because", why, "after", time.Since(since).Round(time.Millisecond))
	l.planning, l.ended = true, sets.New[types.UID]()
	l.submit(job{batch: &batch{pods: pods, claims: slices.Collect(maps.Values(l.claims)), leaving: slices.Collect(maps.Values(l.leaving))}})
}
