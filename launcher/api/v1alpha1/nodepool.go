package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodePool says what may be launched: constraints, limits and how its nodes may be disrupted.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas
// +kubebuilder:resource:scope=Cluster,categories=slipway,shortName=np
// +kubebuilder:printcolumn:name="Nodes",type=string,JSONPath=`.status.resources.nodes`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Weight",type=integer,JSONPath=`.spec.weight`
// +kubebuilder:printcolumn:name="CPU",type=string,JSONPath=`.status.resources.cpu`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Class",type=string,priority=1,JSONPath=`.spec.template.spec.nodeClassRef.name`
// +kubebuilder:printcolumn:name="Memory",type=string,priority=1,JSONPath=`.status.resources.memory`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name is the value of the label slipway.dev/nodepool; use at most 63 characters"
type NodePool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:default={}
	Spec   NodePoolSpec   `json:"spec,omitempty"`
	Status NodePoolStatus `json:"status,omitempty"`
}

// NodePoolSpec is the wanted state of a NodePool.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.weight)",fieldPath=".weight",message="weight orders the pools that pods may be given nodes of; a pool with replicas has those it has, leave one of the two out"
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.limits) || self.limits.all(k, k == 'nodes')",fieldPath=".limits",message="with replicas, only nodes can be limited: to what the pool may have while some of them are being replaced"
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.template) || !has(self.template.spec) || !has(self.template.spec.requirements) || self.template.spec.requirements.all(r, !has(r.minValues))",fieldPath=".template.spec.requirements",message="minValues is not supported with replicas; leave it out"
type NodePoolSpec struct {
	// Template of the pool's nodes.
	//
	// +kubebuilder:default={}
	Template NodeTemplate `json:"template,omitempty"`
	// Disruption says when and how fast the pool's nodes may be removed.
	//
	// +kubebuilder:default={}
	Disruption Disruption `json:"disruption,omitempty"`
	// Limits bounds what all nodes of the pool have together: cpu, memory, nodes, or any other resource.
	//
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=50
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == string ? !self[k].startsWith('-') : self[k] >= 0)",message="limits must not be negative; use 0 to launch nothing"
	Limits corev1.ResourceList `json:"limits,omitempty"`
	// Weight orders pools: the pools of the highest weight that can hold a pod are used first. 0 to 100.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight,omitempty"`
	// Replicas keeps so many nodes, whatever pods there are: the cheapest that the requirements
	// allow. They are neither removed when they are empty nor consolidated; where there are too
	// many, those that are needed least go at the pace of the budgets (reason Surplus). A node is
	// replaced once another is ready, which limits.nodes must leave room for.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	Replicas *int64 `json:"replicas,omitempty"`
}

// NodeTemplate is what every node of the pool has in common.
//
// Requirements may name well-known labels (see Requirement) and those of the template.
//
// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.requirements) || self.spec.requirements.all(r, r.key.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/|^slipway[.]dev/') || (has(self.metadata) && has(self.metadata.labels) && r.key in self.metadata.labels))",message="spec.requirements: a key is neither a well-known label nor one that metadata.labels defines, so no node of the pool has it; define it in template.metadata.labels or leave the requirement out"
// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.requirements) || self.spec.requirements.all(r, !r.key.matches('^([^/]*[.])?(node|kubelet)[.]kubernetes[.]io/') || r.key == 'node.kubernetes.io/instance-type' || (has(self.metadata) && has(self.metadata.labels) && r.key in self.metadata.labels))",message="spec.requirements: a key under node.kubernetes.io or kubelet.kubernetes.io is not one that metadata.labels defines, so no node of the pool has it; define it in template.metadata.labels or leave the requirement out"
type NodeTemplate struct {
	// Metadata given to every node of the pool.
	//
	// +kubebuilder:default={}
	Metadata TemplateMeta `json:"metadata,omitempty"`
	// Spec constrains and describes the nodes.
	//
	// +kubebuilder:default={}
	Spec NodeTemplateSpec `json:"spec,omitempty"`
}

// TemplateMeta is the metadata given to every node of the pool.
type TemplateMeta struct {
	// Labels of the nodes, which pods and requirements may name. A kubelet refuses
	// keys under kubernetes.io and k8s.io outside of node.kubernetes.io and kubelet.kubernetes.io.
	//
	// +kubebuilder:validation:MaxProperties=100
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue())",message="labels: a key is not a valid label key; use [DOMAIN/]NAME, a name of at most 63 letters, digits, '-', '_' and '.'"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.labelValue().validate(self[k]).hasValue())",message="labels: a value is not a valid label value; use at most 63 letters, digits, '-', '_' and '.'"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('slipway.dev/'))",message="labels: keys under slipway.dev/ are set by the launcher; constrain them in template.spec.requirements instead"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['node.kubernetes.io/instance-type', 'node.kubernetes.io/windows-build']) && (!k.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/') || k.matches('^([^/]*[.])?(node|kubelet)[.]kubernetes[.]io/')))",message="labels: keys under kubernetes.io and k8s.io are set by the launcher or refused by the kubelet; constrain them in template.spec.requirements, or use keys of your own"
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the nodes.
	//
	// +kubebuilder:validation:MaxProperties=100
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k.lowerAscii()).hasValue())",message="annotations: a key is not valid; use [DOMAIN/]NAME, a name of at most 63 letters, digits, '-', '_' and '.'"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('slipway.dev/') || k == 'slipway.dev/do-not-disrupt')",message="annotations: keys under slipway.dev/ other than slipway.dev/do-not-disrupt are set by the launcher; use other keys"
	Annotations map[string]string `json:"annotations,omitempty"`
}

// NodeTemplateSpec constrains and describes the pool's nodes.
type NodeTemplateSpec struct {
	// NodeClassRef names the class; without it the launcher's defaults apply.
	NodeClassRef *NodeClassReference `json:"nodeClassRef,omitempty"`
	// Requirements the nodes' labels must all satisfy. Where they do not name
	// kubernetes.io/arch, kubernetes.io/os or slipway.dev/capacity-type, the nodes
	// are amd64, linux and on-demand: the capacity reservations of the class are used only
	// where the requirements allow slipway.dev/capacity-type reserved.
	//
	// +kubebuilder:validation:MaxItems=64
	Requirements []Requirement `json:"requirements,omitempty"`
	// Taints the nodes register with, and keep.
	//
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.effect in ['NoSchedule', 'PreferNoSchedule', 'NoExecute'])",message="taints: effect must be NoSchedule, PreferNoSchedule or NoExecute"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !format.qualifiedName().validate(t.key).hasValue())",message="taints: a key is not a valid label key; use [DOMAIN/]NAME, a name of at most 63 letters, digits, '-', '_' and '.'"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.value) || !format.labelValue().validate(t.value).hasValue())",message="taints: a value is not a valid label value; use at most 63 letters, digits, '-', '_' and '.'"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !t.key.startsWith('slipway.dev/'))",message="taints: keys under slipway.dev/ are set by the launcher; use other keys"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.timeAdded))",message="taints: timeAdded is set by the cluster; leave it out"
	// +kubebuilder:validation:XValidation:rule="self.all(t, self.exists_one(u, u.key == t.key && u.effect == t.effect))",message="taints: two entries have the same key and effect; remove one"
	Taints []corev1.Taint `json:"taints,omitempty"`
	// StartupTaints are on a node when it registers and are removed by others
	// (a CNI's agent, say); pods need not tolerate them.
	//
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.effect in ['NoSchedule', 'PreferNoSchedule', 'NoExecute'])",message="startupTaints: effect must be NoSchedule, PreferNoSchedule or NoExecute"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !format.qualifiedName().validate(t.key).hasValue())",message="startupTaints: a key is not a valid label key; use [DOMAIN/]NAME, a name of at most 63 letters, digits, '-', '_' and '.'"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.value) || !format.labelValue().validate(t.value).hasValue())",message="startupTaints: a value is not a valid label value; use at most 63 letters, digits, '-', '_' and '.'"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !t.key.startsWith('slipway.dev/'))",message="startupTaints: keys under slipway.dev/ are set by the launcher; use other keys"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.timeAdded))",message="startupTaints: timeAdded is set by the cluster; leave it out"
	// +kubebuilder:validation:XValidation:rule="self.all(t, self.exists_one(u, u.key == t.key && u.effect == t.effect))",message="startupTaints: two entries have the same key and effect; remove one"
	StartupTaints []corev1.Taint `json:"startupTaints,omitempty"`
	// ExpireAfter is how old a node gets before it is replaced, at the pace of the budgets, or
	// "Never". What the pool says now holds for the nodes it has, too.
	//
	// +kubebuilder:default=Never
	// +kubebuilder:validation:MaxLength=18
	// +kubebuilder:validation:XValidation:rule="self.matches('^(([0-9]{1,5}[smh])+|Never)$') && (self == 'Never' || duration(self) >= duration('1m'))",message="expireAfter must be a duration of at least a minute in hours, minutes and seconds (such as 720h), or Never"
	ExpireAfter string `json:"expireAfter,omitempty"`
	// TerminationGracePeriod is the last word of a drain: this long after a node's removal
	// began, pods that PodDisruptionBudgets or slipway.dev/do-not-disrupt still keep there go
	// with it. They are told so a grace period of theirs before. Without it a drain waits as
	// long as it takes. What the pool says now holds for the nodes it has, too.
	//
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=18
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}[smh])+$')",message="terminationGracePeriod must be a duration in hours, minutes and seconds (such as 30m or 1h30m)"
	TerminationGracePeriod *metav1.Duration `json:"terminationGracePeriod,omitempty"`
}

// NodeClassReference names a class of nodes.
type NodeClassReference struct {
	// Group of the class.
	//
	// +kubebuilder:default=slipway.dev
	// +kubebuilder:validation:Enum=slipway.dev
	Group string `json:"group,omitempty"` // slipway.dev
	// Kind of the class.
	//
	// +kubebuilder:default=EC2NodeClass
	// +kubebuilder:validation:Enum=EC2NodeClass
	Kind string `json:"kind,omitempty"` // EC2NodeClass
	// Name of the class.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// NodePoolStatus is the seen state of a NodePool.
type NodePoolStatus struct {
	// Resources is what the pool's nodes and claims have together; "nodes" counts them.
	Resources corev1.ResourceList `json:"resources,omitempty"`
	// Replicas counts the nodes and claims, as resources does, for those who scale the pool.
	Replicas int64 `json:"replicas,omitempty"`
	// Conditions of the pool; Ready says whether nodes can be launched from it,
	// DisruptionPaused whether they are left alone.
	//
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConditionDisruptionPaused of a NodePool is true while none of its nodes is removed but empty
// ones: too many are unhealthy, or new ones do not come.
const ConditionDisruptionPaused = "DisruptionPaused"

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
