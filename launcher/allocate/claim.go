package allocate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/storage/names"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// claim turns a planned node into the NodeClaim that records it.
func (v *view) claim(n fit.Planned) *v1alpha1.NodeClaim {
	pool := v.budget.Offers[n.Templates[0]].Pool
	template := pool.Spec.Template.Spec
	claim := &v1alpha1.NodeClaim{}
	claim.Name = names.SimpleNameGenerator.GenerateName(pool.Name + "-")
	claim.Labels = map[string]string{v1alpha1.LabelNodePool: pool.Name}
	claim.Finalizers = []string{v1alpha1.TerminationFinalizer}
	claim.Spec = v1alpha1.NodeClaimSpec{
		NodePool:      pool.Name,
		NodeClassRef:  template.NodeClassRef,
		Requests:      n.Requests,
		Labels:        maps.Clone(pool.Spec.Template.Metadata.Labels),
		Annotations:   pool.Spec.Template.Metadata.Annotations,
		Taints:        template.Taints,
		StartupTaints: template.StartupTaints,
	}
	if claim.Spec.Labels == nil {
		claim.Spec.Labels = map[string]string{}
	}
	claim.Spec.Labels[v1alpha1.LabelNodePool] = pool.Name
	var accepted []v1alpha1.AcceptedOffering
	for _, t := range v.budget.Within(n.Templates) {
		accepted = append(accepted, v.budget.Offers[t].Accepted())
	}
	groups := v1alpha1.GroupOfferings(accepted...)
	claim.Spec.Offerings = groups[:min(len(groups), v1alpha1.MaxOfferingGroups)]
	for _, pod := range n.Pods {
		claim.Spec.Pods = append(claim.Spec.Pods, v1alpha1.ReservedPod{UID: pod.UID, Namespace: pod.Namespace, Name: pod.Name})
	}
	return claim
}

// claims makes the claims of a plan.
func (v *view) claims(plan *fit.Plan) []*v1alpha1.NodeClaim {
	claims := make([]*v1alpha1.NodeClaim, 0, len(plan.Nodes))
	for _, n := range plan.Nodes {
		claims = append(claims, v.claim(n))
	}
	return claims
}

// summary counts a plan's nodes by their type, for people.
func (v *view) summary(plan *fit.Plan) string {
	counts := map[string]int{}
	for _, n := range plan.Nodes {
		counts[v.templates[n.Templates[0]].Node.Labels[corev1.LabelInstanceTypeStable]]++
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d×%s", counts[name], name))
	}
	return strings.Join(parts, " ")
}

func sortOldestFirst(pods []*corev1.Pod) {
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
}

// explain adds to the reasons what keeps pools from being used at all.
func (v *view) explain(unplaced []fit.Unplaced) []fit.Unplaced {
	for i, u := range unplaced {
		switch {
		case len(v.templates) > 0:
			unplaced[i].Reasons = append(u.Reasons, v.unusable...)
		case len(v.unusable) > 0:
			unplaced[i].Reasons = v.unusable
		default:
			unplaced[i].Reasons = []string{"there is no NodePool"}
		}
	}
	return unplaced
}
