package reallocate

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// moves are what the latest look at the whole cluster found worth doing, until it has begun or
// been given up. Its zero value is ready for use; it is safe for concurrent use.
type moves struct {
	mu     sync.Mutex
	byName map[string]move
}

// move is the end of a claim's node because it saves money.
type move struct {
	claim types.UID
	// below is what may be spent in its place, in US dollars per hour.
	below   float64
	message string
}

// choose replaces all moves, by the claims' names.
func (m *moves) choose(chosen map[string]move) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byName = chosen
}

// of returns the claim's move; ok is false if it has none.
func (m *moves) of(claim *v1alpha1.NodeClaim) (chosen move, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	chosen, ok = m.byName[claim.Name]
	return chosen, ok && chosen.claim == claim.UID
}

func (m *moves) drop(claim string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byName, claim)
}
