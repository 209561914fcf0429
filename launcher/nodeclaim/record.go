package nodeclaim

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// record writes what was bought into the claim's status, which hands the claim over
// to registration or, when it is being deleted, to termination. A claim has one instance:
// should it have another by now, this one is returned.
func (l *launcher) record(ctx context.Context, claim *v1alpha1.NodeClaim, bought outcome) error {
	in, class := bought.instance, bought.class // as it was then: it may have been edited since
	predicted := predictedAllocatable(ctx, l.catalog, class, in.Type)
	price, priced := claim.Spec.PriceOf(in.Type, in.Zone, in.CapacityType)
	surplus := false
	wrote, err := l.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		s := &c.Status
		if surplus = s.InstanceID != "" && s.InstanceID != in.ID; surplus {
			return
		}
		s.InstanceID, s.ProviderID, s.NodeName, s.ImageID = in.ID, in.ProviderID, in.NodeName, in.ImageID
		s.InstanceType, s.Zone, s.CapacityType, s.Price = in.Type, in.Zone, in.CapacityType, nil
		s.ReservationID = in.ReservationID
		if priced {
			s.Price = &price
		}
		s.Sizing, s.ClassFields = class.Sizing(), class.FieldHashes()
		if len(s.Allocatable) == 0 {
			s.Allocatable = predicted
		}
		l.set(c, v1alpha1.ConditionLaunched, metav1.ConditionTrue, reasonLaunched, "instance "+in.ID+" was bought")
	})
	if apierrors.IsNotFound(err) {
		return l.returnInstance(ctx, claim, in, "claim vanished while it was launched")
	}
	if err == nil && surplus {
		return l.returnInstance(ctx, claim, in, "claim has another instance")
	}
	if err != nil || !wrote {
		return err
	}
	log.FromContext(ctx).Info("launched", facts(claim)...)
	l.recorder.Eventf(claim, nil, corev1.EventTypeNormal, reasonLaunched, "Launch",
		"Bought %s in %s (%s) as instance %s", in.Type, in.Zone, in.CapacityType, in.ID)
	l.metrics.launched.Observe(l.clock.Since(claim.CreationTimestamp.Time).Seconds())
	return nil
}

// returnInstance terminates an instance that no claim needs: its own vanished, finalizer and
// all, while it was bought, or has another. Should that fail, the garbage collector does it.
func (l *launcher) returnInstance(ctx context.Context, claim *v1alpha1.NodeClaim, in cloud.Instance, why string) error {
	log.FromContext(ctx).Info("terminating an instance that no claim needs", "reason", why, "instance", in.ID, "has", claim.Status.InstanceID)
	if err := l.provider.Terminate(ctx, in.ID); err != nil && !errors.Is(err, cloud.ErrNotFound) {
		return fmt.Errorf("nodeclaim %s: terminate instance %s: %w", claim.Name, in.ID, err)
	}
	l.forget(claim.Name)
	return nil
}
