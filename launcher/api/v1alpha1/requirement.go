package v1alpha1

// RequirementOperator relates a label to values.
//
// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist;Gt;Lt;Gte;Lte
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
//
// +kubebuilder:validation:XValidation:rule="!has(self.minValues) || self.operator in ['In', 'NotIn', 'Exists', 'Gt', 'Lt', 'Gte', 'Lte']",fieldPath=".minValues",message="minValues with operator DoesNotExist can never be kept; leave it out"
// +kubebuilder:validation:XValidation:rule="!has(self.minValues) || self.operator != 'In' || !has(self.values) || self.values.size() >= self.minValues",fieldPath=".minValues",message="minValues is more than there are values; name more values or lower it"
// +kubebuilder:validation:XValidation:rule="!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() > 0)",message="values: operators In and NotIn need at least one value"
// +kubebuilder:validation:XValidation:rule="!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || self.values.size() == 0",message="values: operators Exists and DoesNotExist take no values; leave them out"
// +kubebuilder:validation:XValidation:rule="!(self.operator in ['Gt', 'Lt', 'Gte', 'Lte']) || (has(self.values) && self.values.size() == 1 && self.values[0].matches('^(0|[1-9][0-9]{0,17})$'))",message="values: operators Gt, Lt, Gte and Lte need exactly one value, an integer of at least 0"
// +kubebuilder:validation:XValidation:rule="self.key != 'slipway.dev/capacity-type' || !has(self.values) || self.operator == 'NotIn' || self.values.all(v, v in ['on-demand', 'spot', 'reserved'])",message="values: slipway.dev/capacity-type is on-demand, spot or reserved"
// +kubebuilder:validation:XValidation:rule="self.key != 'kubernetes.io/arch' || !has(self.values) || self.operator == 'NotIn' || self.values.all(v, v in ['amd64', 'arm64'])",message="values: kubernetes.io/arch is amd64 or arm64"
// +kubebuilder:validation:XValidation:rule="self.key != 'kubernetes.io/os' || !has(self.values) || self.operator == 'NotIn' || self.values.all(v, v == 'linux')",message="values: kubernetes.io/os other than linux is not supported yet; use linux or leave the requirement out"
type Requirement struct {
	// Key of the label: a well-known one (kubernetes.io/arch, kubernetes.io/os,
	// node.kubernetes.io/instance-type, topology.kubernetes.io/zone or region), one of
	// slipway.dev/* (the list in the rule is WellKnownRequirementKeys), or one that the
	// template's labels define.
	//
	// +kubebuilder:validation:MaxLength=316
	// +kubebuilder:validation:XValidation:rule="!format.qualifiedName().validate(self).hasValue()",message="key is not a valid label key; use [DOMAIN/]NAME, a name of at most 63 letters, digits, '-', '_' and '.'"
	// +kubebuilder:validation:XValidation:rule="self != 'kubernetes.io/hostname'",message="key kubernetes.io/hostname names a single node, which does not exist yet; leave the requirement out"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^karpenter[.](sh|k8s[.]aws)/')",message="key: the labels karpenter.sh/* and karpenter.k8s.aws/* are called slipway.dev/* here"
	// +kubebuilder:validation:XValidation:rule="self in ['kubernetes.io/arch', 'kubernetes.io/os', 'topology.kubernetes.io/zone', 'topology.kubernetes.io/region', 'node.kubernetes.io/instance-type', 'slipway.dev/capacity-type', 'slipway.dev/capacity-reservation-id', 'slipway.dev/instance-category', 'slipway.dev/instance-family', 'slipway.dev/instance-generation', 'slipway.dev/instance-size', 'slipway.dev/instance-cpu', 'slipway.dev/instance-memory', 'slipway.dev/instance-gpu-name', 'slipway.dev/instance-gpu-count', 'slipway.dev/instance-local-nvme', 'slipway.dev/instance-hypervisor'] || self == 'kubernetes.io/hostname' || !self.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/|^slipway[.]dev/') || self.matches('^([^/]*[.])?(node|kubelet)[.]kubernetes[.]io/')",message="key: no such label under kubernetes.io, k8s.io or slipway.dev can be required; use kubernetes.io/arch, kubernetes.io/os, topology.kubernetes.io/zone, topology.kubernetes.io/region, node.kubernetes.io/instance-type, slipway.dev/capacity-type, slipway.dev/capacity-reservation-id or slipway.dev/instance-*"
	Key string `json:"key"`
	// Operator that relates the label to the values.
	Operator RequirementOperator `json:"operator"`
	// Values to compare with.
	//
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
	Values []string `json:"values,omitempty"`
	// MinValues is the least number of different values that the offerings of a claim
	// must have, so that EC2 can choose: pods for which too few are left are not launched.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	MinValues *int `json:"minValues,omitempty"`
}
