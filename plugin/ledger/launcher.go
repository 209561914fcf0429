package ledger

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// The transitions in this file come from the launcher.

// Apply takes in what the launcher says. Pods that it did not know are new reservations.
func (l *Ledger) Apply(now time.Time, updates []Update) Effects {
	return l.transact(now, func(t *transaction) {
		for _, u := range updates {
			t.apply(u)
		}
	})
}

// Resync takes in everything the launcher knows. Reservations that it does not know are
// over; pods that wait and that it does not know must be sent again, and so must what was
// given back to a launcher that did not live to write it down.
func (l *Ledger) Resync(now time.Time, all []Update) Effects {
	return l.transact(now, func(t *transaction) {
		known := make(map[types.UID]struct{}, len(all))
		for _, u := range all {
			known[u.Ref.UID] = struct{}{}
			if e, ok := t.pods[u.Ref.UID]; ok && e.wasReturned(u.Claim) {
				t.fx.Release = append(t.fx.Release, Release{Pod: e.Ref, Claim: u.Claim, Reason: "given back before"})
				t.fx.Resend = append(t.fx.Resend, e.Ref)
				continue
			}
			t.apply(u)
		}
		for uid, e := range t.pods {
			if _, ok := known[uid]; !ok {
				t.lost(e)
			}
		}
	})
}

// lost deals with a reservation of which the launcher does not know. A pod that is being
// bound may need none any more.
func (t *transaction) lost(old *entry) {
	e := *old
	switch {
	case e.Binding:
		e.lost = true
		t.put(e, "")
	case e.State == Waiting:
		t.fx.Resend = append(t.fx.Resend, e.Ref)
	case e.State == Unlaunchable && e.refused:
	default:
		t.end(old)
	}
}

func (t *transaction) apply(u Update) {
	old, ok := t.pods[u.Ref.UID]
	var e entry
	switch {
	case ok && old.wasReturned(u.Claim):
		return
	case ok:
		e = *old
		e.lost = false
	case u.Phase == PhaseAccepted, u.Phase == PhaseRefused, u.Phase == PhaseEnded:
		return
	case len(t.pods) >= t.cfg.MaxReservations:
		// The launcher bounds how many pods it takes; this only keeps a bad one at bay.
		return
	default:
		e = entry{Reservation: Reservation{Ref: u.Ref, Since: t.now}}
	}
	if e.Pod == nil {
		e.Pod = u.Pod
	}
	if u.Phase == PhaseAccepted {
		t.confirm(e)
		return
	}
	e.refused = u.Phase == PhaseRefused
	switch u.Phase {
	case PhaseWaiting:
		t.become(e, Waiting, Update{Reason: u.Reason})
	case PhasePlanned:
		t.become(e, Planned, u)
	case PhaseLaunched, PhaseReady:
		t.launched(e, u)
	case PhaseUnlaunchable, PhaseRefused:
		t.become(e, Unlaunchable, Update{Reason: u.Reason})
	case PhaseEnded:
		t.end(old)
	}
}

// confirm renews the TTL of a pod that the launcher says it has.
func (t *transaction) confirm(e entry) {
	if e.State == Waiting || e.State == Planned {
		t.rearm(&e)
	}
	t.put(e, "")
}

// become moves an entry to a state without a node.
func (t *transaction) become(e entry, s State, u Update) {
	e.State, e.Claim, e.Node, e.Offer, e.Reason, e.Batch = s, u.Claim, "", u.Offer, u.Reason, u.Batch
	e.Unanswered, e.Trying, e.initialized, e.held = false, false, false, u.Held
	e.launchedAt, e.ReadyAt = time.Time{}, time.Time{}
	t.rearm(&e)
	t.put(e, GateUnlaunchable)
}

// launched moves an entry to its node, which settle then finds ready or not.
func (t *transaction) launched(e entry, u Update) {
	if u.Node == "" {
		t.become(e, Planned, u)
		return
	}
	e.initialized, e.held = u.Phase == PhaseReady, u.Held
	if e.Node != u.Node || e.State != Ready && e.State != Launched {
		e.State, e.Unanswered, e.Trying = Launched, false, false
		e.launchedAt, e.ReadyAt = t.now, time.Time{}
		t.arm(&e, t.now.Add(t.cfg.TTL.Launched))
	}
	e.Claim, e.Node, e.Offer, e.Reason, e.Batch = u.Claim, u.Node, u.Offer, u.Reason, u.Batch
	t.put(e, "")
}
