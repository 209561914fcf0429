package reallocate

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// replaced tells how long to wait for room for the successors of the node's pods; zero when
// it is ready. A node that has waited for too long is given back.
//
// Package allocate finds that room, or buys it, once the claim's condition says that it is
// being replaced, keeps it for pods of the same owners and shapes, and says so by Replaced.
func (r *remover) replaced(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, c cause, since time.Time) (time.Duration, error) {
	done := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionReplaced)
	if done != nil && done.Status == metav1.ConditionTrue {
		return 0, nil
	}
	if done != nil && c.sparing {
		r.rests.begin(claim, r.clock.Now().Add(r.rest))
		return r.rest, r.block(ctx, claim, node, c, reasonNotWorthIt, done.Message)
	}
	if left := since.Add(r.patience).Sub(r.clock.Now()); left > 0 {
		return left, nil
	}
	why := ""
	if done != nil {
		why = ": " + done.Message
	}
	return r.giveBack(ctx, claim, node, c, why)
}

// giveBack leaves a node alone for a while that waited for its replacement in vain.
func (r *remover) giveBack(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, c cause, why string) (time.Duration, error) {
	r.rests.begin(claim, r.clock.Now().Add(r.rest))
	return r.rest, r.block(ctx, claim, node, c, reasonNotReplaced, "its replacement was not ready within "+r.patience.String()+why)
}

// rests are until when nodes that could not be replaced are left alone. A crash forgets
// them, which costs another attempt. Its zero value is ready for use; it is safe for
// concurrent use.
type rests struct {
	mu     sync.Mutex
	byName map[string]rest
}

type rest struct {
	claim types.UID
	until time.Time
}

func (r *rests) begin(claim *v1alpha1.NodeClaim, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = map[string]rest{}
	}
	r.byName[claim.Name] = rest{claim.UID, until}
}

// left is how long the claim's node is still to be left alone.
func (r *rests) left(claim *v1alpha1.NodeClaim, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rest := r.byName[claim.Name]; rest.claim == claim.UID {
		return rest.until.Sub(now)
	}
	return 0
}

func (r *rests) end(claim string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byName, claim)
}
