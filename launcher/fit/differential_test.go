package fit_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// worlds has one for each of the profiles.
type worlds []*world

func newWorlds(tb testing.TB) worlds {
	var all worlds
	for i := range profiles {
		all = append(all, newWorld(tb, i))
	}
	return all
}

func (w worlds) of(s *scenario) *world { return w[s.Profile] }

// verdict is what comes of having the scheduler follow a plan.
type verdict struct {
	plan *fit.Plan
	// wrong is what the plan got wrong: pods that the scheduler does not bind as planned.
	wrong []string
	// missed are pods that are not in the plan, although the scheduler has a place for them.
	missed []string
}

// try plans a scenario and has the scheduler schedule the same pods onto nodes that are as
// the plan says, once with each node's chosen template, once with another of its choices.
func (w worlds) try(s *scenario) (v verdict) {
	world := w.of(s)
	world.know(s)
	var err error
	if v.plan, err = world.engine.Plan(world.ctx, s.input()); err != nil {
		return verdict{plan: &fit.Plan{}, wrong: []string{err.Error()}}
	}
	v.wrong = append(v.wrong, complete(s, v.plan)...)
	chosen := func(n fit.Planned) int { return n.Templates[0] }
	v.follow(world, s, chosen, true)
	r := rand.New(rand.NewPCG(s.Seed, 2))
	v.follow(world, s, func(n fit.Planned) int { return n.Templates[r.IntN(len(n.Templates))] }, false)
	return v
}

// complete tells which pods of a scenario are not in the plan exactly once.
func complete(s *scenario, plan *fit.Plan) (wrong []string) {
	seen := map[types.UID]int{}
	count := func(pods []*corev1.Pod) {
		for _, p := range pods {
			seen[p.UID]++
		}
	}
	for _, n := range plan.Nodes {
		count(n.Pods)
		if len(n.Pods) == 0 {
			wrong = append(wrong, "a node without pods")
		}
	}
	for _, r := range plan.Reused {
		count(r.Pods)
	}
	for _, u := range plan.Unplaced {
		seen[u.Pod.UID]++
		if len(u.Reasons) == 0 || slices.Contains(u.Reasons, "") {
			wrong = append(wrong, "no reason for "+u.Pod.Name)
		}
	}
	for _, p := range s.Pods {
		if seen[p.UID] != 1 {
			wrong = append(wrong, fmt.Sprintf("pod %s is in the plan %d times", p.Name, seen[p.UID]))
		}
	}
	if plan.Price < plan.LowerBound-1e-9 {
		wrong = append(wrong, fmt.Sprintf("price %v is below the bound %v", plan.Price, plan.LowerBound))
	}
	return wrong
}

// follow has the scheduler carry out the plan on nodes of the templates that become says.
func (v *verdict) follow(w *world, s *scenario, become func(fit.Planned) int, looking bool) {
	actual := *s
	places := map[types.UID]string{}
	for i, n := range v.plan.Nodes {
		node := joined(s.Templates[become(n)], fmt.Sprintf("joined-%d", i))
		actual.Nodes = append(slices.Clip(actual.Nodes), node)
		if s.knowsLimits(node) {
			actual.CSINodes = append(slices.Clip(actual.CSINodes), csiNode(node))
		}
		for _, p := range n.Pods {
			places[p.UID] = node.Name
		}
	}
	for _, r := range v.plan.Reused {
		for _, p := range r.Pods {
			places[p.UID] = r.Node
		}
	}
	w.know(&actual)
	session := w.open(actual.Nodes, actual.onNodes())
	defer session.close()
	for pod, err := range session.bindAll(s.Pods, places) {
		t := actual.node(places[pod.UID])
		v.wrong = append(v.wrong, fmt.Sprintf("pod %s on %s (%s/%s): %v", pod.Name, t.Name, t.Labels[corev1.LabelInstanceTypeStable], t.Labels[corev1.LabelTopologyZone], err))
	}
	if len(v.wrong) == 0 && looking {
		v.look(session, s)
	}
}

// knowsLimits tells whether a node of the same type exists, whose limits on volumes are known.
func (s *scenario) knowsLimits(node *corev1.Node) bool {
	return slices.ContainsFunc(s.Nodes, func(n *corev1.Node) bool {
		return n.Labels[corev1.LabelInstanceTypeStable] == node.Labels[corev1.LabelInstanceTypeStable] &&
			slices.ContainsFunc(s.CSINodes, func(c *storagev1.CSINode) bool { return c.Name == n.Name })
	})
}

func (s *scenario) node(name string) *corev1.Node {
	i := slices.IndexFunc(s.Nodes, func(n *corev1.Node) bool { return n.Name == name })
	return s.Nodes[i]
}

// bindAll schedules the pods in the order of the scheduler's queue, those that are refused
// again after the others, and returns those that never bind.
func (s *session) bindAll(pods []*corev1.Pod, places map[types.UID]string) map[*corev1.Pod]error {
	var waiting []*corev1.Pod
	for _, p := range pods {
		if places[p.UID] != "" {
			waiting = append(waiting, p)
		}
	}
	slices.SortStableFunc(waiting, func(a, b *corev1.Pod) int { return cmp.Compare(priorityOf(b), priorityOf(a)) })
	refused := map[*corev1.Pod]error{}
	for progress := true; progress && len(waiting) > 0; {
		var still []*corev1.Pod
		for _, p := range waiting {
			if err := s.schedule(p, places[p.UID]); err != nil {
				still = append(still, p)
				refused[p] = err
			} else {
				delete(refused, p)
			}
		}
		progress = len(still) < len(waiting)
		waiting = still
	}
	return refused
}

func priorityOf(p *corev1.Pod) int32 {
	if p.Spec.Priority == nil {
		return 0
	}
	return *p.Spec.Priority
}

// look searches places for the pods that are not in the plan: nodes that may be used, and a
// new one of every template.
func (v *verdict) look(session *session, s *scenario) {
	for i, u := range v.plan.Unplaced {
		if i == 3 {
			return // more of the same, mostly
		}
		for _, name := range s.Open {
			if _, err := session.try(u.Pod, name); err == nil {
				v.missed = append(v.missed, fmt.Sprintf("pod %s fits %s: %v", u.Pod.Name, name, u.Reasons))
			}
		}
		for _, t := range s.Templates {
			node := joined(t, "another")
			more := session.open([]*corev1.Node{node}, s.daemonsOn(node))
			_, err := more.try(u.Pod, node.Name)
			more.close()
			if err == nil {
				v.missed = append(v.missed, fmt.Sprintf("pod %s fits %s: %v", u.Pod.Name, label(s.input(), slices.IndexFunc(s.Templates, func(x fit.Template) bool { return x.Node == t.Node })), u.Reasons))
				break
			}
		}
	}
}

// tally sums up verdicts.
type tally struct {
	scenarios, pods, nodes, reused, unplaced, refused, wrong, missed int
	refusedBy                                                        map[string]int
}

func (t *tally) add(s *scenario, v verdict) {
	t.scenarios++
	t.pods += len(s.Pods)
	t.nodes += len(v.plan.Nodes)
	for _, r := range v.plan.Reused {
		t.reused += len(r.Pods)
	}
	t.unplaced += len(v.plan.Unplaced)
	t.refused += v.plan.Refused
	t.wrong += len(v.wrong)
	t.missed += len(v.missed)
	if t.refusedBy == nil {
		t.refusedBy = map[string]int{}
	}
	for _, f := range s.Features {
		t.refusedBy[f] += v.plan.Refused
	}
}

func (t *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d scenarios, %d pods: %d nodes bought, %d pods on nodes that exist, %d unplaced, %d first put where the plugins refused them, %d mispredicted, %d missed\n",
		t.scenarios, t.pods, t.nodes, t.reused, t.unplaced, t.refused, t.wrong, t.missed)
	names := slices.SortedFunc(maps.Keys(t.refusedBy), func(a, b string) int { return cmp.Compare(t.refusedBy[b], t.refusedBy[a]) })
	for _, f := range names {
		if n := t.refusedBy[f]; n > 0 {
			fmt.Fprintf(&b, "  refused where pods have %s: %d\n", f, n)
		}
	}
	return b.String()
}
