package fit

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	fwk "k8s.io/kube-scheduler/framework"
)

// PodTopologySpread and InterPodAffinity are the plugins whose PreFilter looks at all nodes
// and at all pods on them, once a class: with 25 classes and 5,000 nodes of 30 pods, four
// million times. What they look for is known before: a class's selectors, which the plugins
// themselves tell when they are asked about a cluster without nodes. So a class is shown
// the pods that one of its selectors matches, which the plugins then count as they do, the
// nodes that these are on, and of the other nodes one of each mold, for the sake of the
// domains they lie in. A host without such a pod counts as empty wherever it is not shown.

// mold is a set of nodes that differ in name and pods only, as far as any class asks.
type mold []int

// sight is what one class counts of the pods on the nodes.
type sight struct {
	class     *class
	selectors []labels.Selector // of spread constraints, in the class's namespace
	terms     []fwk.AffinityTerm
	keys      []string              // the topologies of both
	pods      map[int][]fwk.PodInfo // by node
}

// glimpse is a node as a class is shown it.
type glimpse struct {
	fwk.NodeInfo
	pods []fwk.PodInfo
}

// GetPods implements fwk.NodeInfo.
func (g glimpse) GetPods() []fwk.PodInfo { return g.pods }

// prefilterAll runs PreFilter for all classes against the nodes of the Input.
func (s *Space) prefilterAll() {
	l := s.engine.lister
	if len(l.nodes) == 0 {
		for _, c := range s.classes {
			c.state, c.named, c.rejected = s.prefilter(c.sample)
		}
		return
	}
	defer l.showAll()
	var sights []*sight
	for _, c := range s.classes {
		l.showOnly([]fwk.NodeInfo{})
		c.state, c.named, c.rejected = s.prefilter(c.sample)
		if c.rejected != "" {
			l.showAll()
			c.state, c.named, c.rejected = s.prefilter(c.sample)
		} else if v := newSight(c); len(v.selectors)+len(v.terms) > 0 {
			sights = append(sights, v)
		}
	}
	if len(sights) == 0 && len(s.input.Guessed) == 0 {
		return
	}
	s.lookAround(sights)
	s.awaitGuessed(sights)
	molds := s.molds()
	for _, v := range sights {
		if v.class.awaits {
			continue
		}
		l.showOnly(v.of(molds, l.nodes))
		c := v.class
		c.state, c.named, c.rejected = s.prefilter(c.sample)
	}
}

// newSight reads a class's selectors off the states that PreFilter left.
func newSight(c *class) *sight {
	v := &sight{class: c, pods: map[int][]fwk.PodInfo{}}
	if state, ok := spreadOf(c.state); ok {
		for i := range state.counts {
			v.selectors, v.keys = append(v.selectors, state.selector(i)), append(v.keys, state.key(i))
		}
	}
	v.terms = slices.Concat(c.info.RequiredAffinityTerms, c.info.RequiredAntiAffinityTerms)
	v.keys = append(v.keys, termKeys(v.terms)...)
	return v
}

// counts tells whether any selector matches a pod.
func (v *sight) counts(pod *corev1.Pod, ns labels.Set) bool {
	return pod.Namespace == v.class.sample.Namespace &&
		slices.ContainsFunc(v.selectors, func(s labels.Selector) bool { return s == nil || s.Matches(labels.Set(pod.Labels)) }) ||
		slices.ContainsFunc(v.terms, func(t fwk.AffinityTerm) bool { return t.Matches(pod, ns) })
}

// lookAround finds for each class the pods that it counts. Pods of one namespace with equal
// labels, as far as these are read, are counted by the same classes.
func (s *Space) lookAround(sights []*sight) {
	var d digest
	counted := map[string][]*sight{}
	for n, node := range s.engine.lister.nodes {
		for _, p := range node.GetPods() {
			pod := p.GetPod()
			d.raw = d.raw[:0]
			d.str(pod.Namespace)
			d.labels(pod.Labels, s.reads)
			by, ok := counted[string(d.raw)]
			if !ok {
				ns := s.engine.namespaceLabels(pod.Namespace)
				for _, v := range sights {
					if v.counts(pod, ns) {
						by = append(by, v)
					}
				}
				counted[string(d.raw)] = by
			}
			for _, v := range by {
				v.pods[n] = append(v.pods[n], p)
			}
		}
	}
}

// molds sorts the nodes.
func (s *Space) molds() []mold {
	var d digest
	at := map[string]int{}
	var molds []mold
	for n, info := range s.engine.lister.nodes {
		node := info.Node()
		d.raw = d.raw[:0]
		for _, key := range s.asked {
			switch value, ok := node.Labels[key]; {
			case !ok:
				d.num(-1)
			case key == corev1.LabelHostname: // whatever it is
				d.num(0)
			default:
				d.str(value)
			}
		}
		for i := range node.Spec.Taints {
			t := &node.Spec.Taints[i]
			d.str(t.Key)
			d.str(t.Value)
			d.str(string(t.Effect))
		}
		m, ok := at[string(d.raw)]
		if !ok {
			m = len(molds)
			at[string(d.raw)] = m
			molds = append(molds, nil)
		}
		molds[m] = append(molds[m], n)
	}
	return molds
}

// of lists the nodes that the class is shown; all of them where it asks for nodes by name.
func (v *sight) of(molds []mold, nodes []fwk.NodeInfo) []fwk.NodeInfo {
	shown := slices.Sorted(maps.Keys(v.pods))
	for _, m := range molds {
		for _, n := range m {
			if _, counted := v.pods[n]; counted {
				continue
			}
			shown = append(shown, n)
			if !v.class.asksNames() {
				break
			}
		}
	}
	seen := make([]fwk.NodeInfo, len(shown))
	for i, n := range shown {
		seen[i] = glimpse{nodes[n], v.pods[n]}
	}
	return seen
}

// asksNames tells whether a class's constraints tell nodes apart by their names.
func (c *class) asksNames() bool {
	spec := &c.sample.Spec
	if _, ok := spec.NodeSelector[corev1.LabelHostname]; ok {
		return true
	}
	if a := spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
			if len(t.MatchFields) > 0 || slices.ContainsFunc(t.MatchExpressions, func(r corev1.NodeSelectorRequirement) bool { return r.Key == corev1.LabelHostname }) {
				return true
			}
		}
	}
	return false
}
