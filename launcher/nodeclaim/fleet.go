package nodeclaim

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// Claims of one fleet are bought with one call. Whichever of them is reconciled when all
// have come buys for all, and writes down which claim has which instance: nothing but
// the claims' status says so. Whoever gives instances to claims of a fleet holds its lock.

const (
	// fleetWindow is how long a fleet waits for the next of the claims that were planned but have
	// not come: they are written one after the other, and not all writes succeed. A claim whose
	// fleet is at work looks again after as long; it hears of its instance before.
	fleetWindow = time.Second
	// fleetWrites is how many claims of a fleet are written at once.
	fleetWrites = 16
)

// fleets keeps what is known of fleets whose claims are being launched. The zero value is
// ready for use.
type fleets struct {
	mu   sync.Mutex
	byID map[types.UID]*fleet
}

// fleet is what is known of one.
type fleet struct {
	id    types.UID
	since time.Time // when its first claim was seen
	// spent: its call was made, and what claims lack is not bought with it any more.
	spent atomic.Bool

	mu        sync.Mutex // held by who gives its instances away
	known     int        // how many of its claims have come,
	grown     time.Time  // and when the latest did
	notBefore time.Time  // when its call may be repeated
	failures  int        // of its call, in a row
	doubt     time.Time  // since when it is not known what was bought; zero where it is
}

// of returns the claim's fleet.
func (f *fleets) of(claim *v1alpha1.NodeClaim, now time.Time) *fleet {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := claim.Spec.Fleet.ID
	if known := f.byID[id]; known != nil {
		return known
	}
	// No claim waits for its instance as long as that.
	maps.DeleteFunc(f.byID, func(_ types.UID, f *fleet) bool { return now.Sub(f.since) > time.Hour })
	if f.byID == nil {
		f.byID = map[types.UID]*fleet{}
	}
	f.byID[id] = &fleet{id: id, since: now}
	return f.byID[id]
}

// retry is when to repeat a call that failed once more: like a single claim's, after retryFirst,
// then twice as long each time.
func (f *fleet) retry() time.Duration {
	f.failures++
	return min(retryFirst<<min(f.failures-1, 10), retryMost)
}

// crew is the claims of a fleet.
type crew struct {
	waiting []*v1alpha1.NodeClaim // to be launched, by name
	taken   sets.Set[string]      // the instances that others have
}

// crewOf reads the claims of a fleet from the API server: a cache that lags would have
// instances given away twice.
func (l *launcher) crewOf(ctx context.Context, id types.UID) (crew, error) {
	var all v1alpha1.NodeClaimList
	if err := l.direct.List(ctx, &all, client.MatchingFields{cluster.FieldClaimFleet: string(id)}); err != nil {
		return crew{}, fmt.Errorf("list nodeclaims of fleet %s: %w", id, err)
	}
	c := crew{taken: sets.New[string]()}
	for i := range all.Items {
		claim := &all.Items[i]
		known, ended := l.outcomes.get(claim)
		instance := cmp.Or(claim.Status.InstanceID, known.instance.ID)
		switch {
		case instance != "":
			c.taken.Insert(instance)
		case ended || nothingBought(claim) || claim.DeletionTimestamp != nil:
		case controllerutil.ContainsFinalizer(claim, v1alpha1.TerminationFinalizer):
			c.waiting = append(c.waiting, claim)
		}
	}
	slices.SortFunc(c.waiting, func(a, b *v1alpha1.NodeClaim) int { return strings.Compare(a.Name, b.Name) })
	return c, nil
}

// launchTogether buys the instances of all claims of the fleet that have none. left is the
// time until the claim is given up.
func (l *launcher) launchTogether(
	ctx context.Context, f *fleet, claim *v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass, left time.Duration,
) (reconcile.Result, error) {
	if !f.mu.TryLock() {
		return reconcile.Result{RequeueAfter: fleetWindow}, nil
	}
	defer f.mu.Unlock()
	if wait := f.notBefore.Sub(l.clock.Now()); wait > 0 {
		return reconcile.Result{RequeueAfter: min(wait, left)}, nil
	}
	if wait, err := l.incomplete(ctx, f, claim.Spec.Fleet); err != nil || wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, err
	}
	c, err := l.crewOf(ctx, f.id)
	if err != nil || len(c.waiting) == 0 {
		return reconcile.Result{RequeueAfter: fleetWindow}, err // the cache lags
	}
	n, wait := l.allowance.take(claim.Spec.Fleet.Whole, c.waiting...)
	if n == 0 {
		return l.cappedTogether(ctx, f, c.waiting, wait)
	}
	instances, err := l.provider.LaunchFleet(ctx, c.waiting[:n], class, c.taken)
	l.allowance.answered(false, c.waiting[:len(instances)]...)
	for i, in := range instances {
		l.outcomes.put(c.waiting[i], outcome{instance: in, class: class})
		l.catalog.MarkUnavailable(in.Unavailable...)
	}
	result := reconcile.Result{RequeueAfter: fleetWindow}
	if rest := c.waiting[len(instances):]; len(rest) > 0 {
		out, final := l.verdict(rest[0], err)
		f.doubt = l.since(f.doubt, err, final, rest...)
		refused := final && !l.doubtful(f.doubt)
		l.allowance.answered(err == nil || refused, c.waiting[len(instances):n]...)
		switch {
		case err == nil:
			f.spent.Store(true)
		case refused:
			for _, claim := range rest {
				l.outcomes.put(claim, out)
			}
		default:
			result.RequeueAfter = min(f.retry(), left)
			f.notBefore = l.clock.Now().Add(result.RequeueAfter)
			log.FromContext(ctx).Info("launch failed, will retry", "reason", passing(err), "in", result.RequeueAfter.String(),
				"nodeclaims", len(rest), "err", err.Error())
		}
	}
	return result, l.writeDown(ctx, c.waiting, err)
}

// incomplete returns how much longer to wait for claims of the fleet that have not come.
func (l *launcher) incomplete(ctx context.Context, f *fleet, planned *v1alpha1.Fleet) (time.Duration, error) {
	var known v1alpha1.NodeClaimList
	if err := l.client.List(ctx, &known, client.MatchingFields{cluster.FieldClaimFleet: string(f.id)}, client.UnsafeDisableDeepCopy); err != nil {
		return 0, fmt.Errorf("list nodeclaims of fleet %s: %w", f.id, err)
	}
	n, now := len(known.Items), l.clock.Now()
	if n >= int(planned.Size) {
		return 0, nil
	}
	switch {
	case f.known == 0:
		f.known, f.grown = n, f.since
	case n > f.known:
		f.known, f.grown = n, now
	}
	return f.grown.Add(fleetWindow).Sub(now), nil
}

// writeDown writes on the claims how their launch ended, or what it waits for. What cannot be
// written is known, and is written when the claim is reconciled.
func (l *launcher) writeDown(ctx context.Context, claims []*v1alpha1.NodeClaim, err error) error {
	return eachOf(ctx, claims, func(ctx context.Context, claim *v1alpha1.NodeClaim) error {
		known, ended := l.outcomes.get(claim)
		switch {
		case !ended && err != nil:
			return l.notLaunched(ctx, claim, passing(err), err.Error())
		case !ended:
			return nil // it is launched alone
		default:
			return l.conclude(ctx, claim, known)
		}
	})
}

// eachOf does something to claims, several at a time.
func eachOf(ctx context.Context, claims []*v1alpha1.NodeClaim, do func(context.Context, *v1alpha1.NodeClaim) error) error {
	var writes errgroup.Group
	writes.SetLimit(fleetWrites)
	for _, claim := range claims {
		writes.Go(func() error {
			return do(log.IntoContext(ctx, log.FromContext(ctx).WithValues("nodeclaim", claim.Name)), claim)
		})
	}
	return writes.Wait()
}

// findInFleet looks for an instance for a claim that is being deleted: one that none of the
// fleet's other claims needs. busy says that the fleet is being launched.
func (l *launcher) findInFleet(ctx context.Context, claim *v1alpha1.NodeClaim) (instance cloud.Instance, found, busy bool, err error) {
	f := l.fleets.of(claim, l.clock.Now())
	if !f.mu.TryLock() {
		return instance, false, true, nil
	}
	defer f.mu.Unlock()
	c, err := l.crewOf(ctx, f.id)
	if err != nil {
		return instance, false, false, err
	}
	all, err := l.provider.List(ctx)
	if err != nil {
		return instance, false, false, err
	}
	var free []cloud.Instance
	for _, in := range all {
		switch {
		case in.ClaimUID == string(claim.UID): // it was launched alone
			return in, true, false, nil
		case in.FleetID == string(f.id) && !in.Terminating && !c.taken.Has(in.ID):
			free = append(free, in)
		}
	}
	if len(free) <= len(c.waiting) {
		return instance, false, false, nil
	}
	instance = slices.MinFunc(free, func(a, b cloud.Instance) int { return strings.Compare(a.ID, b.ID) })
	l.outcomes.put(claim, outcome{instance: instance})
	return instance, true, false, nil
}
