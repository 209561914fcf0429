package workload

import (
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// completeDevices does what the controller of resource claims would: it creates the claims
// that pods have templates for, and names them in the pods' status. Where a template is
// missing, the scheduler's own plugin says so.
func (o *Objects) completeDevices(pods []*corev1.Pod) {
	for _, claim := range o.ResourceClaims {
		if claim.UID == "" {
			claim.UID = types.UID("device/" + key(claim))
		}
	}
	templates := map[string]*resourcev1.ResourceClaimTemplate{}
	for _, t := range o.ResourceClaimTemplates {
		templates[key(t)] = t
	}
	for _, pod := range pods {
		named := map[string]bool{}
		for _, status := range pod.Status.ResourceClaimStatuses {
			named[status.Name] = true
		}
		for _, wanted := range pod.Spec.ResourceClaims {
			if wanted.ResourceClaimTemplateName == nil || named[wanted.Name] {
				continue
			}
			template := templates[pod.Namespace+"/"+*wanted.ResourceClaimTemplateName]
			if template == nil {
				continue
			}
			claim := claimOf(pod, wanted.Name, template)
			o.ResourceClaims = append(o.ResourceClaims, claim)
			pod.Status.ResourceClaimStatuses = append(pod.Status.ResourceClaimStatuses,
				corev1.PodResourceClaimStatus{Name: wanted.Name, ResourceClaimName: new(claim.Name)})
		}
	}
}

// claimOf is the claim that a pod's template makes for it.
func claimOf(pod *corev1.Pod, name string, template *resourcev1.ResourceClaimTemplate) *resourcev1.ResourceClaim {
	claim := &resourcev1.ResourceClaim{ObjectMeta: *template.Spec.ObjectMeta.DeepCopy(), Spec: *template.Spec.Spec.DeepCopy()}
	claim.Namespace, claim.Name = pod.Namespace, pod.Name+"-"+name
	claim.UID = types.UID("device/" + key(claim))
	claim.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID, Controller: new(true)}}
	return claim
}
