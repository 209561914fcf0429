package allocate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// refusal is why a group is left out of a plan.
type refusal struct {
	reason string
	// again: it may do better though nothing changes, as it was not tried without each of the
	// other groups that got no places either.
	again bool
}

// decide makes the plan for pods of one scheduler. Groups of which it cannot place as many
// as must start together are left out, and it is made again without them.
func (p *planner) decide(ctx context.Context, engine *fit.Engine, pods []*corev1.Pod, b batch) (*view, *fit.Plan, map[string]refusal, error) {
	if len(b.below) > 0 {
		view, plan, err := p.spare(ctx, engine, pods, b)
		return view, plan, nil, err
	}
	refused := map[string]refusal{}
	pods, err := p.chooseZones(ctx, engine, pods, b, refused)
	if err != nil {
		return nil, nil, nil, err
	}
	for {
		view, plan, err := p.try(ctx, engine, pods, b)
		if err != nil {
			return nil, nil, nil, err
		}
		short := shortfall(plan, pods, b.needs)
		if len(short) == 0 {
			if len(pods) > 0 {
				p.note(view, plan, len(pods))
			}
			return view, plan, refused, nil
		}
		// Half of them may make room for the others.
		for _, g := range short[len(short)/2:] {
			refused[g.name] = refusal{g.reason(view.explain(plan.Unplaced)), len(short) > 1}
		}
		pods = slices.DeleteFunc(slices.Clone(pods), func(pod *corev1.Pod) bool {
			_, out := refused[cluster.GroupOf(pod)]
			return out
		})
	}
}

// tally is what a plan does for a group.
type tally struct {
	name   string
	need   need
	first  *corev1.Pod // the oldest
	placed int
	pods   sets.Set[types.UID]
}

// talliesOf counts the pods of groups, oldest group of the highest priority first.
func talliesOf(plan *fit.Plan, pods []*corev1.Pod, needs map[string]need) []*tally {
	unplaced := sets.New[types.UID]()
	for _, u := range plan.Unplaced {
		unplaced.Insert(u.Pod.UID)
	}
	groups := map[string]*tally{}
	for _, pod := range pods {
		name := cluster.GroupOf(pod)
		n, grouped := needs[name]
		if !grouped {
			continue
		}
		g := groups[name]
		if g == nil {
			g = &tally{name: name, need: n, first: pod, pods: sets.New[types.UID]()}
			groups[name] = g
		}
		g.pods.Insert(pod.UID)
		if !unplaced.Has(pod.UID) {
			g.placed++
		}
	}
	return slices.SortedFunc(maps.Values(groups), func(a, b *tally) int {
		return cmp.Or(cmp.Compare(priority(b.first), priority(a.first)), oldestFirst(a.first, b.first))
	})
}

// shortfall lists the groups of which a plan places too few.
func shortfall(plan *fit.Plan, pods []*corev1.Pod, needs map[string]need) []*tally {
	return slices.DeleteFunc(talliesOf(plan, pods, needs), func(g *tally) bool { return g.placed >= g.need.pods })
}

func priority(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

// reason says why a group is left out.
func (g *tally) reason(unplaced []fit.Unplaced) string {
	why := ""
	for _, u := range unplaced {
		if g.pods.Has(u.Pod.UID) {
			why = ": " + strings.Join(u.Reasons, "; ")
			break
		}
	}
	return fmt.Sprintf("%d pods of %s must start together, and only %d have places or can get some%s",
		g.need.min, g.name, g.need.min-g.need.pods+g.placed, why)
}

// chooseZones ties the pods of each group that wants one zone to the cheapest that holds
// enough of them, or to the one where some are already. What it returns for them are copies.
func (p *planner) chooseZones(ctx context.Context, engine *fit.Engine, pods []*corev1.Pod, b batch, refused map[string]refusal) ([]*corev1.Pod, error) {
	zonal := map[string][]*corev1.Pod{}
	var rest []*corev1.Pod
	for _, pod := range pods {
		if name := cluster.GroupOf(pod); b.needs[name].zonal {
			zonal[name] = append(zonal[name], pod)
		} else {
			rest = append(rest, pod)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(zonal)) {
		tied, why, err := p.chooseZone(ctx, engine, name, zonal[name], b)
		switch {
		case err != nil:
			return nil, err
		case why != "":
			refused[name] = refusal{reason: why}
		default:
			rest = append(rest, tied...)
		}
	}
	if len(zonal) > 0 {
		slices.SortStableFunc(rest, oldestFirst)
	}
	return rest, nil
}

// chooseZone finds the zone for the pods of one group, or says why there is none.
func (p *planner) chooseZone(ctx context.Context, engine *fit.Engine, name string, pods []*corev1.Pod, b batch) (tied []*corev1.Pod, why string, err error) {
	view, err := p.look(ctx, pods, b)
	if err != nil {
		return nil, "", err
	}
	if zone := view.zoneOf(name); zone != "" {
		return inZone(pods, zone), "", nil
	}
	var best *fit.Plan
	var reasons []string
	for _, zone := range view.zones() {
		there := inZone(pods, zone)
		view, plan, err := p.try(ctx, engine, there, b)
		if err != nil {
			return nil, "", err
		}
		if short := shortfall(plan, there, b.needs); len(short) > 0 {
			reasons = append(reasons, fmt.Sprintf("in %s %s", zone, short[0].reason(view.explain(plan.Unplaced))))
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(len(plan.Unplaced), len(best.Unplaced)), cmp.Compare(plan.Price, best.Price)) < 0 {
			best, tied = plan, there
		}
	}
	if best == nil {
		return nil, fmt.Sprintf("no zone holds enough pods of %s: %s", name, strings.Join(append(reasons, view.Unusable...), "; ")), nil
	}
	return tied, "", nil
}

// inZone are copies of pods that want to be in a zone, beside all that they want anyway.
func inZone(pods []*corev1.Pod, zone string) []*corev1.Pod {
	there := corev1.NodeSelectorRequirement{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{zone}}
	tied := make([]*corev1.Pod, len(pods))
	for i, pod := range pods {
		c := *pod
		c.Spec.Affinity = pod.Spec.Affinity.DeepCopy()
		if c.Spec.Affinity == nil {
			c.Spec.Affinity = &corev1.Affinity{}
		}
		a := c.Spec.Affinity
		if a.NodeAffinity == nil {
			a.NodeAffinity = &corev1.NodeAffinity{}
		}
		if a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
			a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{}}}
		}
		for i := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
			term := &a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[i]
			term.MatchExpressions = append(term.MatchExpressions, there)
		}
		tied[i] = &c
	}
	return tied
}

// zoneOf is the zone that most pods of a group have places in; "" while none has one.
func (v *view) zoneOf(group string) (zone string) {
	n := map[string]int{}
	for _, info := range v.nodes {
		for _, pod := range info.Pods {
			if cluster.GroupOf(pod.GetPod()) == group {
				n[info.Node().Labels[corev1.LabelTopologyZone]]++
			}
		}
	}
	for _, z := range slices.Sorted(maps.Keys(n)) {
		if z != "" && n[z] > n[zone] {
			zone = z
		}
	}
	return zone
}

// zones are all that something can be bought in.
func (v *view) zones() []string {
	zones := sets.New[string]()
	for _, t := range v.Templates {
		zones.Insert(t.Node.Labels[corev1.LabelTopologyZone])
	}
	return sets.List(zones)
}
