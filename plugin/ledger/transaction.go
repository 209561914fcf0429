package ledger

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// transaction gathers the effects of one transition. All changes of entries go through
// put and end, which keep the indexes true and see to it that no opened gate goes
// unnoticed.
type transaction struct {
	*Ledger
	now time.Time
	fx  Effects
}

// transact runs f under the lock.
func (l *Ledger) transact(now time.Time, f func(t *transaction)) Effects {
	t := &transaction{Ledger: l, now: now}
	l.mu.Lock()
	defer l.mu.Unlock()
	f(t)
	return t.fx
}

// put stores the new version of an entry. gate is the reason if this opens its gate.
func (t *transaction) put(e entry, gate Gate) {
	t.settle(&e)
	if e.State == Ready {
		gate = GateReady
	}
	uid := e.Ref.UID
	old, existed := t.pods[uid]
	if existed {
		t.counts[old.State]--
		if old.Node != e.Node || old.Pod != e.Pod {
			t.unhold(old.Node, uid)
		}
		if old.Node != "" && old.Node != e.Node {
			t.freed++
		}
	}
	t.counts[e.State]++
	if e.Node != "" && (!existed || old.Node != e.Node || old.Pod != e.Pod) {
		t.holders[e.Node] = append(slices.Clone(t.holders[e.Node]), Holder{UID: uid, Pod: e.Pod})
	}
	opened := existed && old.GateClosed() && !e.GateClosed()
	ready := e.State == Ready && (!existed || old.State != Ready)
	if (opened || ready) && !e.Binding {
		t.fx.Wake = append(t.fx.Wake, Wake{Pod: e.Ref, Gate: gate})
	}
	if !existed || old.State != e.State || old.Node != e.Node || old.Reason != e.Reason {
		t.fx.Changed = append(t.fx.Changed, e.Ref)
	}
	if !e.deadline.IsZero() && (t.due.IsZero() || e.deadline.Before(t.due)) {
		t.due = e.deadline
	}
	t.pods[uid] = &e
}

// remove forgets a reservation without a word to anybody. on is the node that the pod runs
// on by now, if any: the room that it held there is not free.
func (t *transaction) remove(e *entry, on string) {
	t.counts[e.State]--
	if e.Node != "" && e.Node != on {
		t.freed++
	}
	t.unhold(e.Node, e.Ref.UID)
	delete(t.pods, e.Ref.UID)
	t.fx.Changed = append(t.fx.Changed, e.Ref)
}

// end ends the reservation of a pod that still waits. The launcher may see that a pod is
// bound before the scheduler says so: its room is not free.
func (t *transaction) end(e *entry) {
	t.remove(e, e.chosen)
	t.fx.Wake = append(t.fx.Wake, Wake{Pod: e.Ref, Gate: GateEnded})
}

// release has the launcher take the reservation back.
func (t *transaction) release(e *entry, reason string) {
	t.fx.Release = append(t.fx.Release, Release{Pod: e.Ref, Claim: e.Claim, Reason: reason})
}

func (t *transaction) unhold(node string, uid types.UID) {
	if node == "" {
		return
	}
	rest := slices.DeleteFunc(slices.Clone(t.holders[node]), func(h Holder) bool { return h.UID == uid })
	if len(rest) == 0 {
		delete(t.holders, node)
		return
	}
	t.holders[node] = rest
}

// settle moves an entry between Launched and Ready as its node demands.
func (t *transaction) settle(e *entry) {
	if e.Node == "" {
		return
	}
	able := t.nodes[e.Node].admits(e.Pod, e.initialized) && !e.held
	// A node that comes and goes must not keep its pods for ever.
	last := e.launchedAt.Add(t.cfg.TTL.Launched + t.cfg.TTL.Ready)
	switch {
	case able && e.State == Launched:
		e.State, e.ReadyAt, e.Reason, e.Trying = Ready, t.now, "", false
		t.arm(e, earlier(last, t.now.Add(t.cfg.TTL.Ready)))
	case !able && e.State == Ready:
		e.State, e.ReadyAt = Launched, time.Time{}
		t.arm(e, earlier(last, later(e.launchedAt.Add(t.cfg.TTL.Launched), t.now.Add(t.cfg.TTL.Ready))))
	}
}

// arm sets the deadline. While the pod is being bound it is what will be left of the TTL.
func (t *transaction) arm(e *entry, deadline time.Time) {
	e.deadline, e.left = deadline, 0
	if e.Binding && !deadline.IsZero() {
		e.deadline, e.left = time.Time{}, max(deadline.Sub(t.now), 1)
	}
}

// rearm starts the TTL of a state without a node afresh.
func (t *transaction) rearm(e *entry) {
	switch {
	case e.State == Waiting:
		t.arm(e, t.now.Add(t.cfg.TTL.Waiting))
	case e.State == Planned:
		t.arm(e, t.now.Add(t.cfg.TTL.Planned))
	case e.State == Unlaunchable && e.refused:
		t.arm(e, t.now.Add(t.cfg.TTL.Refused))
	default:
		t.arm(e, time.Time{})
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
