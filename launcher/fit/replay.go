package fit

import (
	"slices"

	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// refresh brings a class's state up to date with the pods placed since.
func (v *verifier) refresh(id int) *replay {
	r := v.states[id]
	if r == nil {
		r = v.begin(id)
		v.states[id] = r
		if v.classes[id].exact {
			v.prefilterAgain(r, v.classes[id])
		}
	}
	if r.watches == nil || r.upTo == len(v.log) {
		return r
	}
	c, changed := v.classes[id], false
	for ; r.upTo < len(v.log) && r.rejected == ""; r.upTo++ {
		p := v.log[r.upTo]
		if !r.watches[p.class] {
			continue
		}
		if r.state.GetSkipFilterPlugins().Has(names.InterPodAffinity) && v.carries(p.class, id) {
			v.prefilterAgain(r, c) // the plugin had nothing to watch for until now
			return r
		}
		v.engine.framework.RunPreFilterExtensionAddPod(v.ctx, r.state, c.sample, p.info, p.place.info)
		changed = true
	}
	if changed {
		recount(r.state)
	}
	return r
}

// begin makes the state of a class that is asked about for the first time: of the nodes of
// the Input, and from the log's beginning. The nodes to be bought were empty then.
func (v *verifier) begin(id int) *replay {
	c := v.classes[id]
	if !c.exact && len(c.owned) == 0 && c.company == nil && !slices.ContainsFunc(v.carriers, func(p int) bool { return v.carries(p, id) }) {
		return &replay{state: c.state, rejected: c.rejected}
	}
	r := &replay{state: c.state.Clone(), rejected: c.rejected, watches: make([]bool, len(v.classes))}
	for p := range v.classes {
		r.watches[p] = v.watches(id, p)
	}
	v.widen(r.state, c)
	return r
}

// prefilterAgain makes the state anew from the nodes as they are now.
func (v *verifier) prefilterAgain(r *replay, c *class) {
	r.state, _, r.rejected = v.prefilter(c)
	if !v.lenient {
		v.widen(r.state, c)
	}
	r.upTo = len(v.log)
}

// watches tells whether pods of class p can change what class c is allowed.
func (v *verifier) watches(c, p int) bool {
	for _, r := range v.classes[c].owned {
		if v.rules[r].matches[p] {
			return true
		}
	}
	if co := v.classes[c].company; co != nil && co.matches[p] {
		return true
	}
	return v.classes[c].exact || v.carries(p, c)
}

// carries tells whether pods of class p keep class c away.
func (v *verifier) carries(p, c int) bool {
	for _, r := range v.classes[p].owned {
		if !v.rules[r].spread && v.rules[r].matches[c] {
			return true
		}
	}
	return false
}
