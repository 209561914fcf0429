package consolidate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/consolidate"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// Seconds on the simulated clock.
const (
	passEvery        = 10
	consolidateAfter = 30 // the default of NodePools
	minAge           = 300
	patience         = 3600
)

const improve = 200 * time.Millisecond

// simulation is a cluster on a simulated clock.
type simulation struct {
	engine    *fit.Engine
	templates []fit.Template
	budget    int // percent
	boot      int // seconds until a node that was bought takes pods
	drain     int // seconds until a node is gone whose pods have room
	nodes     map[string]*node
	leaving   map[string]int // nodes on their way out, until when
	now       int
	bought    int
	passes    []time.Duration
	moved     int
	gaveUp    int
	most      int // nodes on their way out at once
	excess    int // most that this was above the budget
	lastMove  int
}

func newSimulation(engine *fit.Engine, templates []fit.Template, nodes []*node, cfg Config, budget int) *simulation {
	s := &simulation{
		engine: engine, templates: templates, budget: budget, boot: int(cfg.Boot.Seconds()), drain: int(cfg.Drain.Seconds()),
		nodes: map[string]*node{}, leaving: map[string]int{},
	}
	for _, n := range nodes {
		own := *n
		own.pods = slices.Clone(n.pods)
		own.bought, own.change = -minAge, -consolidateAfter
		s.nodes[n.Name] = &own
	}
	return s
}

// run lets passes follow each other until nothing moves although every node might.
func (s *simulation) run(ctx context.Context) error {
	for quiet := 0; quiet < minAge+s.boot+s.drain+passEvery; {
		if s.now > patience {
			return fmt.Errorf("nodes still move after %d s", s.now)
		}
		s.tick()
		moves, err := s.pass(ctx)
		if err != nil {
			return err
		}
		if quiet += passEvery; moves > 0 || len(s.leaving) > 0 {
			quiet = 0
		}
		s.now += passEvery
	}
	return nil
}

// tick ends what is due.
func (s *simulation) tick() {
	for name, until := range s.leaving {
		if until <= s.now {
			delete(s.nodes, name)
			delete(s.leaving, name)
			s.lastMove = max(s.lastMove, until)
		}
	}
}

// infos are the nodes as the scheduler sees them, those on their way out aside: their pods
// have places elsewhere.
func (s *simulation) infos() []*framework.NodeInfo {
	var all []*framework.NodeInfo
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		if _, leaving := s.leaving[name]; leaving {
			continue
		}
		all = append(all, s.nodes[name].info())
	}
	return all
}

// pass looks at the cluster once and carries out what is decided.
func (s *simulation) pass(ctx context.Context) (moves int, err error) {
	allowed := (s.budget*len(s.nodes) + 99) / 100
	s.removeEmpty(allowed)
	start := time.Now()
	v := consolidate.View{
		Nodes: s.infos(), Open: sets.New[string](), Allowed: map[string]int{poolName: max(0, allowed-len(s.leaving))},
		Templates: s.templates, DaemonSets: daemonSets(), Budget: func() fit.Budget { return nil }, Terms: consolidate.DefaultTerms(),
		Alternatives: alternatives, Improve: improve,
	}
	for _, info := range v.Nodes {
		n := s.nodes[info.Node().Name]
		if len(n.pods) == 0 && n.bought <= s.now { // goes by its TTL
			continue
		}
		if s.now >= n.bought {
			v.Open.Insert(n.Name)
		}
		if s.now >= n.bought+minAge && s.now >= n.change+consolidateAfter {
			v.Candidates = append(v.Candidates, consolidate.Candidate{Node: n.Name, Pool: poolName, Price: n.price})
		}
	}
	d, err := consolidate.Decide(ctx, s.engine, v)
	if err != nil {
		return 0, err
	}
	s.passes = append(s.passes, time.Since(start))
	if len(d.Moves) > 0 {
		if err := s.carryOut(ctx, v, d); err != nil {
			return 0, err
		}
	}
	s.most, s.excess = max(s.most, len(s.leaving)), max(s.excess, len(s.leaving)-allowed)
	return len(d.Moves), nil
}

// removeEmpty has nodes without pods go, as the budget allows.
func (s *simulation) removeEmpty(allowed int) {
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		n := s.nodes[name]
		if _, leaving := s.leaving[name]; !leaving && len(n.pods) == 0 && s.now >= n.change+consolidateAfter && len(s.leaving) < allowed {
			s.leaving[name] = s.now + 1
		}
	}
}

// carryOut finds places for the pods of all nodes that go together, as package allocate does,
// and moves them where there are.
func (s *simulation) carryOut(ctx context.Context, v consolidate.View, d *consolidate.Decision) error {
	going := sets.New[string]()
	var leavers []consolidate.Leaver
	leaverOf := map[types.UID]string{}
	for _, m := range d.Moves {
		going.Insert(m.Node)
		l := consolidate.Leaver{Below: m.Below}
		for _, pod := range s.nodes[m.Node].pods {
			l.Pods = append(l.Pods, on(pod, ""))
			leaverOf[pod.UID] = m.Node
		}
		leavers = append(leavers, l)
	}
	plan, err := consolidate.Place(leavers, func(pods []*corev1.Pod, frugal bool) (*fit.Plan, []fit.Template, map[string]fit.Variety, error) {
		in := fit.Input{
			Pods: pods, Open: v.Open.Difference(going), Templates: s.templates, DaemonSets: v.DaemonSets, Frugal: frugal, Alternatives: alternatives,
			Improve: min(improve, time.Duration(len(pods))*100*time.Microsecond),
		}
		for _, info := range s.infos() {
			if !going.Has(info.Node().Name) {
				in.Nodes = append(in.Nodes, info)
			}
		}
		plan, err := s.engine.Plan(ctx, in)
		return plan, s.templates, nil, err
	})
	if err != nil {
		return err
	}
	for _, u := range plan.Unplaced {
		if name := leaverOf[u.Pod.UID]; going.Has(name) {
			going.Delete(name)
			s.gaveUp++
		}
	}
	s.move(plan, going)
	return nil
}

// move carries out a plan.
func (s *simulation) move(plan *fit.Plan, going sets.Set[string]) {
	ready := s.now
	if len(plan.Nodes) > 0 {
		ready += s.boot
	}
	put := func(n *node, pods []*corev1.Pod) {
		for _, pod := range pods {
			n.pods = append(n.pods, on(pod, n.Name))
		}
		s.moved += len(pods)
		n.change = ready
	}
	for _, p := range plan.Nodes {
		s.bought++
		n := newNode(s.templates, p, fmt.Sprintf("new-%d", s.bought), ready)
		s.moved += len(n.pods)
		s.nodes[n.Name] = n
	}
	for _, r := range plan.Reused {
		put(s.nodes[r.Node], r.Pods)
	}
	for name := range going {
		s.nodes[name].pods = nil
		s.leaving[name] = ready + s.drain
	}
}

// price of all nodes, in dollars per hour.
func (s *simulation) price() (sum float64) {
	for _, n := range s.nodes {
		sum += n.price
	}
	return sum
}

func (s *simulation) pods() (all []*corev1.Pod) {
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		all = append(all, s.nodes[name].pods...)
	}
	return all
}
