package fit

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"

	"github.com/slipway-dev/slipway/launcher/pack"
)

// place is a node of the plan, as the plugins see it.
type place struct {
	info      *framework.NodeInfo
	room      bool  // of the Input; else it is to be bought
	kind      *kind // of what is to be bought
	templates []int // the chosen one first; none for a room
	pods      []*corev1.Pod
	// grown places took pods after their templates were listed.
	grown bool
}

// verifier has the real plugins schedule the pods of a plan, one after the other, onto the
// nodes it names. All nodes are there from the start, as when they all have joined.
type verifier struct {
	*Space
	places   []*place
	seats    [][]seat             // by lot: where its pods are to go
	log      [][]placed           // by class
	version  int                  // of the log
	states   []*replay            // by class
	censuses []*census            // by rule; nil where there is none
	carriers []int                // classes that keep others away
	daemons  []bool               // classes of DaemonSets that matter to others
	reserved map[types.UID]func() // gives a pod's volumes back
	// lenient spreads pods over the domains that have nodes, not over those that could.
	lenient bool
	// noNewDomains: pods have places that a node elsewhere would spoil.
	noNewDomains bool
	bought       int // nodes so far, those that were taken back included
	// least is the lowest priority whose turn it is (bands.go).
	least int32
}

// seat is a number of places on one node.
type seat struct {
	place *place
	count int
}

// placed is a pod that has passed, or came with its node.
type placed struct {
	class int
	info  fwk.PodInfo
	place *place
	shape *shape // nil for a DaemonSet's
}

func newVerifier(s *Space) *verifier {
	v := &verifier{
		Space: s, log: make([][]placed, len(s.classes)), states: make([]*replay, len(s.classes)),
		daemons: make([]bool, len(s.classes)), reserved: map[types.UID]func(){},
	}
	v.takeCensuses()
	for id, class := range s.classes {
		if slices.ContainsFunc(class.owned, func(r int) bool { return !s.rules[r].spread }) {
			v.carriers = append(v.carriers, id)
		}
		for c := 0; class.daemon && c < len(s.classes); c++ {
			v.daemons[id] = v.daemons[id] || v.classes[c].exact || v.watches(c, id) ||
				slices.ContainsFunc(v.spreadRules(v.classes[c]), func(r int) bool { return v.rules[r].matches[id] })
		}
	}
	return v
}

// build makes the nodes of a plan.
func (v *verifier) build(plan pack.Plan, earlier []*place) {
	v.seats = make([][]seat, len(v.lots))
	for _, n := range plan.Nodes {
		n.Offerings = v.varied(n)
		if lack := v.lacks(n.Offerings); lack != "" {
			v.limits[v.input.Templates[n.Offerings[0]].Pool] = lack
			n.Node.Discard()
			continue
		}
		v.seat(v.buy(n.Offerings), n.Pods)
	}
	for _, r := range plan.Reused {
		if r.Room < len(v.rooms) {
			v.seat(v.reuse(v.rooms[r.Room]), r.Pods)
			continue
		}
		p := earlier[r.Room-len(v.rooms)]
		p.grown = true
		v.seat(p, r.Pods)
	}
}

func (v *verifier) seat(p *place, pods []pack.ShapeCount) {
	for _, n := range pods {
		v.seats[n.Shape] = append(v.seats[n.Shape], seat{p, n.Count})
	}
}

// buy adds a node of the first of the templates.
func (v *verifier) buy(templates []int) *place {
	t := templates[0]
	kind := v.kinds[v.kindOf[t]]
	p := &place{info: kind.info.SnapshotConcrete(), kind: kind, templates: templates}
	node := named(v.input.Templates[t].Node, fmt.Sprintf("planned-%d", v.bought))
	node.Status.DeclaredFeatures = kind.info.Node().Status.DeclaredFeatures
	p.info.SetNode(node)
	v.bought++
	v.engine.csiNodes.plan(p.info.Node())
	v.engine.lister.add(p.info)
	v.places = append(v.places, p)
	for i, d := range kind.daemons {
		if v.daemons[d] {
			v.note(placed{d, kind.info.Pods[i], p, nil})
		}
	}
	return p
}

func (v *verifier) reuse(r *room) *place {
	for _, p := range v.places {
		if p.info == r.info {
			return p
		}
	}
	p := &place{info: r.info, room: true}
	v.places = append(v.places, p)
	return p
}

// named returns the node under a name of its own.
func named(n *corev1.Node, name string) *corev1.Node {
	clone := *n
	clone.Name = name
	clone.Labels = make(map[string]string, len(n.Labels)+1)
	maps.Copy(clone.Labels, n.Labels)
	clone.Labels[corev1.LabelHostname] = name
	return &clone
}

// run places the pods in the order in which their cells were chosen. Those that are refused
// are tried again after the others, as the scheduler would. It returns how many were
// refused for good; they wait again.
func (v *verifier) run() (refused int) {
	var again []try
	for _, r := range v.runs {
		sh := v.shapes[v.lots[r.lot].shape]
		for range r.count {
			p := v.nextSeat(r.lot)
			if p == nil {
				break
			}
			t := try{sh, sh.waiting[0], p}
			sh.waiting = sh.waiting[1:]
			if !v.accept(t) {
				again = append(again, t)
			}
		}
	}
	for progress := true; progress && len(again) > 0; {
		var still []try
		for _, t := range again {
			if !v.accept(t) {
				still = append(still, t)
			}
		}
		progress = len(still) < len(again)
		again = still
	}
	for _, t := range again {
		t.shape.waiting = append(t.shape.waiting, t.pod)
	}
	return len(again)
}

// try is a pod with the node it is to go to.
type try struct {
	shape *shape
	pod   *corev1.Pod
	place *place
}

// poolOf returns the pool that a place is bought from; "" for a room.
func (v *verifier) poolOf(p *place) string {
	if p.room {
		return ""
	}
	return v.input.Templates[p.templates[0]].Pool
}

func (v *verifier) nextSeat(lot int) *place {
	seats := v.seats[lot]
	if len(seats) == 0 {
		return nil
	}
	p := seats[0].place
	if seats[0].count--; seats[0].count == 0 {
		v.seats[lot] = seats[1:]
	}
	return p
}

// accept asks the plugins and, if they agree, puts the pod on the node.
func (v *verifier) accept(t try) bool {
	c := t.shape.class
	state := v.refresh(c)
	if state.rejected != "" {
		t.shape.refuse("", state.rejected)
		return false
	}
	if size := v.sized(t.shape); size != nil && size != state.sized {
		state.state.Write(resourcesFitKey, size)
		state.sized = size
	}
	if status := v.engine.framework.RunFilterPlugins(v.ctx, state.state, t.pod, t.place.info); !status.IsSuccess() {
		t.shape.refuse(v.poolOf(t.place), status.Message())
		return false
	}
	if v.classes[c].exact && !v.reserve(state.state, t) {
		return false
	}
	info := *t.shape.info
	info.Pod = t.pod
	t.place.info.AddPodInfo(&info)
	t.place.pods = append(t.place.pods, t.pod)
	v.note(placed{c, &info, t.place, t.shape})
	return true
}

// note records that a pod is where it is.
func (v *verifier) note(p placed) {
	v.log[p.class] = append(v.log[p.class], p)
	v.version++
	v.count(p, 1)
}

// strike removes pods from the log.
func (v *verifier) strike(gone func(*placed) bool) {
	for c, log := range v.log {
		var kept []placed
		for i := range log {
			if gone(&log[i]) {
				v.count(log[i], -1)
			} else {
				kept = append(kept, log[i])
			}
		}
		v.log[c] = kept
	}
	v.version++
	clear(v.states)
}

// reserve takes the volumes that a pod is to get.
func (v *verifier) reserve(state fwk.CycleState, t try) bool {
	node := t.place.info.Node().Name
	status := v.engine.framework.RunReservePluginsReserve(v.ctx, state, t.pod, node)
	if !status.IsSuccess() {
		t.shape.refuse(v.poolOf(t.place), status.Message())
		return false
	}
	v.reserved[t.pod.UID] = func() { v.engine.framework.RunReservePluginsUnreserve(v.ctx, state, t.pod, node) }
	return true
}

// close gives back what was reserved.
func (v *verifier) close() {
	for _, giveBack := range v.reserved {
		giveBack()
	}
}

const resourcesFitKey fwk.StateKey = "PreFilter" + names.NodeResourcesFit

// sized returns what NodeResourcesFit's PreFilter says of a shape: a class's own state has
// the requests of its sample.
func (v *verifier) sized(sh *shape) fwk.StateData {
	a := sh.amounts
	if a.sized == nil && v.engine.resourcesFit != nil {
		state := framework.NewCycleState()
		v.engine.resourcesFit.PreFilter(v.ctx, state, sh.sample, nil)
		a.sized, _ = state.Read(resourcesFitKey)
	}
	return a.sized
}
