package fit

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/component-helpers/storage/ephemeral"
	storagehelpers "k8s.io/component-helpers/storage/volume"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// claims tells which volume claims are as good as others. A replica of a StatefulSet has
// claims of its own; taken by their names, each replica would be a class of its own.
type claims struct {
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
	users   map[string]int   // waiting pods by claim
	used    sets.Set[string] // by pods on nodes
	// byOwner: pods without spread constraints are spread with those of the same owner.
	byOwner bool
	// waiting storage classes have volumes that wait for a claim.
	waiting sets.Set[string]
}

// claimKey names the claim of a pod's volume; "" when it has none.
func claimKey(pod *corev1.Pod, v *corev1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return framework.GetNamespacedName(pod.Namespace, v.PersistentVolumeClaim.ClaimName)
	case v.Ephemeral != nil:
		return framework.GetNamespacedName(pod.Namespace, ephemeral.VolumeClaimName(pod, v))
	}
	return ""
}

func (s *Space) newClaims() (*claims, error) {
	core := s.engine.informers.Core().V1()
	c := &claims{
		claims: core.PersistentVolumeClaims().Lister(), volumes: core.PersistentVolumes().Lister(),
		classes: s.engine.informers.Storage().V1().StorageClasses().Lister(),
		byOwner: s.engine.spreadsByDefault(),
		users:   map[string]int{}, used: sets.New[string](), waiting: sets.New[string](),
	}
	for _, pod := range s.input.Pods {
		for i := range pod.Spec.Volumes {
			if key := claimKey(pod, &pod.Spec.Volumes[i]); key != "" {
				c.users[key]++
			}
		}
	}
	if len(c.users) == 0 {
		return c, nil
	}
	for _, n := range s.input.Nodes {
		for key := range n.PVCRefCounts {
			c.used.Insert(key)
		}
	}
	volumes, err := c.volumes.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list persistent volumes: %w", err)
	}
	for _, v := range volumes {
		if v.Spec.ClaimRef == nil || v.Status.Phase == corev1.VolumeAvailable {
			c.waiting.Insert(storagehelpers.GetPersistentVolumeClass(v))
		}
	}
	return c, nil
}

// like describes the claim of a pod's volume such that pods whose claims are alike fit the
// same nodes, whichever of them go first; "" when its name is all that can be said.
func (c *claims) like(pod *corev1.Pod, v *corev1.Volume) string {
	key := claimKey(pod, v)
	claim := c.get(key)
	if claim == nil || c.users[key] > 1 || c.used.Has(key) || claim.DeletionTimestamp != nil || claim.Status.Phase == corev1.ClaimLost ||
		v.Ephemeral != nil && !metav1.IsControlledBy(claim, pod) {
		return ""
	}
	if claim.Spec.VolumeName != "" {
		volume, err := c.volumes.Get(claim.Spec.VolumeName)
		if err != nil || volume.Spec.CSI == nil || volume.Spec.ClaimRef == nil || volume.Spec.ClaimRef.UID != claim.UID ||
			!metav1.HasAnnotation(claim.ObjectMeta, storagehelpers.AnnBindCompleted) {
			return ""
		}
		return fmt.Sprint("bound ", volume.Spec.CSI.Driver, volume.Spec.NodeAffinity, volume.Labels)
	}
	if c.fickle(key) {
		return ""
	}
	return fmt.Sprint("new ", storagehelpers.GetPersistentVolumeClaimClass(claim), claim.Spec.AccessModes, claim.Spec.Resources.Requests.Storage(), claim.Spec.Selector)
}

// fickle tells whether what a claim allows changes as pods are placed: others may take the
// volume it would have got, or settle where it goes.
func (c *claims) fickle(key string) bool {
	claim := c.get(key)
	switch {
	case claim == nil:
		return false
	case equality.Semantic.DeepEqual(claim.Spec.AccessModes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}) && c.users[key] > 1:
		return true
	case claim.Spec.VolumeName != "":
		return false
	}
	class, err := c.classes.Get(storagehelpers.GetPersistentVolumeClaimClass(claim))
	return err != nil || class.Provisioner == storagehelpers.NotSupportedProvisioner || class.VolumeBindingMode == nil ||
		*class.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer ||
		c.waiting.Has(class.Name) || c.users[key] > 1 || c.used.Has(key) || claim.Annotations[storagehelpers.AnnSelectedNode] != ""
}

// anyFickle tells whether a pod has such a claim.
func (c *claims) anyFickle(pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if key := claimKey(pod, &pod.Spec.Volumes[i]); key != "" && c.fickle(key) {
			return true
		}
	}
	return false
}

func (c *claims) get(key string) *corev1.PersistentVolumeClaim {
	namespace, name, _ := strings.Cut(key, "/")
	claim, err := c.claims.PersistentVolumeClaims(namespace).Get(name)
	if err != nil {
		return nil
	}
	return claim
}

// driver of the claim's volume, as far as it is known.
func (c *claims) driver(key string) string {
	claim := c.get(key)
	if claim == nil {
		return ""
	}
	if volume, err := c.volumes.Get(claim.Spec.VolumeName); err == nil {
		if volume.Spec.CSI == nil {
			return ""
		}
		return volume.Spec.CSI.Driver
	}
	class, err := c.classes.Get(storagehelpers.GetPersistentVolumeClaimClass(claim))
	if err != nil {
		return ""
	}
	return class.Provisioner
}
