package allocate

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/consolidate"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// Sparing successions are those of nodes that are removed to save money. What was found when
// that was decided is found anew by what is true now; where it does not pay any more nothing
// is bought, and the nodes whose pods then have no room stay.

// awaitMoves lets all nodes that are removed to save money wait for the latest.
func (l *loop) awaitMoves(until time.Time) {
	for _, s := range l.successions {
		if s.claim == nil { // the latest itself
			continue
		}
		if _, sparing := s.claim.MaxReplacement(); sparing && !s.settled && !s.planning && s.failures == 0 {
			s.notBefore = until
		}
	}
}

// ofOneKind are the successions that may be planned for together: first those of nodes that go
// at any price.
func ofOneKind(due []*succession) []*succession {
	isSparing := func(s *succession) bool {
		_, sparing := s.claim.MaxReplacement()
		return sparing
	}
	if atAnyPrice := slices.DeleteFunc(slices.Clone(due), isSparing); len(atAnyPrice) > 0 {
		return atAnyPrice
	}
	return due
}

// strangers says what keeps pods from being planned for together, by their kin: each scheduler's
// are planned for by themselves, so that nobody could tell what to spend for which.
func strangers(pods []*corev1.Pod) string {
	for _, pod := range pods {
		if _, ok := kinOf(pod); !ok {
			return "pod " + pod.Namespace + "/" + strings.TrimSuffix(pod.Name, successorSuffix) + " claims a volume or a device of its own"
		}
		if pod.Spec.SchedulerName != pods[0].Spec.SchedulerName {
			return "its pods are of several schedulers"
		}
	}
	return ""
}

// spare plans for successors of as many of the nodes as leaves none of their pods without
// room, and costs less than all of these may.
func (p *planner) spare(ctx context.Context, engine *fit.Engine, pods []*corev1.Pod, b batch) (v *view, plan *fit.Plan, err error) {
	byClaim := map[string]*consolidate.Leaver{}
	for _, c := range b.leaving {
		if below, ok := b.below[c.Name]; ok {
			byClaim[c.Name] = &consolidate.Leaver{Below: below, Spot: c.Status.CapacityType == v1alpha1.CapacityTypeSpot}
		}
	}
	for _, pod := range pods {
		l := byClaim[b.succeeds[pod.UID]]
		l.Pods = append(l.Pods, pod)
	}
	var leavers []consolidate.Leaver
	for _, name := range slices.Sorted(maps.Keys(byClaim)) {
		leavers = append(leavers, *byClaim[name])
	}
	plan, err = consolidate.Place(leavers, func(pods []*corev1.Pod, frugal bool) (plan *fit.Plan, _ []fit.Template, _ map[string]fit.Variety, err error) {
		b.frugal = frugal
		if v, plan, err = p.try(ctx, engine, pods, b); err != nil {
			return nil, nil, nil, err
		}
		return plan, v.Templates, v.Variety, nil
	})
	if err != nil {
		return nil, nil, err
	}
	p.note(v, plan, len(pods))
	return v, plan, nil
}
