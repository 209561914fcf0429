package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/kubernetes/pkg/apis/scheduling"
)

// prioritize gives pods the priority of their class, as admission does, and notes the
// classes that are not known.
func prioritize(pods []*corev1.Pod, classes []*schedulingv1.PriorityClass) []string {
	byName := map[string]*schedulingv1.PriorityClass{
		scheduling.SystemClusterCritical: {Value: scheduling.SystemCriticalPriority},
		scheduling.SystemNodeCritical:    {Value: scheduling.SystemCriticalPriority + 1000},
	}
	var byDefault *schedulingv1.PriorityClass
	for _, c := range classes {
		byName[c.Name] = c
		if c.GlobalDefault && (byDefault == nil || c.Value < byDefault.Value) { // of several the lowest, as admission has it
			byDefault = c
		}
	}
	unknown := map[string]int{}
	for _, pod := range pods {
		class, named := byDefault, pod.Spec.PriorityClassName
		if named != "" {
			if class = byName[named]; class == nil {
				unknown[named]++
			}
		}
		if class != nil && pod.Spec.Priority == nil {
			pod.Spec.Priority = new(class.Value)
			pod.Spec.PreemptionPolicy = class.PreemptionPolicy
		}
	}
	var notes []string
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		notes = append(notes, fmt.Sprintf("PriorityClass %s of %d pods is not among the input; their priority is taken as 0", name, unknown[name]))
	}
	return notes
}

// completeStorage does what the volume controllers would, so that the scheduler's volume
// plugins find claims and volumes as they would find them in a cluster, and notes what it
// had to assume.
func (o *Objects) completeStorage() []string {
	classes := map[string]bool{}
	defaultClass := ""
	for _, c := range o.StorageClasses {
		classes[c.Name] = true
		if c.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			defaultClass = c.Name
		}
	}
	volumes := map[string]*corev1.PersistentVolume{}
	byClaim := map[string]*corev1.PersistentVolume{}
	for _, v := range o.PersistentVolumes {
		volumes[v.Name] = v
		if ref := v.Spec.ClaimRef; ref != nil {
			byClaim[ref.Namespace+"/"+ref.Name] = v
		} else if v.Status.Phase == "" || v.Status.Phase == corev1.VolumePending {
			v.Status.Phase = corev1.VolumeAvailable
		}
	}
	missing := map[string]bool{}
	for _, claim := range o.PersistentVolumeClaims {
		if claim.UID == "" {
			claim.UID = types.UID("claim/" + key(claim))
		}
		bound := volumes[claim.Spec.VolumeName]
		if claim.Spec.VolumeName == "" {
			bound = byClaim[key(claim)]
		}
		if bound != nil {
			bind(claim, bound)
			continue
		}
		if claim.Spec.StorageClassName == nil {
			claim.Spec.StorageClassName = new(defaultClass)
			if defaultClass == "" {
				claim.Spec.StorageClassName = new("default")
			}
		}
		if name := *claim.Spec.StorageClassName; name != "" && !classes[name] {
			missing[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		o.StorageClasses = append(o.StorageClasses, assumedClass(name))
	}
	if len(missing) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("storage classes that are not among the input are taken to provision volumes where their first pod goes: %s",
		strings.Join(slices.Sorted(maps.Keys(missing)), ", "))}
}

// bind marks a claim and its volume as bound to each other, as the controller would have.
func bind(claim *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) {
	claim.Spec.VolumeName = pv.Name
	metav1.SetMetaDataAnnotation(&claim.ObjectMeta, volume.AnnBindCompleted, "yes")
	claim.Status.Phase = corev1.ClaimBound
	pv.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID}
	pv.Status.Phase = corev1.VolumeBound
}

// assumedClass stands for a class that nobody defined: EKS's gp2 and gp3 are like it.
func assumedClass(name string) *storagev1.StorageClass {
	return &storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{Name: name},
		Provisioner:       "ebs.csi.aws.com",
		VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer),
	}
}
