package fit

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// A node on its way may have labels that are only a guess (Input.Guessed), its zone above all.
// Nothing is decided by a guess: the room of such a node is for pods that do not depend on what
// is guessed, and a pod whose constraints are about pods there waits until it is known.

// dependsOnGuess tells whether it depends on a guess if pods of the class may run on a node.
func (s *Space) dependsOnGuess(c *class, info *framework.NodeInfo) bool {
	guessed := s.input.Guessed[info.Node().Name]
	if guessed == nil {
		return false
	}
	bound := func(v corev1.Volume) bool { return !anywhere(&v) } // to what labels, only its driver knows
	if c.exact || slices.ContainsFunc(c.sample.Spec.Volumes, bound) {
		return true
	}
	isGuessed := func(key string) bool { return key != corev1.LabelHostname && guessed(key) }
	return slices.ContainsFunc(podKeys(&c.sample.Spec), isGuessed) || slices.ContainsFunc(s.engine.addedKeys(), isGuessed) ||
		slices.ContainsFunc(c.avoided, isGuessed) ||
		slices.ContainsFunc(c.topologies, func(t int) bool { return isGuessed(s.topologies[t].key) })
}

// awaitGuessed has the classes wait whose constraints are about pods on nodes of which a label
// that the constraint goes by is a guess.
func (s *Space) awaitGuessed(sights []*sight) {
	if len(s.input.Guessed) == 0 {
		return
	}
	nodes := s.engine.lister.nodes
	for _, v := range sights {
		for _, n := range slices.Sorted(maps.Keys(v.pods)) {
			s.await(v.class, nodes[n].Node().Name, v.keys)
		}
	}
	for _, n := range nodes {
		for _, p := range n.GetPodsWithRequiredAntiAffinity() {
			for _, term := range p.GetRequiredAntiAffinityTerms() {
				for _, c := range s.classes {
					if term.Matches(c.sample, s.engine.namespaceLabels(c.sample.Namespace)) {
						s.await(c, n.Node().Name, []string{term.TopologyKey})
					}
				}
			}
		}
	}
}

// await rejects a class for now if one of the keys is guessed of the node.
func (s *Space) await(c *class, node string, keys []string) {
	guessed := s.input.Guessed[node]
	for _, key := range keys {
		if guessed != nil && c.rejected == "" && key != corev1.LabelHostname && guessed(key) {
			c.rejected, c.awaits = fmt.Sprintf("it depends on pods of node %s, of which %s is not known yet", node, key), true
		}
	}
}
