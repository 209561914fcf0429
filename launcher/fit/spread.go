package fit

import (
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// spreadState is PodTopologySpread's PreFilter state (plugins/podtopologyspread/filtering.go,
// preFilterState, whose fields are exported).
type spreadState struct {
	constraints, paths reflect.Value
	counts             []map[string]int
}

func spreadOf(state fwk.CycleState) (spreadState, bool) {
	if state.GetSkipFilterPlugins().Has(names.PodTopologySpread) {
		return spreadState{}, false
	}
	s, err := pluginState(state, names.PodTopologySpread)
	if err != nil {
		return spreadState{}, false // PreFilter ended before it; the class is rejected
	}
	counts, ok := s.FieldByName("TpValueToMatchNum").Interface().([]map[string]int)
	return spreadState{s.FieldByName("Constraints"), s.FieldByName("CriticalPaths"), counts}, ok
}

func (s spreadState) key(i int) string {
	return s.constraints.Index(i).FieldByName("TopologyKey").String()
}

// widen adds the domains in which a class could be bought a node. Without them a zone that
// has no node yet does not exist to PodTopologySpread.
func (v *verifier) widen(state fwk.CycleState, c *class) {
	s, ok := spreadOf(state)
	if !ok {
		return
	}
	for i, byValue := range s.counts {
		key := s.key(i)
		for k, fits := range c.fits {
			if value, ok := v.kinds[k].info.Node().Labels[key]; ok && fits && key != corev1.LabelHostname {
				byValue[value] += 0
			}
		}
	}
	recount(state)
}

// recount finds the emptiest domain, which PodTopologySpread keeps only for the two
// domains that it expects preemption to touch (criticalPaths). There may always be a host
// without any pods.
func recount(state fwk.CycleState) {
	s, ok := spreadOf(state)
	if !ok {
		return
	}
	for i, byValue := range s.counts {
		value, least := "", 0
		if s.key(i) != corev1.LabelHostname {
			for v, n := range maps.All(byValue) {
				if value == "" || n < least || n == least && v < value {
					value, least = v, n
				}
			}
		}
		emptiest := s.paths.Index(i).Elem().Index(0)
		emptiest.FieldByName("TopologyValue").SetString(value)
		emptiest.FieldByName("MatchNum").SetInt(int64(least))
	}
}
