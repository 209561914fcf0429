package ledger

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// The transitions in this file come from the scheduler and from the API server.

// HandOver records that a pod fits on no node. It returns how things stand afterwards
// and whether the pod must be sent to the launcher. It does nothing to a pod that is
// waiting already, or that the launcher has called unlaunchable and keeps in mind. The
// error is ErrFull.
func (l *Ledger) HandOver(now time.Time, pod *Pod) (r Reservation, send bool, err error) {
	l.transact(now, func(t *transaction) {
		old, ok := t.pods[pod.UID]
		switch {
		case !ok && len(t.pods) >= t.cfg.MaxReservations:
			err = fmt.Errorf("pod %s/%s: %w: %d reservations", pod.Namespace, pod.Name, ErrFull, len(t.pods))
			return
		case !ok:
			e := entry{Reservation: Reservation{Ref: pod.PodRef, Pod: pod, Since: now}}
			t.rearm(&e)
			t.put(e, "")
			send = true
		case old.Unanswered:
			e := *old
			e.Unanswered = false
			t.rearm(&e)
			t.put(e, "")
			send = true
		}
		r = t.pods[pod.UID].Reservation
	})
	return r, send, err
}

// HandBack gives a reservation back because its node cannot take the pod after all, and
// hands the pod over again: it must be sent to the launcher once more.
func (l *Ledger) HandBack(now time.Time, uid types.UID, reason string) Effects {
	return l.transact(now, func(t *transaction) {
		old, ok := t.pods[uid]
		if !ok {
			return
		}
		t.release(old, reason)
		e := entry{Reservation: Reservation{Ref: old.Ref, Pod: old.Pod, Since: old.Since}, returned: old.Claim}
		t.rearm(&e)
		t.put(e, "")
		t.fx.Resend = append(t.fx.Resend, e.Ref)
	})
}

// Withdraw undoes a hand-over that could not be sent.
func (l *Ledger) Withdraw(now time.Time, uid types.UID) Effects {
	return l.transact(now, func(t *transaction) {
		if e, ok := t.pods[uid]; ok {
			t.remove(e, "")
		}
	})
}

// Describe tells the ledger about a pod of which it may have heard from the launcher
// alone. It does nothing to a pod without a reservation.
func (l *Ledger) Describe(now time.Time, pod *Pod) Effects {
	return l.transact(now, func(t *transaction) {
		if old, ok := t.pods[pod.UID]; ok && old.Pod == nil {
			e := *old
			e.Pod = pod
			t.put(e, "")
		}
	})
}

// Try lets a pod through for which there may be room elsewhere. It does nothing to a pod
// whose gate is open, nor to one that is held back: it is not to run alone.
func (l *Ledger) Try(now time.Time, uid types.UID) Effects {
	return l.transact(now, func(t *transaction) {
		if old, ok := t.pods[uid]; ok && old.GateClosed() && !old.held {
			e := *old
			e.Trying = true
			t.put(e, GateRoom)
		}
	})
}

// TryFailed takes Try back. If the TTL ran out meanwhile, the pod is due to be tried anew.
func (l *Ledger) TryFailed(now time.Time, uid types.UID) Effects {
	return l.transact(now, func(t *transaction) {
		if old, ok := t.pods[uid]; ok && old.Trying {
			e := *old
			e.Trying = false
			t.put(e, "")
			if e.Unanswered && !e.Binding {
				t.fx.Wake = append(t.fx.Wake, Wake{Pod: e.Ref, Gate: GateUnanswered})
			}
		}
	})
}

// BindingStarted records that the scheduler has chosen a node for the pod, and stops the
// clock of its TTL.
func (l *Ledger) BindingStarted(now time.Time, uid types.UID, node string) Effects {
	return l.transact(now, func(t *transaction) {
		if old, ok := t.pods[uid]; ok && !old.Binding {
			e := *old
			e.Binding, e.Trying, e.chosen = true, false, node
			t.arm(&e, e.deadline)
			t.put(e, "")
		}
	})
}

// BindingFailed takes BindingStarted back. The clock goes on where it was stopped: a pod
// whose every binding fails must not keep its place for ever.
func (l *Ledger) BindingFailed(now time.Time, uid types.UID) Effects {
	return l.transact(now, func(t *transaction) {
		if old, ok := t.pods[uid]; ok && old.Binding {
			e := *old
			e.Binding, e.chosen = false, ""
			if e.left > 0 {
				t.arm(&e, t.now.Add(e.left))
			}
			e.lost = false
			t.put(e, "")
			if old.lost {
				t.lost(t.pods[uid])
			}
		}
	})
}

// Bound ends the reservation of a pod that runs on a node now.
func (l *Ledger) Bound(now time.Time, uid types.UID, node string) Effects {
	return l.transact(now, func(t *transaction) {
		e, ok := t.pods[uid]
		if !ok {
			return
		}
		if e.Node != node {
			t.release(e, "bound to node "+node)
		}
		t.remove(e, node)
	})
}

// Deleted ends the reservation of a pod that is gone or has finished.
func (l *Ledger) Deleted(now time.Time, uid types.UID) Effects {
	return l.transact(now, func(t *transaction) {
		if e, ok := t.pods[uid]; ok {
			t.release(e, "the pod is gone")
			t.remove(e, "")
		}
	})
}

// NodeSeen records how a node looks now. When it turns out to be a claim's, the pods that
// the claim is planned for hold it: the launcher's word of that may be on its way still.
func (l *Ledger) NodeSeen(now time.Time, node Node) Effects {
	return l.transact(now, func(t *transaction) {
		registered := node.Claim != "" && t.nodes[node.Name].Claim == ""
		t.nodes[node.Name] = node
		if node.registering() {
			t.registering[node.Name] = struct{}{}
		} else {
			delete(t.registering, node.Name)
		}
		if registered {
			t.registered(node)
		}
		for _, h := range t.holders[node.Name] {
			t.put(*t.pods[h.UID], "")
		}
	})
}

func (t *transaction) registered(node Node) {
	for _, e := range t.pods {
		if e.State == Planned && e.Claim == node.Claim {
			t.launched(*e, Update{Ref: e.Ref, Phase: PhaseLaunched, Claim: e.Claim, Node: node.Name, Offer: e.Offer, Batch: e.Batch, Held: e.held})
		}
	}
}

// NodeDeleted ends the reservations on a node.
func (l *Ledger) NodeDeleted(now time.Time, name string) Effects {
	return l.transact(now, func(t *transaction) {
		delete(t.nodes, name)
		delete(t.registering, name)
		for _, h := range t.holders[name] {
			e := t.pods[h.UID]
			t.release(e, "node "+name+" was deleted")
			t.end(e)
		}
	})
}

// Expire does what is due: see Ledger.
func (l *Ledger) Expire(now time.Time) Effects {
	return l.transact(now, func(t *transaction) {
		if t.due.IsZero() || now.Before(t.due) {
			return
		}
		t.due = time.Time{}
		for _, e := range t.pods {
			switch {
			case e.deadline.IsZero():
			case e.deadline.After(now):
				if t.due.IsZero() || e.deadline.Before(t.due) {
					t.due = e.deadline
				}
			default:
				t.expire(e)
			}
		}
	})
}

func (t *transaction) expire(old *entry) {
	switch old.State {
	case Waiting, Planned:
		if old.Unanswered {
			t.end(old)
			return
		}
		e := *old
		e.Unanswered = true
		t.rearm(&e)
		t.put(e, GateUnanswered)
	case Launched:
		t.release(old, fmt.Sprintf("node %s was not ready within %v", old.Node, t.cfg.TTL.Launched))
		t.end(old)
	case Ready:
		t.release(old, fmt.Sprintf("the pod was not bound within %v of node %s being ready", t.cfg.TTL.Ready, old.Node))
		t.end(old)
	case Unlaunchable:
		t.end(old)
	}
}
