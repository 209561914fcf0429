package consolidate

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/fit"
)

const (
	// maxSweeps bounds how often nodes are looked for whose pods fit on the room of others.
	maxSweeps = 3
	// maxBlocks bounds how many blocks of nodes are tried to be replaced.
	maxBlocks = 12
)

// Decide finds nodes that can go. An error is the Planner's.
func Decide(ctx context.Context, planner Planner, v View) (*Decision, error) {
	s := newSearch(ctx, planner, &v)
	for _, step := range []func() error{s.makeRoom, s.vacate, s.replace} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s.decision(), nil
}

// search is the state of one Decide.
type search struct {
	ctx     context.Context //nolint:containedctx // a search lives within one call
	planner Planner
	view    *View
	// state is what the nodes look like with all moves so far carried out.
	state map[string]*framework.NodeInfo
	order []string // of the state's nodes
	// candidates, the worst used first.
	candidates []*candidate
	allowed    map[string]int
	left       map[types.UID]*corev1.Pod // pods without their node, as their successors will come
	bought     float64
	plans      int
}

type candidate struct {
	Candidate
	pods  int // that are on it before anything moves
	worth float64
	below float64
	gone  bool
	tried bool // to be vacated
}

func newSearch(ctx context.Context, planner Planner, v *View) *search {
	s := &search{
		ctx: ctx, planner: planner, view: v, state: make(map[string]*framework.NodeInfo, len(v.Nodes)),
		allowed: map[string]int{}, left: map[types.UID]*corev1.Pod{},
	}
	var all amount
	for _, n := range v.Nodes {
		name := n.Node().Name
		s.state[name] = n
		s.order = append(s.order, name)
		all.add(movable(n))
	}
	rates := ratesFor(v.Templates, all)
	if len(v.Templates) == 0 { // what was paid is all that tells what things are worth
		rates = ratesFor(bought(s.state, v.Candidates), all)
	}
	for _, c := range v.Candidates {
		pods := movable(s.state[c.Node])
		s.allowed[c.Pool] = v.Allowed[c.Pool]
		s.candidates = append(s.candidates, &candidate{
			Candidate: c, pods: int(pods.pods), worth: rates.of(pods), below: v.Terms.Below(c.Price, int(pods.pods)),
		})
	}
	slices.SortFunc(s.candidates, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(a.worth*b.Price, b.worth*a.Price), cmp.Compare(float64(a.pods)*b.Price, float64(b.pods)*a.Price), strings.Compare(a.Node, b.Node))
	})
	return s
}

// bought are the candidates as templates.
func bought(state map[string]*framework.NodeInfo, candidates []Candidate) (templates []fit.Template) {
	for _, c := range candidates {
		templates = append(templates, fit.Template{Node: state[c.Node].Node(), Price: c.Price})
	}
	return templates
}

// makeRoom gives the pods on nodes that are on their way out the room that they will take. Those
// without are somebody else's care.
func (s *search) makeRoom() error {
	var set []*candidate
	for _, name := range s.view.Leaving {
		if s.state[name] != nil {
			set = append(set, &candidate{Candidate: Candidate{Node: name}})
		}
	}
	if len(set) == 0 {
		return nil
	}
	_, after, err := s.try(set, false)
	if err != nil {
		return err
	}
	for _, n := range after {
		s.state[n.Node().Name] = n
	}
	for _, c := range set {
		delete(s.state, c.Node)
	}
	return nil
}

// vacate finds nodes whose pods have room on the others.
func (s *search) vacate() error {
	for range maxSweeps {
		set := s.vacatable()
		if len(set) == 0 {
			return nil
		}
		for len(set) > 0 {
			plan, after, err := s.try(set, false)
			if err != nil {
				return err
			}
			if len(plan.Unplaced) == 0 {
				s.accept(set, plan, after)
				break
			}
			set = s.relieve(set, plan.Unplaced)
		}
	}
	return nil
}

// vacatable lists as many of the worst nodes as are allowed to go and might have room for
// their pods elsewhere, as far as sums can tell.
func (s *search) vacatable() (set []*candidate) {
	var room, need amount
	for name := range s.view.Open {
		if info := s.state[name]; info != nil {
			room.add(freeOn(info))
		}
	}
	allowed := maps.Clone(s.allowed)
	for _, c := range s.candidates {
		if c.gone || c.tried || c.below <= 0 || allowed[c.Pool] <= 0 {
			continue
		}
		info := s.state[c.Node]
		wants, has := movable(info), amount{}
		if s.view.Open.Has(c.Node) {
			has = freeOn(info)
		}
		more, less := need, room
		more.add(wants)
		less.subtract(has)
		if !more.within(less) {
			continue
		}
		need, room = more, less
		allowed[c.Pool]--
		set = append(set, c)
	}
	return set
}

// relieve leaves nodes out of a set of which some pods have no place: of the nodes that had
// those, the best used, until they and their room hold as much as is lacking, and at least a
// quarter.
func (s *search) relieve(set []*candidate, unplaced []fit.Unplaced) (rest []*candidate) {
	without := sets.New[types.UID]()
	for _, u := range unplaced {
		without.Insert(u.Pod.UID)
	}
	var lacking amount
	failed := map[*candidate]bool{}
	for _, c := range set {
		for _, p := range s.state[c.Node].Pods {
			if without.Has(p.GetPod().UID) {
				r := p.CalculateResource().Resource
				lacking.add(amount{float64(r.GetMilliCPU()), float64(r.GetMemory()), 1})
				failed[c] = true
			}
		}
	}
	var held amount
	out := map[*candidate]bool{}
	for _, c := range slices.Backward(set) {
		if !failed[c] || 4*len(out) >= len(failed) && lacking.within(held) {
			continue
		}
		held.add(movable(s.state[c.Node]))
		if s.view.Open.Has(c.Node) {
			held.add(freeOn(s.state[c.Node]))
		}
		out[c], c.tried = true, true
	}
	return slices.DeleteFunc(set, func(c *candidate) bool { return out[c] })
}

// replace finds nodes whose pods have cheaper room, on the others and on new ones. It waits
// until no more can be vacated: nothing is bought while there is room to be used.
func (s *search) replace() error {
	if len(s.view.Templates) == 0 || slices.ContainsFunc(s.candidates, func(c *candidate) bool { return c.gone }) {
		return nil
	}
	most := 0 // that may go at once
	for _, n := range s.allowed {
		most += max(0, n)
	}
	if most == 0 {
		return nil
	}
	var onDemand, spot []*candidate
	for _, c := range s.candidates {
		switch {
		case c.worth >= c.below:
		case c.Spot:
			spot = append(spot, c)
		default:
			onDemand = append(onDemand, c)
		}
	}
	blocks := slices.AppendSeq(slices.Collect(slices.Chunk(onDemand, most)), slices.Chunk(spot, most))
	for tries := 0; tries < maxBlocks && len(blocks) > 0; tries++ {
		set := s.within(blocks[0])
		blocks = blocks[1:]
		if len(set) == 0 {
			continue
		}
		done, err := s.replaceAll(set)
		if err != nil {
			return err
		}
		if half := len(set) / 2; !done && half > 0 {
			blocks = append(blocks, set[:half], set[half:])
		}
	}
	return nil
}

// within lists those of a block that the budgets let go.
func (s *search) within(block []*candidate) (set []*candidate) {
	allowed := maps.Clone(s.allowed)
	for _, c := range block {
		if allowed[c.Pool] > 0 {
			allowed[c.Pool]--
			set = append(set, c)
		}
	}
	return set
}

// replaceAll replaces the nodes of a set if that pays.
func (s *search) replaceAll(set []*candidate) (done bool, err error) {
	plan, after, err := s.try(set, true)
	if err != nil || len(plan.Unplaced) > 0 {
		return false, err
	}
	below := 0.0
	for _, c := range set {
		below += c.below
	}
	if !Affordable(plan, s.view.Templates, s.view.Variety, below, set[0].Spot) {
		return false, nil
	}
	s.accept(set, plan, after)
	return true, nil
}

// try plans the pods of a set of nodes onto the room of the others and, if it may, onto new
// nodes. after is what the others then look like.
func (s *search) try(set []*candidate, buy bool) (plan *fit.Plan, after []*framework.NodeInfo, err error) {
	leaving := sets.New[string]()
	in := fit.Input{
		Open: sets.New[string](), Guessed: s.view.Guessed, DaemonSets: s.view.DaemonSets, Features: s.view.Features,
		Templates: s.view.Templates, Frugal: !buy, Alternatives: s.view.Alternatives,
	}
	for _, c := range set {
		leaving.Insert(c.Node)
		for _, p := range s.state[c.Node].Pods {
			if pod := p.GetPod(); moves(pod) {
				in.Pods = append(in.Pods, s.without(pod))
			}
		}
	}
	for _, name := range s.order {
		info := s.state[name]
		if info == nil || leaving.Has(name) {
			continue
		}
		if s.view.Open.Has(name) {
			info = info.SnapshotConcrete()
			in.Open.Insert(name)
		}
		in.Nodes = append(in.Nodes, info)
	}
	if buy {
		in.Budget, in.Variety = s.view.Budget(), s.view.Variety
		in.Improve = min(s.view.Improve, time.Duration(len(in.Pods))*100*time.Microsecond)
	}
	s.plans++
	plan, err = s.planner.Plan(s.ctx, in)
	return plan, in.Nodes, err
}

// without returns a pod as one like it will come: with no node yet.
func (s *search) without(pod *corev1.Pod) *corev1.Pod {
	if pod.Spec.NodeName == "" {
		return pod
	}
	if s.left[pod.UID] == nil {
		p := *pod
		p.Spec.NodeName, p.Status = "", corev1.PodStatus{}
		s.left[pod.UID] = &p
	}
	return s.left[pod.UID]
}

// accept carries out the moves of a plan.
func (s *search) accept(set []*candidate, plan *fit.Plan, after []*framework.NodeInfo) {
	for _, n := range after {
		s.state[n.Node().Name] = n
	}
	for _, c := range set {
		c.gone = true
		s.allowed[c.Pool]--
		delete(s.state, c.Node)
	}
	s.bought += plan.Price
}

func (s *search) decision() *Decision {
	d := &Decision{Bought: s.bought, Plans: s.plans}
	for _, c := range s.candidates {
		switch {
		case c.gone:
			d.Moves = append(d.Moves, Move{Node: c.Node, Pods: c.pods, Below: c.below})
			d.Price += c.Price
		case s.allowed[c.Pool] > 0:
			d.Kept = append(d.Kept, c.Node)
		}
	}
	return d
}
