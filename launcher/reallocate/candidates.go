package reallocate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// Reasons of the condition Consolidatable. It is True while the node goes for being
// underutilized or was to; False says why it does not.
const (
	reasonUnderutilized  = "Underutilized"
	reasonNeeded         = "Needed"
	reasonNever          = "ConsolidateAfterNever"
	reasonOwnerless      = "PodWithoutOwner"
	reasonGroup          = "PodOfGroup"
	reasonOtherScheduler = "PodOfOtherScheduler"
	reasonOwnDevice      = "PodWithOwnDevice"
	reasonNotWorthIt     = "NotWorthIt"
	reasonGuarded        = "PodDisruptionBudget"
	reasonPaidFor        = "PaidForAnyway"
	reasonNothingCheaper = "NothingCheaper"
)

// obstacle is why a node is not removed for being underutilized.
type obstacle struct {
	reason, message string
	// passes by itself, or concerns others: it is not told.
	passes bool
}

// passing obstacles end without anybody's doing.
func passing(why string) obstacle { return obstacle{reason: why, passes: true} }

// immovable says what keeps a pod on its node, if anything does; a PodDisruptionBudget
// is none of the pod's own.
func (r *remover) immovable(pod *corev1.Pod) obstacle {
	if cluster.IsFinished(pod) || cluster.IsDaemonPod(pod) {
		return obstacle{}
	}
	name := "pod " + podName(pod)
	switch {
	case metav1.GetControllerOfNoCopy(pod) == nil:
		return obstacle{reason: reasonOwnerless, message: name + " has no controller that would replace it"}
	case cluster.GroupOf(pod) != "":
		return obstacle{reason: reasonGroup, message: name + " runs together with its group"}
	case !r.schedulers.Has(pod.Spec.SchedulerName):
		return obstacle{reason: reasonOtherScheduler, message: fmt.Sprintf("%s is of scheduler %q, of which is not known where it would place it", name, pod.Spec.SchedulerName)}
	}
	if like, err := fit.Likeness(pod); err != nil || like == "" {
		return obstacle{reason: reasonOwnDevice, message: name + " claims a volume or a device of its own"}
	}
	return obstacle{}
}

// obstacleTo says what keeps a claim's node from being removed for being underutilized.
func (c *consolidator) obstacleTo(ctx context.Context, s *sight, claim *v1alpha1.NodeClaim, info *framework.NodeInfo) (obstacle, error) {
	node, now := info.Node(), c.clock.Now()
	after, never, err := s.pools[claim.Spec.NodePool].Spec.Disruption.EmptyFor()
	switch {
	case err != nil:
		return obstacle{}, err
	case never:
		return obstacle{reason: reasonNever, message: "its pool's consolidateAfter is Never"}, nil
	case now.Before(initialized(claim).Add(c.minAge)):
		return passing("it is new"), nil
	case c.rests.left(claim, now) > 0:
		return passing("it was tried in vain"), nil
	case !isReady(node):
		return passing("it is not ready"), nil
	}
	if p, err := cluster.ProtectionOf(ctx, c.client, claim, node, now); err != nil || p.By != "" {
		return obstacle{reason: reasonDoNotDisrupt, message: p.String()}, err
	}
	for _, p := range info.Pods {
		if why := c.immovable(p.GetPod()); why.reason != "" {
			return why, nil
		}
	}
	if why := s.guarded(info); why != "" {
		return obstacle{reason: reasonGuarded, message: why}, nil
	}
	if now.Before(c.lastChange(info).Add(after)) {
		return passing("pods came or went"), nil
	}
	if why, err := c.promised(ctx, claim, node); err != nil || why != "" {
		return passing(why), err
	}
	return obstacle{}, nil
}

// initialized is when the node was ready for pods.
func initialized(claim *v1alpha1.NodeClaim) time.Time {
	c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionInitialized)
	if c == nil {
		return time.Time{}
	}
	return c.LastTransitionTime.Time
}

func isReady(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// lastChange is when a pod came to a node or left it last, as far as is known: who left before
// this process was there might have left just then.
func (c *consolidator) lastChange(info *framework.NodeInfo) time.Time {
	last := c.started
	if left := c.departures.of(info.Node().Name); left.After(last) {
		last = left
	}
	for _, p := range info.Pods {
		pod := p.GetPod()
		if cluster.IsDaemonPod(pod) {
			continue
		}
		came := pod.CreationTimestamp.Time
		for _, cond := range pod.Status.Conditions {
			if cond.Type == corev1.PodScheduled && cond.Status == corev1.ConditionTrue {
				came = cond.LastTransitionTime.Time
			}
		}
		if pod.DeletionTimestamp != nil {
			came = pod.DeletionTimestamp.Time
		}
		if came.After(last) {
			last = came
		}
	}
	return last
}

// costOf is what a claim's node costs, and so what its end saves, in US dollars per hour: at the
// market's price where that is known, and nothing where it is paid for anyway.
func costOf(claim *v1alpha1.NodeClaim, types map[string]offering.Type) float64 {
	s := &claim.Status
	if s.CapacityType == v1alpha1.CapacityTypeReserved {
		return 0
	}
	for _, o := range types[s.InstanceType].Offerings {
		if o.Zone == s.Zone && o.CapacityType == s.CapacityType {
			return o.Cost()
		}
	}
	if s.Price == nil {
		return 0
	}
	return s.Price.AsApproximateFloat64()
}

// guards are the PodDisruptionBudgets that allow no disruption.
type guards []guard

type guard struct {
	namespace, name string
	selector        labels.Selector
}

func guardsOf(ctx context.Context, c client.Reader) (all guards, err error) {
	var budgets policyv1.PodDisruptionBudgetList
	if err := c.List(ctx, &budgets, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list poddisruptionbudgets: %w", err)
	}
	for i := range budgets.Items {
		b := &budgets.Items[i]
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil || b.Status.DisruptionsAllowed > 0 { // one that cannot be read selects nothing
			continue
		}
		all = append(all, guard{b.Namespace, b.Name, selector})
	}
	return all, nil
}

// guarded says which pod of a node may not be evicted; empty when all may.
func (g guards) guarded(info *framework.NodeInfo) string {
	if len(g) == 0 {
		return ""
	}
	for _, p := range info.Pods {
		pod := p.GetPod()
		if cluster.IsDaemonPod(pod) || pod.DeletionTimestamp != nil {
			continue
		}
		for _, b := range g {
			if b.namespace == pod.Namespace && b.selector.Matches(labels.Set(pod.Labels)) {
				return fmt.Sprintf("PodDisruptionBudget %s/%s, which allows no disruption, keeps pod %s", b.namespace, b.name, podName(pod))
			}
		}
	}
	return ""
}
