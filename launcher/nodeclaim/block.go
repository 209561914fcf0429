package nodeclaim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// blockRead is how often the end of a claim's capacity block is read again: blocks can be extended.
const blockRead = 5 * time.Minute

// awaitBlock interrupts a claim in a capacity block some time before EC2 terminates what runs in it,
// as if EC2 had announced that then. The end is that in the status of the claim's class.
func (i *interrupter) awaitBlock(ctx context.Context, claim *v1alpha1.NodeClaim) (reconcile.Result, error) {
	class, err := i.classOf(ctx, claim)
	if err != nil || class == nil {
		return reconcile.Result{RequeueAfter: blockRead}, err
	}
	r := slices.IndexFunc(class.Status.CapacityReservations, func(c v1alpha1.CapacityReservation) bool { return c.ID == claim.Status.ReservationID })
	if r < 0 { // not active, or not selected any more: then the node is out of date
		return reconcile.Result{RequeueAfter: blockRead}, nil
	}
	block := &class.Status.CapacityReservations[r]
	ends := block.InstancesEndAt()
	if ends.IsZero() {
		return reconcile.Result{RequeueAfter: blockRead}, nil
	}
	now := i.clock.Now()
	if left := block.Closes().Sub(now); left > 0 {
		return reconcile.Result{RequeueAfter: min(left, blockRead)}, nil
	}
	if err := i.interrupt(ctx, claim, cloud.Notice{Kind: cloud.CapacityBlockEnd, At: now, EndsAt: ends}); err != nil {
		return reconcile.Result{}, fmt.Errorf("nodeclaim %s: capacity block %s: %w", claim.Name, block.ID, err)
	}
	return reconcile.Result{}, nil
}
