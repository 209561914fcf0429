package reallocate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// places are the places in the pools' budgets that this process gave away and that the
// cache may not show yet. Its zero value is ready for use; it is safe for concurrent use:
// the last place in a budget is given away once.
type places struct {
	mu     sync.Mutex
	seeded bool
	taken  map[string]place // by claim name
}

type place struct {
	claim   types.UID
	settled time.Time                 // when the node's taint is old enough; zero until it is tainted
	reason  v1alpha1.DisruptionReason // for which it is tainted
	deleted bool                      // the claim's deletion was asked for
}

// take gives the claim a place in its pool's budgets for the reason, if there is one; else
// it says why not. A claim keeps its place until free is called or it is gone.
func (p *places) take(ctx context.Context, r *remover, claim *v1alpha1.NodeClaim, pool *v1alpha1.NodePool, reason v1alpha1.DisruptionReason) (full string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.seed(ctx, r.direct); err != nil {
		return "", err
	}
	leaving, may, err := p.count(ctx, r, claim.UID, pool, reason)
	if err != nil {
		return "", err
	}
	if leaving >= may.nodes {
		return fmt.Sprintf("pool %s allows %d of its %d nodes to be disrupted at a time (budget %q), %d are", pool.Name, may.nodes, may.of, may.budget, leaving), nil
	}
	if p.taken[claim.Name].claim != claim.UID {
		p.taken[claim.Name] = place{claim: claim.UID}
	}
	return "", nil
}

// count counts the nodes of a pool that are on their way out, the claim's own aside, and says
// how many may be.
func (p *places) count(ctx context.Context, r *remover, claim types.UID, pool *v1alpha1.NodePool, reason v1alpha1.DisruptionReason) (leaving int, may allowance, err error) {
	var claims v1alpha1.NodeClaimList
	if err := r.client.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		return 0, allowance{}, fmt.Errorf("list nodeclaims: %w", err)
	}
	total := 0
	for i := range claims.Items {
		c := &claims.Items[i]
		if c.Spec.NodePool != pool.Name || !meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionRegistered) {
			continue
		}
		total++
		if c.UID != claim && p.isLeaving(c) {
			leaving++
		}
	}
	may, err = allowed(pool.Spec.Disruption.Budgets, reason, total, r.clock.Now())
	may.of = total
	return leaving, may, err
}

// left is how many more places there are in a pool's budgets for the reason.
func (p *places) left(ctx context.Context, r *remover, pool *v1alpha1.NodePool, reason v1alpha1.DisruptionReason) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.seed(ctx, r.direct); err != nil {
		return 0, err
	}
	leaving, may, err := p.count(ctx, r, "", pool, reason)
	return max(0, may.nodes-leaving), err
}

// seed reads, once, what the last leader had given away: its last writes may not be in
// the cache yet.
func (p *places) seed(ctx context.Context, direct client.Reader) error {
	if p.seeded {
		return nil
	}
	var claims v1alpha1.NodeClaimList
	if err := direct.List(ctx, &claims); err != nil {
		return fmt.Errorf("list nodeclaims: %w", err)
	}
	p.taken = map[string]place{}
	for i := range claims.Items {
		if c := &claims.Items[i]; p.isLeaving(c) {
			p.taken[c.Name] = place{claim: c.UID}
		}
	}
	p.seeded = true
	return nil
}

// isLeaving tells whether the claim's node is on its way out.
func (p *places) isLeaving(claim *v1alpha1.NodeClaim) bool {
	if claim.DeletionTimestamp != nil || p.taken[claim.Name].claim == claim.UID {
		return true
	}
	return isLeaving(claim)
}

// of returns the claim's place; the zero place where it has none.
func (p *places) of(claim *v1alpha1.NodeClaim) place {
	p.mu.Lock()
	defer p.mu.Unlock()
	if taken := p.taken[claim.Name]; taken.claim == claim.UID {
		return taken
	}
	return place{}
}

// marked notes when the taint, which is on the node now, will be old enough.
func (p *places) marked(claim *v1alpha1.NodeClaim, reason v1alpha1.DisruptionReason, settled time.Time) {
	p.change(claim, func(taken *place) { taken.settled, taken.reason = settled, reason })
}

// deleted notes that the claim is on its way out.
func (p *places) deleted(claim *v1alpha1.NodeClaim) {
	p.change(claim, func(taken *place) { taken.deleted = true })
}

func (p *places) change(claim *v1alpha1.NodeClaim, change func(*place)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.taken[claim.Name]
	change(&taken)
	p.taken[claim.Name] = taken
}

// free gives the claim's place back.
func (p *places) free(claim string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, claim)
}

// waiting holds the claims that a budget keeps, so that they are looked at when a node
// of their pool is gone. Its zero value is ready for use; it is safe for concurrent use.
type waiting struct {
	mu     sync.Mutex
	poolOf map[string]string // by claim name
}

func (w *waiting) add(claim *v1alpha1.NodeClaim) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.poolOf == nil {
		w.poolOf = map[string]string{}
	}
	w.poolOf[claim.Name] = claim.Spec.NodePool
}

func (w *waiting) remove(claim string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.poolOf, claim)
}

// has tells whether a budget keeps the claim.
func (w *waiting) has(claim string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.poolOf[claim]
	return ok
}

// some names a few claims that wait for a place in the pool.
func (w *waiting) some(pool string) []string {
	const few = 10
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for name, of := range w.poolOf {
		if of == pool && len(names) < few {
			names = append(names, name)
		}
	}
	return names
}
