package ec2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// A client token buys once: an answer that EC2 was too busy, or failed, is repeated for ever.
const (
	maxTokens   = 3           // for one capacity type
	tokenPause  = time.Second // before another is used, twice as long before each that follows
	tokenFormat = "%s-%d"
)

// purchase is what is bought: so many instances for one claim, or for others that are like it.
type purchase struct {
	count int32
	whole bool   // all in one zone, or none
	token string // the first client token, which the others begin with
	tags  map[string]string
}

// receipt is what came of a purchase.
type receipt struct {
	instances   []cloud.Instance // by id
	unavailable []offering.Key   // what had no capacity, also where enough was bought elsewhere
	// answered says that the last call was carried out, so that EC2 remembers its token. Of one
	// that it refused nothing is remembered: made again it may succeed.
	answered bool
}

// errSpent says that the client token was used before, and what was bought with it must be
// looked for: the parameters were others, or the answer is empty.
var errSpent = errors.New("the client token was used before")

// buy buys what is ordered, of the capacity type of the claim's first offering; where that is
// spot capacity and EC2's answer is that there is too little of it, the rest at once on demand if
// the claim accepts that. The error says why there is less than ordered, and may be nil although
// there is.
func (p *Provider) buy(ctx context.Context, claim *v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass, order purchase) (got receipt, err error) {
	r, err := p.usable(ctx, class, launchMaxAge)
	if err != nil {
		return got, err
	}
	table, err := p.types.get(ctx, typesMaxAge)
	if err != nil {
		return got, fmt.Errorf("instance types: %w", err)
	}
	f, err := planFleet(claim, claim.Spec.Accepted()[0].CapacityType, r, table)
	if err != nil {
		return got, err
	}
	err = p.buyFrom(ctx, claim, class, r, f, order, &got)
	if !errors.Is(err, cloud.ErrCapacity) || !got.answered || f.capacityType != v1alpha1.CapacityTypeSpot {
		return got, err
	}
	f, planErr := planFleet(claim, v1alpha1.CapacityTypeOnDemand, r, table)
	if planErr != nil {
		return got, err // it accepts none that could be bought
	}
	order.count -= int32(len(got.instances)) //nolint:gosec // G115: no more than were ordered
	order.token += "-" + f.capacityType
	again := p.buyFrom(ctx, claim, class, r, f, order, &got)
	if errors.Is(again, cloud.ErrCapacity) {
		return got, &cloud.CapacityError{Offerings: got.unavailable, Err: joined([]error{err, again})}
	}
	return got, again
}

// buyFrom makes calls of CreateFleet until the answer is the last word, and marks what the
// class resolved to as out of date where it shows.
func (p *Provider) buyFrom(
	ctx context.Context, claim *v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass, r resolution, f fleet, order purchase, got *receipt,
) error {
	first := order.token
	for n := 1; ; n++ {
		out, err := p.createFleet(ctx, claim, specOf(class), r, f, order)
		got.answered = err == nil
		switch {
		case hasCode(err, codeParameterMismatch):
			return errSpent
		case errors.Is(err, cloud.ErrNotFound): // something of what the class resolved to is gone
			p.resolved.forget(resolutionKey(specOf(class)))
			return err
		case errors.Is(err, cloud.ErrCapacity):
			got.lack(f.pools)
			return &cloud.CapacityError{Offerings: f.pools, Err: err}
		case err != nil:
			return err
		}
		result := f.read(out, p.reasons(ctx))
		if result.stale {
			p.resolved.forget(resolutionKey(specOf(class)))
		}
		got.lack(result.unavailable)
		for _, i := range result.instances {
			got.instances = append(got.instances, p.bought(f, i))
		}
		slices.SortFunc(got.instances, func(a, b cloud.Instance) int { return strings.Compare(a.ID, b.ID) })
		switch {
		case len(result.instances) > 0 && int(order.count) <= len(result.instances):
			return nil
		case len(result.instances) > 0 || result.final:
			return result.err
		case result.err == nil:
			return errSpent
		case n == maxTokens && result.busy: // each of the tokens is spent on that answer
			return fmt.Errorf("%w: %d times: %s", cloud.ErrBusy, n, result.err.Error()) // of one kind
		case n == maxTokens: // a code that is not known; other offerings may do
			got.lack(f.pools)
			return &cloud.CapacityError{Offerings: f.pools, Err: errors.New(result.err.Error())}
		}
		if err := sleep(ctx, p.cfg.Clock, tokenPause<<(n-1)); err != nil {
			return err
		}
		order.token = fmt.Sprintf(tokenFormat, first, n+1)
	}
}

// lack notes what had no capacity.
func (r *receipt) lack(keys []offering.Key) {
	r.unavailable = sortedUnique(append(r.unavailable, keys...), func(k offering.Key) string {
		return k.InstanceType + " " + k.Zone + " " + k.CapacityType + " " + k.ReservationID
	})
}

// sleep returns the context's error when that ends first.
func sleep(ctx context.Context, c clock.Clock, d time.Duration) error {
	timer := c.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
