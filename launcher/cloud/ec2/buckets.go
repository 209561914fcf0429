package ec2

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

// bucket is one of EC2's token buckets: how many requests of an action it holds when it is
// full, and how many it regains in a second.
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
type bucket struct {
	size      int
	perSecond float64
}

// bucketOf returns the published bucket of an action that is called here. All describing
// calls made here filter or page. An action without a line of its own is taken for a mutating one.
func bucketOf(action string) bucket {
	switch {
	case action == "TerminateInstances":
		return bucket{100, 5}
	case action == terminatedInstances:
		return bucket{1000, 20}
	case strings.HasPrefix(action, "Describe"):
		return bucket{100, 20}
	default: // CreateFleet among them
		return bucket{50, 5}
	}
}

// terminatedInstances is the bucket of instances, beside that of requests, that are named to be ended.
const terminatedInstances = "TerminateInstances, by instance"

const (
	// marginPercent of every bucket is left in it: requests that leave evenly do not arrive so.
	marginPercent = 10
	// longestQueue is how far ahead turns are given out. Who would wait longer hears of it.
	longestQueue = time.Minute
)

// buckets hold requests to EC2 back so that it need not refuse them. EC2 counts a request
// that it refuses, and so do they: a refused retry makes nothing faster.
type buckets struct {
	clock clock.Clock

	mu       sync.Mutex
	byAction map[string]*rate.Limiter // as many as actions are called
}

func newBuckets(c clock.Clock) *buckets {
	return &buckets{clock: c, byAction: map[string]*rate.Limiter{}}
}

// of returns the action's bucket. The caller holds the lock.
func (b *buckets) of(action string) *rate.Limiter {
	l, ok := b.byAction[action]
	if !ok {
		published := bucketOf(action)
		l = rate.NewLimiter(rate.Limit(published.perSecond), published.size*(100-marginPercent)/100)
		b.byAction[action] = l
	}
	return l
}

// draw waits for the turn of a request, or of n of what it names. The error wraps cloud.ErrThrottled where that is too far
// away, or is the context's.
func (b *buckets) draw(ctx context.Context, action string, n int) error {
	turn, wait := b.reserve(ctx, action, n)
	switch {
	case turn == nil:
		return fmt.Errorf("%w: so many calls of %s wait that the next turn is in %s", cloud.ErrThrottled, action, wait.Round(time.Millisecond))
	case wait == 0:
		return nil
	}
	if err := sleep(ctx, b.clock, wait); err != nil {
		turn.CancelAt(b.clock.Now())
		return err
	}
	return nil
}

// reserve returns the request's turn and when it is, no turn where that is too late. Turns that
// are given back before another is given out are not lost: hence the lock.
func (b *buckets) reserve(ctx context.Context, action string, n int) (*rate.Reservation, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Now()
	turn := b.of(action).ReserveN(now, n)
	wait := turn.DelayFrom(now)
	deadline, bounded := ctx.Deadline()
	if wait > longestQueue || bounded && now.Add(wait).After(deadline) {
		turn.CancelAt(now)
		return nil, wait
	}
	return turn, wait
}

// drain takes out what was thought to be in the action's bucket, for EC2 has refused a
// request: others use the account too, or its quota is smaller than the published one.
func (b *buckets) drain(action string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, now := b.of(action), b.clock.Now()
	if left := int(l.TokensAt(now)); left > 0 {
		l.AllowN(now, left)
	}
}
