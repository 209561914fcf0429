package nodeclaim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// adopt makes the node the claim's: a finalizer, so that it is drained and its
// instance terminated however it is deleted; an owner reference; and what of labels,
// annotations and taints it did not register with, those of its type among the labels.
func (j *joiner) adopt(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, t offering.Type) error {
	err := j.updateNode(ctx, node, func(n *corev1.Node) {
		controllerutil.AddFinalizer(n, v1alpha1.TerminationFinalizer)
		setOwner(n, claim)
		n.Labels = withMissing(withMissing(n.Labels, nodeLabels(claim)), t.Labels)
		t.AddAliases(n.Labels)
		n.Annotations = withMissing(n.Annotations, claim.Spec.Annotations)
		for _, taint := range claim.Spec.Taints {
			if !hasTaint(n, &taint) {
				n.Spec.Taints = append(n.Spec.Taints, taint)
			}
		}
		// Start-up taints are not added: whoever removes them may have been faster than we are.
	})
	if err != nil {
		return fmt.Errorf("nodeclaim %s: adopt: %w", claim.Name, err)
	}
	return nil
}

// typeOf returns the claim's instance type, whose nodes all have its labels. Pods may have been
// promised the node by them, so it is not let into the cluster without. It is the zero value
// where it is not sold any more.
func (j *joiner) typeOf(ctx context.Context, claim *v1alpha1.NodeClaim) (offering.Type, error) {
	class, err := j.classOf(ctx, claim)
	if err != nil {
		return offering.Type{}, err
	}
	all, err := j.catalog.Types(ctx, class)
	if err != nil {
		return offering.Type{}, fmt.Errorf("nodeclaim %s: labels of type %s: %w", claim.Name, claim.Status.InstanceType, err)
	}
	i := slices.IndexFunc(all, func(t offering.Type) bool { return t.Name == claim.Status.InstanceType })
	if i < 0 {
		return offering.Type{}, nil
	}
	return all[i], nil
}

// nodeLabels are the labels that the claim's node must have.
func nodeLabels(claim *v1alpha1.NodeClaim) map[string]string {
	labels := maps.Clone(claim.Spec.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for key, value := range map[string]string{
		v1alpha1.LabelNodePool:         claim.Spec.NodePool,
		v1alpha1.LabelRegistered:       "true",
		v1alpha1.LabelCapacityType:     claim.Status.CapacityType,
		v1alpha1.LabelReservationID:    claim.Status.ReservationID,
		corev1.LabelInstanceTypeStable: claim.Status.InstanceType,
		corev1.LabelTopologyZone:       claim.Status.Zone,
	} {
		if value != "" {
			labels[key] = value
		}
	}
	return labels
}

// withMissing adds to have what it lacks of want, and leaves what differs alone.
func withMissing(have, want map[string]string) map[string]string {
	for key, value := range want {
		if _, ok := have[key]; ok {
			continue
		}
		if have == nil {
			have = map[string]string{}
		}
		have[key] = value
	}
	return have
}

// setOwner makes the claim an owner of the node that cannot go first.
func setOwner(node *corev1.Node, claim *v1alpha1.NodeClaim) {
	owned := func(r metav1.OwnerReference) bool { return r.UID == claim.UID }
	if slices.ContainsFunc(node.OwnerReferences, owned) {
		return
	}
	node.OwnerReferences = append(node.OwnerReferences, metav1.OwnerReference{
		APIVersion:         v1alpha1.GroupVersion.String(),
		Kind:               "NodeClaim",
		Name:               claim.Name,
		UID:                claim.UID,
		BlockOwnerDeletion: new(true),
	})
}

// updateNode applies change to the node, on its newest version should the given one
// be old, and leaves the outcome in node. change may run several times. Taints are
// replaced as a whole, which others (the node lifecycle controller, a CNI) do at the
// same time: hence the lock, when taints are written.
func (s *store) updateNode(ctx context.Context, node *corev1.Node, change func(*corev1.Node)) error {
	base := node.DeepCopy()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		next := base.DeepCopy()
		change(next)
		if equality.Semantic.DeepEqual(base, next) {
			base.DeepCopyInto(node)
			return nil
		}
		patch := client.StrategicMergeFrom(base)
		if !equality.Semantic.DeepEqual(base.Spec.Taints, next.Spec.Taints) {
			patch = client.StrategicMergeFrom(base, client.MergeFromWithOptimisticLock{})
		}
		err := s.client.Patch(ctx, next, patch)
		if apierrors.IsConflict(err) {
			if gone := s.direct.Get(ctx, client.ObjectKeyFromObject(node), base); gone != nil {
				return gone
			}
			return err // makes RetryOnConflict try again
		}
		if err != nil {
			return err
		}
		next.DeepCopyInto(node)
		return nil
	})
	if err != nil {
		return fmt.Errorf("node %s: update: %w", node.Name, err)
	}
	return nil
}

// hasTaint tells whether the node has a taint of that key and effect.
func hasTaint(node *corev1.Node, taint *corev1.Taint) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(taint) })
}

// unknown is since when this process has tried to tell the types of nodes that registered, and
// could not. Its zero value is ready for use.
type unknown struct {
	mu     sync.Mutex
	byName map[string]unknownType
}

type unknownType struct {
	claim types.UID
	since time.Time
}

func (u *unknown) since(claim *v1alpha1.NodeClaim, now time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byName == nil {
		u.byName = map[string]unknownType{}
	}
	if u.byName[claim.Name].claim != claim.UID {
		u.byName[claim.Name] = unknownType{claim.UID, now}
	}
	return u.byName[claim.Name].since
}

func (u *unknown) forget(claim string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.byName, claim)
}
