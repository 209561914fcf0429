package allocate

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// claimSeen brings the reservations of a claim up to date.
func (l *loop) claimSeen(claim *v1alpha1.NodeClaim) {
	if !claim.DeletionTimestamp.IsZero() || claim.IsBeingReplaced() {
		l.claimGone(claim)
		l.claims[claim.Name] = &record{claim: claim, leaving: true}
		if claim.IsBeingReplaced() {
			l.replacing(claim)
		}
		return
	}
	if known := l.claims[claim.Name]; known != nil && known.leaving { // it stays after all
		delete(l.claims, claim.Name)
		l.forgetSuccession(claim.Name)
	}
	if before := l.claims[claim.Name]; !trueSince(claim, v1alpha1.ConditionInitialized).IsZero() &&
		(before == nil || trueSince(before.claim, v1alpha1.ConditionInitialized).IsZero()) {
		l.boots.learn(claim)
	}
	if before := l.claims[claim.Name]; before != nil && before.claim.Status.InstanceType == "" && claim.Status.InstanceType != "" {
		l.revealed()
	}
	if known := l.live(claim.Name); known != nil && newer(known.seen, claim) {
		claim = known.seen // the informer was faster than the planner, or is behind it
	}
	record, groups := l.record(claim), sets.New[*group]()
	for _, r := range record.claim.HeldPods() {
		if record.released.Has(r.UID) {
			continue
		}
		e := l.pods[r.UID]
		if e == nil {
			if e = l.find(r); e == nil {
				continue
			}
		} else if e.Claim != "" && e.Claim != claim.Name {
			continue // a newer claim holds it
		}
		if !e.registered && meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionRegistered) {
			e.registered = true
			l.metrics.observe(stageRegistered, e.Since)
		}
		l.follow(e, record.claim)
		if e.group != nil {
			groups.Insert(e.group)
		}
	}
	for g := range groups {
		l.form(g)
	}
	if l.freeSeats(claim.Name) == 0 {
		l.writeSeats(record) // again, should it have failed
	}
	l.writeReleases(record)
	l.cancelIfUnneeded(record, "its pods need it no longer")
}

// follow brings a pod's state up to date with its claim, and tells of what that changes.
func (l *loop) follow(e *entry, claim *v1alpha1.NodeClaim) {
	before := e.Reservation
	l.stand(e, claim)
	if e.Reservation == before {
		return
	}
	l.metrics.progress(before.Phase, e)
	if e.Phase == Ready {
		e.failures = 0 // not before: what failed may fail again until then
	}
	l.tell(e)
}

// record takes in a version of a claim.
func (l *loop) record(claim *v1alpha1.NodeClaim) *record {
	r := l.claims[claim.Name]
	if r == nil {
		r = &record{released: sets.New[types.UID](), inherited: !l.recovered}
		l.claims[claim.Name] = r
	}
	r.see(claim)
	return r
}

// find makes the entry of a pod that only its claim tells of; nil when it waits no longer.
func (l *loop) find(r v1alpha1.ReservedPod) *entry {
	pod := &corev1.Pod{}
	err := l.cfg.Client.Get(l.ctx, types.NamespacedName{Namespace: r.Namespace, Name: r.Name}, pod)
	if err != nil && !apierrors.IsNotFound(err) {
		l.log.Error(err, "read reserved pod", "pod", r.Namespace+"/"+r.Name)
	}
	if err != nil || pod.UID != r.UID || !cluster.IsWaiting(pod) {
		return nil
	}
	return l.enter(pod, pod.CreationTimestamp.Time)
}

// claimGone returns the pods of a claim that failed or was deleted to the queue.
func (l *loop) claimGone(claim *v1alpha1.NodeClaim) {
	if l.planning {
		l.ended.Insert(claim.UID)
	}
	if known := l.live(claim.Name); known != nil {
		known.see(claim) // with the pods that are not written on it
		claim = known.claim
	}
	delete(l.claims, claim.Name)
	l.revealed()
	for _, x := range l.expected {
		delete(x.seats, claim.Name)
	}
	now, groups := time.Now(), sets.New[*group]()
	reason, patience := failure(claim)
	for _, r := range claim.HeldPods() {
		e := l.pods[r.UID]
		if e == nil || e.Claim != claim.Name {
			continue
		}
		if e.group != nil {
			groups.Insert(e.group)
		}
		l.again(e, reason, patience, now)
	}
	for g := range groups {
		l.breakUp(g, reason, patience, now)
	}
}

// again lets a pod wait for another plan, with patience where the same would happen.
func (l *loop) again(e *entry, reason string, patience bool, now time.Time) {
	if patience {
		l.refuseFor(e, reason, now)
		return
	}
	if e.group == nil { // a group may have nodes bought in vain each time
		e.failures = 0
	}
	l.wait(e, now)
}

// failure says why a claim ends, and whether to be patient before the next one: capacity
// errors are remembered per offering, so the next plan differs; others would repeat.
func failure(claim *v1alpha1.NodeClaim) (reason string, patience bool) {
	c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionLaunched)
	registered := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionRegistered)
	initialized := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionInitialized)
	switch {
	case c != nil && c.Status == "False" && c.Reason != v1alpha1.ReasonInsufficientCapacity && c.Reason != "":
		return forPeople(c.Message), true
	case registered != nil && registered.Status == "False" && registered.Reason == v1alpha1.ReasonRegistrationTimeout:
		return forPeople(registered.Message), true
	case initialized != nil && initialized.Status == "False" && initialized.Reason == v1alpha1.ReasonInitializationTimeout:
		return forPeople(initialized.Message), true
	}
	if c != nil && c.Status == "False" {
		return forPeople(c.Message), false
	}
	return "", false
}

// limited tells whether a NodePool has limits, so that the end of one node may make room for another.
func (l *loop) limited(pool string) bool {
	np := l.pool(pool)
	return np != nil && len(np.Spec.Limits) > 0
}

// pool returns a NodePool; nil if there is none.
func (l *loop) pool(name string) *v1alpha1.NodePool {
	np := &v1alpha1.NodePool{}
	if l.cfg.Client.Get(l.ctx, types.NamespacedName{Name: name}, np) != nil {
		return nil
	}
	return np
}

// cancelIfUnneeded deletes a claim that was not launched yet and is for no pod any more.
func (l *loop) cancelIfUnneeded(r *record, reason string) {
	if r.claim.Status.InstanceID == "" {
		l.cancel(r, reason)
	}
}

// cancel deletes a claim that is for no pod any more.
func (l *loop) cancel(r *record, reason string) {
	claim := r.claim
	if len(claim.Spec.Pods) == 0 && claim.Spec.ExpectedPods == 0 || r.cancelled || l.inherited(r, time.Now()) {
		return
	}
	needed := slices.ContainsFunc(claim.HeldPods(), func(p v1alpha1.ReservedPod) bool {
		e := l.pods[p.UID]
		return e != nil && e.Claim == claim.Name
	})
	// While a plan is made the claim may be one of its own, whose seats are not known yet.
	if needed || l.freeSeats(claim.Name) > 0 || l.planning && claim.Spec.ExpectedPods > 0 {
		return
	}
	r.cancelled = true
	l.submit(job{cancel: &cancelledClaim{name: claim.Name, reason: reason}})
}
