package nodepool

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// resourceNodes counts nodes, as in a pool's limits.
const resourceNodes corev1.ResourceName = "nodes"

// resourcesOf sums what a pool's claims have: their nodes' allocatable, or before that
// is known, what their pods request.
func resourcesOf(ctx context.Context, c client.Reader, pool string) (corev1.ResourceList, error) {
	var claims v1alpha1.NodeClaimList
	// The claims are read only; copying thousands of them each second would show.
	if err := c.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list nodeclaims: %w", err)
	}
	sum := corev1.ResourceList{}
	nodes := int64(0)
	for i := range claims.Items {
		claim := &claims.Items[i]
		if claim.Spec.NodePool != pool || terminated(claim) {
			continue
		}
		nodes++
		for name, q := range claimResources(claim) {
			total := sum[name]
			total.Add(q)
			sum[name] = total
		}
	}
	sum[resourceNodes] = *resource.NewQuantity(nodes, resource.DecimalSI)
	return sum, nil
}

func claimResources(claim *v1alpha1.NodeClaim) corev1.ResourceList {
	if len(claim.Status.Allocatable) > 0 {
		return claim.Status.Allocatable
	}
	return claim.Spec.Requests
}
