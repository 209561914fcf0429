package nodeclaim

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// abandon ends a claim that is being deleted and is not known to have an instance. It
// may have one all the same: a call whose answer was lost may have bought it. So the
// cloud is asked, once at first and once more when whatever was bought before the
// deletion must show in its reads. An instance that turns up is recorded, and the claim
// is then terminated like any other.
func (l *launcher) abandon(ctx context.Context, claim *v1alpha1.NodeClaim) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(claim, v1alpha1.TerminationFinalizer) {
		return reconcile.Result{}, nil
	}
	if nothingBought(claim) {
		return reconcile.Result{}, l.end(ctx, claim)
	}
	var instance cloud.Instance
	var found, busy bool
	var err error
	if claim.Spec.Fleet != nil {
		instance, found, busy, err = l.findInFleet(ctx, claim)
	} else {
		instance, found, err = l.find(ctx, claim.UID)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("nodeclaim %s: look for its instance: %w", claim.Name, err)
	}
	if busy {
		return reconcile.Result{RequeueAfter: fleetWindow}, nil
	}
	if found {
		found := outcome{instance: instance}
		l.outcomes.put(claim, found)
		return reconcile.Result{}, l.record(ctx, claim, found)
	}
	if wait := claim.DeletionTimestamp.Add(l.settle).Sub(l.clock.Now()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	return reconcile.Result{}, l.end(ctx, claim)
}

// nothingBought tells whether the provider's answer excluded that anything was bought
// under the claim (see cloud.Provider.Launch). A timeout excludes nothing.
func nothingBought(claim *v1alpha1.NodeClaim) bool {
	reason := rejection(claim)
	return reason != "" && reason != reasonLaunchTimeout
}

// find looks for an instance that was bought under a claim.
func (l *launcher) find(ctx context.Context, claim types.UID) (cloud.Instance, bool, error) {
	instances, err := l.provider.List(ctx)
	if err != nil {
		return cloud.Instance{}, false, err
	}
	for _, in := range instances {
		if in.ClaimUID == string(claim) {
			return in, true, nil
		}
	}
	return cloud.Instance{}, false, nil
}

// end lets a claim without an instance go.
func (l *launcher) end(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	reason := endReason(claim)
	if err := l.removeFinalizer(ctx, claim); err != nil {
		return err
	}
	log.FromContext(ctx).Info("ended without an instance", "reason", reason)
	l.metrics.terminated.WithLabelValues(reason).Inc()
	return nil
}
