package allocate

import (
	"fmt"
	"maps"
	"slices"
	"time"

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
		if owner == nil || cluster.GroupOf(pod) != "" { // a group is planned for when enough have come
			continue
		}
		if f := first[owner.UID]; f == nil || older(pod, f) {
			first[owner.UID] = pod
		}
	}
	kins = map[types.UID]kin{}
	for _, uid := range slices.Sorted(maps.Keys(first)) {
		sample := first[uid]
		n := min(l.toCome(sample), l.cfg.MaxWaiting-len(l.pods)-len(pods))
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

// toCome is how many of a pod's siblings are certain to come and will not fit either: all
// that its owner wants but those that have come, that have seats, that run, or that the
// scheduler saw before it. The cache may show the last as waiting although they are bound.
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
	n := want.pods - l.ofOwner[owner.UID]
	for k, x := range l.expected {
		if k.owner == owner.UID {
			n -= sum(x.seats)
		}
	}
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

func sum(seats map[string]int) (n int) {
	for _, free := range seats {
		n += free
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

// takeSeat finds a seat for a pod and takes it: of several claims the one that most pods
// are on already, so that those that turn out not to be needed are left to nobody.
func (l *loop) takeSeat(pod *corev1.Pod, now time.Time) *record {
	if len(l.expected) == 0 || cluster.GroupOf(pod) != "" {
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
		if r := l.claims[claim]; !r.released.Has(pod.UID) && (best == "" || l.fuller(claim, best)) {
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
	e.batch = "planned ahead with its siblings"
	l.stand(e, r.claim)
	l.metrics.progress(before, e)
	l.tell(e)
	if l.freeSeats(r.claim.Name) == 0 {
		l.writeSeats(r)
	}
}

// writeSeats has the planner record on a claim who has its seats, once all are taken or
// given up: until then the loop knows, and after a crash the pods come anew.
func (l *loop) writeSeats(r *record) {
	waits := slices.ContainsFunc(l.queue, func(j job) bool { return j.seated != nil && j.seated.claim == r.claim.Name })
	if len(r.seated) > 0 && !waits {
		l.submit(job{seated: &seatedPods{claim: r.claim.Name, pods: slices.Clone(r.seated)}})
	}
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
		if l.awaited(k) {
			continue
		}
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
				l.writeSeats(r)
				l.cancelIfUnneeded(r, "the pods it was for did not come")
			}
		}
	}
	return next
}
