package fit

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
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
	counts, ok := reflect.TypeAssert[[]map[string]int](s.FieldByName("TpValueToMatchNum"))
	return spreadState{s.FieldByName("Constraints"), s.FieldByName("CriticalPaths"), counts}, ok
}

func (s spreadState) key(i int) string {
	return s.constraints.Index(i).FieldByName("TopologyKey").String()
}

// selector of the pods that are counted; nil if it is not what it is expected to be.
func (s spreadState) selector(i int) labels.Selector {
	selector, _ := reflect.TypeAssert[labels.Selector](s.constraints.Index(i).FieldByName("Selector"))
	return selector
}

func (s spreadState) maxSkew(i int) int {
	return int(s.constraints.Index(i).FieldByName("MaxSkew").Int())
}

// least returns the number of matching pods in the emptiest domain (minMatchNum there).
func (s spreadState) least(i int) int {
	if len(s.counts[i]) < int(s.constraints.Index(i).FieldByName("MinDomains").Int()) {
		return 0
	}
	return int(s.paths.Index(i).Elem().Index(0).FieldByName("MatchNum").Int())
}

// widen adds the domains in which a class could be bought a node. Without them a zone that
// has no node yet does not exist to PodTopologySpread.
func (v *verifier) widen(state fwk.CycleState, c *class) {
	s, ok := spreadOf(state)
	if !ok {
		return
	}
	for i, byValue := range s.counts {
		for _, value := range c.domains[i] {
			byValue[value] += 0
		}
	}
	recount(state)
}

// counted describes which nodes the constraints of a pod compare.
func (s spreadState) counted(pod *corev1.Pod) string {
	var b strings.Builder
	for i := range s.counts {
		c := s.constraints.Index(i)
		fmt.Fprint(&b, s.key(i), c.FieldByName("NodeAffinityPolicy"), c.FieldByName("NodeTaintsPolicy"), " ")
	}
	fmt.Fprint(&b, pod.Spec.NodeSelector, pod.Spec.Tolerations)
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		fmt.Fprint(&b, a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	return b.String()
}

// selected tells by kind whether a pod's node selector and affinity match; nil when they
// match all nodes.
func (s *Space) selected(pod *corev1.Pod) []bool {
	a := pod.Spec.Affinity
	if len(pod.Spec.NodeSelector) == 0 && (a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil) {
		return nil
	}
	required := nodeaffinity.GetRequiredNodeAffinity(pod)
	selected := make([]bool, len(s.kinds))
	for i, k := range s.kinds {
		selected[i], _ = required.Match(k.info.Node())
	}
	return selected
}

// domainsOf asks PodTopologySpread in which domains it would compare nodes to be bought: also
// in such where the pods may not run for reasons it does not know, volumes among them.
func (s *Space) domainsOf(c *class, constraints int, counted string) [][]string {
	domains, ok := s.domains[counted]
	if ok {
		return domains
	}
	domains = make([][]string, constraints)
	infos := make([]*framework.NodeInfo, len(s.kinds))
	for i, k := range s.kinds {
		infos[i] = k.info
	}
	restore := s.engine.lister.show(infos)
	defer restore()
	if state, _, rejected := s.prefilter(c.sample); rejected == "" {
		if found, ok := spreadOf(state); ok {
			for i, byValue := range found.counts {
				if found.key(i) != corev1.LabelHostname {
					domains[i] = slices.Sorted(maps.Keys(byValue))
				}
			}
		}
	}
	s.domains[counted] = domains
	return domains
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
		setEmptiest(s.key(i), byValue, s.paths.Index(i))
	}
}

func setEmptiest(key string, byValue map[string]int, paths reflect.Value) {
	value, least := "", 0
	if key != corev1.LabelHostname {
		for v, n := range byValue {
			if value == "" || n < least || n == least && v < value {
				value, least = v, n
			}
		}
	}
	emptiest := paths.Elem().Index(0)
	emptiest.FieldByName("TopologyValue").SetString(value)
	emptiest.FieldByName("MatchNum").SetInt(int64(least))
}
