package allocate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// The pods of a group get reservations together or not at all:
//
//	gather   they wait until as many as must start together have come
//	disband  where a plan cannot place so many (together.go), all give back what they have
//	breakUp  where a claim ends and leaves too few, so do all whose nodes are not bought yet,
//	         and are planned for again together
//	form     no node is used before so many are ready
//
// What they count is pods that wait here, that have reservations, or that run. Pods that
// fit on nodes that exist never come here: their scheduler places them one by one, unless
// its own gang scheduling is on.

// need is what a plan has to do for a group.
type need struct {
	gang
	// pods of the batch that must get places; 0 where enough have some already.
	pods int
}

// gather picks the waiting pods that may be planned for: all but those of incomplete groups,
// which are told what they wait for.
func (l *loop) gather(now time.Time) (ready []*entry, needs map[string]need) {
	needs = map[string]need{}
	for name, g := range l.groups {
		if len(g.sorted(isWaiting)) == 0 {
			continue
		}
		for _, e := range g.sorted(isParked) { // better together
			if !now.Before(e.notBefore) {
				l.wait(e, now)
			}
		}
		n, missing, err := l.needOf(g)
		switch {
		case err != nil:
			for _, e := range g.sorted(isWaiting) {
				l.refuse(e, err.Error(), now)
			}
		case missing != "":
			for _, e := range g.sorted(isWaiting) {
				l.linger(e, missing)
			}
		default:
			needs[name] = n
		}
	}
	for _, e := range l.waiting() {
		if e.group == nil {
			ready = append(ready, e)
		} else if _, complete := needs[e.group.name]; complete {
			e.lingers = false
			ready = append(ready, e)
		}
	}
	l.batchSince = time.Time{} // parked pods have joined this batch, not the next
	return ready, needs
}

// needOf is what a group needs of the next plan, or whom it waits for.
func (l *loop) needOf(g *group) (n need, missing string, err error) {
	if n.gang, err = l.gang(g); err != nil {
		return need{}, "", err
	}
	schedulers := sets.New[string]()
	waiting := g.sorted(isWaiting)
	for _, e := range waiting {
		schedulers.Insert(e.pod.Spec.SchedulerName)
	}
	if len(schedulers) > 1 {
		return need{}, "", fmt.Errorf("%w: pods of %s are of several schedulers", ErrGroup, g.name)
	}
	n.pods = max(0, n.min-l.elsewhere(g)-len(g.sorted(isReserved)))
	switch lack := n.pods - len(waiting); {
	case lack <= 0:
		return n, "", nil
	case lack <= len(g.sorted(isParked)):
		return n, fmt.Sprintf("waits for other pods of %s, which are tried again later", g.name), nil
	default:
		return n, fmt.Sprintf("waits for %d more pods of %s", lack, g.name), nil
	}
}

// linger leaves a pod out of plans until its group is looked at again.
func (l *loop) linger(e *entry, why string) {
	e.lingers = true
	if e.Reason != why {
		e.Reason = why
		l.tell(e)
	}
}

// regather looks at a group again because one of its pods has got a node elsewhere.
func (l *loop) regather(group string, now time.Time) {
	g := l.groups[group]
	if g == nil {
		return
	}
	for _, e := range g.sorted(func(e *entry) bool { return isWaiting(e) && e.lingers }) {
		l.wait(e, now)
	}
	l.form(g)
}

// forms tells whether so many nodes of a group are ready that its pods may use them.
func (l *loop) forms(g *group) bool {
	asked, err := l.agreed(g)
	if err != nil || asked.min <= 1 {
		return true // nobody says any more that some must start together
	}
	return l.elsewhere(g)+len(g.sorted(l.isReady)) >= asked.min
}

// agreed is what the members of a group ask for, going by one of them: gather sees to it
// that they agree.
func (l *loop) agreed(g *group) (gang, error) {
	for e := range maps.Values(g.members) {
		return l.gangOf(e.pod)
	}
	return gang{}, nil
}

// isReady tells whether the node of a pod is, used or not.
func (l *loop) isReady(e *entry) bool {
	r := l.live(e.Claim)
	return r != nil && meta.IsStatusConditionTrue(r.claim.Status.Conditions, v1alpha1.ConditionInitialized)
}

// form lets the pods of a group use their nodes once enough are ready.
func (l *loop) form(g *group) {
	held := g.sorted(func(e *entry) bool { return e.Held })
	if len(held) == 0 {
		return
	}
	if g.formed = l.forms(g); !g.formed {
		return
	}
	for _, e := range held {
		if r := l.live(e.Claim); r != nil {
			l.follow(e, r.claim)
		}
	}
}

// breakUp gives up the reservations of a group whose nodes are not bought yet, because too
// few are left without those that ended, and plans for it anew.
func (l *loop) breakUp(g *group, why string, patience bool, now time.Time) {
	asked, err := l.agreed(g)
	if err != nil || l.elsewhere(g)+len(g.sorted(isReserved)) >= asked.min {
		return
	}
	reason := fmt.Sprintf("too few nodes are left for %s, which is planned for again", g.name)
	if why != "" {
		reason += ": " + why
	}
	unbought := g.sorted(func(e *entry) bool {
		r := l.live(e.Claim)
		return r != nil && r.claim.Status.InstanceID == ""
	})
	for _, r := range l.giveBack(unbought, reason, func(e *entry) { l.again(e, reason, patience, now) }) {
		l.cancelIfUnneeded(r, reason)
	}
}

// disband gives up all reservations of a group that cannot be completed, and what was
// bought for it and is not in use. Without them it may be in another zone, or within limits,
// that it fits, so it is tried again; with patience, because nodes were bought in vain.
func (l *loop) disband(g *group, r refusal, now time.Time) {
	out := g.sorted(func(e *entry) bool { return isReserved(e) || isWaiting(e) })
	had := slices.ContainsFunc(out, isReserved)
	sendAway := func(e *entry) {
		if had {
			l.refuseFor(e, r.reason, now)
			return
		}
		l.refuse(e, r.reason, now)
		if r.again {
			e.failures++
			e.recheck = now.Add(backoff(e.failures))
		}
	}
	for _, rec := range l.giveBack(out, r.reason, sendAway) {
		if !meta.IsStatusConditionTrue(rec.claim.Status.Conditions, v1alpha1.ConditionRegistered) {
			l.cancel(rec, r.reason)
		}
	}
}

// giveBack takes pods off their claims and returns those; then says where the pods go.
func (l *loop) giveBack(pods []*entry, reason string, then func(*entry)) []*record {
	byClaim := map[string][]types.UID{}
	for _, e := range pods {
		if r := l.live(e.Claim); r != nil {
			l.log.Info("reservation given up", "pod", e.Pod, "nodeclaim", e.Claim, "reason", reason)
			r.release(e.UID)
			byClaim[e.Claim] = append(byClaim[e.Claim], e.UID)
		}
		then(e)
	}
	var claims []*record
	for claim, pods := range byClaim {
		l.submit(job{released: &releasedPods{claim: claim, pods: pods}})
		claims = append(claims, l.claims[claim])
	}
	return claims
}
