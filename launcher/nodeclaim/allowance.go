package nodeclaim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Limits of pools bound what there is; nothing but the allowance bounds how fast it can be bought,
// and so what a mistake costs before somebody sees it: many nodes that go at once and are replaced
// at once, say, over and over.

const (
	// allowanceWindow is in what time no more nodes are bought than the configuration says.
	allowanceWindow = time.Minute
	// allowancePoll is when to look again while calls are under way that may buy less than asked.
	allowancePoll = time.Second
)

// allowance counts the nodes that were bought within allowanceWindow. A node may have been bought
// at any time while its call was under way: it counts from when the call is made until a window
// after its answer, so that however long calls take no window has more.
//
// A claim counts once: its calls, made again, buy nothing twice.
type allowance struct {
	most  int // 0: no bound
	clock clock.PassiveClock

	mu      sync.Mutex
	read    bool                    // whether what was bought before this process led is counted
	counted map[types.UID]time.Time // claims, and when they were answered; zero while a call is under way
}

func newAllowance(most int, c clock.PassiveClock) *allowance {
	return &allowance{most: most, clock: c, counted: map[types.UID]time.Time{}}
}

// take asks to buy for the claims, which are in the order of their turn. The first n of them may be
// bought and count from now on; answered must be called for them. Where that is not all, wait is
// when to ask again. whole claims are taken together or not at all.
func (a *allowance) take(whole bool, claims ...*v1alpha1.NodeClaim) (n int, wait time.Duration) {
	if a.most == 0 {
		return len(claims), 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	wait = a.expire()
	for free := a.most - len(a.counted); n < len(claims); n++ {
		if _, counted := a.counted[claims[n].UID]; counted {
			continue
		}
		if free <= 0 {
			break
		}
		free--
	}
	if whole && n < len(claims) {
		return 0, wait
	}
	for _, claim := range claims[:n] {
		a.counted[claim.UID] = time.Time{}
	}
	return n, wait
}

// expire forgets what was bought longer ago than the window, and returns when there may be more
// to forget. The caller holds the lock.
func (a *allowance) expire() time.Duration {
	now, next := a.clock.Now(), allowanceWindow
	for claim, at := range a.counted {
		switch left := at.Add(allowanceWindow).Sub(now); {
		case at.IsZero():
			next = min(next, allowancePoll)
		case left <= 0:
			delete(a.counted, claim)
		default:
			next = min(next, left)
		}
	}
	return next
}

// answered says that the call for the claims is over. They count for a window more, unless it is
// certain that nothing was bought for them.
func (a *allowance) answered(nothingBought bool, claims ...*v1alpha1.NodeClaim) {
	if a.most == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, claim := range claims {
		if nothingBought {
			delete(a.counted, claim.UID)
		} else {
			a.counted[claim.UID] = a.clock.Now()
		}
	}
}

// recall counts, once, what was bought before this process led, as far as claims tell.
func (a *allowance) recall(ctx context.Context, claims client.Reader) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.most == 0 || a.read {
		return nil
	}
	var all v1alpha1.NodeClaimList
	if err := claims.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list nodeclaims: %w", err)
	}
	for i := range all.Items {
		c := &all.Items[i]
		launched := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionLaunched)
		if launched != nil && isTrue(c, v1alpha1.ConditionLaunched) {
			a.counted[c.UID] = launched.LastTransitionTime.Add(time.Second) // it is written in whole seconds
		}
	}
	a.read = true
	return nil
}

// cappedMessage says on a claim, and so to its pods, what it waits for.
func (a *allowance) cappedMessage() string {
	return fmt.Sprintf("%d nodes were launched within a minute, and no more may be (nodeClaims.maxLaunchesPerMinute of the launcher's configuration); this one waits for its turn", a.most)
}

// capped puts a launch off.
func (l *launcher) capped(ctx context.Context, claim *v1alpha1.NodeClaim, wait time.Duration) (reconcile.Result, error) {
	return reconcile.Result{RequeueAfter: wait}, l.notLaunched(ctx, claim, reasonCapped, l.allowance.cappedMessage())
}

// cappedTogether puts the launch of a fleet off, or ends its claims where it never may be.
func (l *launcher) cappedTogether(ctx context.Context, f *fleet, claims []*v1alpha1.NodeClaim, wait time.Duration) (reconcile.Result, error) {
	if whole := claims[0].Spec.Fleet.Whole; whole && len(claims) > l.allowance.most {
		never := outcome{reason: reasonInvalidRequest, message: fmt.Sprintf(
			"%d nodes are needed at once, and no more than %d may be launched a minute (nodeClaims.maxLaunchesPerMinute of the launcher's configuration)",
			len(claims), l.allowance.most)}
		for _, claim := range claims {
			l.outcomes.put(claim, never)
		}
		return reconcile.Result{}, l.writeDown(ctx, claims, nil)
	}
	f.notBefore = l.clock.Now().Add(wait)
	log.FromContext(ctx).Info("launches are capped", "nodeclaims", len(claims), "wait", wait.String())
	return reconcile.Result{RequeueAfter: wait}, eachOf(ctx, claims, func(ctx context.Context, claim *v1alpha1.NodeClaim) error {
		_, err := l.capped(ctx, claim, wait)
		return err
	})
}
