package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodePool says what may be launched: constraints, limits and how its nodes may be disrupted.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories=slipway,shortName=np
type NodePool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   NodePoolSpec   `json:"spec"`
	Status NodePoolStatus `json:"status,omitempty"`
}

// NodePoolSpec is the wanted state of a NodePool.
type NodePoolSpec struct {
	Template   NodeTemplate `json:"template"`
	Disruption Disruption   `json:"disruption,omitempty"`
	// Limits bounds what all nodes of the pool have together: cpu, memory, nodes, or any other resource.
	Limits corev1.ResourceList `json:"limits,omitempty"`
	// Weight orders pools: the pools of the highest weight that can hold a pod are used first. 0 to 100.
	Weight int32 `json:"weight,omitempty"`
	// Replicas keeps a fixed number of nodes.
	Replicas *int64 `json:"replicas,omitempty"`
}

// NodeTemplate is what every node of the pool has in common.
type NodeTemplate struct {
	Metadata TemplateMeta     `json:"metadata,omitempty"`
	Spec     NodeTemplateSpec `json:"spec,omitempty"`
}

// TemplateMeta is the metadata given to every node of the pool.
type TemplateMeta struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// NodeTemplateSpec constrains and describes the pool's nodes.
type NodeTemplateSpec struct {
	// NodeClassRef names the class; without it the launcher's defaults apply.
	NodeClassRef *NodeClassReference `json:"nodeClassRef,omitempty"`
	Requirements []Requirement       `json:"requirements,omitempty"`
	Taints       []corev1.Taint      `json:"taints,omitempty"`
	// StartupTaints are on a node when it registers and are removed by others
	// (a CNI's agent, say); pods need not tolerate them.
	StartupTaints []corev1.Taint `json:"startupTaints,omitempty"`
	// ExpireAfter is a node's longest life, or "Never".
	ExpireAfter string `json:"expireAfter,omitempty"`
	// TerminationGracePeriod bounds a drain.
	TerminationGracePeriod *metav1.Duration `json:"terminationGracePeriod,omitempty"`
}

// NodeClassReference names a class of nodes.
type NodeClassReference struct {
	Group string `json:"group,omitempty"` // slipway.dev
	Kind  string `json:"kind,omitempty"`  // EC2NodeClass
	Name  string `json:"name"`
}

// RequirementOperator relates a label to values.
type RequirementOperator string

// The operators of a Requirement. Gt, Lt, Gte and Lte compare integers.
const (
	OpIn           RequirementOperator = "In"
	OpNotIn        RequirementOperator = "NotIn"
	OpExists       RequirementOperator = "Exists"
	OpDoesNotExist RequirementOperator = "DoesNotExist"
	OpGt           RequirementOperator = "Gt"
	OpLt           RequirementOperator = "Lt"
	OpGte          RequirementOperator = "Gte"
	OpLte          RequirementOperator = "Lte"
)

// Requirement constrains one label of a node.
type Requirement struct {
	Key      string              `json:"key"`
	Operator RequirementOperator `json:"operator"`
	Values   []string            `json:"values,omitempty"`
	// MinValues is the least number of different values a claim must be able to choose from.
	MinValues *int `json:"minValues,omitempty"`
}

// ConsolidationPolicy says which nodes may be removed to save money.
type ConsolidationPolicy string

// The consolidation policies.
const (
	ConsolidateWhenEmpty                ConsolidationPolicy = "WhenEmpty"
	ConsolidateWhenEmptyOrUnderutilized ConsolidationPolicy = "WhenEmptyOrUnderutilized"
)

// DisruptionReason is why the launcher removes a node of its own will.
type DisruptionReason string

// The reasons of voluntary disruption.
const (
	ReasonEmpty         DisruptionReason = "Empty"
	ReasonDrifted       DisruptionReason = "Drifted"
	ReasonExpired       DisruptionReason = "Expired"
	ReasonUnderutilized DisruptionReason = "Underutilized"
)

// Disruption says when and how fast the pool's nodes may be removed.
type Disruption struct {
	ConsolidationPolicy ConsolidationPolicy `json:"consolidationPolicy,omitempty"`
	// ConsolidateAfter is how long a node must have been empty, or "Never".
	ConsolidateAfter string `json:"consolidateAfter,omitempty"`
	// Budgets bound how many nodes may be on their way out at once; the smallest one that applies wins.
	Budgets []Budget `json:"budgets,omitempty"`
}

// Budget bounds the nodes of a pool that are disrupted at the same time.
type Budget struct {
	// Nodes is a number ("5") or a share of the pool's nodes ("10%", rounded up).
	Nodes string `json:"nodes"`
	// Reasons the budget holds for; all when empty.
	Reasons  []DisruptionReason `json:"reasons,omitempty"`
	Schedule *string            `json:"schedule,omitempty"`
	Duration *metav1.Duration   `json:"duration,omitempty"`
}

// NodePoolStatus is the seen state of a NodePool.
type NodePoolStatus struct {
	// Resources is what the pool's nodes and claims have together; "nodes" counts them.
	Resources corev1.ResourceList `json:"resources,omitempty"`
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConditionReady is true when the object is valid and usable; else its message says what is wrong.
const ConditionReady = "Ready"

// NodePoolList is a list of NodePools.
//
// +kubebuilder:object:root=true
type NodePoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodePool `json:"items"`
}
