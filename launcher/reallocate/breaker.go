package reallocate

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// The circuit breaker: disruption is a bet that there is somewhere else to go. Where a pool's
// nodes break, or new ones do not come, it stops until the pool is well again:
//
//	        too many nodes unhealthy, or replacements failed in a row
//	closed ──────────────────────────────────────────────────────────▶ open
//	   ▲                                                                 │
//	   └─────────────────────────────────────────────────────────────────┘
//	        few are, and a new node came or some time has passed
//
// Once that time has passed a few nodes are tried again: the next failure opens it at once.
const (
	// unhealthyPercent of a pool's nodes, rounded up, may be unhealthy: one always may.
	unhealthyPercent = 20
	// failuresInARow of a pool's replacements open the breaker for pauseAfterFailure from
	// the last. One that is longer than failuresWithin after the one before is the first again.
	failuresInARow    = 3
	failuresWithin    = 3 * time.Hour
	pauseAfterFailure = 30 * time.Minute
)

// Reasons of the condition DisruptionPaused.
const (
	reasonManyUnhealthy     = "TooManyUnhealthyNodes"
	reasonReplacementsFail  = "ReplacementsFail"
	reasonDisruptionAllowed = "Healthy"
)

// vitals are what the breaker of a pool goes by.
type vitals struct {
	nodes, unhealthy int // that are to stay
	tally            tally
}

// tally counts a pool's replacements that failed in a row.
type tally struct {
	failures int
	last     time.Time
}

// verdict is whether disruption is paused: why, and how long that lasts unless something
// happens; zero where only events can tell.
type verdict struct {
	reason, message string // empty where it is not paused
	wait            time.Duration
}

// judge opens or closes the breaker.
func (v vitals) judge(now time.Time) verdict {
	if may := (v.nodes*unhealthyPercent + 99) / 100; v.unhealthy > may {
		return verdict{reasonManyUnhealthy, fmt.Sprintf("%d of the %d nodes are unhealthy, more than %d %%", v.unhealthy, v.nodes, unhealthyPercent), 0}
	}
	until := v.tally.last.Add(pauseAfterFailure)
	if v.tally.failures >= failuresInARow && now.Before(until) {
		return verdict{reasonReplacementsFail, fmt.Sprintf("%d nodes in a row could not be replaced or did not come, the last at %s; it is tried again at %s unless a node comes before",
			v.tally.failures, v.tally.last.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339)), until.Sub(now)}
	}
	return verdict{}
}

// failed counts one more.
func (t tally) failed(now time.Time) tally {
	if now.Sub(t.last) > failuresWithin {
		t.failures = 0
	}
	return tally{t.failures + 1, now}
}

// outcome is what an update of a claim says about whether new nodes come.
type outcome int

const (
	nothingNew outcome = iota
	nodeCame
	nodeFailed
)

// outcomeOf tells it. A claim that was to replace another counts by the other: it is tried
// again for as long as that waits for it.
func outcomeOf(was, is *v1alpha1.NodeClaim) outcome {
	became := func(f func(*v1alpha1.NodeClaim) bool) bool { return f(is) && !f(was) }
	switch {
	case became(isInitialized):
		return nodeCame
	case became(isGivenBack), became(neverCame) && len(is.Spec.Replaces) == 0:
		return nodeFailed
	default:
		return nothingNew
	}
}

func isInitialized(claim *v1alpha1.NodeClaim) bool {
	return meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInitialized)
}

// isGivenBack tells whether the claim's node waited for a replacement in vain.
func isGivenBack(claim *v1alpha1.NodeClaim) bool {
	for _, c := range claim.Status.Conditions {
		if c.Status == metav1.ConditionTrue && c.Reason == reasonNotReplaced {
			return true
		}
	}
	return false
}

// neverCame tells whether the claim's instance was given up. That the cloud had none is no
// sign of ill health.
func neverCame(claim *v1alpha1.NodeClaim) bool {
	for _, c := range claim.Status.Conditions {
		if c.Status != metav1.ConditionFalse {
			continue
		}
		switch c.Reason {
		case v1alpha1.ReasonRegistrationTimeout, v1alpha1.ReasonInitializationTimeout:
			return true
		}
	}
	return false
}

// tallies are those of all pools. The zero value is ready for use; it is safe for concurrent
// use, as claims change at any time.
type tallies struct {
	mu     sync.Mutex
	byPool map[string]tally
}

// note counts an outcome.
func (t *tallies) note(pool string, o outcome, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byPool == nil {
		t.byPool = map[string]tally{}
	}
	switch o {
	case nodeCame:
		t.byPool[pool] = tally{}
	case nodeFailed:
		t.byPool[pool] = t.byPool[pool].failed(now)
	case nothingNew:
	}
}

// of returns the pool's tally, which begins as told.
func (t *tallies) of(pool string, begins tally) tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byPool == nil {
		t.byPool = map[string]tally{}
	}
	if _, ok := t.byPool[pool]; !ok {
		t.byPool[pool] = begins
	}
	return t.byPool[pool]
}

func (t *tallies) drop(pool string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byPool, pool)
}

// paused says why the pool's nodes are not to be disrupted for the reason; empty when they
// may be. Empty nodes go all the same: no pod is moved. So do unhealthy ones that would only
// lack a replacement.
func paused(pool *v1alpha1.NodePool, reason v1alpha1.DisruptionReason) string {
	c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionDisruptionPaused)
	switch {
	case c == nil || c.Status != metav1.ConditionTrue || reason == v1alpha1.ReasonEmpty:
		return ""
	case reason == v1alpha1.ReasonUnhealthy && c.Reason == reasonReplacementsFail:
		return ""
	}
	return fmt.Sprintf("disruption of pool %s is paused: %s", pool.Name, c.Message)
}
