package offering

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// resourceNodes counts nodes in a NodePool's limits.
const resourceNodes corev1.ResourceName = "nodes"

// Limits counts what the pools' nodes have together against spec.limits.
type Limits struct {
	pools map[string]*poolLimits // those that have any
}

type poolLimits struct {
	names       []corev1.ResourceName // sorted
	limit, used corev1.ResourceList
}

// NewLimits returns the limits of the pools, with nothing counted yet.
func NewLimits(pools []v1alpha1.NodePool) *Limits {
	l := &Limits{pools: map[string]*poolLimits{}}
	for _, p := range pools {
		if limit := p.Spec.Limits; len(limit) > 0 {
			l.pools[p.Name] = &poolLimits{slices.Sorted(maps.Keys(limit)), limit, corev1.ResourceList{}}
		}
	}
	return l
}

// Count adds a node that exists or is on its way, whatever the limits say.
func (l *Limits) Count(pool string, capacity corev1.ResourceList) {
	if p := l.pools[pool]; p != nil {
		p.add(capacity, 1)
	}
}

// Take counts a node; an error that says which limit is reached leaves it uncounted.
func (l *Limits) Take(pool string, capacity corev1.ResourceList) error {
	p := l.pools[pool]
	if p == nil {
		return nil
	}
	p.add(capacity, 1)
	for _, name := range p.names {
		if used, limit := p.used[name], p.limit[name]; used.Cmp(limit) > 0 {
			p.add(capacity, -1)
			return fmt.Errorf("its limit of %s %s is reached", limit.String(), name)
		}
	}
	return nil
}

// Give takes a counted node back.
func (l *Limits) Give(pool string, capacity corev1.ResourceList) {
	if p := l.pools[pool]; p != nil {
		p.add(capacity, -1)
	}
}

// Covers tells whether a node that was counted with one capacity may come to have another:
// it has no more of what is limited.
func (l *Limits) Covers(pool string, counted, other corev1.ResourceList) bool {
	p := l.pools[pool]
	if p == nil {
		return true
	}
	return !slices.ContainsFunc(p.names, func(name corev1.ResourceName) bool {
		q := other[name]
		return name != resourceNodes && q.Cmp(counted[name]) > 0
	})
}

// add counts n nodes of a capacity; n is 1 or -1.
func (p *poolLimits) add(capacity corev1.ResourceList, n int64) {
	for _, name := range p.names {
		q := capacity[name].DeepCopy()
		if name == resourceNodes {
			q = *resource.NewQuantity(1, resource.DecimalSI)
		}
		used := p.used[name]
		if n < 0 {
			used.Sub(q)
		} else {
			used.Add(q)
		}
		p.used[name] = used
	}
}

// Budget counts offers, by their index, against their pools' limits and what is left of
// capacity reservations; it implements fit.Budget.
type Budget struct {
	Limits *Limits
	Offers []Offer
	// Slots are the instances left of each reservation, by its id, which pools may share.
	Slots map[string]int
}

// Clone returns a Budget to count on without counting here.
func (b Budget) Clone() Budget {
	limits := &Limits{pools: make(map[string]*poolLimits, len(b.Limits.pools))}
	for name, p := range b.Limits.pools {
		limits.pools[name] = &poolLimits{p.names, p.limit, p.used.DeepCopy()}
	}
	return Budget{Limits: limits, Offers: b.Offers, Slots: maps.Clone(b.Slots)}
}

// Take implements fit.Budget.
func (b Budget) Take(offer int) error {
	o := b.Offers[offer]
	id := o.reservationID()
	if id != "" && b.Slots[id] <= 0 {
		return fmt.Errorf("capacity reservation %s has no instance left", id)
	}
	if err := b.Limits.Take(o.Pool.Name, o.Node.Status.Capacity); err != nil {
		return err
	}
	if id != "" {
		b.Slots[id]--
	}
	return nil
}

// Give implements fit.Budget.
func (b Budget) Give(offer int) {
	o := b.Offers[offer]
	b.Limits.Give(o.Pool.Name, o.Node.Status.Capacity)
	if id := o.reservationID(); id != "" {
		b.Slots[id]++
	}
}

// Within drops from offers of one pool those that have more of a limited resource than the
// first, which is the one that was counted, and reservations other than the first's.
func (b Budget) Within(offers []int) []int {
	first := b.Offers[offers[0]]
	var kept []int
	for _, i := range offers {
		id := b.Offers[i].reservationID()
		if (id == "" || id == first.reservationID()) &&
			b.Limits.Covers(first.Pool.Name, first.Node.Status.Capacity, b.Offers[i].Node.Status.Capacity) {
			kept = append(kept, i)
		}
	}
	return kept
}
