package fit

import (
	"maps"
	"math"
	"slices"

	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/util"

	"github.com/slipway-dev/slipway/launcher/pack"
)

// node is a simulated node: what the rules about hosts need to know of its pods. It
// implements pack.Node.
//
// A rule's carriers each bear so many matching pods on their host, themselves included,
// and a node keeps the strictest bound of its pods. Spread is held against an empty host,
// since there always may be one. So the bounds hold whatever the order the pods come in.
type node struct {
	space    *Space
	template int    // -1 for a room
	host     string // of a room
	lots     []pack.ShapeCount
	counts   map[int]tally    // by rule
	ports    fwk.HostPortInfo // shared until a pod adds to it
	ownPorts bool
}

// tally is the state of one rule on one node.
type tally struct{ matching, bound int }

// Open implements pack.Constraints.
func (s *Space) Open(t int) pack.Node {
	if s.isNarrow[t] {
		return nil
	}
	if s.input.Budget != nil {
		if err := s.input.Budget.Take(t); err != nil {
			s.limits[s.input.Templates[t].Pool], s.limited = err.Error(), true
			return nil
		}
	}
	return s.empty(t)
}

// empty is a node of a template with nothing but the DaemonSets' pods.
func (s *Space) empty(t int) *node {
	k := s.kinds[s.kindOf[t]]
	return &node{space: s, template: t, ports: k.info.GetUsedPorts(), counts: maps.Clone(k.tallies)}
}

// Add implements pack.Node.
func (n *node) Add(l, count int) int {
	s := n.space
	c := s.classes[s.shapes[s.lots[l].shape].class]
	if c.ports {
		count = min(count, n.freePorts(c))
	}
	if count > 0 && (len(c.hostOwned) > 0 || len(c.hostMatched) > 0) {
		count = n.bounded(c, count)
	}
	if count > 0 {
		n.take(c, l, count)
	}
	return count
}

// bounded returns how many of count pods the rules allow.
func (n *node) bounded(c *class, count int) int {
	for _, o := range c.hostOwned {
		have := n.tally(o.rule).matching
		if o.matches {
			count = min(count, o.bound-have)
		} else if have > o.bound {
			return 0
		}
	}
	for _, r := range c.hostMatched {
		have := n.tally(r)
		count = min(count, have.bound-have.matching)
	}
	return max(count, 0)
}

func (n *node) take(c *class, l, count int) {
	n.lots = append(n.lots, pack.ShapeCount{Shape: l, Count: count})
	n.tell(c, count)
	if !c.ports {
		return
	}
	if !n.ownPorts {
		n.ports, n.ownPorts = clonePorts(n.ports), true
	}
	for _, p := range util.GetHostPorts(c.sample) {
		n.ports.Add(p.HostIP, string(p.Protocol), p.HostPort)
	}
}

// tell tells the rules about hosts of pods on the node.
func (n *node) tell(c *class, count int) {
	if n.counts == nil && len(c.hostOwned)+len(c.hostMatched) > 0 {
		n.counts = map[int]tally{}
	}
	for _, r := range c.hostMatched {
		have := n.tally(r)
		have.matching += count
		n.counts[r] = have
	}
	for _, o := range c.hostOwned {
		have := n.tally(o.rule)
		have.bound = min(have.bound, o.bound)
		n.counts[o.rule] = have
	}
}

func (n *node) tally(rule int) tally {
	if have, ok := n.counts[rule]; ok {
		return have
	}
	return tally{matching: n.space.rules[rule].crowd[n.host], bound: math.MaxInt32}
}

// freePorts returns whether a pod of the class, and no more than one, finds its host ports free.
func (n *node) freePorts(c *class) int {
	for _, p := range util.GetHostPorts(c.sample) {
		if n.ports.CheckConflict(p.HostIP, string(p.Protocol), p.HostPort) {
			return 0
		}
	}
	return 1
}

func clonePorts(ports fwk.HostPortInfo) fwk.HostPortInfo {
	clone := make(fwk.HostPortInfo, len(ports))
	for ip, used := range ports {
		clone[ip] = maps.Clone(used)
	}
	return clone
}

// Discard implements pack.Node.
func (n *node) Discard() {
	if n.template >= 0 && n.space.input.Budget != nil {
		n.space.input.Budget.Give(n.template)
	}
}

// Holds implements pack.Node: the pods fit the other template's kind one by one; that
// there is room for all of them is the caller's to count.
func (n *node) Holds(t int) bool {
	s := n.space
	k := s.kindOf[t]
	if s.kinds[k].pool != s.kinds[s.kindOf[n.template]].pool {
		return false
	}
	for _, l := range n.lots {
		if !s.lotFits(l.Shape, k) || !s.countsAlike(l.Shape, k, s.kindOf[n.template]) {
			return false
		}
	}
	return len(s.kinds[k].daemons) == 0 || n.wouldFit(t)
}

// wouldFit tells whether the other template's DaemonSet pods leave the pods their host ports
// and bounds.
func (n *node) wouldFit(t int) bool {
	if n.counts == nil && !n.ownPorts || n.space.kindOf[t] == n.space.kindOf[n.template] {
		return true
	}
	other := n.space.empty(t)
	return !slices.ContainsFunc(n.lots, func(l pack.ShapeCount) bool { return other.Add(l.Shape, l.Count) < l.Count })
}

// countsAlike tells whether spread rules count a lot's pods on nodes of one kind where they
// count them on nodes of the other.
func (s *Space) countsAlike(l, a, b int) bool {
	return !slices.ContainsFunc(s.classes[s.shapes[s.lots[l].shape].class].matched, func(r int) bool {
		selects := s.rules[r].selects
		return selects != nil && selects[a] != selects[b]
	})
}

// lotFits tells whether a lot's pods may run on an empty node of a kind, resources aside.
func (s *Space) lotFits(l, kind int) bool {
	lot := s.lots[l]
	if lot.cell != nil {
		return lot.cell.kinds[kind]
	}
	return s.classes[s.shapes[lot.shape].class].fits[kind]
}
