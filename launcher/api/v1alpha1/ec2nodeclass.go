package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EC2NodeClass says how nodes look on EC2: image, network, disks, identity.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories=slipway,shortName=ec2nc
type EC2NodeClass struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   EC2NodeClassSpec   `json:"spec"`
	Status EC2NodeClassStatus `json:"status,omitempty"`
}

// EC2NodeClassSpec is the wanted look.
type EC2NodeClassSpec struct {
	AMISelectorTerms           []AMISelectorTerm           `json:"amiSelectorTerms,omitempty"`
	SubnetSelectorTerms        []SubnetSelectorTerm        `json:"subnetSelectorTerms,omitempty"`
	SecurityGroupSelectorTerms []SecurityGroupSelectorTerm `json:"securityGroupSelectorTerms,omitempty"`
	// InstanceProfile is the name of the instance profile the nodes run under.
	InstanceProfile     string               `json:"instanceProfile,omitempty"`
	BlockDeviceMappings []BlockDeviceMapping `json:"blockDeviceMappings,omitempty"`
	MetadataOptions     *MetadataOptions     `json:"metadataOptions,omitempty"`
	// Tags on everything created for the class, besides the launcher's own.
	Tags map[string]string `json:"tags,omitempty"`
}

// AMISelectorTerm selects images; the terms are ORed, the fields of one are ANDed.
type AMISelectorTerm struct {
	// Alias such as al2023@latest.
	Alias string `json:"alias,omitempty"`
	ID    string `json:"id,omitempty"`
}

// SubnetSelectorTerm selects subnets by tags or by id.
type SubnetSelectorTerm struct {
	Tags map[string]string `json:"tags,omitempty"`
	ID   string            `json:"id,omitempty"`
}

// SecurityGroupSelectorTerm selects security groups by tags, id or name.
type SecurityGroupSelectorTerm struct {
	Tags map[string]string `json:"tags,omitempty"`
	ID   string            `json:"id,omitempty"`
	Name string            `json:"name,omitempty"`
}

// BlockDeviceMapping is one disk.
type BlockDeviceMapping struct {
	DeviceName string       `json:"deviceName"`
	EBS        *BlockDevice `json:"ebs,omitempty"`
	RootVolume bool         `json:"rootVolume,omitempty"`
}

// BlockDevice is one EBS volume.
type BlockDevice struct {
	VolumeSize          *resource.Quantity `json:"volumeSize,omitempty"`
	VolumeType          string             `json:"volumeType,omitempty"`
	Encrypted           *bool              `json:"encrypted,omitempty"`
	DeleteOnTermination *bool              `json:"deleteOnTermination,omitempty"`
	IOPS                *int64             `json:"iops,omitempty"`
	Throughput          *int64             `json:"throughput,omitempty"`
	KMSKeyID            string             `json:"kmsKeyID,omitempty"`
	SnapshotID          string             `json:"snapshotID,omitempty"`
}

// MetadataOptions configures the instance metadata service.
type MetadataOptions struct {
	HTTPEndpoint            string `json:"httpEndpoint,omitempty"`
	HTTPProtocolIPv6        string `json:"httpProtocolIPv6,omitempty"`
	HTTPPutResponseHopLimit *int64 `json:"httpPutResponseHopLimit,omitempty"`
	HTTPTokens              string `json:"httpTokens,omitempty"`
}

// EC2NodeClassStatus is what the class resolved to.
type EC2NodeClassStatus struct {
	Subnets        []Subnet        `json:"subnets,omitempty"`
	SecurityGroups []SecurityGroup `json:"securityGroups,omitempty"`
	AMIs           []AMI           `json:"amis,omitempty"`
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Subnet is a resolved subnet.
type Subnet struct {
	ID     string `json:"id"`
	Zone   string `json:"zone"`
	ZoneID string `json:"zoneID,omitempty"`
}

// SecurityGroup is a resolved security group.
type SecurityGroup struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// AMI is a resolved image.
type AMI struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Architecture as in the label kubernetes.io/arch.
	Architecture string `json:"architecture"`
}

// Condition types of an EC2NodeClass besides Ready.
const (
	ConditionSubnetsReady        = "SubnetsReady"
	ConditionSecurityGroupsReady = "SecurityGroupsReady"
	ConditionAMIsReady           = "AMIsReady"
)

// EC2NodeClassList is a list of EC2NodeClasses.
//
// +kubebuilder:object:root=true
type EC2NodeClassList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EC2NodeClass `json:"items"`
}
