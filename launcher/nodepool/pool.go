package nodepool

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// poolReconciler keeps the status of NodePools.
type poolReconciler struct {
	Config
	client client.Client
}

// Reconcile judges one pool and counts what it has.
func (r *poolReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()

	pool := &v1alpha1.NodePool{}
	if err := r.client.Get(ctx, req.NamespacedName, pool); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	before := pool.DeepCopy()
	c, err := r.judge(ctx, pool)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("nodepool %s: %w", pool.Name, err)
	}
	c.ObservedGeneration = pool.Generation
	c.LastTransitionTime = metav1.NewTime(r.Clock.Now())
	meta.SetStatusCondition(&pool.Status.Conditions, c)
	if pool.Status.Resources, err = resourcesOf(ctx, r.client, pool.Name); err != nil {
		return reconcile.Result{}, fmt.Errorf("nodepool %s: %w", pool.Name, err)
	}
	nodes := pool.Status.Resources[resourceNodes]
	pool.Status.Replicas = nodes.Value()

	if !equality.Semantic.DeepEqual(before.Status, pool.Status) {
		// Conditions are a list, which a merge patch replaces as a whole while others have
		// conditions of their own in it: hence the lock.
		err := r.client.Status().Patch(ctx, pool, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		if apierrors.IsConflict(err) { // another wrote, which the cache is about to show
			return reconcile.Result{RequeueAfter: r.CountEvery}, nil
		}
		if err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(fmt.Errorf("nodepool %s: write status: %w", pool.Name, err))
		}
	}
	if newlyBroken(before.Status.Conditions, c) {
		r.Recorder.Eventf(pool, nil, corev1.EventTypeWarning, c.Reason, "Validate", "%s", c.Message)
	}
	return reconcile.Result{RequeueAfter: r.again(c)}, nil
}

func (r *poolReconciler) again(c metav1.Condition) time.Duration {
	if c.Status == metav1.ConditionTrue {
		return r.ResolveEvery
	}
	return r.RetryEvery
}

// judge says whether nodes can be launched from the pool. It fails only where the
// API server does.
func (r *poolReconciler) judge(ctx context.Context, pool *v1alpha1.NodePool) (metav1.Condition, error) {
	matcher, err := v1alpha1.CompileRequirements(pool.EffectiveRequirements())
	if err != nil {
		return notReady(ReasonInvalidRequirements, fmt.Sprintf("spec.template.spec.requirements: %v", err)), nil
	}
	for i, b := range pool.Spec.Disruption.Budgets {
		if _, err := b.HoldsAt(r.Clock.Now()); err != nil {
			return notReady(ReasonInvalidBudget, fmt.Sprintf("spec.disruption.budgets[%d]: %v", i, err)), nil
		}
	}
	class, c, err := r.class(ctx, pool)
	if err != nil || c.Status != metav1.ConditionTrue {
		return c, err
	}
	instanceTypes, err := r.Catalog.Types(ctx, class)
	if err != nil {
		return unknown(ReasonOfferingsUnknown, err.Error()), nil
	}
	return offers(pool, matcher, instanceTypes), nil
}

// class finds the pool's class, nil for the launcher's defaults, and whether it is ready.
func (r *poolReconciler) class(ctx context.Context, pool *v1alpha1.NodePool) (*v1alpha1.EC2NodeClass, metav1.Condition, error) {
	ref := pool.Spec.Template.Spec.NodeClassRef
	if ref == nil {
		return nil, r.defaults(ctx), nil
	}
	class := &v1alpha1.EC2NodeClass{}
	err := r.client.Get(ctx, types.NamespacedName{Name: ref.Name}, class)
	switch {
	case apierrors.IsNotFound(err):
		message := fmt.Sprintf("EC2NodeClass %s does not exist; create it, or leave nodeClassRef out to use the launcher's defaults", ref.Name)
		return nil, notReady(ReasonNodeClassNotFound, message), nil
	case err != nil:
		return nil, metav1.Condition{}, fmt.Errorf("read EC2NodeClass %s: %w", ref.Name, err)
	}
	c := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case c == nil || c.ObservedGeneration != class.Generation:
		return class, unknown(ReasonNodeClassNotReady, fmt.Sprintf("EC2NodeClass %s is not resolved yet", ref.Name)), nil
	case c.Status == metav1.ConditionFalse:
		return class, notReady(ReasonNodeClassNotReady, fmt.Sprintf("EC2NodeClass %s is not ready: %s", ref.Name, c.Message)), nil
	case c.Status == metav1.ConditionUnknown:
		return class, unknown(ReasonNodeClassNotReady, fmt.Sprintf("EC2NodeClass %s is not resolved yet: %s", ref.Name, c.Message)), nil
	}
	return class, ready(), nil
}

// defaults says whether the launcher's default class is ready.
func (r *poolReconciler) defaults(ctx context.Context) metav1.Condition {
	resolved, err := r.Resolver.Resolve(ctx, nil)
	switch {
	case err == nil:
		return ready()
	case len(resolved.Conditions) == 0:
		return unknown(ReasonNodeClassNotReady, "the launcher's defaults are not resolved yet: "+err.Error())
	default:
		return notReady(ReasonNodeClassNotReady, "the launcher's defaults cannot be used: "+err.Error())
	}
}
