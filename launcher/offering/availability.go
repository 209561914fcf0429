package offering

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
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
	l.snapshot = make([]Type, len(l.types))
	for i, t := range l.types {
		t.Offerings = c.available(t)
		t.Allocatable = c.shortfalls.subtract(t.Name, t.Allocatable)
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
		if _, none := c.unavailable[Key{t.Name, o.Zone, o.CapacityType}]; !none || !o.Available {
			continue
		}
		if shared {
			offerings, shared = slices.Clone(offerings), false
		}
		offerings[i].Available = false
	}
	return offerings
}

// Learn records that a node of the type, run from the image, reported less than was
// predicted for it; from then on Types predicts less for the type. It returns whether
// that was news. What a node has beyond its prediction is not counted on.
//
// The memory is not durable: feed it again with the nodes that exist at start.
func (c *Catalog) Learn(typeName, imageID string, predicted, reported corev1.ResourceList) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	short := corev1.ResourceList{}
	for name, want := range predicted {
		if got := reported[name]; want.Cmp(got) > 0 {
			want = c.uncorrected(typeName, name, want)
			want.Sub(got)
			short[name] = want
		}
	}
	if !c.shortfalls.record(typeName, imageID, short) {
		return false
	}
	c.bump(false)
	return true
}
