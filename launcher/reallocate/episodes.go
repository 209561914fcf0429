package reallocate

import (
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// episodes remembers since when nodes have been empty, more exactly than conditions
// do, and when pods left them: a pod may come and go between two looks. Its zero value
// is ready for use; it is safe for concurrent use, as pods leave at any time.
type episodes struct {
	mu      sync.Mutex
	byClaim map[string]episode   // the episode that goes on, by claim name
	left    map[string]time.Time // when the last pod left, by node name
}

type episode struct {
	claim types.UID
	node  string
	start time.Time
}

// podLeft notes that a node was occupied until now.
func (e *episodes) podLeft(node string, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.left == nil {
		e.left = map[string]time.Time{}
	}
	e.left[node] = now
}

// since returns since when the node, which is empty now, has been so, and whether an
// episode begins that the claim does not know of yet.
func (e *episodes) since(claim *v1alpha1.NodeClaim, node string, now time.Time) (start time.Time, begins bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	known, ok := e.byClaim[claim.Name]
	if !ok || known.claim != claim.UID {
		known = episode{claim.UID, node, now}
		begins = true
		if c := emptyCondition(claim); c != nil && c.Status == metav1.ConditionTrue {
			// Begun in another life of this process; the fraction of a second is lost.
			known.start, begins = c.LastTransitionTime.Add(time.Second), false
		}
	}
	if left, ok := e.left[node]; ok {
		if left.After(known.start) {
			begins = true // somebody came and went unseen
		}
		if begins {
			known.start = left
		}
	}
	if e.byClaim == nil {
		e.byClaim = map[string]episode{}
	}
	e.byClaim[claim.Name] = known
	return known.start, begins
}

// end forgets the claim's episode, and that pods left its node: whatever it is
// occupied by now leaves later.
func (e *episodes) end(claim, node string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.left, node)
	delete(e.byClaim, claim)
}

// drop forgets the episode of a claim whose node is not known any more.
func (e *episodes) drop(claim string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.left, e.byClaim[claim].node)
	delete(e.byClaim, claim)
}
