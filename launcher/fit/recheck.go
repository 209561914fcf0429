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

// bad lists the places in the log that are not good.
func (v *verifier) bad() map[int]bool {
	byClass := make([][]int, len(v.classes))
	for i, p := range v.log {
		if c := v.classes[p.class]; p.shape != nil && (!c.skips(names.PodTopologySpread) || c.wants != "" || v.daemonKeepsAway(p.class)) {
			byClass[p.class] = append(byClass[p.class], i)
		}
	}
	bad := map[int]bool{}
	for id, log := range byClass {
		if len(log) == 0 {
			continue
		}
		state := v.current(id)
		uneven := v.uneven(state, log)
		if len(uneven) > 0 { // now without domains that have no node and may get none
			if state, _, _ = v.prefilter(v.classes[id]); state != nil {
				uneven = v.uneven(state, log)
			}
		}
		for _, i := range slices.Concat(uneven, v.lonely(id, state, log)) {
			bad[i] = true
		}
	}
	return bad
}

func (v *verifier) current(id int) fwk.CycleState {
	r := v.refresh(id)
	if v.classes[id].exact {
		v.prefilterAgain(r, v.classes[id])
	}
	return r.state
}

// uneven lists the latest of a class's pods by which domains exceed the skew.
func (v *verifier) uneven(state fwk.CycleState, log []int) (bad []int) {
	s, ok := spreadOf(state)
	if !ok {
		return nil
	}
	for i := range s.counts {
		excess := map[string]int{}
		for _, l := range slices.Backward(log) {
			value := v.log[l].place.info.Node().Labels[s.key(i)]
			if _, ok := excess[value]; !ok {
				excess[value] = s.counts[i][value] - s.least(i) - s.maxSkew(i)
			}
			if excess[value] > 0 {
				excess[value]--
				bad = append(bad, l)
			}
		}
	}
	return bad
}

// lonely lists the pods of a class that would not have the company they need, or meet a
// DaemonSet's pod, if those with the same wishes in their domain came last of all.
func (v *verifier) lonely(id int, state fwk.CycleState, log []int) (bad []int) {
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
	for _, p := range v.log {
		if p.shape != nil && c.wants != "" && v.classes[p.class].wants == c.wants {
			alike[domain(p)] = append(alike[domain(p)], p)
		}
	}
	known := map[string]bool{}
	for _, l := range log {
		p := v.log[l]
		d := domain(p)
		good, ok := known[d]
		if !ok {
			good = v.fitsWithout(state, c, p, alike[d])
			known[d] = good
		}
		if !good {
			bad = append(bad, l)
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
func (v *verifier) takeBack(bad map[int]bool) {
	var kept []placed
	for i, p := range v.log {
		if !bad[i] {
			kept = append(kept, p)
			continue
		}
		pod := p.info.GetPod()
		if err := p.place.info.RemovePod(klog.FromContext(v.ctx), pod); err != nil {
			kept = append(kept, p) // it is not there: nothing to take back
			continue
		}
		p.place.pods = slices.DeleteFunc(p.place.pods, func(q *corev1.Pod) bool { return q == pod })
		if giveBack := v.reserved[pod.UID]; giveBack != nil {
			giveBack()
			delete(v.reserved, pod.UID)
		}
		p.shape.waiting = append(p.shape.waiting, pod)
		p.shape.refuse("", "no place that stays allowed whatever order the pods come in")
	}
	v.log = kept
	clear(v.states)
}
