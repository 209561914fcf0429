package fit

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/pack"
)

var onePod = *resource.NewQuantity(1, resource.DecimalSI)

// Input is what a Space simulates.
type Input struct {
	// Pods that wait for a place, oldest first.
	Pods []*corev1.Pod
	// Nodes that exist or are on their way, with the pods that are or will be on them.
	Nodes []*framework.NodeInfo
	// Open names the Nodes whose room may be used before anything is bought.
	Open sets.Set[string]
	// Templates that may be bought.
	Templates  []Template
	DaemonSets []*appsv1.DaemonSet
	// Budget bounds how many nodes of a template are bought; nil is no bound.
	Budget Budget
	// Alternatives bounds the offerings of one planned node.
	Alternatives int
}

// Budget counts nodes against limits.
type Budget interface {
	// Take counts a node of the template; an error that says which limit is reached leaves it uncounted.
	Take(template int) error
	// Give takes a counted node back.
	Give(template int)
}

// Space is one simulation. It uses its Engine until the next Space is made.
type Space struct {
	ctx       context.Context //nolint:containedctx // a Space lives within one call of its owner
	engine    *Engine
	input     Input
	resources resources
	shapes    []*shape
	templates []*template
	opened    int // nodes opened so far, for names
	// topology holds the node labels that spread and affinity terms refer to.
	topology []string
}

// shape is a set of interchangeable pods.
type shape struct {
	requests pack.Vector
	waiting  []*corev1.Pod // yet to be placed, oldest first
	sample   *corev1.Pod
	state    fwk.CycleState // as PreFilter left it; nil when it must run again
	// stateful shapes' fit depends on which pods are where.
	stateful bool
	rejected string // why PreFilter refuses the shape everywhere
	fits     []bool // by template, whatever the plan
	refusal  string // the latest reason a node refused a pod
}

// newSpace sets up the simulation.
func (e *Engine) newSpace(ctx context.Context, in Input) (*Space, error) {
	s := &Space{ctx: ctx, engine: e, input: in}
	log := klog.FromContext(ctx)
	e.lister.reset()
	for _, n := range in.Nodes {
		e.lister.add(n)
	}
	for _, t := range in.Templates {
		s.templates = append(s.templates, newTemplate(log, t, in.DaemonSets))
	}
	if err := s.sortIntoShapes(); err != nil {
		return nil, err
	}
	s.topology = s.topologyKeys()
	for _, sh := range s.shapes {
		s.judge(sh)
	}
	return s, nil
}

func (s *Space) sortIntoShapes() error {
	s.resources = resources{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, corev1.ResourcePods}
	byKey := map[Key]*shape{}
	for _, pod := range s.input.Pods {
		key, err := KeyOf(pod)
		if err != nil {
			return err
		}
		sh := byKey[key]
		if sh == nil {
			sh = &shape{sample: pod}
			byKey[key] = sh
			s.shapes = append(s.shapes, sh)
			for name := range requests(pod) {
				if !slices.Contains(s.resources, name) {
					s.resources = append(s.resources, name)
				}
			}
		}
		sh.waiting = append(sh.waiting, pod)
	}
	for _, sh := range s.shapes {
		sh.requests = s.resources.vector(requests(sh.sample))
	}
	return nil
}

// judge finds which templates an empty plan would let the shape run on. Spread and pod
// affinity are left out: what they allow changes while nodes are added, and they are
// asked for every pod.
func (s *Space) judge(sh *shape) {
	sh.fits = make([]bool, len(s.templates))
	if s.prefilter(sh); sh.rejected != "" {
		return
	}
	state := sh.state.Clone()
	state.SetSkipFilterPlugins(state.GetSkipFilterPlugins().Union(statefulPlugins))
	for t, tmpl := range s.templates {
		if !s.enough(t, sh) {
			continue
		}
		sh.fits[t] = s.engine.framework.RunFilterPlugins(s.ctx, state, sh.sample, tmpl.info).IsSuccess()
	}
	sh.state = nil // PreFilter once more, now that the zones it may spread over are known
}

// enough tells whether an empty node of the template has the resources for one pod of
// the shape: the cheap question before the exact one.
func (s *Space) enough(t int, sh *shape) bool {
	free := s.capacity(t)
	for i, need := range sh.requests {
		if need > free[i] {
			return false
		}
	}
	return true
}

// capacity is what pods can use of an empty node of a template.
func (s *Space) capacity(t int) pack.Vector {
	tmpl := s.templates[t]
	v := s.resources.vector(tmpl.Node.Status.Allocatable)
	for i, used := range s.resources.vector(tmpl.overhead) {
		v[i] -= used
		if s.resources[i] == corev1.ResourcePods {
			v[i] -= int64(len(tmpl.info.Pods))
		}
	}
	return v
}

// problem presents the pods that still wait to package pack.
func (s *Space) problem() pack.Problem {
	p := pack.Problem{
		Fits:         func(class, kind int) bool { return s.shapes[class].fits[kind] },
		Constraints:  s,
		Alternatives: s.input.Alternatives,
	}
	for i, sh := range s.shapes {
		p.Shapes = append(p.Shapes, pack.Shape{Requests: sh.requests, Count: len(sh.waiting), Priority: priority(sh.sample), Class: i})
	}
	for t, tmpl := range s.templates {
		p.Offerings = append(p.Offerings, pack.Offering{Capacity: s.capacity(t), Price: tmpl.Price, Tier: tmpl.Tier, Kind: t, Type: t})
	}
	return p
}

// planned translates a plan for this Space's latest problem.
func (s *Space) planned(plan pack.Plan) []Planned {
	var nodes []Planned
	for _, n := range plan.Nodes {
		node := n.Node.(*node)
		p := Planned{Templates: n.Offerings, Pods: node.pods, Requests: corev1.ResourceList{}}
		addTo(p.Requests, s.templates[node.template].overhead)
		for _, pod := range node.pods {
			addTo(p.Requests, requests(pod))
		}
		nodes = append(nodes, p)
	}
	return nodes
}

// unplaced lists the pods that still wait, each with the reason.
func (s *Space) unplaced() []Unplaced {
	var left []Unplaced
	for i, sh := range s.shapes {
		if len(sh.waiting) == 0 {
			continue
		}
		reasons := s.reasons(i)
		for _, pod := range sh.waiting {
			left = append(left, Unplaced{pod, reasons})
		}
	}
	return left
}

// topologyKeys collects the node labels that any waiting pod's spread or affinity, or
// any placed pod's required anti-affinity, refers to.
func (s *Space) topologyKeys() []string {
	keys := map[string]bool{}
	terms := func(terms []fwk.AffinityTerm) {
		for _, t := range terms {
			keys[t.TopologyKey] = true
		}
	}
	for _, sh := range s.shapes {
		for _, c := range sh.sample.Spec.TopologySpreadConstraints {
			keys[c.TopologyKey] = true
		}
		if info, err := framework.NewPodInfo(sh.sample); err == nil {
			terms(info.RequiredAffinityTerms)
			terms(info.RequiredAntiAffinityTerms)
		}
	}
	for _, n := range s.input.Nodes {
		for _, p := range n.PodsWithRequiredAntiAffinity {
			terms(p.GetRequiredAntiAffinityTerms())
		}
	}
	delete(keys, corev1.LabelHostname) // each node is its own
	var sorted []string
	for k := range keys {
		sorted = append(sorted, k)
	}
	slices.Sort(sorted)
	return sorted
}

func priority(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

// reasons says, pool by pool, why a shape found no place.
func (s *Space) reasons(i int) []string {
	sh := s.shapes[i]
	if sh.rejected != "" {
		return []string{sh.rejected}
	}
	if sh.state == nil {
		s.prefilter(sh)
	}
	if len(s.templates) == 0 {
		return []string{"no NodePool has an offering that is available"}
	}
	var pools []string
	byPool := map[string][]int{}
	for t, tmpl := range s.templates {
		if byPool[tmpl.Pool] == nil {
			pools = append(pools, tmpl.Pool)
		}
		byPool[tmpl.Pool] = append(byPool[tmpl.Pool], t)
	}
	var reasons []string
	for _, pool := range pools {
		reasons = append(reasons, fmt.Sprintf("nodepool %s: %s", pool, s.reasonInPool(sh, byPool[pool])))
	}
	return reasons
}
