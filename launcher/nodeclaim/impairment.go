package nodeclaim

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// noteImpaired writes on claims that their instances fail a check of the cloud, and since
// when, and that they do so no more. What comes of it is the slow loop's.
func (g *collector) noteImpaired(ctx context.Context, claims []v1alpha1.NodeClaim) error {
	impaired, err := g.provider.Impaired(ctx)
	if err != nil {
		return fmt.Errorf("find impaired instances: %w", err)
	}
	var errs []error
	for i := range claims {
		claim := &claims[i]
		is, fails := impaired[claim.Status.InstanceID]
		if fails == isTrue(claim, v1alpha1.ConditionImpaired) || claim.DeletionTimestamp != nil {
			continue
		}
		c := metav1.Condition{
			Type: v1alpha1.ConditionImpaired, Status: metav1.ConditionFalse, Reason: reasonChecksPassed, Message: "all checks of the instance are passed again",
			ObservedGeneration: claim.Generation, LastTransitionTime: metav1.NewTime(g.clock.Now()),
		}
		if fails {
			c.Status, c.Reason, c.Message = metav1.ConditionTrue, reasonCheckFailed, fmt.Sprintf("instance %s fails its %s", claim.Status.InstanceID, is.Check)
			c.LastTransitionTime = metav1.NewTime(cmp.Or(is.Since, g.clock.Now()))
		}
		wrote, err := g.updateStatus(ctx, claim, func(claim *v1alpha1.NodeClaim) { meta.SetStatusCondition(&claim.Status.Conditions, c) })
		if wrote {
			log.FromContext(ctx).Info("instance checked", "nodeclaim", claim.Name, "instance", claim.Status.InstanceID, "message", c.Message, "since", c.LastTransitionTime.String())
		}
		errs = append(errs, client.IgnoreNotFound(err))
	}
	return errors.Join(errs...)
}
