package reallocate

import (
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// expired tells by the pool's expireAfter whether the claim's node has lived long enough,
// and what of it; else how long until then, zero for ever.
func expired(claim *v1alpha1.NodeClaim, pool *v1alpha1.NodePool, now time.Time) (what string, wait time.Duration, err error) {
	after, never, err := pool.Spec.Template.Spec.Lifetime()
	if err != nil {
		return "", 0, fmt.Errorf("pool %s: %w", pool.Name, err)
	}
	if never {
		return "", 0, nil
	}
	if wait := claim.CreationTimestamp.Add(after).Sub(now); wait > 0 {
		return "", wait, nil
	}
	return fmt.Sprintf("older than its pool's expireAfter, %s", after), 0, nil
}
