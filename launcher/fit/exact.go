package fit

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"

	"github.com/slipway-dev/slipway/launcher/pack"
)

// placeRest finds places, pod by pod and by nothing but the plugins, for those that
// packing left: classes that no rule stands for, and whatever a rule misjudged.
func (v *verifier) placeRest() {
	shapes := slices.DeleteFunc(slices.Clone(v.shapes), func(sh *shape) bool { return sh.priority < v.least })
	slices.SortStableFunc(shapes, func(a, b *shape) int { return cmp.Compare(b.priority, a.priority) })
	for progress := true; progress; { // a pod may fit once another has its place (affinity)
		progress = v.pass(shapes) || v.leniently(shapes)
	}
}

// pass tries to place every waiting pod and tells whether any found a place.
func (v *verifier) pass(shapes []*shape) (progress bool) {
	for _, sh := range shapes {
		if v.lenient && v.classes[sh.class].skips(names.PodTopologySpread) {
			continue
		}
		for len(sh.waiting) > 0 && v.placeOne(sh) {
			progress = true
			if v.classes[sh.class].exact {
				break // in turns: pods that go together must not take each other's room
			}
		}
	}
	return progress
}

// leniently makes a pass without the domains that have no node yet: where nothing can be
// bought there (limits, another constraint of the pod), they do not exist to the scheduler.
func (v *verifier) leniently(shapes []*shape) bool {
	if v.input.Frugal {
		return false
	}
	v.lenient = true
	defer func() { v.lenient = false }()
	return v.pass(shapes)
}

// placeOne places the oldest waiting pod of a shape on a node of the plan, or buys one for it.
func (v *verifier) placeOne(sh *shape) bool {
	c := v.classes[sh.class]
	state := v.refresh(sh.class)
	if v.lenient {
		defer func() { v.states[sh.class] = nil }()
	}
	if c.exact || v.lenient {
		state.pod = sh.waiting[0]         // for devices: it has claims of its own
		v.prefilterAgain(sh.class, state) // what it depends on may not be kept by PreFilter extensions
	}
	if sh.rejected = state.rejected; sh.rejected != "" {
		return false
	}
	t := try{sh, sh.waiting[0], nil}
	place := v.placeFor(t)
	if place == nil {
		return false
	}
	sh.waiting = sh.waiting[1:]
	place.grown = true
	v.noNewDomains = v.noNewDomains || v.lenient
	return true
}

func (v *verifier) placeFor(t try) *place {
	c := v.classes[t.shape.class]
	for _, r := range v.rooms {
		if (c.named == nil || c.named.Has(r.info.Node().Name)) && !v.dependsOnGuess(c, r.info) && (c.exact || holds(v.free(r.info), t.shape.requests)) {
			t.place = v.reuse(r)
			if v.accept(t) {
				return t.place
			}
		}
	}
	if c.named != nil {
		return nil
	}
	for _, p := range v.places {
		if !p.room && c.fits[v.kindOf[p.templates[0]]] && holds(v.free(p.info), t.shape.requests) && v.staysVaried(p, t) {
			t.place = p
			if v.accept(t) {
				return p
			}
		}
	}
	return v.buyFor(t)
}

// buyFor buys the node that is cheapest for the pods of the shape that wait: one answer
// of the plugins for each kind of node.
func (v *verifier) buyFor(t try) *place {
	if v.input.Frugal {
		return nil
	}
	c := v.classes[t.shape.class]
	var candidates []int
	for i, k := range v.kindOf {
		if c.fits[k] && holds(v.capacities[i], t.shape.requests) {
			candidates = append(candidates, i)
		}
	}
	many, together := len(t.shape.waiting), v.together(t.shape.class)
	slices.SortStableFunc(candidates, func(a, b int) int {
		x, y := &v.input.Templates[a], &v.input.Templates[b]
		if together != nil {
			if p, q := holds(v.capacities[a], together), holds(v.capacities[b], together); p && q {
				return cmp.Or(cmp.Compare(y.Tier, x.Tier), cmp.Compare(x.Price, y.Price))
			} else if p != q {
				return one(q) - one(p)
			}
		}
		n, m := min(many, times(v.capacities[a], t.shape.requests)), min(many, times(v.capacities[b], t.shape.requests))
		return cmp.Or(cmp.Compare(y.Tier, x.Tier), cmp.Compare(x.Price*float64(m), y.Price*float64(n)))
	})
	refused := map[int]bool{}
	for _, template := range candidates {
		k := v.kindOf[template]
		if refused[k] {
			continue
		}
		pool := v.input.Templates[template].Pool
		if v.wantsVariety(template) {
			if lack := v.lacks(v.choices(template, t.shape.requests, []*corev1.Pod{t.pod})); lack != "" {
				v.limits[pool] = lack
				continue
			}
		}
		if v.input.Budget != nil {
			if err := v.input.Budget.Take(template); err != nil {
				v.limits[pool], v.limited = err.Error(), true
				continue
			}
		}
		t.place = v.buy([]int{template})
		if v.accept(t) {
			return t.place
		}
		refused[k] = true
		v.drop(t.place)
	}
	return nil
}

// together sums up what the waiting pods request that have to share a host with those of a
// class, themselves included; nil when the class goes with nobody.
func (v *verifier) together(id int) pack.Vector {
	group := map[int]bool{id: true}
	for grew := true; grew; {
		grew = false
		for _, pair := range v.mates {
			if group[pair[0]] != group[pair[1]] {
				group[pair[0]], group[pair[1]], grew = true, true, true
			}
		}
	}
	if !slices.ContainsFunc(v.mates, func(p [2]int) bool { return p[0] == id || p[1] == id }) {
		return nil
	}
	sum := make(pack.Vector, len(v.resources))
	for _, sh := range v.shapes {
		if group[sh.class] {
			for i, n := range sh.requests {
				sum[i] += n * int64(len(sh.waiting))
			}
		}
	}
	return sum
}

// drop takes back a node that was bought last.
func (v *verifier) drop(p *place) {
	v.engine.lister.remove(p.info)
	v.places = slices.DeleteFunc(v.places, func(q *place) bool { return q == p })
	if slices.ContainsFunc(p.kind.daemons, func(d int) bool { return v.daemons[d] }) {
		v.strike(func(l *placed) bool { return l.place == p })
	}
	if v.input.Budget != nil {
		v.input.Budget.Give(p.templates[0])
	}
}

// dropEmpty takes back the nodes that no pod was allowed on.
func (v *verifier) dropEmpty() {
	for _, p := range slices.Clone(v.places) {
		if !p.room && len(p.pods) == 0 {
			v.drop(p)
		}
	}
}

// times returns how many pods with the requests an empty node holds.
func times(capacity, requests pack.Vector) int {
	n := int64(1 << 30)
	for i, r := range requests {
		if r > 0 {
			n = min(n, capacity[i]/r)
		}
	}
	return int(max(n, 0))
}

// used is what the pods of the plan take on a node.
func (v *verifier) used(p *place) pack.Vector {
	used := v.resources.amounts(p.info.Requested)
	for i, n := range v.overheads[v.kindOf[p.templates[0]]] {
		used[i] -= n
	}
	used[podsAt] = int64(len(p.pods))
	return used
}

// choices lists the template and, cheapest first, others of its kind that hold as much as
// is used and attach the pods' volumes.
func (v *verifier) choices(chosen int, used pack.Vector, pods []*corev1.Pod) []int {
	all := []int{chosen}
	for t, k := range v.kindOf {
		if t != chosen && k == v.kindOf[chosen] && holds(v.capacities[t], used) && v.attaches(t, pods) {
			all = append(all, t)
		}
	}
	v.byPrice(all[1:])
	return v.shortlist(all)
}
