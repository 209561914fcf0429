package allocate

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// seat is room that was bought for pods to come.
type seat struct {
	claim string
	kin   kin
	pods  int
}

// seatsOn separates the pods that are there from those that are to come, who get seats.
func seatsOn(claim string, pods []*corev1.Pod, toCome map[types.UID]kin) (there []*corev1.Pod, seats []seat) {
	n := map[kin]int{}
	for _, pod := range pods {
		if k, ok := toCome[pod.UID]; ok {
			n[k]++
		} else {
			there = append(there, pod)
		}
	}
	for k := range n {
		seats = append(seats, seat{claim, k, n[k]})
	}
	return there, seats
}

// giveSeats adds to the stand-ins the pods to come that a plan has put on claims in flight,
// for the plans of the other schedulers.
func (b *batch) giveSeats(v *view, reused []fit.Reused) {
	standIns := maps.Clone(b.standIns) // the loop's
	if standIns == nil {
		standIns = map[string][]*corev1.Pod{}
	}
	for _, r := range reused {
		name := v.rooms[r.Node].Name
		for _, pod := range r.Pods {
			if _, ok := b.toCome[pod.UID]; ok {
				standIns[name] = append(slices.Clip(standIns[name]), pod)
			}
		}
	}
	b.standIns = standIns
}

// seatedPods took seats on a claim.
type seatedPods struct {
	claim string
	pods  []v1alpha1.ReservedPod
}

// markSeated records on a claim that pods have taken its seats. Should that fail, the
// loop still knows; a new leader hears of the pods from their scheduler.
func (p *planner) markSeated(ctx context.Context, s seatedPods) {
	if _, err := p.add(ctx, s.claim, s.pods); client.IgnoreNotFound(err) != nil {
		p.log.Error(err, "mark pods as reserved", "nodeclaim", s.claim, "pods", len(s.pods))
	}
}
