package allocate

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// replacedClaim is how far an interrupted claim is replaced.
type replacedClaim struct {
	name            string
	status          metav1.ConditionStatus
	reason, message string
}

// markReplaced writes on a claim how far it is replaced. Should that fail, the loop asks again.
func (p *planner) markReplaced(ctx context.Context, r replacedClaim) {
	_, err := p.update(ctx, r.name, func(claim *v1alpha1.NodeClaim) error {
		if !claim.IsBeingReplaced() { // it stays after all
			return nil
		}
		meta.SetStatusCondition(&claim.Status.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionReplaced, Status: r.status, Reason: r.reason, Message: r.message, ObservedGeneration: claim.Generation,
		})
		return nil
	})
	if client.IgnoreNotFound(err) != nil {
		p.log.Error(err, "mark nodeclaim as replaced", "nodeclaim", r.name, "reason", r.reason)
	}
}

// openAll lets successors use the room of all nodes that stay, and thinks away those that
// the cloud takes back, with their pods.
func (v *view) openAll(infos map[string]*framework.NodeInfo, b batch) {
	for _, c := range b.leaving {
		delete(infos, c.Status.NodeName)
	}
	claims := map[string]*v1alpha1.NodeClaim{}
	for _, c := range b.claims {
		claims[c.Status.NodeName] = c
	}
	for name := range infos {
		if v.rooms[name] != nil || !isNode(infos[name]) {
			continue
		}
		v.rooms[name] = cmp.Or(claims[name], &v1alpha1.NodeClaim{}) // no claim: a node of others
	}
}

// isNode tells a node that exists from one that a claim in flight will be.
func isNode(info *framework.NodeInfo) bool { return info.Node().UID != "" }

// replacedBy names the interrupted claims whose pods' successors are among these.
func (b *batch) replacedBy(pods []*corev1.Pod) []string {
	names := sets.New[string]()
	for _, pod := range pods {
		if name, ok := b.succeeds[pod.UID]; ok {
			names.Insert(name)
		}
	}
	if names.Len() == 0 {
		return nil
	}
	return sets.List(names)[:min(names.Len(), maxReplaces)]
}

// maxReplaces is how many interrupted claims one claim may name.
const maxReplaces = 100

// place notes where a plan has room for successors: on the claims made of it, if they were
// written, and on nodes that there are.
func (s *succeeded) place(v *view, plan *fit.Plan, claims, written []*v1alpha1.NodeClaim) {
	put := func(pods []*corev1.Pod, claim string) {
		for _, pod := range pods {
			if _, ok := s.of[pod.UID]; ok {
				s.on[pod.UID] = claim
			}
		}
	}
	for i, n := range plan.Nodes {
		if slices.Contains(written, claims[i]) {
			put(n.Pods, claims[i].Name)
		}
	}
	for _, r := range plan.Reused {
		put(r.Pods, v.rooms[r.Node].Name)
	}
	for _, u := range plan.Unplaced {
		for _, why := range u.Reasons {
			if !slices.Contains(s.reasons, why) && len(s.reasons) < 5 {
				s.reasons = append(s.reasons, why)
			}
		}
	}
}

// newSucceeded begins the answer to a batch of successors; nil for any other.
func newSucceeded(b batch) *succeeded {
	if len(b.succeeds) == 0 {
		return nil
	}
	return &succeeded{of: b.succeeds, on: map[types.UID]string{}}
}
