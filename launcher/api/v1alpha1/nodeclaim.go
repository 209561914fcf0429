package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// NodeClaim is the durable record of one node from decision to termination. It is
// written before money is spent; its spec never changes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories=slipway,shortName=nc
type NodeClaim struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   NodeClaimSpec   `json:"spec"`
	Status NodeClaimStatus `json:"status,omitempty"`
}

// NodeClaimSpec is the decision: what to buy, and for whom.
type NodeClaimSpec struct {
	NodePool     string              `json:"nodePool"`
	NodeClassRef *NodeClassReference `json:"nodeClassRef,omitempty"`
	// Offerings that hold all of the claim's pods, cheapest first; EC2 chooses one of them.
	Offerings []AcceptedOffering `json:"offerings"`
	// Pods the node is bought for.
	Pods []ReservedPod `json:"pods,omitempty"`
	// Requests of the pods and of the DaemonSets that will run on the node.
	Requests corev1.ResourceList `json:"requests,omitempty"`
	// Labels, annotations, taints and startup taints the node registers with.
	Labels        map[string]string `json:"labels,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
	Taints        []corev1.Taint    `json:"taints,omitempty"`
	StartupTaints []corev1.Taint    `json:"startupTaints,omitempty"`
}

// AcceptedOffering is one instance type in one zone at one capacity type.
type AcceptedOffering struct {
	InstanceType string `json:"instanceType"`
	Zone         string `json:"zone"`
	CapacityType string `json:"capacityType"`
	// Price in US dollars per hour when the claim was planned.
	Price resource.Quantity `json:"price"`
}

// ReservedPod is one reservation.
type ReservedPod struct {
	UID       types.UID `json:"uid"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
}

// NodeClaimStatus is how far the claim has come.
type NodeClaimStatus struct {
	ProviderID   string `json:"providerID,omitempty"` // aws:///ZONE/INSTANCE
	InstanceID   string `json:"instanceID,omitempty"`
	NodeName     string `json:"nodeName,omitempty"`
	ImageID      string `json:"imageID,omitempty"`
	InstanceType string `json:"instanceType,omitempty"`
	Zone         string `json:"zone,omitempty"`
	CapacityType string `json:"capacityType,omitempty"`
	// Price in US dollars per hour.
	Price *resource.Quantity `json:"price,omitempty"`
	// Allocatable as predicted when launched, and as the node reported once it registered.
	Allocatable corev1.ResourceList `json:"allocatable,omitempty"`
	// Released pods no longer hold a reservation here (they were displaced, or did not fit the real node).
	Released []types.UID `json:"released,omitempty"`
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Condition types of a NodeClaim: Launched → Registered → Initialized, then how it ends.
const (
	ConditionLaunched           = "Launched"
	ConditionRegistered         = "Registered"
	ConditionInitialized        = "Initialized"
	ConditionEmpty              = "Empty"
	ConditionDrifted            = "Drifted"
	ConditionExpired            = "Expired"
	ConditionConsolidatable     = "Consolidatable"
	ConditionDraining           = "Draining"
	ConditionInstanceTerminated = "InstanceTerminated"
)

// NodeClaimList is a list of NodeClaims.
//
// +kubebuilder:object:root=true
type NodeClaimList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodeClaim `json:"items"`
}
