package fit

import (
	"context"
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
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
	// Guessed tells by the name of a Node of which of its labels the value is a guess; of Nodes
	// that are left out none is.
	Guessed map[string]func(label string) bool
	// Templates that may be bought.
	Templates []Template
	// Frugal plans buy nothing: Templates only tell where there could be nodes, so that pods
	// that are to be spread do not crowd where there happen to be some.
	Frugal     bool
	DaemonSets []*appsv1.DaemonSet
	// Budget bounds how many nodes of a template are bought; nil is no bound.
	Budget Budget
	// Variety of the pools that want some, by their names.
	Variety map[string]Variety
	// Features that nodes of a pool will declare (Node.status.declaredFeatures), by its name.
	// What is said of no pool, its nodes are taken not to have.
	Features map[string][]string
	// Alternatives bounds the instance types that one planned node lists.
	Alternatives int
	// Improve bounds the search for a cheaper plan; 0 takes the first.
	Improve time.Duration
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
	sizes     []pack.Vector // the distinct requests
	// readLabels are the keys of the pod labels that constraints read.
	readLabels sets.Set[string]
	asked      []string // the keys of the node labels that anything may ask for

	claims     *claims
	classes    []*class
	shapes     []*shape
	kinds      []*kind
	kindOf     []int         // by template
	capacities []pack.Vector // by template: what pods can use of an empty node
	overheads  []pack.Vector // by kind: what DaemonSet pods take

	topologies []*topology
	rules      []*rule
	companies  []*company
	domains    map[string][][]string // what domainsOf found

	lots     []lot
	runs     []run
	cells    []*cell
	rooms    []*room
	isNarrow []bool            // templates that may not be chosen, for want of others as large
	limits   map[string]string // by pool: the latest that was in the way
	limited  bool              // a limit of the Budget was
	// mates are classes of which pods of the first must share a host with pods of the second.
	mates [][2]int
}

// newSpace sets up the simulation.
func (e *Engine) newSpace(ctx context.Context, in Input) (*Space, error) {
	s := &Space{ctx: ctx, engine: e, input: in, limits: map[string]string{}, domains: map[string][][]string{}}
	e.lister.reset()
	for _, n := range in.Nodes {
		e.lister.add(n)
	}
	e.csiNodes.reset(e.lister.nodes)
	e.holdDevices(ctx)
	var err error
	if s.claims, err = s.newClaims(); err != nil {
		return nil, err
	}
	s.findReadLabels()
	if err := s.sortIntoShapes(); err != nil {
		return nil, err
	}
	if err := s.sortIntoKinds(); err != nil {
		return nil, err
	}
	s.measure()
	s.openRooms()
	s.prefilterAll()
	for _, c := range s.classes {
		s.judge(c)
	}
	if err := s.addDaemons(); err != nil {
		return nil, err
	}
	if err := s.makeRules(); err != nil {
		return nil, err
	}
	s.meetDaemons()
	s.isNarrow = s.narrow()
	return s, nil
}

// measure works out what pods can use of the templates, and what that costs by kind.
func (s *Space) measure() {
	for _, kind := range s.kinds {
		s.overheads = append(s.overheads, s.resources.vector(kind.overhead))
		kind.cost = math.MaxInt
	}
	for t := range s.input.Templates {
		tmpl, kind := &s.input.Templates[t], s.kinds[s.kindOf[t]]
		v := s.resources.vector(tmpl.Node.Status.Allocatable)
		s.setAttachable(v, tmpl.Node)
		for i, used := range s.overheads[s.kindOf[t]] {
			v[i] -= used
		}
		s.capacities = append(s.capacities, v)
		if v[0] > 0 && tmpl.Price > 0 {
			const steps = 50 // of two percent to a doubling and a half
			kind.cost = min(kind.cost, int(math.Floor(steps*math.Log(tmpl.Price/float64(v[0])))))
		}
	}
}

// holds tells whether there is room for the requests.
func holds(room, requests pack.Vector) bool {
	for i, n := range requests {
		if n > room[i] {
			return false
		}
	}
	return true
}
