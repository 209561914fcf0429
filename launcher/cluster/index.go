package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Names of the field indexes that Index registers.
const (
	fieldPodNode         = "spec.nodeName"
	fieldPodOwner        = "metadata.controllerUID"
	fieldPodGroup        = "metadata.podGroup"
	fieldVolumeNode      = "spec.nodeName"
	fieldNodeProviderID  = "spec.providerID"
	fieldClaimProviderID = "status.providerID"
	fieldClaimInstance   = "status.instanceID"
	// FieldClaimFleet is one of the API server's, too.
	FieldClaimFleet = "spec.fleet.id"
)

// Index registers the field indexes that this package's readers rely on. Call it
// before the cache starts.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	for _, ix := range []struct {
		obj   client.Object
		field string
		value func(client.Object) string
	}{
		{&corev1.Pod{}, fieldPodNode, func(o client.Object) string { return o.(*corev1.Pod).Spec.NodeName }},
		{&corev1.Pod{}, fieldPodOwner, ownerUID},
		{&corev1.Pod{}, fieldPodGroup, func(o client.Object) string { return GroupOf(o.(*corev1.Pod)) }},
		{&storagev1.VolumeAttachment{}, fieldVolumeNode, func(o client.Object) string { return o.(*storagev1.VolumeAttachment).Spec.NodeName }},
		{&corev1.Node{}, fieldNodeProviderID, func(o client.Object) string { return o.(*corev1.Node).Spec.ProviderID }},
		{&v1alpha1.NodeClaim{}, FieldClaimFleet, fleetOf},
		{&v1alpha1.NodeClaim{}, fieldClaimInstance, func(o client.Object) string { return o.(*v1alpha1.NodeClaim).Status.InstanceID }},
		{&v1alpha1.NodeClaim{}, fieldClaimProviderID, func(o client.Object) string { return o.(*v1alpha1.NodeClaim).Status.ProviderID }},
	} {
		extract := func(o client.Object) []string {
			if v := ix.value(o); v != "" {
				return []string{v}
			}
			return nil
		}
		if err := indexer.IndexField(ctx, ix.obj, ix.field, extract); err != nil {
			return fmt.Errorf("index %T by %s: %w", ix.obj, ix.field, err)
		}
	}
	return nil
}

func fleetOf(o client.Object) string {
	if fleet := o.(*v1alpha1.NodeClaim).Spec.Fleet; fleet != nil {
		return string(fleet.ID)
	}
	return ""
}

func ownerUID(o client.Object) string {
	if owner := metav1.GetControllerOf(o); owner != nil {
		return string(owner.UID)
	}
	return ""
}

// PodsOn lists the pods bound to a node.
func PodsOn(ctx context.Context, c client.Reader, node string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.MatchingFields{fieldPodNode: node}); err != nil {
		return nil, fmt.Errorf("list pods on node %s: %w", node, err)
	}
	return pods.Items, nil
}

// VolumesOn lists the volumes attached to a node, or on their way. The reader must be a
// cache: the API server does not select by the node.
func VolumesOn(ctx context.Context, c client.Reader, node string) ([]storagev1.VolumeAttachment, error) {
	var volumes storagev1.VolumeAttachmentList
	if err := c.List(ctx, &volumes, client.MatchingFields{fieldVolumeNode: node}); err != nil {
		return nil, fmt.Errorf("list volumes of node %s: %w", node, err)
	}
	return volumes.Items, nil
}

// NodeByProviderID finds the Node of an instance; nil when it has not registered.
func NodeByProviderID(ctx context.Context, c client.Reader, providerID string) (*corev1.Node, error) {
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes, client.MatchingFields{fieldNodeProviderID: providerID}); err != nil {
		return nil, fmt.Errorf("list nodes of instance %s: %w", providerID, err)
	}
	if len(nodes.Items) == 0 {
		return nil, nil
	}
	return &nodes.Items[0], nil
}

// ClaimByProviderID finds the NodeClaim of an instance; nil when there is none.
func ClaimByProviderID(ctx context.Context, c client.Reader, providerID string) (*v1alpha1.NodeClaim, error) {
	var claims v1alpha1.NodeClaimList
	if err := c.List(ctx, &claims, client.MatchingFields{fieldClaimProviderID: providerID}); err != nil {
		return nil, fmt.Errorf("list claims of instance %s: %w", providerID, err)
	}
	if len(claims.Items) == 0 {
		return nil, nil
	}
	return &claims.Items[0], nil
}

// ClaimByInstance finds the NodeClaim of an instance by its id; nil when there is none.
func ClaimByInstance(ctx context.Context, c client.Reader, id string) (*v1alpha1.NodeClaim, error) {
	var claims v1alpha1.NodeClaimList
	if err := c.List(ctx, &claims, client.MatchingFields{fieldClaimInstance: id}); err != nil {
		return nil, fmt.Errorf("list claims of instance %s: %w", id, err)
	}
	if len(claims.Items) == 0 {
		return nil, nil
	}
	return &claims.Items[0], nil
}

// OpenReservations lists the claim's pods that still hold a reservation: they
// exist, wait to be bound, and were not released.
func OpenReservations(ctx context.Context, c client.Reader, claim *v1alpha1.NodeClaim) ([]v1alpha1.ReservedPod, error) {
	var open []v1alpha1.ReservedPod
	for _, r := range claim.HeldPods() {
		var pod corev1.Pod
		err := c.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: r.Name}, &pod)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("get reserved pod %s/%s: %w", r.Namespace, r.Name, err)
		}
		if pod.UID == r.UID && IsWaiting(&pod) {
			open = append(open, r)
		}
	}
	return open, nil
}

// IsWaiting tells whether a pod is yet to be bound.
func IsWaiting(pod *corev1.Pod) bool {
	return pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil && !IsFinished(pod)
}

// IsFinished tells whether all containers of a pod have ended for good, so that it holds no resources.
func IsFinished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// IsDaemonPod tells whether a pod belongs to its node: a DaemonSet's, or a static pod's mirror.
func IsDaemonPod(pod *corev1.Pod) bool {
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return true
	}
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.Kind == "DaemonSet"
}

// PodsOf lists the pods that an owner controls.
func PodsOf(ctx context.Context, c client.Reader, owner types.UID) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.MatchingFields{fieldPodOwner: string(owner)}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list pods of owner %s: %w", owner, err)
	}
	return pods.Items, nil
}

// GroupOf names, for people too, the group of pods that a pod is to run with: its PodGroup,
// or else what its label says; "" if it has none. Groups of one name are one.
func GroupOf(pod *corev1.Pod) string {
	if g := pod.Spec.SchedulingGroup; g != nil && g.PodGroupName != nil {
		return "PodGroup " + pod.Namespace + "/" + *g.PodGroupName
	}
	if name := pod.Labels[v1alpha1.LabelPodGroup]; name != "" {
		return "group " + pod.Namespace + "/" + name
	}
	return ""
}

// PodsOfGroup lists the pods of a group, by the name that GroupOf gives it.
func PodsOfGroup(ctx context.Context, c client.Reader, group string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.MatchingFields{fieldPodGroup: group}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list pods of %s: %w", group, err)
	}
	return pods.Items, nil
}
