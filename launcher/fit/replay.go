package fit

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// replay is a class's PreFilter state while pods are placed. PodTopologySpread's counts are
// shared with other classes (census.go); InterPodAffinity is told of each pod that matters
// to the class. States of which that cannot be said are made anew when anything has changed.
type replay struct {
	state    fwk.CycleState
	rejected string
	pod      *corev1.Pod      // that the state is about; nil for the class's sample
	sized    fwk.StateData    // the requests that the state has at the moment
	deaf     sets.Set[string] // plugins that are not told of pods
	follows  []follow
	censuses []*census
	anew     bool
	version  int // of the log, when it was made
}

// follow is how much of the log of another class a replay has taken in.
type follow struct{ class, upTo int }

// refresh brings a class's state up to date with the pods placed since.
func (v *verifier) refresh(id int) *replay {
	r := v.states[id]
	if r == nil {
		r = v.begin(id)
		v.states[id] = r
	}
	if r.anew {
		if r.version != v.version {
			v.prefilterAgain(id, r)
		}
		return r
	}
	for i := range r.follows {
		f := &r.follows[i]
		if f.upTo == len(v.log[f.class]) {
			continue
		}
		if r.state.GetSkipFilterPlugins().Has(names.InterPodAffinity) && v.carries(f.class, id) {
			v.prefilterAgain(id, r) // the plugin had nothing to watch for until now
			break
		}
		v.tell(id, r, v.log[f.class][f.upTo:])
		f.upTo = len(v.log[f.class])
	}
	for _, c := range r.censuses {
		c.recount()
	}
	return r
}

// tell has the plugins, but the one that has the censuses, take in pods that were placed.
func (v *verifier) tell(id int, r *replay, pods []placed) {
	skipped := r.state.GetSkipFilterPlugins()
	if r.deaf == nil {
		r.deaf = skipped.Union(sets.New(names.PodTopologySpread))
	}
	r.state.SetSkipFilterPlugins(r.deaf)
	for _, p := range pods {
		v.engine.framework.RunPreFilterExtensionAddPod(v.ctx, r.state, v.classes[id].sample, p.info, p.place.info)
	}
	r.state.SetSkipFilterPlugins(skipped)
}

// begin makes the state of a class that is asked about for the first time: of the nodes of
// the Input, and from the logs' beginnings. The nodes to be bought were empty then.
func (v *verifier) begin(id int) *replay {
	c := v.classes[id]
	r := &replay{state: c.state, rejected: c.rejected}
	switch {
	case c.rejected != "":
		return r
	case c.exact:
		v.prefilterAgain(id, r)
		return r
	case len(c.owned) == 0 && c.company == nil && !slices.ContainsFunc(v.carriers, func(p int) bool { return v.carries(p, id) }):
		return r
	}
	r.state = c.state.Clone()
	for p := range v.classes {
		if v.watches(id, p) {
			r.follows = append(r.follows, follow{class: p})
		}
	}
	r.censuses = v.share(c, r.state)
	return r
}

// prefilterAgain makes the state anew from the nodes as they are now.
func (v *verifier) prefilterAgain(id int, r *replay) {
	c := v.classes[id]
	r.state, _, r.rejected = v.prefilter(cmp.Or(r.pod, c.sample))
	r.version, r.anew = v.version, r.rejected != "" || c.exact || v.lenient
	r.sized, r.censuses, r.deaf = nil, nil, nil
	for i := range r.follows {
		r.follows[i].upTo = len(v.log[r.follows[i].class])
	}
	switch {
	case r.rejected != "" || v.lenient:
	case c.exact:
		v.widen(r.state, c)
	default:
		r.censuses = v.share(c, r.state)
	}
}

// watches tells whether pods of class p can change what class c is allowed, other than by
// being counted for its spread.
func (v *verifier) watches(c, p int) bool {
	if co := v.classes[c].company; co != nil && co.matches[p] {
		return true
	}
	return v.carries(c, p) || v.carries(p, c)
}

// carries tells whether pods of class p keep class c away.
func (v *verifier) carries(p, c int) bool {
	return slices.ContainsFunc(v.classes[p].owned, func(r int) bool { return !v.rules[r].spread && v.rules[r].matches[c] })
}
