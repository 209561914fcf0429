package allocate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/storage/names"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// claim turns a planned node into the NodeClaim that records it.
// Pods that are still to come get seats there.
func (v *view) claim(n fit.Planned, toCome map[types.UID]kin) (*v1alpha1.NodeClaim, []seat) {
	pool := v.Budget.Offers[n.Templates[0]].Pool
	var accepted []v1alpha1.AcceptedOffering
	for _, t := range v.Budget.Within(n.Templates) {
		accepted = append(accepted, v.Budget.Offers[t].Accepted())
	}
	groups := v1alpha1.GroupOfferings(accepted...)
	claim := v1alpha1.NewNodeClaim(names.SimpleNameGenerator.GenerateName(pool.Name+"-"), pool, groups[:min(len(groups), v1alpha1.MaxOfferingGroups)])
	claim.Spec.Requests = n.Requests
	there, seats := seatsOn(claim.Name, n.Pods, toCome)
	claim.Spec.Pods = reservedPods(there)
	claim.Spec.ExpectedPods = int32(len(n.Pods) - len(there)) //nolint:gosec // G115: of one node
	return claim, seats
}

// claims makes the claims of a plan.
func (v *view) claims(plan *fit.Plan, b batch) (claims []*v1alpha1.NodeClaim, seats []seat) {
	groups := map[string]string{} // by claim
	for _, n := range plan.Nodes {
		claim, more := v.claim(n, b.toCome)
		claim.Spec.Replaces = b.replacedBy(n.Pods)
		claims, seats = append(claims, claim), append(seats, more...)
		for _, pod := range n.Pods {
			if name := cluster.GroupOf(pod); b.needs[name].zonal {
				groups[claim.Name] = name
			}
		}
	}
	formFleets(claims, groups)
	return claims, seats
}

// formFleets has claims that are alike in all that an instance is made of bought together:
// EC2 allows few calls a second. Those for pods of a group that wants one zone, given by the
// claims' names, are of use together only.
func formFleets(claims []*v1alpha1.NodeClaim, groups map[string]string) {
	type likeness struct{ spec, group string }
	alike := map[likeness][]*v1alpha1.NodeClaim{}
	for _, claim := range claims {
		spec := claim.Spec
		spec.Pods, spec.ExpectedPods, spec.Requests, spec.Replaces = nil, 0, nil, nil
		raw, err := json.Marshal(spec)
		if err != nil {
			continue // it is bought alone
		}
		key := likeness{string(raw), groups[claim.Name]}
		alike[key] = append(alike[key], claim)
	}
	for key, all := range alike {
		for fleet := range slices.Chunk(all, v1alpha1.MaxFleet) {
			if len(fleet) < 2 {
				continue
			}
			id := uuid.NewUUID()
			for _, claim := range fleet {
				claim.Spec.Fleet = &v1alpha1.Fleet{ID: id, Size: int32(len(fleet)), Whole: key.group != ""} //nolint:gosec // G115: at most MaxFleet
			}
		}
	}
}

// summary counts a plan's nodes by their type, for people.
func (v *view) summary(plan *fit.Plan) string {
	counts := map[string]int{}
	for _, n := range plan.Nodes {
		counts[v.Templates[n.Templates[0]].Node.Labels[corev1.LabelInstanceTypeStable]]++
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d×%s", counts[name], name))
	}
	return strings.Join(parts, " ")
}

func oldestFirst(a, b *corev1.Pod) int {
	return cmp.Or(
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name),
	)
}

// explain adds to the reasons what keeps pools from being used at all.
func (v *view) explain(unplaced []fit.Unplaced) []fit.Unplaced {
	for i, u := range unplaced {
		switch {
		case len(v.Templates) > 0:
			unplaced[i].Reasons = append(u.Reasons, v.Unusable...)
		case len(v.Unusable) > 0:
			unplaced[i].Reasons = v.Unusable
		default:
			unplaced[i].Reasons = []string{"there is no NodePool"}
		}
	}
	return unplaced
}
