package live

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/explain"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
)

// PodScene reads what there is around a pod: the pod, the NodeClaims, its node, the
// PodDisruptionBudgets of its namespace and the events about it.
func (c *Cluster) PodScene(ctx context.Context, namespace, name string, now time.Time) (*explain.Scene, *corev1.Pod, error) {
	pod := &corev1.Pod{}
	if err := c.get(ctx, namespace, name, pod); err != nil {
		return nil, nil, err
	}
	s := &explain.Scene{Now: now, Pods: []*corev1.Pod{pod}}
	if err := c.claims(ctx, s); err != nil {
		return nil, nil, err
	}
	node := pod.Spec.NodeName
	for _, claim := range s.Claims {
		held := slices.ContainsFunc(claim.HeldPods(), func(p v1alpha1.ReservedPod) bool { return p.UID == pod.UID })
		if node == "" && held && meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionRegistered) {
			node = claim.Status.NodeName
		}
	}
	if err := c.node(ctx, s, node); err != nil {
		return nil, nil, err
	}
	if s.Node != nil {
		if err := c.neighbours(ctx, s); err != nil {
			return nil, nil, err
		}
	}
	if pod.Spec.NodeName != "" {
		if err := c.budgets(ctx, s, namespace); err != nil {
			return nil, nil, err
		}
	}
	return s, pod, c.events(ctx, s, "Pod", pod)
}

// neighbours reads the other pods on the node, where the user may.
func (c *Cluster) neighbours(ctx context.Context, s *explain.Scene) error {
	known := s.Pods[0].UID
	err := c.read(ctx, &corev1.PodList{}, func(o runtime.Object) {
		if pod := o.(*corev1.Pod); pod.UID != known {
			s.Pods = append(s.Pods, pod)
		}
	}, client.MatchingFields{"spec.nodeName": s.Node.Name})
	return s.WithoutRight(err, "the other pods on its node")
}

// NodeScene reads what there is around a node: its pods and those that wait for one, the
// NodeClaims, its NodePool, the PodDisruptionBudgets and the events about it. Of a node that has
// not joined yet the claim is returned, which has its name or its instance.
func (c *Cluster) NodeScene(ctx context.Context, name string, now time.Time) (*explain.Scene, *v1alpha1.NodeClaim, error) {
	s := &explain.Scene{Now: now}
	if err := c.claims(ctx, s); err != nil {
		return nil, nil, err
	}
	if err := c.node(ctx, s, name); err != nil {
		return nil, nil, err
	}
	if s.Node != nil {
		return s, nil, c.around(ctx, s, "Node", s.Node, s.ClaimOfNode())
	}
	i := slices.IndexFunc(s.Claims, func(claim *v1alpha1.NodeClaim) bool {
		return claim.Status.NodeName == name || claim.Status.InstanceID == name
	})
	if i < 0 {
		return nil, nil, fmt.Errorf("%w: there is no node %s, nor a NodeClaim of one that will have that name, in the cluster at %s", input.ErrWrong, name, c.config.Host)
	}
	return s, s.Claims[i], c.around(ctx, s, "NodeClaim", s.Claims[i], s.Claims[i])
}

// ClaimScene reads what there is around a NodeClaim: as NodeScene, with the node it has.
func (c *Cluster) ClaimScene(ctx context.Context, name string, now time.Time) (*explain.Scene, *v1alpha1.NodeClaim, error) {
	s := &explain.Scene{Now: now}
	if err := c.claims(ctx, s); err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(s.Claims, func(claim *v1alpha1.NodeClaim) bool { return claim.Name == name })
	if i < 0 {
		return nil, nil, fmt.Errorf("%w: there is no nodeclaim %s in the cluster at %s", input.ErrWrong, name, c.config.Host)
	}
	claim := s.Claims[i]
	if meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionRegistered) {
		if err := c.node(ctx, s, claim.Status.NodeName); err != nil {
			return nil, nil, err
		}
	}
	return s, claim, c.around(ctx, s, "NodeClaim", claim, claim)
}

// around reads what bears on a node, and what was said about an object; claim may be nil.
func (c *Cluster) around(ctx context.Context, s *explain.Scene, kind string, about client.Object, claim *v1alpha1.NodeClaim) error {
	pods := func(o runtime.Object) { s.Pods = append(s.Pods, o.(*corev1.Pod)) }
	if s.Node != nil {
		if err := c.read(ctx, &corev1.PodList{}, pods, client.MatchingFields{"spec.nodeName": s.Node.Name}); err != nil {
			return err
		}
	}
	if err := c.read(ctx, &corev1.PodList{}, pods, client.MatchingFields{"spec.nodeName": ""}); err != nil {
		return err
	}
	if claim != nil {
		pool := &v1alpha1.NodePool{}
		switch err := c.client.Get(ctx, client.ObjectKey{Name: claim.Spec.NodePool}, pool); {
		case err == nil:
			s.Pool = pool
		case !apierrors.IsNotFound(err):
			return c.failed(err)
		}
	}
	if err := c.budgets(ctx, s, ""); err != nil {
		return err
	}
	return c.events(ctx, s, kind, about)
}

// get reads an object that the user has named.
func (c *Cluster) get(ctx context.Context, namespace, name string, into client.Object) error {
	err := c.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: there is no pod %s in namespace %s of the cluster at %s", input.ErrWrong, name, namespace, c.config.Host)
	}
	return c.failed(err)
}

// claims reads the NodeClaims; a cluster may lack the kind.
func (c *Cluster) claims(ctx context.Context, s *explain.Scene) error {
	err := c.read(ctx, &v1alpha1.NodeClaimList{}, func(o runtime.Object) { s.Claims = append(s.Claims, o.(*v1alpha1.NodeClaim)) })
	if meta.IsNoMatchError(err) {
		s.Notes = append(s.Notes, "the cluster has no NodeClaims: Slipway's CustomResourceDefinitions are not installed")
		return nil
	}
	return err
}

// node reads the node of a name; none is fine.
func (c *Cluster) node(ctx context.Context, s *explain.Scene, name string) error {
	if name == "" {
		return nil
	}
	node := &corev1.Node{}
	err := c.client.Get(ctx, client.ObjectKey{Name: name}, node)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		s.Node = node
	}
	return c.failed(err)
}

// budgets and events say more where they may be read; where not, the rest is said all the same.

func (c *Cluster) budgets(ctx context.Context, s *explain.Scene, namespace string) error {
	err := c.read(ctx, &policyv1.PodDisruptionBudgetList{}, func(o runtime.Object) {
		s.Budgets = append(s.Budgets, o.(*policyv1.PodDisruptionBudget))
	}, client.InNamespace(namespace))
	return s.WithoutRight(err, "PodDisruptionBudgets")
}

func (c *Cluster) events(ctx context.Context, s *explain.Scene, kind string, about client.Object) error {
	err := c.read(ctx, &eventsv1.EventList{}, func(o runtime.Object) {
		event := o.(*eventsv1.Event)
		// Kubelets put a node's name for its UID.
		if uid := event.Regarding.UID; uid == "" || uid == about.GetUID() || string(uid) == about.GetName() {
			s.Events = append(s.Events, event)
		}
	}, client.InNamespace(about.GetNamespace()), client.MatchingFields{"regarding.kind": kind, "regarding.name": about.GetName()})
	return s.WithoutRight(err, "events")
}

// read lists objects, page by page.
func (c *Cluster) read(ctx context.Context, list client.ObjectList, each func(runtime.Object), options ...client.ListOption) error {
	return c.failed(c.list(ctx, list, each, options...))
}

// failed says which API server an error is from.
func (c *Cluster) failed(err error) error {
	if err != nil {
		return fmt.Errorf("API server %s: %w", c.config.Host, err)
	}
	return nil
}
