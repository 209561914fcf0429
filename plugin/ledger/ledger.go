// Package ledger owns the reservations as the scheduler sees them: which pods wait for
// a node that is still to come, and which room on a node is promised to whom. It does
// no I/O and reads no clock; what follows from a transition is returned as Effects, for
// the caller to carry out.
package ledger

import (
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// ErrFull says that the ledger holds as many reservations as it may.
var ErrFull = errors.New("ledger is full")

// TTL says how long a reservation may stay in a state without a sign of progress.
type TTL struct {
	// Waiting bounds how long a pod waits for the launcher to confirm that it has it.
	Waiting time.Duration
	// Planned bounds how long a claim may stay without an instance.
	Planned time.Duration
	// Launched bounds how long a node may take to become ready.
	Launched time.Duration
	// Ready bounds how long a pod may fail to bind to its ready node.
	Ready time.Duration
	// Refused bounds how long the launcher's refusal of a pod is believed.
	Refused time.Duration
}

// Config is what a Ledger needs to know.
type Config struct {
	TTL TTL
	// MaxReservations bounds the ledger; a hand-over beyond it fails with ErrFull.
	MaxReservations int
}

// Ledger is the state machine of all reservations, one a pod at most:
//
//	                 +---------------------- plan failed ----------------------+
//	                 v                                                         |
//	HandOver --> [Waiting] --planned--> [Planned] --launched--> [Launched] ----+
//	                 |  ^                   |                    |      ^
//	                 |  |                   |          node able |      | node no
//	      no plan    |  | planned anew      | no plan   to take  |      | longer able
//	      possible   v  |                   v           the pod  v      |
//	              [Unlaunchable] <----------+                   [Ready] + --Bound--> gone
//
//	            Waiting  Planned  Launched  Ready  Unlaunchable
//	gate        closed   closed   closed    open   open
//	pinned      no       no       no        yes    no
//	holds room  no       no       yes       yes    no
//
// From every state a reservation ends when the pod is bound or deleted, when the
// launcher says so, or when a resync shows that the launcher has lost it; from Launched
// and Ready also when the node is deleted or the TTL runs out. When the TTL of Waiting
// or Planned runs out, the gate opens for one try and the reservation stays: a pod that
// still fits nowhere is handed over again, one that binds elsewhere gives it back.
// While a pod is being bound no TTL runs.
//
// Where there may be room elsewhere (Try), the gate opens for one try, too: the reservation
// and its clock go on, and the gate closes when the try fails or the state changes.
//
// A node that the launcher holds back is not able to take the pod before the launcher calls
// it ready: the pod is of a group whose other nodes are still to come.
//
// Whenever a gate opens, or a reservation of a waiting pod ends, the pod is among
// Effects.Wake: the scheduler does not look at a gated pod by itself.
//
// A Ledger is safe for concurrent use. Readers never wait for more than a map update.
type Ledger struct {
	cfg Config

	mu   sync.RWMutex
	pods map[types.UID]*entry
	// nodes is what was last seen of every node of the cluster.
	nodes map[string]Node
	// registering are the nodes that are not tied to their claims yet.
	registering map[string]struct{}
	// holders names, by node, the pods that hold room there. The slices are replaced,
	// never changed, so that readers may keep them.
	holders map[string][]Holder
	counts  [numStates]int
	// freed counts how often room on a node ceased to be held without being taken up.
	freed uint64
	// due is not later than the earliest deadline.
	due time.Time
}

// New returns an empty ledger.
func New(cfg Config) *Ledger {
	return &Ledger{
		cfg:         cfg,
		pods:        map[types.UID]*entry{},
		nodes:       map[string]Node{},
		registering: map[string]struct{}{},
		holders:     map[string][]Holder{},
	}
}

// Get returns the reservation of a pod.
func (l *Ledger) Get(uid types.UID) (Reservation, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	e, ok := l.pods[uid]
	if !ok {
		return Reservation{}, false
	}
	return e.Reservation, true
}

// Holders returns the pods that hold room on a node. The result must not be changed.
// registering says that the node is the launcher's and not tied to its claim yet: it is
// for pods of which not all may be known to hold room there.
func (l *Ledger) Holders(node string) (holders []Holder, registering bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, registering = l.registering[node]
	return l.holders[node], registering
}

// Open reports whether every node is open to every pod: none has holders or is being
// registered.
func (l *Ledger) Open() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.holders) == 0 && len(l.registering) == 0
}

// Freed returns how often room that was held on a node has become free. While it stays the
// same, no pod that holders crowded out fits because of them.
func (l *Ledger) Freed() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.freed
}

// NodeVersion returns the resource version of a node as the ledger last saw it.
func (l *Ledger) NodeVersion(name string) (string, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n, ok := l.nodes[name]
	return n.Version, ok
}

// Counts returns the number of reservations in each state.
func (l *Ledger) Counts() map[State]int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	counts := make(map[State]int, numStates)
	for s, n := range l.counts {
		counts[State(s)] = n
	}
	return counts
}

// Oldest returns since when the oldest reservation of each state exists; states without any
// are left out.
func (l *Ledger) Oldest() map[State]time.Time {
	l.mu.RLock()
	defer l.mu.RUnlock()
	oldest := map[State]time.Time{}
	for _, e := range l.pods {
		if t, ok := oldest[e.State]; !ok || e.Since.Before(t) {
			oldest[e.State] = e.Since
		}
	}
	return oldest
}

// Pods returns every pod that has a reservation, in no order.
func (l *Ledger) Pods() []PodRef {
	l.mu.RLock()
	defer l.mu.RUnlock()
	refs := make([]PodRef, 0, len(l.pods))
	for _, e := range l.pods {
		refs = append(refs, e.Ref)
	}
	return refs
}
