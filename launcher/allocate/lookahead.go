package allocate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// Lookahead: where one pod of an owner fits nowhere, its like that are still to be created
// will not either, and they are certain to come. So they are planned for with the first, as
// expected pods, and what is bought for them has seats, which the pods take as they come,
// without a plan of their own. Seats that nobody took within expectFor of the last arrival
// are room to spare like any other.
const expectFor = 5 * time.Second

// kin are pods of one owner that are alike.
type kin struct {
	owner types.UID
	like  string // fit.Likeness
}

// expectation is what is held ready for pods to come.
type expectation struct {
	sample *corev1.Pod
	// last is when the latest of them came.
	last time.Time
	// seats that are free, by claim.
	seats map[string]int
}

// expected makes n pods like the sample; what tells them from others made of it.
func expected(sample *corev1.Pod, n int, what string) []*corev1.Pod {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		p := *sample
		p.UID = types.UID(fmt.Sprintf("%s/%s/%d", sample.UID, what, i))
		p.Name = fmt.Sprintf("%s-%s-%d", sample.Name, what, i)
		pods[i] = &p
	}
	return pods
}

// kinOf returns a pod's kin; ok is false for one that has none.
func kinOf(pod *corev1.Pod) (k kin, ok bool) {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return kin{}, false
	}
	like, err := fit.Likeness(pod)
	return kin{owner.UID, like}, err == nil && like != ""
}

// lookAhead makes the pods that are certain to follow the waiting ones.
func (l *loop) lookAhead(waiting []*corev1.Pod) (pods []*corev1.Pod, kins map[types.UID]kin) {
	first := map[types.UID]*corev1.Pod{} // of an owner's pods, the one that was seen first
	for _, pod := range waiting {
		owner := metav1.GetControllerOfNoCopy(pod)
		if owner == nil {
			continue
		}
		if f := first[owner.UID]; f == nil || older(pod, f) {
			first[owner.UID] = pod
		}
	}
	counted := l.counted()
	kins = map[types.UID]kin{}
	for _, uid := range slices.Sorted(maps.Keys(first)) {
		sample := first[uid]
		n := min(l.toCome(sample)-counted[uid], l.cfg.MaxWaiting-len(l.pods)-len(pods))
		k, ok := kinOf(sample)
		if !ok || n <= 0 {
			continue
		}
		if l.expected[k] == nil {
			l.expected[k] = &expectation{sample: sample, seats: map[string]int{}}
		}
		l.expected[k].last = time.Now()
		for _, pod := range expected(sample, n, "to-come") {
			pods = append(pods, pod)
			kins[pod.UID] = k
		}
	}
	return pods, kins
}

// counted are the pods of each owner that have come, and the seats that wait for more.
func (l *loop) counted() map[types.UID]int {
	n := map[types.UID]int{}
	for _, e := range l.pods {
		if owner := metav1.GetControllerOfNoCopy(e.pod); owner != nil {
			n[owner.UID]++
		}
	}
	for k, x := range l.expected {
		for _, free := range x.seats {
			n[k.owner] += free
		}
	}
	return n
}

// toCome is how many pods its owner wants, if they are certain to come, but those that run
// or that the scheduler saw before this one: it fits nowhere, so that none after it does. The
// cache may show those before it as waiting although they are bound.
func (l *loop) toCome(pod *corev1.Pod) int {
	owner := metav1.GetControllerOfNoCopy(pod)
	want := l.wanted(pod.Namespace, owner)
	if !want.certain || want.pods <= 1 || !l.shown(pod) {
		return 0
	}
	siblings, err := cluster.PodsOf(l.ctx, l.cfg.Client, owner.UID)
	if err != nil {
		return 0
	}
	n := want.pods
	for i := range siblings {
		s := &siblings[i]
		if l.pods[s.UID] != nil || s.DeletionTimestamp != nil || cluster.IsFinished(s) {
			continue
		}
		if s.Spec.NodeName != "" || older(s, pod) {
			n--
		}
	}
	return n
}

// shown tells whether the cache shows a pod, and so all that was written before it.
func (l *loop) shown(pod *corev1.Pod) bool {
	var seen corev1.Pod
	return l.cfg.Client.Get(l.ctx, client.ObjectKeyFromObject(pod), &seen, client.UnsafeDisableDeepCopy) == nil && seen.UID == pod.UID
}

// older tells whether pod a was written before b.
func older(a, b *corev1.Pod) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order < 0
}

// want is how many pods an owner wants to have at once.
type want struct {
	pods int
	// known is whether pods is; certain is whether all of them will come, each like the others.
	known, certain bool
}

// wanted asks the owner of some pods.
func (l *loop) wanted(namespace string, owner *metav1.OwnerReference) want {
	key := types.NamespacedName{Namespace: namespace, Name: owner.Name}
	get := func(o client.Object) bool {
		return l.cfg.Client.Get(l.ctx, key, o, client.UnsafeDisableDeepCopy) == nil && o.GetUID() == owner.UID
	}
	switch owner.Kind {
	case "ReplicaSet":
		if rs := (&appsv1.ReplicaSet{}); get(rs) {
			failing := slices.ContainsFunc(rs.Status.Conditions, func(c appsv1.ReplicaSetCondition) bool {
				return c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue
			})
			return want{int(orOne(rs.Spec.Replicas)), true, !failing && !l.quota(namespace)}
		}
	case "StatefulSet":
		if sts := (&appsv1.StatefulSet{}); get(sts) {
			if sts.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
				return want{1, true, true} // one after the other
			}
			// While a revision is rolled out its pods are not all alike.
			same := sts.Status.CurrentRevision == sts.Status.UpdateRevision
			return want{int(orOne(sts.Spec.Replicas)), true, same && len(sts.Spec.VolumeClaimTemplates) == 0 && !l.quota(namespace)}
		}
	case "Job":
		if job := (&batchv1.Job{}); get(job) {
			n := orOne(job.Spec.Parallelism)
			if job.Spec.Completions != nil {
				n = min(n, *job.Spec.Completions-job.Status.Succeeded)
			}
			suspended := job.Spec.Suspend != nil && *job.Spec.Suspend
			return want{int(n), true, !suspended && len(job.Status.Conditions) == 0 && !l.quota(namespace)}
		}
	}
	return want{}
}

func orOne(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// quota tells whether something may keep a namespace's pods from being created.
func (l *loop) quota(namespace string) bool {
	var quotas corev1.ResourceQuotaList
	err := l.cfg.Client.List(l.ctx, &quotas, client.InNamespace(namespace), client.UnsafeDisableDeepCopy)
	return err != nil || len(quotas.Items) > 0
}

// takeSeat finds a seat for a pod and takes it: of several claims the one that most pods
// are on already, so that those that turn out not to be needed are left to nobody.
func (l *loop) takeSeat(pod *corev1.Pod, now time.Time) *record {
	if len(l.expected) == 0 {
		return nil
	}
	k, ok := kinOf(pod)
	if !ok {
		return nil
	}
	x := l.expected[k]
	if x == nil {
		return nil
	}
	x.last = now
	var best string
	for claim := range x.seats {
		if best == "" || l.fuller(claim, best) {
			best = claim
		}
	}
	if best == "" {
		return nil
	}
	if x.seats[best]--; x.seats[best] == 0 {
		delete(x.seats, best)
	}
	return l.claims[best]
}

func (l *loop) fuller(a, b string) bool {
	n, m := len(l.claims[a].claim.HeldPods()), len(l.claims[b].claim.HeldPods())
	return n > m || n == m && a < b
}

// sit gives a pod a seat on a claim.
func (l *loop) sit(e *entry, r *record) {
	r.seat(e.pod)
	before := e.Phase
	stand(&e.Reservation, r.claim)
	l.metrics.progress(before, e)
	l.tell(e)
	l.write(r.claim.Name, e.pod)
}

// write has the planner add a pod to a claim, with others that wait for the same.
func (l *loop) write(claim string, pod *corev1.Pod) {
	for i := range l.queue {
		if s := l.queue[i].seated; s != nil && s.claim == claim {
			s.pods = append(s.pods, pod)
			return
		}
	}
	l.submit(job{seated: &seatedPods{claim: claim, pods: []*corev1.Pod{pod}}})
}

// openSeats notes the seats of claims that were written, and gives them to pods that came
// in the meantime.
func (l *loop) openSeats(seats []seat, now time.Time) {
	for _, s := range seats {
		if x := l.expected[s.kin]; x != nil && l.live(s.claim) != nil {
			x.seats[s.claim] += s.pods
			x.last = now
		}
	}
	if len(l.expected) == 0 {
		return
	}
	for _, e := range l.waiting() {
		if r := l.takeSeat(e.pod, now); r != nil {
			l.sit(e, r)
		}
	}
}

// freeSeats counts the free seats of a claim.
func (l *loop) freeSeats(claim string) (n int) {
	for _, x := range l.expected {
		n += x.seats[claim]
	}
	return n
}

// standIns are expected pods for the free seats, by claim: whoever plans must not give them away.
func (l *loop) standIns() map[string][]*corev1.Pod {
	pods := map[string][]*corev1.Pod{}
	for _, x := range l.expected {
		for claim, n := range x.seats {
			pods[claim] = append(pods[claim], expected(x.sample, n, claim)...)
		}
	}
	return pods
}

// stopExpecting gives up the seats that nobody takes, and returns when the next are due.
// While a plan is made its seats are yet to come.
func (l *loop) stopExpecting(now time.Time) (next time.Time) {
	if l.planning {
		return time.Time{}
	}
	for k, x := range l.expected {
		due := x.last.Add(expectFor)
		if now.Before(due) && len(x.seats) > 0 {
			if next.IsZero() || due.Before(next) {
				next = due
			}
			continue
		}
		delete(l.expected, k)
		for claim, n := range x.seats {
			l.log.Info("seats were not taken", "nodeclaim", claim, "seats", n, "owner", k.owner)
			if r := l.live(claim); r != nil {
				l.cancelIfUnneeded(r, "the pods it was for did not come")
			}
		}
	}
	return next
}

// seat is room that was bought for pods to come.
type seat struct {
	claim string
	kin   kin
	pods  int
}

// seatsOn separates the pods that are there from those that are to come, who get seats.
func seatsOn(claim string, pods []*corev1.Pod, toCome map[types.UID]kin) (there []*corev1.Pod, seats []seat) {
	n := map[kin]int{}
	for _, pod := range pods {
		if k, ok := toCome[pod.UID]; ok {
			n[k]++
		} else {
			there = append(there, pod)
		}
	}
	for k := range n {
		seats = append(seats, seat{claim, k, n[k]})
	}
	return there, seats
}

// seatedPods took seats on a claim.
type seatedPods struct {
	claim string
	pods  []*corev1.Pod
}

// markSeated records on a claim that pods have taken its seats. Should that fail, the
// loop still knows; a new leader hears of the pods from their scheduler.
func (p *planner) markSeated(ctx context.Context, s seatedPods) {
	if _, err := p.add(ctx, s.claim, s.pods); client.IgnoreNotFound(err) != nil {
		p.log.Error(err, "mark pods as reserved", "nodeclaim", s.claim, "pods", len(s.pods))
	}
}
