package offering

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Run keeps the lists of all classes in use fresh and makes offerings available again
// whose time is up, until the context ends.
func (c *Catalog) Run(ctx context.Context) {
	for {
		c.refresh(ctx)
		timer := c.cfg.Clock.NewTimer(c.untilNext())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.wake:
			timer.Stop()
		case <-timer.C():
		}
	}
}

// refresh loads the lists that are due, one after the other.
func (c *Catalog) refresh(ctx context.Context) {
	for ctx.Err() == nil {
		l, class, ok := c.takeDue()
		if !ok {
			return
		}
		c.load(ctx, l, class)
		if _, err := c.Freshness(class); err != nil {
			klog.FromContext(ctx).Error(err, "Cannot refresh the offerings; the last known ones stay in use", "class", className(class))
		}
	}
}

// takeDue picks a list that is due for loading and marks it as being loaded. On the way
// it drops the lists nobody uses and lets unavailability expire.
func (c *Catalog) takeDue() (*list, *v1alpha1.EC2NodeClass, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Clock.Now()
	c.expire(now)
	for name, l := range c.lists {
		if l.loading != nil {
			continue
		}
		if now.Sub(l.usedAt) >= c.cfg.ForgetAfter {
			delete(c.lists, name)
			continue
		}
		if !now.Before(c.due(l)) {
			l.loading = make(chan struct{})
			return l, l.class, true
		}
	}
	return nil, nil, false
}

// due returns when the list is to be loaded next. c.mu is held.
func (c *Catalog) due(l *list) time.Time {
	switch {
	case l.err != nil:
		return l.triedAt.Add(c.cfg.RetryEvery)
	case l.loadedAt.IsZero() || !sameClass(l.loadedFor, l.class):
		return time.Time{}
	default:
		return l.loadedAt.Add(c.cfg.RefreshEvery)
	}
}

// untilNext returns how long Run may sleep.
func (c *Catalog) untilNext() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Clock.Now()
	next := now.Add(c.cfg.ForgetAfter)
	earlier := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	for _, until := range c.unavailable {
		earlier(until)
	}
	for _, l := range c.lists {
		if l.loading == nil { // else whoever loads it nudges
			earlier(c.due(l))
			earlier(l.usedAt.Add(c.cfg.ForgetAfter))
		}
	}
	return next.Sub(now)
}
