package fit

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// The plan's pods do not come to the scheduler in the plan's order. Anti-affinity does not
// mind: it keeps two pods apart whoever is first. A spread constraint is only held against
// its carrier, though, and the first of several pods that want each other's company may go
// where the next may not. A place is good when its pod could also take it last of all.

// maxRounds bounds how often pods without a good place are placed anew.
const maxRounds = 3

// keepGood takes back the pods whose places are not good and places them anew.
func (v *verifier) keepGood() (refused int) {
	for round := 0; ; round++ {
		bad := v.bad()
		if len(bad) == 0 {
			return refused
		}
		refused += len(bad)
		v.takeBack(bad)
		if round < maxRounds {
			v.placeRest()
		}
	}
}

// bad lists the pods in the log whose places are not good.
func (v *verifier) bad() map[*placed]bool {
	bad := map[*placed]bool{}
	for id, log := range v.log {
		c := v.classes[id]
		if len(log) == 0 || c.daemon || c.skips(names.PodTopologySpread) && c.wants == "" && !v.daemonKeepsAway(id) {
			continue
		}
		state := v.current(id)
		uneven := v.uneven(state, log)
		if len(uneven) > 0 { // now without domains that have no node and may get none
			if state, _, _ = v.prefilter(c.sample); state != nil {
				uneven = v.uneven(state, log)
			}
		}
		for _, p := range slices.Concat(uneven, v.lonely(id, state)) {
			bad[p] = true
		}
	}
	return bad
}

func (v *verifier) current(id int) fwk.CycleState {
	r := v.refresh(id)
	if v.classes[id].exact {
		v.prefilterAgain(id, r)
	}
	return r.state
}

// uneven lists the latest of a class's pods by which domains exceed the skew.
func (v *verifier) uneven(state fwk.CycleState, log []placed) (bad []*placed) {
	s, ok := spreadOf(state)
	if !ok {
		return nil
	}
	for i := range s.counts {
		key, allowed, excess := s.key(i), s.least(i)+s.maxSkew(i), map[string]int{}
		for l := len(log) - 1; l >= 0; l-- {
			value := log[l].place.info.Node().Labels[key]
			if s.counts[i][value]-excess[value] > allowed {
				excess[value]++
				bad = append(bad, &log[l])
			}
		}
	}
	return bad
}

// lonely lists the pods of a class that would not have the company they need, or meet a
// DaemonSet's pod, if those with the same wishes in their domain came last of all.
func (v *verifier) lonely(id int, state fwk.CycleState) (bad []*placed) {
	c, away := v.classes[id], v.daemonKeepsAway(id)
	if c.wants == "" && !away || state.GetSkipFilterPlugins().Has(names.InterPodAffinity) {
		return nil
	}
	state = state.Clone()
	state.SetSkipFilterPlugins(v.engine.filters.Clone().Delete(names.InterPodAffinity))
	domain := func(p placed) string {
		labels := p.place.info.Node().Labels
		var b strings.Builder
		for _, t := range c.info.RequiredAffinityTerms {
			b.WriteString(labels[t.TopologyKey] + "\x00")
		}
		if away {
			b.WriteString(p.place.info.Node().Name)
		}
		return b.String()
	}
	alike := map[string][]placed{}
	for i, log := range v.log {
		if other := v.classes[i]; other.daemon || c.wants == "" || other.wants != c.wants {
			continue
		}
		for _, p := range log {
			alike[domain(p)] = append(alike[domain(p)], p)
		}
	}
	known := map[string]bool{}
	for i := range v.log[id] {
		p := &v.log[id][i]
		d := domain(*p)
		good, ok := known[d]
		if !ok {
			good = v.fitsWithout(state, c, *p, alike[d])
			known[d] = good
		}
		if !good {
			bad = append(bad, p)
		}
	}
	return bad
}

// fitsWithout tells whether the plugins want a pod where it is, without itself or the others.
func (v *verifier) fitsWithout(state fwk.CycleState, c *class, p placed, others []placed) bool {
	if len(others) == 0 {
		others = []placed{p}
	}
	for _, o := range others {
		v.engine.framework.RunPreFilterExtensionRemovePod(v.ctx, state, c.sample, o.info, o.place.info)
	}
	good := v.engine.framework.RunFilterPlugins(v.ctx, state, c.sample, p.place.info).IsSuccess()
	for _, o := range others {
		v.engine.framework.RunPreFilterExtensionAddPod(v.ctx, state, c.sample, o.info, o.place.info)
	}
	return good
}

// daemonKeepsAway tells whether a DaemonSet's pod, which comes with some node, and a class
// may not meet in one domain.
func (v *verifier) daemonKeepsAway(id int) bool {
	for d, matters := range v.daemons {
		if matters && (v.carries(d, id) || v.carries(id, d)) {
			return true
		}
	}
	return false
}

// takeBack lets the pods wait again.
func (v *verifier) takeBack(bad map[*placed]bool) {
	v.strike(func(p *placed) bool {
		if !bad[p] {
			return false
		}
		pod := p.info.GetPod()
		if err := p.place.info.RemovePod(klog.FromContext(v.ctx), pod); err != nil {
			return false // it is not there: nothing to take back
		}
		p.place.pods = slices.DeleteFunc(p.place.pods, func(q *corev1.Pod) bool { return q == pod })
		if giveBack := v.reserved[pod.UID]; giveBack != nil {
			giveBack()
			delete(v.reserved, pod.UID)
		}
		p.shape.waiting = append(p.shape.waiting, pod)
		p.shape.refuse("", "no place that stays allowed whatever order the pods come in")
		return true
	})
}
