package v1alpha1

// AMISelectorTerm selects images by alias, id or SSM parameter, or by tags, name and owner
// together; the terms are ORed. Of images of one architecture the newest is used.
//
// +kubebuilder:validation:XValidation:rule="[has(self.alias), has(self.id), has(self.ssmParameter), has(self.tags) || has(self.name)].exists_one(x, x)",message="amiSelectorTerms: a term must have alias, id or ssmParameter, or tags or name or both"
// +kubebuilder:validation:XValidation:rule="!has(self.owner) || has(self.tags) || has(self.name)",fieldPath=".owner",message="amiSelectorTerms: owner goes with tags or name only"
type AMISelectorTerm struct {
	// Alias names an image family and a release of it: al2023@latest, al2023@v20260101,
	// bottlerocket@latest, bottlerocket@v1.50.0.
	//
	// +kubebuilder:validation:MaxLength=30
	// +kubebuilder:validation:XValidation:rule="self.matches('^(al2023@(latest|v[0-9]{8})|bottlerocket@(latest|v[0-9]+\\\\.[0-9]+\\\\.[0-9]+))$')",message="amiSelectorTerms: an alias is al2023@latest, al2023@v and a date, bottlerocket@latest or bottlerocket@v and a version"
	Alias string `json:"alias,omitempty"`
	// ID of the image.
	//
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^ami-[0-9a-z]+$`
	ID string `json:"id,omitempty"`
	// Tags the image must all have; the value * stands for any.
	//
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=20
	// +kubebuilder:validation:XValidation:rule="self.all(k, k != '' && self[k] != '')",message="tags: a key and its value must not be empty; use * for any value"
	Tags map[string]string `json:"tags,omitempty"`
	// Name of the image; * stands for any characters.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name,omitempty"`
	// Owner of the image: an account, self, amazon or aws-marketplace. Left out: self and amazon.
	//
	// +kubebuilder:validation:Pattern=`^([0-9]{12}|self|amazon|aws-marketplace)$`
	Owner string `json:"owner,omitempty"`
	// SSMParameter is the name or ARN of the parameter that holds the image's id.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1011
	SSMParameter string `json:"ssmParameter,omitempty"`
}

// SubnetSelectorTerm selects subnets by id, or by tags and address range; the terms are ORed.
//
// +kubebuilder:validation:XValidation:rule="has(self.id) != (has(self.tags) || has(self.cidr))",message="subnetSelectorTerms: a term must have either id, or tags or cidr or both"
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
	// CIDR of the subnet, as EC2 writes it.
	//
	// +kubebuilder:validation:MaxLength=18
	// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="cidr must be a range of addresses such as 10.0.0.0/18"
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
