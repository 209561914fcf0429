package fit

import (
	"iter"
	"maps"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/pack"
)

// Priority decides who gets what is scarce: what limits leave to be bought, the room on nodes
// that exist, a domain that takes only one of two pods. Mostly nothing is, and all pods are
// planned for at once, those that only the plugins can place after the others. Where a pod
// stays without a place and one of a lower priority may have it, all is planned anew, band by
// band: the pods of one priority after those of the higher ones, whose nodes they may fill.

// unfair tells whether a pod without a place may have lost it to one of a lower priority.
func (v *verifier) unfair() bool {
	bought, rooms := int32(math.MaxInt32), map[*place]int32{}
	for l := range v.placedPods() {
		if !l.place.room {
			bought = min(bought, l.shape.priority)
		} else if least, ok := rooms[l.place]; !ok || l.shape.priority < least {
			rooms[l.place] = l.shape.priority
		}
	}
	return slices.ContainsFunc(v.shapes, func(sh *shape) bool {
		if len(sh.waiting) == 0 || v.classes[sh.class].rejected != "" {
			return false
		}
		if (v.limited || v.classes[sh.class].exact) && bought < sh.priority && v.buyable(sh) {
			return true
		}
		for p, least := range rooms {
			if least < sh.priority && v.admits(p, sh) {
				return true
			}
		}
		return false
	})
}

// placedPods are the pods of the log that the plan has placed, class by class.
func (v *verifier) placedPods() iter.Seq[placed] {
	return func(yield func(placed) bool) {
		for _, log := range v.log {
			for _, l := range log {
				if l.shape != nil && !yield(l) {
					return
				}
			}
		}
	}
}

// buyable tells whether some template holds a pod of the shape.
func (s *Space) buyable(sh *shape) bool {
	c := s.classes[sh.class]
	for t, k := range s.kindOf {
		if c.fits[k] && holds(s.capacities[t], sh.requests) {
			return true
		}
	}
	return false
}

// admits tells whether a room could be for a pod of the shape, were it not for other pods.
func (v *verifier) admits(p *place, sh *shape) bool {
	c := v.classes[sh.class]
	if c.named != nil && !c.named.Has(p.info.Node().Name) {
		return false
	}
	return holds(v.resources.vector(p.info.Node().Status.Allocatable), sh.requests) &&
		(c.exact && !v.dependsOnGuess(c, p.info) || v.nodeFits(c, p.info))
}

// bands lists the priorities of the waiting pods, highest first.
func (s *Space) bands() []int32 {
	var all []int32
	for _, sh := range s.shapes {
		all = append(all, sh.priority)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	slices.Reverse(all)
	return all
}

// undo takes the whole plan back: its pods off the Input's nodes, its nodes off the budget.
func (v *verifier) undo() {
	for l := range v.placedPods() {
		if l.place.room {
			if err := l.place.info.RemovePod(klog.FromContext(v.ctx), l.info.GetPod()); err != nil {
				continue // it is not there: nothing to take back
			}
		}
	}
	for _, p := range v.places {
		if !p.room && v.input.Budget != nil {
			v.input.Budget.Give(p.templates[0])
		}
	}
	v.close()
}

// roomsOf presents the Input's rooms to pack, then the nodes that the bands before have
// bought, for this one to fill.
func (v *verifier) roomsOf(earlier []*place, slots int) []pack.Room {
	on := map[*framework.NodeInfo][]placed{}
	for l := range v.placedPods() {
		on[l.place.info] = append(on[l.place.info], l)
	}
	var rooms []pack.Room
	for _, r := range v.rooms {
		rooms = append(rooms, pack.Room{
			Free: withSlots(v.free(r.info), slots),
			Fits: func(l int) bool { return v.roomFits(r, l) },
			Node: v.simulated(r.info, nil, on[r.info]),
		})
	}
	for _, p := range earlier {
		k := v.kindOf[p.templates[0]]
		rooms = append(rooms, pack.Room{
			Free: withSlots(v.free(p.info), slots),
			Fits: func(l int) bool { return v.lotFits(l, k) },
			Node: v.simulated(p.info, v.kinds[k].tallies, on[p.info]),
		})
	}
	return rooms
}

// simulated is a node with the plan's pods, as the rules about hosts see it.
func (v *verifier) simulated(info *framework.NodeInfo, tallies map[int]tally, pods []placed) *node {
	n := &node{space: v.Space, template: -1, host: info.Node().Labels[corev1.LabelHostname], ports: info.GetUsedPorts(), counts: maps.Clone(tallies)}
	for _, l := range pods {
		n.tell(v.classes[l.class], 1)
	}
	return n
}

// earlier lists the nodes that the bands before have bought. Those of pools with minValues
// stay as they are: pack does not see how many alternatives more pods would leave.
func (v *verifier) earlier() []*place {
	return slices.DeleteFunc(slices.Clone(v.places), func(p *place) bool { return p.room || v.wantsVariety(p.templates[0]) })
}
