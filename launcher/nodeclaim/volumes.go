package nodeclaim

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// detachWithin is how long a drain waits at most for volumes after the pods have left. By
// then kube-controller-manager, too, no longer waits for a kubelet to unmount
// (attachdetach's maxWaitForUnmountDuration), and EC2 detaches what a terminated instance had.
const detachWithin = 6 * time.Minute

// attached names the volumes that are still attached to the node, without those of pods
// that stay there. An instance that ends with a volume attached keeps that from its pod's
// successor for minutes.
func (t *terminator) attached(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, staying []corev1.Pod) ([]string, error) {
	attachments, err := cluster.VolumesOn(ctx, t.client, node.Name)
	if err != nil || len(attachments) == 0 {
		return nil, err
	}
	drain := t.drains.of(claim)
	if drain.pastDetaching(t.clock.Now()) {
		log.FromContext(ctx).Info("volumes were not detached in time", "node", node.Name, "volumes", len(attachments), "after", detachWithin.String())
		return nil, nil
	}
	kept, err := t.volumesOf(ctx, staying)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, a := range attachments {
		if pv := persistentVolume(&a); pv != "" && !kept.Has(pv) {
			names = append(names, pv)
		}
	}
	slices.Sort(names)
	return names, nil
}

// volumesOf returns the PersistentVolumes that the pods use, by way of their claims.
func (t *terminator) volumesOf(ctx context.Context, pods []corev1.Pod) (sets.Set[string], error) {
	names := sets.New[string]()
	for _, pod := range pods {
		for _, v := range pod.Spec.Volumes {
			key := client.ObjectKey{Namespace: pod.Namespace}
			switch {
			case v.PersistentVolumeClaim != nil:
				key.Name = v.PersistentVolumeClaim.ClaimName
			case v.Ephemeral != nil:
				key.Name = pod.Name + "-" + v.Name
			default:
				continue
			}
			var pvc corev1.PersistentVolumeClaim
			if err := t.direct.Get(ctx, key, &pvc); client.IgnoreNotFound(err) != nil {
				return nil, fmt.Errorf("get persistentvolumeclaim %s: %w", key, err)
			}
			names.Insert(pvc.Spec.VolumeName)
		}
	}
	return names, nil
}

func persistentVolume(a *storagev1.VolumeAttachment) string {
	if a.Spec.Source.PersistentVolumeName == nil {
		return "" // an inline volume, which has no name of its own
	}
	return *a.Spec.Source.PersistentVolumeName
}
