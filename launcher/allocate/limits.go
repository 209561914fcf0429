package allocate

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// resourceNodes counts nodes in a NodePool's limits.
const resourceNodes corev1.ResourceName = "nodes"

// limits counts what the pools' nodes have together against spec.limits; it implements
// fit.Budget. A claim that is not launched yet counts as the largest node it accepts.
type limits struct {
	view  *view
	pools map[string]*poolLimits
}

type poolLimits struct {
	limit, used corev1.ResourceList
}

func newLimits(pools []v1alpha1.NodePool, v *view, claims []*v1alpha1.NodeClaim) *limits {
	l := &limits{view: v, pools: map[string]*poolLimits{}}
	for _, p := range pools {
		if len(p.Spec.Limits) > 0 {
			l.pools[p.Name] = &poolLimits{limit: p.Spec.Limits, used: corev1.ResourceList{}}
		}
	}
	for _, c := range claims {
		if p := l.pools[c.Spec.NodePool]; p != nil {
			p.add(v.capacityOf(c), 1)
		}
	}
	return l
}

// capacityOf is the most a claim's node can have.
func (v *view) capacityOf(c *v1alpha1.NodeClaim) corev1.ResourceList {
	if t := c.Status.InstanceType; t != "" {
		if known, ok := v.types[t]; ok {
			return known.Capacity
		}
		return c.Status.Allocatable
	}
	most := corev1.ResourceList{}
	for _, o := range c.Spec.Offerings {
		for name, q := range v.types[o.InstanceType].Capacity {
			if have := most[name]; q.Cmp(have) > 0 {
				most[name] = q
			}
		}
	}
	return most
}

// add counts n nodes of a capacity; n may be negative.
func (p *poolLimits) add(capacity corev1.ResourceList, n int64) {
	for name := range p.limit {
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

// exceeded returns the first limit that is overstepped, or "".
func (p *poolLimits) exceeded() corev1.ResourceName {
	for name, limit := range p.limit {
		if used := p.used[name]; used.Cmp(limit) > 0 {
			return name
		}
	}
	return ""
}

// Take implements fit.Budget.
func (l *limits) Take(template int) error {
	p := l.pools[l.view.templates[template].Pool]
	if p == nil {
		return nil
	}
	capacity := l.view.templates[template].Node.Status.Capacity
	p.add(capacity, 1)
	if name := p.exceeded(); name != "" {
		p.add(capacity, -1)
		limit := p.limit[name]
		return fmt.Errorf("its limit of %s %s is reached", limit.String(), name)
	}
	return nil
}

// Give implements fit.Budget.
func (l *limits) Give(template int) {
	if p := l.pools[l.view.templates[template].Pool]; p != nil {
		p.add(l.view.templates[template].Node.Status.Capacity, -1)
	}
}

// within drops the alternatives that have more of a limited resource than the chosen
// template, which is the one that was counted.
func (l *limits) within(templates []int) []int {
	p := l.pools[l.view.templates[templates[0]].Pool]
	if p == nil {
		return templates
	}
	counted := l.view.templates[templates[0]].Node.Status.Capacity
	var kept []int
	for _, t := range templates {
		capacity := l.view.templates[t].Node.Status.Capacity
		fits := true
		for name := range p.limit {
			if q := capacity[name]; name != resourceNodes && q.Cmp(counted[name]) > 0 {
				fits = false
			}
		}
		if fits {
			kept = append(kept, t)
		}
	}
	return kept
}
