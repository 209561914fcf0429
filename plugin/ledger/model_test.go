package ledger

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// model says what a ledger must hold without saying how: of each pod the last word on it,
// from which, and from the nodes, its state follows. Of pods that have a node it does not say
// when they are let go, only when at the latest.
type model struct {
	words map[types.UID]*word
	nodes map[string]Node
	most  int
}

// word is what was last said of a pod.
type word struct {
	phase       Phase // PhaseWaiting from when it was handed over
	claim, node string
	held        bool
	returned    string // a claim that was given back
	pod         *Pod
	// since is when that was, or when the pod was warned that nobody answers.
	since  time.Time
	warned bool
	// on is since when the node is known.
	on time.Time
	// binding stops the clock; quiet is for how long there had been no word, paused that it
	// has been stopped.
	binding, paused bool
	quiet           time.Duration
	// lost says that the launcher forgot the pod while it was being bound.
	lost bool
}

func newModel(most int) *model {
	return &model{words: map[types.UID]*word{}, nodes: map[string]Node{}, most: most}
}

// state is where the pod's reservation stands.
func (m *model) state(w *word) State {
	switch w.phase {
	case PhasePlanned:
		return Planned
	case PhaseLaunched, PhaseReady:
		if !w.held && m.nodes[w.node].admits(w.pod, w.phase == PhaseReady) {
			return Ready
		}
		return Launched
	case PhaseUnlaunchable, PhaseRefused:
		return Unlaunchable
	default:
		return Waiting
	}
}

// handOver is for a pod that has to be sent.
func (m *model) handOver(now time.Time, pod *Pod) {
	if w := m.words[pod.UID]; w == nil {
		m.words[pod.UID] = &word{phase: PhaseWaiting, pod: pod, since: now}
	} else {
		w.warned, w.since = false, now
	}
}

func (m *model) handBack(now time.Time, pod types.UID) {
	if w := m.words[pod]; w != nil {
		m.words[pod] = &word{phase: PhaseWaiting, pod: w.pod, since: now, returned: w.claim}
	}
}

func (m *model) describe(pod types.UID, as *Pod) {
	if w := m.words[pod]; w != nil && w.pod == nil {
		w.pod = as
	}
}

// binding stops the clock, or starts it again.
func (m *model) binding(now time.Time, pod types.UID, begins bool) {
	w := m.words[pod]
	if w == nil || w.binding == begins {
		return
	}
	if w.binding = begins; begins {
		w.quiet, w.paused = now.Sub(w.since), true
	} else if w.since = now.Add(-w.quiet); w.lost {
		w.lost = false
		m.forget(pod)
	}
}

// forget is for a pod that the launcher does not know of.
func (m *model) forget(pod types.UID) {
	switch w := m.words[pod]; {
	case w.binding:
		w.lost = true
	case w.phase != PhaseWaiting && w.phase != PhaseRefused:
		delete(m.words, pod)
	}
}

// hear is what the launcher says.
func (m *model) hear(now time.Time, u Update) {
	w := m.words[u.Ref.UID]
	switch {
	case w != nil && w.returned != "" && w.returned == u.Claim:
		return // out of date
	case w == nil && (u.Phase == PhaseAccepted || u.Phase == PhaseRefused || u.Phase == PhaseEnded || len(m.words) >= m.most):
		return
	case u.Phase == PhaseEnded:
		delete(m.words, u.Ref.UID)
		return
	case w == nil:
		w = &word{}
		m.words[u.Ref.UID] = w
	}
	w.lost = false
	if w.pod == nil {
		w.pod = u.Pod
	}
	if u.Phase == PhaseAccepted {
		if s := m.state(w); s == Waiting || s == Planned {
			w.since, w.quiet = now, 0
		}
		return
	}
	if u.Node != w.node {
		w.on = now
	}
	w.since, w.quiet, w.warned = now, 0, false
	w.phase, w.claim, w.node, w.held = u.Phase, u.Claim, u.Node, u.Held
	switch u.Phase {
	case PhaseWaiting, PhaseUnlaunchable, PhaseRefused:
		w.claim, w.node = "", ""
	}
}

func (m *model) resync(now time.Time, all []Update) {
	known := map[types.UID]bool{}
	for _, u := range all {
		known[u.Ref.UID] = true
		m.hear(now, u)
	}
	for uid := range m.words {
		if !known[uid] {
			m.forget(uid)
		}
	}
}

// nodeSeen ties the pods of the node's claim to it.
func (m *model) nodeSeen(now time.Time, n Node) {
	if n.Claim != "" && m.nodes[n.Name].Claim == "" {
		for _, w := range m.words {
			if m.state(w) == Planned && w.claim == n.Claim {
				w.phase, w.node, w.since, w.on = PhaseLaunched, n.Name, now, now
			}
		}
	}
	m.nodes[n.Name] = n
}

func (m *model) nodeDeleted(name string) {
	delete(m.nodes, name)
	for uid, w := range m.words {
		if w.node == name {
			delete(m.words, uid)
		}
	}
}

// expire lets go what has been without a word for too long: who waits for the launcher is
// warned once, who waits for a node is let go when the ledger does.
func (m *model) expire(now time.Time, l *Ledger) error {
	for uid, w := range m.words {
		quiet := now.Sub(w.since)
		state := m.state(w)
		switch {
		case w.binding:
		case state == Launched || state == Ready:
			_, left := l.Get(uid)
			if most := testTTL.Launched + testTTL.Ready; left && !w.paused && now.Sub(w.on) > most {
				return fmt.Errorf("%s is %v still %v after it had a node, later than %v", uid, state, now.Sub(w.on), most)
			}
			if !left {
				delete(m.words, uid)
			}
		case w.phase == PhaseUnlaunchable:
		case quiet < map[State]time.Duration{Waiting: testTTL.Waiting, Planned: testTTL.Planned, Unlaunchable: testTTL.Refused}[state]:
		case state == Unlaunchable || w.warned:
			delete(m.words, uid)
		default:
			w.warned, w.since = true, now
		}
	}
	return nil
}

// compare says where a ledger differs.
func (m *model) compare(l *Ledger) error {
	for uid, w := range m.words {
		r, ok := l.Get(uid)
		switch {
		case !ok:
			return fmt.Errorf("%s has no reservation, want %v", uid, m.state(w))
		case r.State != m.state(w) || r.Claim != w.claim || r.Node != w.node:
			return fmt.Errorf("%s is %v of claim %q on node %q, want %v of %q on %q", uid, r.State, r.Claim, r.Node, m.state(w), w.claim, w.node)
		case r.Binding != w.binding:
			return fmt.Errorf("%s is being bound: %v, want %v", uid, r.Binding, w.binding)
		}
	}
	for _, ref := range l.Pods() {
		if m.words[ref.UID] == nil {
			return fmt.Errorf("%s has a reservation, want none", ref.UID)
		}
	}
	return nil
}
