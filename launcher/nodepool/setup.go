package nodepool

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// SetupWithManager adds the controllers of NodePools and EC2NodeClasses to the
// manager, whose scheme must know v1alpha1.
func SetupWithManager(mgr manager.Manager, cfg Config) error {
	if err := cfg.setDefaults(); err != nil {
		return err
	}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("ec2nodeclass").
		For(&v1alpha1.EC2NodeClass{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(&classReconciler{Config: cfg, client: mgr.GetClient()})
	if err != nil {
		return fmt.Errorf("set up ec2nodeclass: %w", err)
	}
	pools := &poolReconciler{Config: cfg, client: mgr.GetClient()}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("nodepool").
		For(&v1alpha1.NodePool{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.EC2NodeClass{}, handler.EnqueueRequestsFromMapFunc(pools.ofClass)).
		Watches(&v1alpha1.NodeClaim{}, pools.countSoon(), builder.WithPredicates(resourcesChanged())).
		Complete(pools)
	if err != nil {
		return fmt.Errorf("set up nodepool: %w", err)
	}
	return nil
}

// ofClass lists the pools that use a class.
func (r *poolReconciler) ofClass(ctx context.Context, class client.Object) []reconcile.Request {
	var pools v1alpha1.NodePoolList
	if err := r.client.List(ctx, &pools); err != nil {
		// Only a cache that has not started can fail; the periodic look comes anyway.
		log.FromContext(ctx).Error(err, "list nodepools of class", "ec2nodeclass", class.GetName())
		return nil
	}
	var requests []reconcile.Request
	for i := range pools.Items {
		if ref := pools.Items[i].Spec.Template.Spec.NodeClassRef; ref != nil && ref.Name == class.GetName() {
			requests = append(requests, requestFor(pools.Items[i].Name))
		}
	}
	return requests
}

func requestFor(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

// countSoon enqueues a claim's pool with a delay. The queue keeps one entry a pool,
// so a burst of a thousand claims costs its pool one status write a CountEvery.
func (r *poolReconciler) countSoon() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	soon := func(o client.Object, q queue) {
		if claim, ok := o.(*v1alpha1.NodeClaim); ok {
			q.AddAfter(requestFor(claim.Spec.NodePool), r.CountEvery)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { soon(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { soon(e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { soon(e.Object, q) },
	}
}

// resourcesChanged lets those updates of a claim through that change its pool's resources.
func resourcesChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*v1alpha1.NodeClaim)
		after, ok2 := e.ObjectNew.(*v1alpha1.NodeClaim)
		return !ok1 || !ok2 ||
			!equality.Semantic.DeepEqual(before.Status.Allocatable, after.Status.Allocatable) ||
			terminated(before) != terminated(after)
	}}
}

func terminated(claim *v1alpha1.NodeClaim) bool {
	return meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInstanceTerminated)
}
