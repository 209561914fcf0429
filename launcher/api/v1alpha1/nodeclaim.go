package v1alpha1

import (
	"maps"

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
// +kubebuilder:selectablefield:JSONPath=`.spec.nodePool`
// +kubebuilder:selectablefield:JSONPath=`.spec.fleet.id`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.status.instanceType`
// +kubebuilder:printcolumn:name="Zone",type=string,JSONPath=`.status.zone`
// +kubebuilder:printcolumn:name="Capacity",type=string,JSONPath=`.status.capacityType`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.nodeName`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Initialized")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Price",type=string,JSONPath=`.status.pricePerHour`
// +kubebuilder:printcolumn:name="Pool",type=string,priority=1,JSONPath=`.spec.nodePool`
// +kubebuilder:printcolumn:name="Instance",type=string,priority=1,JSONPath=`.status.instanceID`
// +kubebuilder:printcolumn:name="Image",type=string,priority=1,JSONPath=`.status.imageID`
// +kubebuilder:printcolumn:name="Pods",type=integer,priority=1,JSONPath=`.status.reservedPods`
type NodeClaim struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec is immutable; delete the NodeClaim to have its pods planned anew"
	Spec   NodeClaimSpec   `json:"spec"`
	Status NodeClaimStatus `json:"status,omitempty"`
}

// NodeClaimSpec is the decision: what to buy, and for whom.
type NodeClaimSpec struct {
	// NodePool is the name of the pool the node belongs to.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	NodePool string `json:"nodePool"`
	// NodeClassRef names the class; without it the launcher's defaults apply.
	NodeClassRef *NodeClassReference `json:"nodeClassRef,omitempty"`
	// Requirements of the pool when the claim was planned, which the offerings satisfy.
	//
	// +kubebuilder:validation:MaxItems=64
	Requirements []Requirement `json:"requirements,omitempty"`
	// Offerings that hold all of the claim's pods; EC2 chooses one of them. The group with
	// the cheapest comes first.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Offerings []OfferingGroup `json:"offerings"`
	// Pods the node is bought for.
	//
	// +kubebuilder:validation:MaxItems=512
	Pods []ReservedPod `json:"pods,omitempty"`
	// ExpectedPods is for how many more pods the node is bought that did not exist yet when it
	// was planned, but were certain to come: further replicas of the pods' owners.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=512
	ExpectedPods int32 `json:"expectedPods,omitempty"`
	// Requests of the pods and of the DaemonSets that will run on the node.
	//
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=64
	Requests corev1.ResourceList `json:"requests,omitempty"`
	// Labels the node registers with.
	//
	// +kubebuilder:validation:MaxProperties=200
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations the node registers with.
	//
	// +kubebuilder:validation:MaxProperties=200
	Annotations map[string]string `json:"annotations,omitempty"`
	// Taints the node registers with, and keeps.
	//
	// +kubebuilder:validation:MaxItems=50
	Taints []corev1.Taint `json:"taints,omitempty"`
	// StartupTaints the node registers with, and others remove.
	//
	// +kubebuilder:validation:MaxItems=50
	StartupTaints []corev1.Taint `json:"startupTaints,omitempty"`
	// Replaces names NodeClaims whose nodes the cloud takes back, or that are outdated: the node
	// is bought for the pods that will follow theirs.
	//
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=253
	Replaces []string `json:"replaces,omitempty"`
	// Fleet is what the claim is bought with; without it the claim is bought alone.
	Fleet *Fleet `json:"fleet,omitempty"`
}

// MaxFleet is how many claims a fleet may have: EC2 launches as many instances with a call.
const MaxFleet = 1000

// Fleet is a number of claims that are alike in all that an instance is made of, and are
// bought with one call.
type Fleet struct {
	// ID is the same on all claims of the fleet.
	//
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ID types.UID `json:"id"`
	// Size is how many claims were planned.
	//
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=1000
	Size int32 `json:"size"`
	// Whole says that none of the claims is of use without the others: their instances are
	// bought in one zone, all or none.
	Whole bool `json:"whole,omitempty"`
}

// ReservedPod is one reservation.
type ReservedPod struct {
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID types.UID `json:"uid"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// NodeClaimStatus is how far the claim has come.
type NodeClaimStatus struct {
	// ProviderID as in the Node: aws:///ZONE/INSTANCE.
	ProviderID string `json:"providerID,omitempty"`
	// InstanceID is set once the instance is bought.
	InstanceID string `json:"instanceID,omitempty"`
	// NodeName is the name the instance's Node has or will have.
	NodeName string `json:"nodeName,omitempty"`
	// ImageID the instance was started from.
	ImageID string `json:"imageID,omitempty"`
	// Sizing of the class when the instance was bought (EC2NodeClass.Sizing): the class
	// may be edited later, the node stays as it is.
	//
	// +kubebuilder:validation:MaxLength=64
	Sizing string `json:"sizing,omitempty"`
	// ClassFields of the class when the instance was bought (EC2NodeClass.FieldHashes).
	//
	// +kubebuilder:validation:MaxProperties=32
	ClassFields map[string]string `json:"classFields,omitempty"`
	// SubnetID and SecurityGroups of the instance, as EC2 says; empty until EC2 was asked.
	SubnetID string `json:"subnetID,omitempty"`
	// +kubebuilder:validation:MaxItems=32
	SecurityGroups []string `json:"securityGroups,omitempty"`
	// InstanceType, Zone and CapacityType are the offering that was bought.
	InstanceType string `json:"instanceType,omitempty"`
	Zone         string `json:"zone,omitempty"`
	CapacityType string `json:"capacityType,omitempty"`
	// ReservationID is the capacity reservation that a reserved instance was launched into. It
	// stays when the reservation ends: the node then runs on as an on-demand one.
	ReservationID string `json:"reservationID,omitempty"`
	// Price in US dollars per hour; of reserved capacity, its on-demand price.
	Price *resource.Quantity `json:"price,omitempty"`
	// PricePerHour is Price for people to read, such as $0.0416. See SyncColumns.
	PricePerHour string `json:"pricePerHour,omitempty"`
	// ReservedPods counts the pods that hold a reservation. See SyncColumns.
	ReservedPods *int32 `json:"reservedPods,omitempty"`
	// Allocatable as predicted when launched, and as the node reported once it registered.
	Allocatable corev1.ResourceList `json:"allocatable,omitempty"`
	// Added pods were given room to spare after the claim was written.
	//
	// +kubebuilder:validation:MaxItems=512
	Added []ReservedPod `json:"added,omitempty"`
	// Released pods no longer hold a reservation here (they were displaced, or did not fit the real node).
	//
	// +kubebuilder:validation:MaxItems=512
	Released []types.UID `json:"released,omitempty"`
	// ReplaceBelow is, of a node that is removed for being underutilized, what may be spent in
	// its place, in US dollars per hour: all that is bought for the pods of nodes that go
	// together costs less than their amounts together, or nothing is bought and they stay.
	ReplaceBelow *resource.Quantity `json:"replaceBelow,omitempty"`
	// EndsAt is when the cloud ends the instance, if it has said so.
	EndsAt *metav1.Time `json:"endsAt,omitempty"`
	// Conditions say how far the claim has come: Launched, Registered, Initialized, and how it ends.
	//
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Condition types of a NodeClaim: Launched → Registered → Initialized, then how it ends.
const (
	ConditionLaunched       = "Launched"
	ConditionRegistered     = "Registered"
	ConditionInitialized    = "Initialized"
	ConditionEmpty          = "Empty"
	ConditionDrifted        = "Drifted"
	ConditionExpired        = "Expired"
	ConditionConsolidatable = "Consolidatable"
	// ConditionImpaired: the instance fails a check of the cloud, since the condition's time.
	// ConditionUnhealthy: its node has been broken for so long that it is replaced.
	ConditionImpaired  = "Impaired"
	ConditionUnhealthy = "Unhealthy"
	// ConditionSurplus: the pool has more nodes than its replicas.
	ConditionSurplus = "Surplus"
	// ConditionInterrupted: the cloud takes the instance back. ConditionReplaced: there is
	// room for the pods that will follow those of a node that is being replaced.
	ConditionInterrupted        = "Interrupted"
	ConditionReplaced           = "Replaced"
	ConditionDraining           = "Draining"
	ConditionInstanceTerminated = "InstanceTerminated"
)

// IsBeingReplaced tells whether the pods on the claim's node are to go elsewhere, so that
// their successors need room: the cloud takes the node back, or it is removed with them.
func (nc *NodeClaim) IsBeingReplaced() bool {
	for _, c := range nc.Status.Conditions {
		switch c.Type {
		case ConditionInterrupted:
			if c.Status == metav1.ConditionTrue {
				return true
			}
		case ConditionExpired, ConditionDrifted, ConditionConsolidatable, ConditionUnhealthy, ConditionSurplus:
			if c.Status == metav1.ConditionTrue && c.Reason == ReasonDisrupting {
				return true
			}
		}
	}
	return false
}

// NewNodeClaim returns a claim of the pool for one of the offerings, without pods.
func NewNodeClaim(name string, pool *NodePool, offerings []OfferingGroup) *NodeClaim {
	template := &pool.Spec.Template
	claim := &NodeClaim{}
	claim.Name = name
	claim.Labels = map[string]string{LabelNodePool: pool.Name}
	claim.Finalizers = []string{TerminationFinalizer}
	claim.Spec = NodeClaimSpec{
		NodePool:      pool.Name,
		NodeClassRef:  template.Spec.NodeClassRef,
		Offerings:     offerings,
		Labels:        map[string]string{},
		Annotations:   template.Metadata.Annotations,
		Taints:        template.Spec.Taints,
		StartupTaints: template.Spec.StartupTaints,
	}
	maps.Copy(claim.Spec.Labels, template.Metadata.Labels)
	claim.Spec.Labels[LabelNodePool] = pool.Name
	return claim
}

// MaxReplacement is what may be spent in the place of a node that is being removed for being
// underutilized, in US dollars per hour; ok is false for any other, which is replaced at any
// price: one that the cloud takes back among them.
func (nc *NodeClaim) MaxReplacement() (below float64, ok bool) {
	for _, c := range nc.Status.Conditions {
		switch {
		case c.Type == ConditionInterrupted && c.Status == metav1.ConditionTrue:
			return 0, false
		case c.Type == ConditionConsolidatable:
			ok = c.Status == metav1.ConditionTrue && c.Reason == ReasonDisrupting
		}
	}
	if ok && nc.Status.ReplaceBelow != nil {
		below = nc.Status.ReplaceBelow.AsApproximateFloat64()
	}
	return below, ok
}

// NodeClaimList is a list of NodeClaims.
//
// +kubebuilder:object:root=true
type NodeClaimList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodeClaim `json:"items"`
}
