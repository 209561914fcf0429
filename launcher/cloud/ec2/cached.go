package ec2

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// retryPause is how long an old value is used without trying again after a failure.
const retryPause = 10 * time.Second

// cached holds one value that is read from AWS when it is asked for and too old. One
// caller reads while the others wait. A value that cannot be read again stays in use.
type cached[T any] struct {
	what  string
	clock clock.PassiveClock
	m     *metrics
	load  func(context.Context) (T, error)
	// standIn, where there is one, returns what to use while the value could never be read, and
	// of when that is; the zero time where it has no date.
	standIn func() (T, time.Time, error)
	// substituted is set while it is used.
	substituted atomic.Pointer[substitution]

	turn     chan struct{} // holds one token; its taker owns the fields below
	value    T
	loadedAt time.Time // zero: never
	failedAt time.Time // zero: the last try succeeded
}

// substitution is what is used in place of a value, and why.
type substitution struct {
	date  time.Time
	cause error
}

func newCached[T any](what string, c clock.PassiveClock, m *metrics, load func(context.Context) (T, error)) *cached[T] {
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	return &cached[T]{what: what, clock: c, m: m, load: load, turn: turn}
}

// get returns a value no older than maxAge, or the last one when none can be had, or what stands
// in for it. It fails only when there never was one.
func (c *cached[T]) get(ctx context.Context, maxAge time.Duration) (T, error) {
	var none T
	select {
	case <-c.turn:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()

	read := !c.loadedAt.IsZero()
	known := read || c.substituted.Load() != nil
	if read && c.clock.Since(c.loadedAt) < maxAge {
		return c.value, nil
	}
	if known && !c.failedAt.IsZero() && c.clock.Since(c.failedAt) < retryPause {
		return c.value, nil
	}
	value, err := c.load(ctx)
	switch now := c.clock.Now(); {
	case err == nil:
		c.value, c.loadedAt, c.failedAt = value, now, time.Time{}
		c.m.loaded(c.what, now)
		if c.standIn != nil {
			c.substituted.Store(nil)
			c.m.substituted(c.what, false)
		}
	case ctx.Err() != nil, !known && c.standIn == nil:
		return none, err
	case !known:
		if err := c.substitute(err); err != nil {
			return none, err
		}
		c.failedAt = now
		klog.FromContext(ctx).Error(err, "Using substitutes for what cannot be read from AWS", "what", c.what, "of", c.substituted.Load().date)
	default:
		c.failedAt = now
		klog.FromContext(ctx).Error(err, "Using old data from AWS, or substitutes", "what", c.what, "read", c.loadedAt)
	}
	return c.value, nil
}

// substitute puts in what stands in for the value, which could not be read.
func (c *cached[T]) substitute(cause error) error {
	value, date, err := c.standIn()
	if err != nil {
		return fmt.Errorf("%w; %w", cause, err)
	}
	c.value = value
	c.substituted.Store(&substitution{date, cause})
	c.m.substituted(c.what, true)
	if !date.IsZero() {
		c.m.loaded(c.what, date)
	}
	return nil
}

// keyed is a bounded set of cached values.
type keyed[T any] struct {
	limit int

	mu     sync.Mutex
	values map[string]*cached[T]
}

func newKeyed[T any](limit int) *keyed[T] {
	return &keyed[T]{limit: limit, values: map[string]*cached[T]{}}
}

// at returns the cached value of a key, a fresh one when there is none. When the set is full
// it starts over: the values can be read again.
func (k *keyed[T]) at(key string, fresh func() *cached[T]) *cached[T] {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.values[key]
	if !ok {
		if len(k.values) >= k.limit {
			clear(k.values)
		}
		c = fresh()
		k.values[key] = c
	}
	return c
}

// forget makes the next get of the key read anew.
func (k *keyed[T]) forget(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.values, key)
}
