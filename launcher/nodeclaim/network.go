package nodeclaim

import (
	"context"
	"errors"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// noteNetworks writes on claims in which network their instances are, and anew where
// somebody changed it: only EC2 knows, and the collector asks it in any case.
func (g *collector) noteNetworks(ctx context.Context, instances []cloud.Instance, claims []v1alpha1.NodeClaim) error {
	byID := make(map[string]*cloud.Instance, len(instances))
	for i := range instances {
		byID[instances[i].ID] = &instances[i]
	}
	var errs []error
	for i := range claims {
		claim, in := &claims[i], byID[claims[i].Status.InstanceID]
		if in == nil || in.Terminating || claim.DeletionTimestamp != nil ||
			claim.Status.SubnetID == in.SubnetID && slices.Equal(claim.Status.SecurityGroups, in.SecurityGroups) {
			continue
		}
		_, err := g.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
			c.Status.SubnetID, c.Status.SecurityGroups = in.SubnetID, in.SecurityGroups
		})
		errs = append(errs, client.IgnoreNotFound(err))
	}
	return errors.Join(errs...)
}
