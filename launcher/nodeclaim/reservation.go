package nodeclaim

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// collectReservations follows capacity reservations that have ended: what ran in them runs on,
// at the price of its type, and is no longer what pods were told that ask for reserved capacity.
func (g *collector) collectReservations(ctx context.Context, instances []cloud.Instance, claims []v1alpha1.NodeClaim) error {
	running := make(map[string]cloud.Instance, len(instances))
	for _, in := range instances {
		running[in.ID] = in
	}
	var errs []error
	for i := range claims {
		claim := &claims[i]
		in, found := running[claim.Status.InstanceID]
		if claim.Status.ReservationID == "" || !found || in.ReservationID == claim.Status.ReservationID || !g.isOld(claim) {
			continue
		}
		if err := g.outliveReservation(ctx, claim, in); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// outliveReservation corrects the node's labels, then the claim, which it goes by.
func (g *collector) outliveReservation(ctx context.Context, claim *v1alpha1.NodeClaim, in cloud.Instance) error {
	node := &corev1.Node{}
	err := g.client.Get(ctx, types.NamespacedName{Name: claim.Status.NodeName}, node)
	if err == nil && node.Spec.ProviderID == claim.Status.ProviderID {
		err = g.updateNode(ctx, node, func(n *corev1.Node) {
			setLabels(n.Labels, map[string]string{v1alpha1.LabelCapacityType: in.CapacityType, v1alpha1.LabelReservationID: ""})
		})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("nodeclaim %s: node %s: %w", claim.Name, claim.Status.NodeName, err)
	}
	ended := claim.Status.ReservationID
	wrote, err := g.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		c.Status.CapacityType, c.Status.ReservationID = in.CapacityType, in.ReservationID
	})
	if err != nil || !wrote {
		return client.IgnoreNotFound(err)
	}
	log.FromContext(ctx).Info("capacity reservation has ended", "nodeclaim", claim.Name, "node", claim.Status.NodeName,
		"reservation", ended, "capacityType", in.CapacityType)
	g.recorder.Eventf(claim, nil, corev1.EventTypeNormal, reasonReservationEnded, "Collect",
		"Capacity reservation %s has ended; instance %s runs on as %s", ended, in.ID, in.CapacityType)
	return nil
}

// setLabels changes labels, "" for none, also where a node has them under Karpenter's keys.
func setLabels(labels, change map[string]string) {
	aliases := v1alpha1.KarpenterLabels()
	for key := range labels {
		ours, ok := aliases[key]
		if !ok {
			ours = key
		}
		switch value, changed := change[ours]; {
		case !changed:
		case value == "":
			delete(labels, key)
		default:
			labels[key] = value
		}
	}
}
