package explain

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
)

// obstacles lists what is in the way of the node's disruption, or of its drain that has begun.
func (s *Scene) obstacles(e *Explanation, claim *v1alpha1.NodeClaim, of string) {
	if p := cluster.ProtectionOfNode(claim, s.Node, s.Now); p.By != "" && of == "disruption" {
		e.keep(p.String())
	}
	var free []*corev1.Pod // to be evicted, as far as annotations go
	var lone []string
	for _, pod := range s.podsOn(s.Node) {
		if p := cluster.ProtectionOfPod(pod, s.Now); p.By != "" {
			e.keep(p.String())
		}
		if cluster.IsDaemonPod(pod) {
			continue
		}
		free = append(free, pod)
		if metav1.GetControllerOf(pod) == nil {
			lone = append(lone, workload.Key(pod))
		}
	}
	e.keep(s.budgetsOf(free...)...)
	if len(e.Kept) > 0 && of == "drain" {
		e.advise("Let the pods named go: remove the annotation, or have the budget allow a disruption, for instance by a further replica.")
	}
	if len(lone) > 0 {
		e.detail("Without a controller, and gone for good once evicted: pod " + strings.Join(some(lone), ", "))
	}
	if of == "disruption" && s.Pool != nil {
		for _, b := range s.Pool.Spec.Disruption.Budgets {
			if b.Nodes == "0" || b.Nodes == "0%" {
				e.keep(forbids(b, s))
			}
		}
	}
}

// forbids describes a budget that allows no disruption, and whether it holds now.
func forbids(b v1alpha1.Budget, s *Scene) string {
	text := fmt.Sprintf("NodePool %s has a budget of %s nodes", s.Pool.Name, b.Nodes)
	if len(b.Reasons) > 0 {
		var reasons []string
		for _, r := range b.Reasons {
			reasons = append(reasons, string(r))
		}
		text += " for " + strings.Join(reasons, ", ")
	}
	if b.Schedule == nil || b.Duration == nil {
		return text
	}
	text += fmt.Sprintf(" from %s (UTC) for %s", *b.Schedule, b.Duration.Duration)
	switch holds, err := b.HoldsAt(s.Now); {
	case err != nil:
		return text + ", which cannot be read: " + err.Error()
	case holds:
		return text + ", which holds now"
	default:
		return text + ", which does not hold now"
	}
}

// budgetsOf says which PodDisruptionBudgets forbid to evict pods now, in the order of the pods.
func (s *Scene) budgetsOf(pods ...*corev1.Pod) []string {
	var reasons []string
	held := map[string][]string{} // names of pods, by reason
	for _, pod := range pods {
		reason := s.forbidden(pod)
		if reason == "" {
			continue
		}
		if held[reason] == nil {
			reasons = append(reasons, reason)
		}
		held[reason] = append(held[reason], workload.Key(pod))
	}
	for i, reason := range reasons {
		reasons[i] = reason + ": pod " + strings.Join(some(held[reason]), ", ")
	}
	return reasons
}

// forbidden says by which budget a pod must not be evicted now; empty if it may be.
func (s *Scene) forbidden(pod *corev1.Pod) string {
	var of []*policyv1.PodDisruptionBudget
	for _, b := range s.Budgets {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err == nil && b.Namespace == pod.Namespace && selector.Matches(labels.Set(pod.Labels)) {
			of = append(of, b)
		}
	}
	switch {
	case len(of) > 1:
		return fmt.Sprintf("PodDisruptionBudgets %s and %s of %s select the same pods, and the API server evicts no pod with more than one",
			of[0].Name, of[1].Name, pod.Namespace)
	case len(of) == 1 && of[0].Status.DisruptionsAllowed == 0:
		return fmt.Sprintf("PodDisruptionBudget %s/%s allows no disruption now (%d healthy, %d wanted)",
			pod.Namespace, of[0].Name, of[0].Status.CurrentHealthy, of[0].Status.DesiredHealthy)
	default:
		return ""
	}
}
