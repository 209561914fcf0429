package reallocate

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// withoutPods is a cache that has not seen any pod.
type withoutPods struct{ client.Client }

func (c withoutPods) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if _, ok := list.(*corev1.PodList); ok {
		return nil
	}
	return c.Client.List(ctx, list, opts...)
}

// staleClaims is a cache that has not seen any write to a claim.
type staleClaims struct {
	client.Client
	claims *v1alpha1.NodeClaimList
}

func (c staleClaims) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if into, ok := list.(*v1alpha1.NodeClaimList); ok {
		c.claims.DeepCopyInto(into)
		return nil
	}
	return c.Client.List(ctx, list, opts...)
}

func (c staleClaims) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if into, ok := o.(*v1alpha1.NodeClaim); ok {
		for i := range c.claims.Items {
			if c.claims.Items[i].Name == key.Name {
				c.claims.Items[i].DeepCopyInto(into)
				return nil
			}
		}
	}
	return c.Client.Get(ctx, key, o, opts...)
}

// staleNodes is a cache that has not seen any write to a node.
type staleNodes struct {
	client.Client
	node *corev1.Node
}

func (c staleNodes) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if into, ok := list.(*corev1.NodeList); ok {
		into.Items = []corev1.Node{*c.node.DeepCopy()}
		return nil
	}
	return c.Client.List(ctx, list, opts...)
}
