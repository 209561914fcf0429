package allocate

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// submit queues work for the planner.
func (l *loop) submit(j job) { l.queue = append(l.queue, j) }

// planned takes in what became of a batch.
func (l *loop) planned(r result) {
	now := time.Now()
	for _, claim := range r.claims {
		if l.ended.Has(claim.UID) {
			continue // refused while its siblings were being written
		}
		if l.live(claim.Name) == nil { // an informer may have been faster
			l.claimSeen(claim)
		}
		first := claim.Spec.Cheapest()
		l.log.Info("nodeclaim written", "nodeclaim", claim.Name, "nodepool", claim.Spec.NodePool, "pods", len(claim.Spec.Pods),
			"type", first.InstanceType, "zone", first.Zone, "capacityType", first.CapacityType,
			"price", dollars(first.Price.AsApproximateFloat64()), "offerings", len(claim.Spec.Accepted()))
	}
	for _, claim := range r.grown {
		if l.ended.Has(claim.UID) {
			continue // its pods wait as before
		}
		l.claimSeen(claim)
		l.log.Info("room to spare reserved", "nodeclaim", claim.Name, "pods", len(claim.HeldPods()))
	}
	l.openSeats(r.seats, now)
	l.planning = false
	if r.succeeded != nil {
		l.succeededBy(r.succeeded, now)
	}
	for _, claim := range r.claims {
		if record := l.live(claim.Name); record != nil {
			l.cancelIfUnneeded(record, "its pods went away while it was planned")
		}
	}
	for name, refused := range r.refused {
		l.log.Info("group is unlaunchable", "group", name, "reason", refused.reason)
		if g := l.groups[name]; g != nil {
			l.disband(g, refused, now)
		}
	}
	for _, u := range r.unplaced {
		if e := l.pods[u.Pod.UID]; e != nil && e.Phase == Waiting {
			reason := strings.Join(u.Reasons, "; ")
			if l.refuse(e, reason, now); u.Awaits {
				l.awaiting.Insert(e.UID)
			}
			l.log.Info("pod is unlaunchable", "pod", e.Pod, "reason", reason)
		}
	}
	for uid, reason := range r.failed {
		if e := l.pods[uid]; e != nil && e.Phase == Waiting {
			l.refuseFor(e, reason, now)
			if e.group != nil {
				l.breakUp(e.group, reason, true, now)
			}
		}
	}
	for _, uid := range r.gone {
		if e := l.pods[uid]; e != nil {
			l.end(e, "the pod is gone")
		}
	}
	if l.launched {
		l.launched = false
		l.revealed()
	}
	if why := l.stale; why != "" {
		l.stale = ""
		l.reconsider(why)
	}
	l.reopen(now)
}

// newer tells whether version a of a claim is known to be newer than b.
func newer(a, b *v1alpha1.NodeClaim) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order > 0
}

// reopen opens the next batch for pods that came while the planner was at work.
func (l *loop) reopen(now time.Time) {
	if !l.batchSince.IsZero() {
		return
	}
	for _, e := range l.pods {
		if e.Phase == Waiting && !e.lingers {
			l.batchSince, l.lastPod, l.lastOwner = now, now, now
			return
		}
	}
}
