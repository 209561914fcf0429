package consolidate

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// Leaver is a node whose pods are to have places before it goes.
type Leaver struct {
	Pods []*corev1.Pod // as their successors will come
	// Below is what may be spent in its place at most, together with what others may.
	Below float64
	Spot  bool
}

// Plans makes a plan for pods with the leavers thought away; a frugal one buys nothing. It
// returns the plan with the templates and the variety that it was made of.
type Plans func(pods []*corev1.Pod, frugal bool) (*fit.Plan, []fit.Template, map[string]fit.Variety, error)

// Place finds places for the pods of as many of the leavers as leaves none of their pods
// without, and costs less than they may: in room that there is if that suffices, else on new
// nodes too. The plan's Unplaced are all pods of the others.
func Place(leavers []Leaver, plans Plans) (*fit.Plan, error) {
	of := map[*corev1.Pod]int{}
	for i, l := range leavers {
		for _, pod := range l.Pods {
			of[pod] = i
		}
	}
	going := sets.New[int]()
	for i := range leavers {
		going.Insert(i)
	}
	var left []fit.Unplaced
	frugal, bought := true, false
	tooDear := ""
	for {
		pods, below, spot := together(leavers, going)
		plan, templates, variety, err := plans(pods, frugal)
		if err != nil {
			return nil, err
		}
		if frugal && !bought && len(plan.Unplaced) > 0 {
			frugal, bought = false, true
			continue
		}
		if len(plan.Unplaced) == 0 {
			if frugal || Affordable(plan, templates, variety, below, spot) {
				plan.Unplaced = left
				return plan, nil
			}
			tooDear = fmt.Sprintf("what would be bought for them costs $%.4f per hour, and has to cost less than $%.4f for sure", plan.Price, below)
			frugal = true
			continue
		}
		for _, u := range plan.Unplaced {
			i := of[u.Pod]
			if !going.Has(i) {
				continue
			}
			going.Delete(i)
			reasons := u.Reasons
			if tooDear != "" {
				reasons = []string{tooDear}
			}
			for _, pod := range leavers[i].Pods {
				left = append(left, fit.Unplaced{Pod: pod, Reasons: reasons})
			}
		}
	}
}

// together sums up the leavers that are to go.
func together(leavers []Leaver, going sets.Set[int]) (pods []*corev1.Pod, below float64, spot bool) {
	for _, i := range sets.List(going) {
		l := leavers[i]
		pods, below, spot = slices.Concat(pods, l.Pods), below+l.Below, spot || l.Spot
	}
	return pods, below, spot
}
