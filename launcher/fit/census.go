package fit

import (
	"maps"
	"reflect"

	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// census is what PodTopologySpread has counted for one spread rule while pods are placed.
// The states of all classes under the rule share its counts and its emptiest domain: equal
// constraints over equal nodes (spreadState.counted) count equal pods, whoever carries them.
// So a placed pod is counted once a rule, not once a class.
//
// Whether a pod counts is for the plugin to say. It reads of the pod only what makes its
// class, and of the node only what makes its kind, so it is asked once for these.
type census struct {
	key      string
	counts   map[string]int // by the key's value
	emptiest reflect.Value  // a *criticalPaths
	stale    bool           // there may be another emptiest domain
	counted  map[stand]bool

	carrier *class // a class with the constraint, its number there, and a state to ask by
	at      int
	asked   fwk.CycleState
}

// stand is a class on a kind of node, or in a room.
type stand struct {
	class int
	kind  *kind
	room  *place
}

// takeCensuses starts the censuses before anything is placed. Classes that are exact have
// states of their own.
func (v *verifier) takeCensuses() {
	v.censuses = make([]*census, len(v.rules))
	for _, c := range v.classes {
		if c.exact || c.rejected != "" {
			continue
		}
		var asked fwk.CycleState
		for at, r := range v.spreadRules(c) {
			if v.censuses[r] != nil {
				continue
			}
			if asked == nil {
				asked = c.state.Clone()
				v.widen(asked, c)
				asked.SetSkipFilterPlugins(v.engine.filters.Difference(sets.New(names.PodTopologySpread)))
			}
			s, _ := spreadOf(asked)
			paths := s.paths.Index(at)
			v.censuses[r] = &census{
				key: s.key(at), counts: maps.Clone(s.counts[at]), emptiest: reflect.New(paths.Type().Elem()), stale: true,
				counted: map[stand]bool{}, carrier: c, at: at, asked: asked,
			}
			v.censuses[r].emptiest.Elem().Set(paths.Elem())
		}
	}
}

// spreadRules lists a class's rules about spread, which are in the order of its constraints.
func (s *Space) spreadRules(c *class) (rules []int) {
	for _, r := range c.owned {
		if s.rules[r].spread {
			rules = append(rules, r)
		}
	}
	return rules
}

// share has a class's state count by the censuses.
func (v *verifier) share(c *class, state fwk.CycleState) (shared []*census) {
	for at, r := range v.spreadRules(c) {
		s, _ := spreadOf(state)
		s.counts[at] = v.censuses[r].counts
		s.paths.Index(at).Set(v.censuses[r].emptiest)
		shared = append(shared, v.censuses[r])
	}
	return shared
}

// count takes in that a pod came to its place, or (by -1) left it.
func (v *verifier) count(p placed, by int) {
	for _, r := range v.classes[p.class].matched {
		if c := v.censuses[r]; c != nil && v.counts(c, p) {
			value := p.place.info.Node().Labels[c.key]
			c.counts[value] += by
			c.stale = true
		}
	}
}

// counts asks the plugin whether it counts a pod where it is.
func (v *verifier) counts(c *census, p placed) bool {
	key := stand{class: p.class, kind: p.place.kind}
	if p.place.room {
		key.room = p.place
	}
	counts, ok := c.counted[key]
	if !ok {
		s, _ := spreadOf(c.asked)
		value := p.place.info.Node().Labels[c.key]
		before := s.counts[c.at][value]
		v.engine.framework.RunPreFilterExtensionAddPod(v.ctx, c.asked, c.carrier.sample, p.info, p.place.info)
		counts = s.counts[c.at][value] > before
		c.counted[key] = counts
	}
	return counts
}

// recount finds the emptiest domain.
func (c *census) recount() {
	if c.stale {
		setEmptiest(c.key, c.counts, c.emptiest)
		c.stale = false
	}
}
