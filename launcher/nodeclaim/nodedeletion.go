package nodeclaim

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// nodeDeleter deletes the claim of a Node that is being deleted, so that a plain
// `kubectl delete node` drains the node and returns its instance. A Node without a
// claim is the garbage collector's.
type nodeDeleter struct{ store }

// Reconcile passes one Node's deletion on to its claim.
func (d *nodeDeleter) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	node := &corev1.Node{}
	if err := d.client.Get(ctx, req.NamespacedName, node); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !isLeaving(node) {
		return reconcile.Result{}, nil
	}
	claim, err := cluster.ClaimByProviderID(ctx, d.client, node.Spec.ProviderID)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("node %s: %w", node.Name, err)
	}
	if claim == nil || claim.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	log.FromContext(ctx).Info("node deleted, deleting its claim", "node", node.Name, "nodeclaim", claim.Name, "instance", claim.Status.InstanceID)
	return reconcile.Result{}, d.delete(ctx, claim)
}

// isLeaving tells whether a Node of ours is being deleted.
func isLeaving(node *corev1.Node) bool {
	return node.DeletionTimestamp != nil && controllerutil.ContainsFinalizer(node, v1alpha1.TerminationFinalizer)
}
