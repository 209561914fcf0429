package offering

import (
	"maps"
	"slices"
	"time"
)

// maxUnavailable bounds the memory of unavailable offerings: more than all types of a
// region in all its zones at all capacity types.
const maxUnavailable = 20_000

// MarkUnavailable records that the cloud has none of these offerings for the moment.
// Types shows them as unavailable until Config.UnavailableFor has passed.
func (c *Catalog) MarkUnavailable(keys ...Key) {
	if len(keys) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	until := c.cfg.Clock.Now().Add(c.cfg.UnavailableFor)
	for _, k := range keys {
		if _, known := c.unavailable[k]; !known && len(c.unavailable) >= maxUnavailable {
			continue // forgetting one costs a futile call, nothing more
		}
		c.unavailable[k] = until
	}
	c.bump(false)
	c.nudge()
}

// expire makes offerings available again whose time is up. c.mu is held.
func (c *Catalog) expire(now time.Time) {
	before := len(c.unavailable)
	maps.DeleteFunc(c.unavailable, func(_ Key, until time.Time) bool { return !now.Before(until) })
	if len(c.unavailable) < before {
		c.bump(true)
	}
}

// snapshot returns the list with availability and shortfalls applied. c.mu is held.
func (c *Catalog) snapshot(l *list) ([]Type, error) {
	if l.loadedAt.IsZero() {
		return nil, l.err
	}
	c.expire(c.cfg.Clock.Now())
	if l.snapshotOf == c.generation && l.snapshot != nil {
		return l.snapshot, nil
	}
	sizing := l.loadedFor.Sizing()
	l.snapshot = make([]Type, len(l.types))
	for i, t := range l.types {
		t.Offerings = c.available(t)
		t.Allocatable = subtract(t.Allocatable, c.shortfalls.of(sized{t.Name, sizing}, t.ImageID))
		l.snapshot[i] = t
	}
	l.snapshotOf = c.generation
	return l.snapshot, nil
}

// available returns the type's offerings less what is known to be unavailable,
// sharing them when nothing is. c.mu is held.
func (c *Catalog) available(t Type) []Offering {
	shared := true
	offerings := t.Offerings
	for i, o := range offerings {
		if _, none := c.unavailable[Key{t.Name, o.Zone, o.CapacityType, o.reservationID()}]; !none || !o.Available {
			continue
		}
		if shared {
			offerings, shared = slices.Clone(offerings), false
		}
		offerings[i].Available = false
	}
	return offerings
}
