package fit

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/pack"
)

const (
	// maxSlots bounds the rules that are told to pack as resources.
	maxSlots = 4
	// steps is what pack may spend in a microsecond. The search for a cheaper plan is bounded by
	// steps first, so that equal input gives an equal plan, and by time where they take longer.
	steps = 750
)

// problem presents the lots to package pack, and as rooms the nodes that were bought for
// earlier ones, too.
func (v *verifier) problem(earlier []*place) pack.Problem {
	slots := v.slots()
	deadline := v.engine.now().Add(v.input.Improve)
	p := pack.Problem{
		Fits:         v.classFits,
		Constraints:  v.Space,
		Alternatives: v.input.Alternatives,
		Effort:       steps * int(v.input.Improve.Microseconds()),
		Stop:         func() bool { return v.engine.now().After(deadline) },
	}
	for i, l := range v.lots {
		sh := v.shapes[l.shape]
		c := v.classes[sh.class]
		requests := slices.Clip(sh.requests)
		for _, r := range slots {
			requests = append(requests, int64(one(c.excludes(r))))
		}
		p.Shapes = append(p.Shapes, pack.Shape{
			Requests: requests, Count: l.count, Priority: sh.priority, Class: v.packClass(i),
			Most: c.most(), Free: len(c.hostOwned) == 0 && len(c.hostMatched) == 0 && !c.ports,
		})
	}
	p.Rooms = v.roomsOf(earlier, len(slots))
	if v.input.Frugal {
		return p
	}
	types := map[string]int{}
	for t := range v.input.Templates {
		tmpl := &v.input.Templates[t]
		name := tmpl.Node.Labels[corev1.LabelInstanceTypeStable]
		if _, ok := types[name]; !ok {
			types[name] = len(types)
		}
		p.Offerings = append(p.Offerings, pack.Offering{
			Capacity: withSlots(v.capacities[t], len(slots)), Price: tmpl.Price, Tier: tmpl.Tier,
			Kind: v.kindOf[t], Type: types[name], Limit: tmpl.Limit,
		})
	}
	return p
}

// slots are the rules by which most pods want a host for themselves among their like.
// Told as resources of which every node has one, they tell pack what such pods are worth.
func (s *Space) slots() []int {
	pods := map[int]int{}
	for _, l := range s.lots {
		for _, o := range s.classes[s.shapes[l.shape].class].hostOwned {
			if o.matches && !s.rules[o.rule].spread {
				pods[o.rule] += l.count
			}
		}
	}
	rules := slices.SortedFunc(maps.Keys(pods), func(a, b int) int {
		return cmp.Or(cmp.Compare(pods[b], pods[a]), cmp.Compare(a, b))
	})
	rules = slices.DeleteFunc(rules, func(r int) bool { return pods[r] < 2 })
	return rules[:min(len(rules), maxSlots)]
}

// most returns how many pods of the class a host takes by what they ask for alone; 0 is no bound.
func (c *class) most() int {
	most := one(c.ports)
	for _, o := range c.hostOwned {
		if o.matches && (most == 0 || o.bound < most) {
			most = o.bound
		}
	}
	return most
}

// excludes tells whether the class keeps others of the rule's pods off its host, being one of them.
func (c *class) excludes(rule int) bool {
	return slices.ContainsFunc(c.hostOwned, func(o hostRule) bool { return o.rule == rule && o.matches })
}

func withSlots(v pack.Vector, n int) pack.Vector {
	v = slices.Clip(v)
	for range n {
		v = append(v, 1)
	}
	return v
}

// packClass is the class of a lot towards pack: what a lot fits depends on its cell too.
func (s *Space) packClass(l int) int {
	if c := s.lots[l].cell; c != nil {
		return len(s.classes) + c.id
	}
	return s.shapes[s.lots[l].shape].class
}

func (s *Space) classFits(packClass, kind int) bool {
	if packClass < len(s.classes) {
		return s.classes[packClass].fits[kind]
	}
	return s.cells[packClass-len(s.classes)].kinds[kind]
}

// room is a node of the Input that takes more pods.
type room struct {
	info *framework.NodeInfo
	fits map[int]bool // by class, as far as asked
}

// openRooms lists the rooms, each with the DaemonSet pods that are still to come there.
func (s *Space) openRooms() {
	log := klog.FromContext(s.ctx)
	for _, n := range s.input.Nodes {
		if !s.input.Open.Has(n.Node().Name) {
			continue
		}
		for _, pod := range daemonPods(log, n.Node(), s.input.DaemonSets) {
			if !slices.ContainsFunc(n.Pods, func(p fwk.PodInfo) bool { return sameOwner(p.GetPod(), pod) }) {
				n.AddPod(pod)
			}
		}
		s.rooms = append(s.rooms, &room{n, map[int]bool{}})
	}
}

// sameOwner goes by names: what somebody wrote down has no UID.
func sameOwner(a, b *corev1.Pod) bool {
	x, y := metav1.GetControllerOf(a), metav1.GetControllerOf(b)
	return x != nil && y != nil && a.Namespace == b.Namespace && x.Kind == y.Kind && x.Name == y.Name
}

// free is what is left of a node. A node may have less than its pods take; a pod that takes
// nothing of that does not mind (plugins/noderesources/fit.go, fitsRequest).
func (s *Space) free(info *framework.NodeInfo) pack.Vector {
	v := s.resources.amounts(info.Allocatable)
	for i, used := range s.resources.amounts(info.Requested) {
		v[i] -= used
	}
	v[podsAt] = int64(info.Allocatable.AllowedPodNumber - len(info.Pods))
	s.setAttachable(v, info.Node())
	s.takeAttached(v, info)
	for i := range v {
		v[i] = max(v[i], 0)
	}
	return v
}

// roomFits asks the plugins whether the node as it is takes a pod of the lot, its requests
// left aside.
func (s *Space) roomFits(r *room, l int) bool {
	lot := s.lots[l]
	id := s.shapes[lot.shape].class
	c := s.classes[id]
	if lot.cell != nil {
		for i, t := range c.topologies {
			if s.topologies[t].index(r.info.Node().Labels) != lot.cell.domains[i] {
				return false
			}
		}
	}
	fits, ok := r.fits[id]
	if !ok {
		fits = s.nodeFits(c, r.info)
		r.fits[id] = fits
	}
	return fits
}

func (s *Space) nodeFits(c *class, info *framework.NodeInfo) bool {
	if c.named != nil && !c.named.Has(info.Node().Name) || s.dependsOnGuess(c, info) {
		return false
	}
	state := c.state.Clone()
	state.SetSkipFilterPlugins(state.GetSkipFilterPlugins().Union(byRoom))
	return s.engine.framework.RunFilterPlugins(s.ctx, state, c.sample, info).IsSuccess()
}
