package reallocate

import (
	"fmt"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// TestLastPlaceIsGivenAwayOnce has every node of a pool ask for a place at the same time,
// with a cache that shows nothing of what is given away.
func TestLastPlaceIsGivenAwayOnce(t *testing.T) {
	const nodes, budget = 30, 4
	pool := newPool(func(p *v1alpha1.NodePool) { p.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: fmt.Sprint(budget)}} })
	objs := []client.Object{pool}
	for i := range nodes {
		objs = append(objs, nodeOf(fmt.Sprintf("n%02d", i))...)
	}
	w := newWorld(t, objs...)
	var claims v1alpha1.NodeClaimList
	if err := w.client.List(t.Context(), &claims); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []*v1alpha1.NodeClaim
	var wg sync.WaitGroup
	for i := range claims.Items {
		wg.Go(func() {
			full, err := w.remover.places.take(t.Context(), w.remover, &claims.Items[i], pool, v1alpha1.ReasonEmpty)
			if err != nil {
				t.Error(err)
			}
			if full == "" {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, &claims.Items[i])
			}
		})
	}
	wg.Wait()
	if len(got) != budget {
		t.Fatalf("%d places given away, want %d", len(got), budget)
	}
	if full, err := w.remover.places.take(t.Context(), w.remover, got[0], pool, v1alpha1.ReasonEmpty); err != nil || full != "" {
		t.Errorf("its own place refused: %q, %v", full, err)
	}
	w.remover.places.free(got[0].Name)
	if full, err := w.remover.places.take(t.Context(), w.remover, got[0], pool, v1alpha1.ReasonEmpty); err != nil || full != "" {
		t.Errorf("a place that is free refused: %q, %v", full, err)
	}
}
