package burst

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/observe"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// empty removes the pods and nodes of the burst before.
func (r *runner) empty(ctx context.Context) error {
	background := client.PropagationPolicy(metav1.DeletePropagationBackground)
	if err := r.stack.Client.DeleteAllOf(ctx, &appsv1.Deployment{}, client.InNamespace(stack.Namespace), background); err != nil {
		return fmt.Errorf("delete Deployments: %w", err)
	}
	if err := r.observer.WaitFor(ctx, emptiedWithin, "all pods gone", func(v *observe.View) bool { return v.LivePods() == 0 }); err != nil {
		return err
	}
	if err := r.stack.Client.DeleteAllOf(ctx, &v1alpha1.NodeClaim{}); err != nil {
		return fmt.Errorf("delete NodeClaims: %w", err)
	}
	if err := r.observer.WaitFor(ctx, emptiedWithin, "all instances gone", func(*observe.View) bool {
		return !slices.ContainsFunc(r.stack.Sim.Instances(), func(in simec2.Instance) bool { return in.State != simec2.StateTerminated })
	}); err != nil {
		return err
	}
	if err := r.sweep(ctx); err != nil {
		return err
	}
	return r.observer.WaitFor(ctx, emptiedWithin, "all nodes and NodeClaims gone", (*observe.View).Empty)
}

// sweep removes the nodes and claims of instances that are gone. The launcher would do so
// too, but half a minute after the launch only: as long as EC2's reads may lag behind.
func (r *runner) sweep(ctx context.Context) error {
	var nodes corev1.NodeList
	var claims v1alpha1.NodeClaimList
	for _, list := range []client.ObjectList{&nodes, &claims} {
		if err := r.stack.Client.List(ctx, list); err != nil {
			return err
		}
	}
	unhold := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	remove := func(o client.Object) error {
		err := r.stack.Client.Patch(ctx, o, unhold)
		if err == nil {
			err = r.stack.Client.Delete(ctx, o)
		}
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("remove %T %s: %w", o, o.GetName(), err)
		}
		return nil
	}
	for i := range nodes.Items {
		if err := remove(&nodes.Items[i]); err != nil {
			return err
		}
	}
	for i := range claims.Items {
		if err := remove(&claims.Items[i]); err != nil {
			return err
		}
	}
	return nil
}
