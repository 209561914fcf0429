package v1alpha1

// AMISelectorTerm selects images; the terms are ORed, the fields of one are ANDed.
//
// +kubebuilder:validation:XValidation:rule="!has(self.tags)",fieldPath=".tags",message="amiSelectorTerms: tags is not supported yet; select the image by alias or id"
// +kubebuilder:validation:XValidation:rule="!has(self.name)",fieldPath=".name",message="amiSelectorTerms: name is not supported yet; select the image by alias or id"
// +kubebuilder:validation:XValidation:rule="!has(self.owner)",fieldPath=".owner",message="amiSelectorTerms: owner is not supported yet; select the image by alias or id"
// +kubebuilder:validation:XValidation:rule="!has(self.ssmParameter)",fieldPath=".ssmParameter",message="amiSelectorTerms: ssmParameter is not supported yet; select the image by alias or id"
// +kubebuilder:validation:XValidation:rule="has(self.alias) != has(self.id)",message="amiSelectorTerms: a term must have either alias or id"
type AMISelectorTerm struct {
	// Alias names an image family and a release of it, such as al2023@latest.
	//
	// +kubebuilder:validation:MaxLength=30
	// +kubebuilder:validation:XValidation:rule="self == 'al2023@latest'",message="amiSelectorTerms: no alias but al2023@latest is supported yet; use it, or select the image by id"
	Alias string `json:"alias,omitempty"`
	// ID of the image.
	//
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^ami-[0-9a-z]+$`
	ID string `json:"id,omitempty"`
	// Tags of the image. Not supported yet.
	//
	// +kubebuilder:validation:MaxProperties=20
	Tags map[string]string `json:"tags,omitempty"`
	// Name of the image. Not supported yet.
	Name string `json:"name,omitempty"`
	// Owner of the image: an account, self, amazon or aws-marketplace. Not supported yet.
	Owner string `json:"owner,omitempty"`
	// SSMParameter is the name or ARN of the parameter that holds the image's id. Not supported yet.
	SSMParameter string `json:"ssmParameter,omitempty"`
}

// SubnetSelectorTerm selects subnets by tags or by id; the terms are ORed.
//
// +kubebuilder:validation:XValidation:rule="!has(self.cidr)",fieldPath=".cidr",message="subnetSelectorTerms: cidr is not supported yet; select subnets by tags or id"
// +kubebuilder:validation:XValidation:rule="has(self.tags) != has(self.id)",message="subnetSelectorTerms: a term must have either tags or id"
type SubnetSelectorTerm struct {
	// Tags the subnet must all have; the value * stands for any.
	//
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=20
	// +kubebuilder:validation:XValidation:rule="self.all(k, k != '' && self[k] != '')",message="tags: a key and its value must not be empty; use * for any value"
	Tags map[string]string `json:"tags,omitempty"`
	// ID of the subnet.
	//
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^subnet-[0-9a-z]+$`
	ID string `json:"id,omitempty"`
	// CIDR of the subnet. Not supported yet.
	CIDR string `json:"cidr,omitempty"`
}

// SecurityGroupSelectorTerm selects security groups by tags, id or name; the terms are ORed.
//
// +kubebuilder:validation:XValidation:rule="[has(self.tags), has(self.id), has(self.name)].exists_one(x, x)",message="securityGroupSelectorTerms: a term must have exactly one of tags, id and name"
type SecurityGroupSelectorTerm struct {
	// Tags the group must all have; the value * stands for any.
	//
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=20
	// +kubebuilder:validation:XValidation:rule="self.all(k, k != '' && self[k] != '')",message="tags: a key and its value must not be empty; use * for any value"
	Tags map[string]string `json:"tags,omitempty"`
	// ID of the group.
	//
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^sg-[0-9a-z]+$`
	ID string `json:"id,omitempty"`
	// Name of the group (its name, not the tag Name).
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Name string `json:"name,omitempty"`
}

// CapacityReservationSelectorTerm selects capacity reservations by id, or by tags, match
// criteria and owner together; the terms are ORed.
//
// +kubebuilder:validation:XValidation:rule="!has(self.id) || !(has(self.tags) || has(self.ownerID) || has(self.instanceMatchCriteria))",message="capacityReservationSelectorTerms: a term with an id must have nothing else"
// +kubebuilder:validation:XValidation:rule="has(self.id) || has(self.tags) || has(self.instanceMatchCriteria)",message="capacityReservationSelectorTerms: a term must have id, tags or instanceMatchCriteria"
type CapacityReservationSelectorTerm struct {
	// Tags the reservation must all have; the value * stands for any.
	//
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=20
	// +kubebuilder:validation:XValidation:rule="self.all(k, k != '' && self[k] != '')",message="tags: a key and its value must not be empty; use * for any value"
	Tags map[string]string `json:"tags,omitempty"`
	// ID of the reservation.
	//
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^cr-[0-9a-z]+$`
	ID string `json:"id,omitempty"`
	// OwnerID is the account that owns the reservation.
	//
	// +kubebuilder:validation:Pattern=`^[0-9]{12}$`
	OwnerID string `json:"ownerID,omitempty"`
	// InstanceMatchCriteria of the reservation.
	//
	// +kubebuilder:validation:Enum=open;targeted
	InstanceMatchCriteria string `json:"instanceMatchCriteria,omitempty"`
}
