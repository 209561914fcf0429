package nodeclaim

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// teach tells the catalog what the claim's node really has, as soon as it says so, once
// in the life of this process: the catalog's memory is no longer than that.
func (j *joiner) teach(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) error {
	if node == nil || len(node.Status.Allocatable) == 0 || j.taught.knows(claim) {
		return nil
	}
	class, err := j.classOf(ctx, claim)
	if err != nil {
		return err
	}
	if class.Sizing() != claim.Status.Sizing { // the class was edited since, the node is as it was
		j.taught.add(claim)
		return nil
	}
	typeName, image := claim.Status.InstanceType, claim.Status.ImageID
	predicted := predictedAllocatable(ctx, j.catalog, class, typeName)
	if predicted == nil {
		return nil // nothing to compare with yet
	}
	if j.catalog.Learn(class, typeName, image, node.Status.Allocatable) {
		log.FromContext(ctx).Info("node is smaller than predicted", "type", typeName, "image", image,
			"node", node.Name, "predicted", predicted, "allocatable", node.Status.Allocatable)
	}
	j.taught.add(claim)
	return nil
}

// classOf finds the claim's class; nil when it has none or the class is gone.
func (s *store) classOf(ctx context.Context, claim *v1alpha1.NodeClaim) (*v1alpha1.EC2NodeClass, error) {
	if claim.Spec.NodeClassRef == nil {
		return nil, nil
	}
	class := &v1alpha1.EC2NodeClass{}
	err := s.client.Get(ctx, client.ObjectKey{Name: claim.Spec.NodeClassRef.Name}, class)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("nodeclaim %s: get class %s: %w", claim.Name, claim.Spec.NodeClassRef.Name, err)
	}
	return class, nil
}

// predictedAllocatable is what the catalog expects a node of the type to have; nil
// when it does not know. The result is the caller's.
func predictedAllocatable(ctx context.Context, catalog Catalog, class *v1alpha1.EC2NodeClass, typeName string) corev1.ResourceList {
	types, err := catalog.Types(ctx, class)
	if err != nil {
		log.FromContext(ctx).V(1).Info("no prediction of allocatable", "type", typeName, "err", err.Error())
		return nil
	}
	for _, t := range types {
		if t.Name == typeName {
			return t.Allocatable.DeepCopy()
		}
	}
	return nil
}

// taught is the set of claims whose node the catalog knows. Its zero value is ready for use.
type taught struct {
	mu     sync.Mutex
	claims map[string]types.UID // by name
}

func (t *taught) knows(claim *v1alpha1.NodeClaim) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	uid, ok := t.claims[claim.Name]
	return ok && uid == claim.UID
}

func (t *taught) add(claim *v1alpha1.NodeClaim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.claims == nil {
		t.claims = map[string]types.UID{}
	}
	t.claims[claim.Name] = claim.UID
}

func (t *taught) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.claims, name)
}
