package nodepool

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// classReconciler keeps the status of EC2NodeClasses.
type classReconciler struct {
	Config
	client client.Client
}

// Reconcile resolves one class and writes what it found.
func (r *classReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()

	class := &v1alpha1.EC2NodeClass{}
	if err := r.client.Get(ctx, req.NamespacedName, class); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	resolved, err := r.Resolver.Resolve(ctx, class)
	if err != nil && len(resolved.Conditions) == 0 {
		return reconcile.Result{}, r.unresolved(ctx, class, err)
	}

	before := class.DeepCopy()
	class.Status.Subnets = resolved.Subnets
	class.Status.SecurityGroups = resolved.SecurityGroups
	class.Status.AMIs = resolved.AMIs
	class.Status.InstanceProfile = resolved.InstanceProfile
	class.Status.CapacityReservations = resolved.CapacityReservations
	sum := r.setConditions(class, resolved.Conditions)
	if err := r.write(ctx, before, class); err != nil {
		return reconcile.Result{}, err
	}
	if sum.Status != metav1.ConditionTrue {
		return reconcile.Result{RequeueAfter: r.RetryEvery}, nil
	}
	return reconcile.Result{RequeueAfter: r.ResolveEvery}, nil
}

// unresolved is for a cloud that could not be asked. What is known of this very spec
// stays in force: a throttled call must not stop launches. The error is returned, to
// be tried again with backoff.
func (r *classReconciler) unresolved(ctx context.Context, class *v1alpha1.EC2NodeClass, cause error) error {
	cause = fmt.Errorf("ec2nodeclass %s: resolve: %w", class.Name, cause)
	old := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReady)
	if old != nil && old.ObservedGeneration == class.Generation && old.Status != metav1.ConditionUnknown {
		return cause
	}
	before := class.DeepCopy()
	r.set(class, unknown(ReasonResolveFailed, cause.Error()))
	if err := r.write(ctx, before, class); err != nil {
		return err
	}
	return cause
}

// setConditions sets the class's conditions from those of its parts, and returns
// Ready, which is true when all parts are and else says what the first one says.
func (r *classReconciler) setConditions(class *v1alpha1.EC2NodeClass, parts []metav1.Condition) metav1.Condition {
	sum := ready()
	for _, part := range []struct {
		condition, what string
		found           int
	}{
		{v1alpha1.ConditionSubnetsReady, "subnet", len(class.Status.Subnets)},
		{v1alpha1.ConditionSecurityGroupsReady, "security group", len(class.Status.SecurityGroups)},
		{v1alpha1.ConditionAMIsReady, "image", len(class.Status.AMIs)},
	} {
		c := metav1.Condition{Type: part.condition, Status: metav1.ConditionTrue, Reason: ReasonResolved}
		if given := meta.FindStatusCondition(parts, part.condition); given != nil {
			c = *given
		} else if part.found == 0 {
			c.Status, c.Reason = metav1.ConditionFalse, ReasonNotFound
			c.Message = fmt.Sprintf("no %s matches the class", part.what)
		}
		if c.Status != metav1.ConditionTrue && sum.Status == metav1.ConditionTrue {
			sum = notReady(c.Reason, c.Message)
		}
		r.set(class, c)
	}
	for _, condition := range []string{
		v1alpha1.ConditionInstanceProfileReady, v1alpha1.ConditionUserDataReady, v1alpha1.ConditionReservationsReady,
	} {
		given := meta.FindStatusCondition(parts, condition)
		if given == nil { // not of this class
			meta.RemoveStatusCondition(&class.Status.Conditions, condition)
			continue
		}
		if given.Status != metav1.ConditionTrue && sum.Status == metav1.ConditionTrue {
			sum = notReady(given.Reason, given.Message)
		}
		r.set(class, *given)
	}
	if given := meta.FindStatusCondition(parts, v1alpha1.ConditionOfferingsCurrent); given != nil {
		r.set(class, *given)
	} else {
		meta.RemoveStatusCondition(&class.Status.Conditions, v1alpha1.ConditionOfferingsCurrent)
	}
	r.set(class, sum)
	return sum
}

func (r *classReconciler) set(class *v1alpha1.EC2NodeClass, c metav1.Condition) {
	c.ObservedGeneration = class.Generation
	c.LastTransitionTime = metav1.NewTime(r.Clock.Now())
	meta.SetStatusCondition(&class.Status.Conditions, c)
}

// write patches the status if it changed and tells the user of what broke.
func (r *classReconciler) write(ctx context.Context, before, after *v1alpha1.EC2NodeClass) error {
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		return nil
	}
	if err := r.client.Status().Patch(ctx, after, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("ec2nodeclass %s: write status: %w", after.Name, err))
	}
	if c := meta.FindStatusCondition(after.Status.Conditions, v1alpha1.ConditionReady); newlyBroken(before.Status.Conditions, *c) {
		r.Recorder.Eventf(after, nil, corev1.EventTypeWarning, c.Reason, "Resolve", "%s", c.Message)
	}
	return nil
}
