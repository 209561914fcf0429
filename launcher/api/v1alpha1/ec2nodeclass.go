package v1alpha1

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EC2NodeClass says how nodes look on EC2: image, network, disks, identity.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=ec2nodeclasses,categories=slipway,shortName=ec2nc
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Profile",type=string,priority=1,JSONPath=`.spec.instanceProfile`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type EC2NodeClass struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:default={}
	Spec   EC2NodeClassSpec   `json:"spec,omitempty"`
	Status EC2NodeClassStatus `json:"status,omitempty"`
}

// EC2NodeClassSpec is the wanted look. Whatever is left out is discovered by the
// launcher from the cluster's name.
//
// +kubebuilder:validation:XValidation:rule="!has(self.amiFamily) || self.amiFamily in ['AL2023', 'Bottlerocket', 'Custom']",fieldPath=".amiFamily",message="amiFamily: only AL2023, Bottlerocket and Custom are supported"
// +kubebuilder:validation:XValidation:rule="!has(self.amiFamily) || !has(self.amiSelectorTerms) || !self.amiSelectorTerms.exists(t, has(t.alias) && t.alias.startsWith('bottlerocket@')) || self.amiFamily == 'Bottlerocket'",fieldPath=".amiFamily",message="amiFamily must be that of the alias, Bottlerocket, or left out"
// +kubebuilder:validation:XValidation:rule="!has(self.amiFamily) || !has(self.amiSelectorTerms) || !self.amiSelectorTerms.exists(t, has(t.alias) && t.alias.startsWith('al2023@')) || self.amiFamily in ['AL2023', 'Custom']",fieldPath=".amiFamily",message="amiFamily must be that of the alias, AL2023, or Custom, or left out; amiSelectorTerms defaults to al2023@latest"
// +kubebuilder:validation:XValidation:rule="!(has(self.role) && has(self.instanceProfile))",fieldPath=".role",message="role and instanceProfile exclude each other: either the launcher makes the instance profile or you do"
// +kubebuilder:validation:XValidation:rule="!has(self.amiFamily) || self.amiFamily != 'Custom' || has(self.userData)",fieldPath=".userData",message="userData is missing: amiFamily Custom means that it alone makes the instance join, under its instance id"
// +kubebuilder:validation:XValidation:rule="!has(self.amiFamily) || self.amiFamily != 'Custom' || !has(self.instanceStorePolicy)",fieldPath=".instanceStorePolicy",message="instanceStorePolicy: with amiFamily Custom the user data is to set the disks up"
// +kubebuilder:validation:XValidation:rule="!has(self.amiFamily) || self.amiFamily == 'AL2023' || !has(self.kubelet) || !has(self.kubelet.podsPerCore)",fieldPath=".kubelet",message="podsPerCore can be set with amiFamily AL2023 only; set maxPods"
// +kubebuilder:validation:XValidation:rule="!has(self.amiSelectorTerms) || !self.amiSelectorTerms.exists(t, has(t.alias) && t.alias.startsWith('bottlerocket@')) || !has(self.kubelet) || !has(self.kubelet.podsPerCore)",fieldPath=".kubelet",message="podsPerCore cannot be set on Bottlerocket; set maxPods"
// +kubebuilder:validation:XValidation:rule="!has(self.associatePublicIPAddress) || !has(self.networkInterfaces) || self.networkInterfaces.size() == 1",fieldPath=".associatePublicIPAddress",message="associatePublicIPAddress: EC2 takes it with one network interface only; leave it out or shorten networkInterfaces"
type EC2NodeClassSpec struct {
	// AMISelectorTerms select the image. Left out: the alias al2023@latest.
	//
	// +kubebuilder:default={{alias: "al2023@latest"}}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=30
	// +kubebuilder:validation:XValidation:rule="self.size() == 1 || !self.exists(t, has(t.alias))",message="amiSelectorTerms: an alias must be the only term; remove the others or select all images by id"
	AMISelectorTerms []AMISelectorTerm `json:"amiSelectorTerms,omitempty"`
	// SubnetSelectorTerms select the subnets, and with them the zones. Left out:
	// the subnets tagged with the cluster's name.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=30
	SubnetSelectorTerms []SubnetSelectorTerm `json:"subnetSelectorTerms,omitempty"`
	// SecurityGroupSelectorTerms select the security groups. Left out: the groups
	// tagged with the cluster's name.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=30
	SecurityGroupSelectorTerms []SecurityGroupSelectorTerm `json:"securityGroupSelectorTerms,omitempty"`
	// InstanceProfile is the name of the instance profile the nodes run under.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9_+=,.@-]*$')",message="instanceProfile must be the name of an instance profile, not its ARN or path"
	InstanceProfile string `json:"instanceProfile,omitempty"`
	// BlockDeviceMappings are the nodes' disks. Left out: those of the image.
	//
	// +listType=map
	// +listMapKey=deviceName
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:XValidation:rule="self.filter(b, has(b.rootVolume) && b.rootVolume).size() <= 1",message="blockDeviceMappings: only one may have rootVolume true"
	BlockDeviceMappings []BlockDeviceMapping `json:"blockDeviceMappings,omitempty"`
	// MetadataOptions configures the instance metadata service. Left out: IMDSv2 only, one hop.
	//
	// +kubebuilder:default={}
	MetadataOptions *MetadataOptions `json:"metadataOptions,omitempty"`
	// Tags on everything created for the class, besides the launcher's own.
	//
	// +kubebuilder:validation:MaxProperties=40
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() > 0 && k.size() <= 128 && self[k].size() <= 256)",message="tags: a key has 1 to 128 characters, a value at most 256"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('slipway.dev/'))",message="tags: keys under slipway.dev/ are set by the launcher; use other keys"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('kubernetes.io/cluster/'))",message="tags: kubernetes.io/cluster/* is set by the launcher; use other keys"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('aws:') && k != 'eks:eks-cluster-name')",message="tags: aws:* and eks:eks-cluster-name belong to AWS; use other keys"
	Tags map[string]string `json:"tags,omitempty"`

	// AMIFamily is the operating system of the images, which decides how the user data is
	// written and what a node is predicted to have. Left out: that of the alias, else AL2023.
	// With Custom, userData is passed on as it is; nodes must be named by their instance's id.
	//
	// +kubebuilder:validation:Enum=AL2;AL2023;Bottlerocket;Custom;Windows2019;Windows2022;Windows2025
	AMIFamily string `json:"amiFamily,omitempty"`
	// Role is the name of the IAM role the nodes run under. The launcher makes an instance
	// profile of it, and removes that when no class and no instance has used it for a day. The
	// cluster must know it by its sessions, as with an access entry of type EC2.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9_+=,.@-]*$')",message="role must be the name of a role, not its ARN or path"
	Role string `json:"role,omitempty"`
	// UserData is merged with the launcher's own, which wins where both set a thing. For
	// AL2023: a NodeConfig, a shell script, or a MIME document of several such; for
	// Bottlerocket: settings as TOML.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	UserData *string `json:"userData,omitempty"`
	// InstanceStorePolicy RAID0 makes one array of an instance's local disks, and puts the
	// kubelet's and the container runtime's directories and the pods' logs on it. Types without
	// local disks keep them on the root volume.
	//
	// +kubebuilder:validation:Enum=RAID0
	InstanceStorePolicy string `json:"instanceStorePolicy,omitempty"`
	// Kubelet configures the kubelet; what it leaves out stays as the image has it.
	Kubelet *KubeletConfiguration `json:"kubelet,omitempty"`
	// CapacityReservationSelectorTerms select capacity reservations, capacity blocks among
	// them. Pools that allow the capacity type reserved use them before anything else; other
	// nodes of the class then keep out of open reservations.
	//
	// +kubebuilder:validation:MaxItems=30
	CapacityReservationSelectorTerms []CapacityReservationSelectorTerm `json:"capacityReservationSelectorTerms,omitempty"`
	// DetailedMonitoring turns per-minute metrics on.
	DetailedMonitoring *bool `json:"detailedMonitoring,omitempty"`
	// AssociatePublicIPAddress overrides the subnet's choice.
	AssociatePublicIPAddress *bool `json:"associatePublicIPAddress,omitempty"`
	// NetworkInterfaces that instances are launched with; left out: one. Instance types that cannot
	// have them all are not launched. Nodes have vpc.amazonaws.com/efa, of which EFA's device plugin
	// must tell, as often as there are interfaces of type efa-only.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:XValidation:rule="self.exists(n, n.networkCardIndex == 0 && n.deviceIndex == 0 && n.interfaceType == 'interface')",message="networkInterfaces: there must be one of type interface at card 0, device 0: the node is reached through it"
	// +kubebuilder:validation:XValidation:rule="self.all(n, self.exists_one(o, o.networkCardIndex == n.networkCardIndex && o.deviceIndex == n.deviceIndex))",message="networkInterfaces: two have the same card and device"
	// +kubebuilder:validation:XValidation:rule="self.all(n, n.interfaceType != 'efa-only' || self.exists_one(o, o.interfaceType == 'efa-only' && o.networkCardIndex == n.networkCardIndex))",message="networkInterfaces: a network card takes one interface of type efa-only"
	NetworkInterfaces []NetworkInterface `json:"networkInterfaces,omitempty"`
	// IPPrefixCount is the number of /28 prefixes of IPv4 addresses that the first network interface
	// is given at launch. Above 0 it says that the cluster's CNI delegates prefixes: then a node
	// runs as many pods as that gives addresses, but 110 at most, unless kubelet.maxPods is set.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=50
	IPPrefixCount *int32 `json:"ipPrefixCount,omitempty"`
	// Context is passed to CreateFleet, which reserves it.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Context *string `json:"context,omitempty"`
}

// EC2NodeClassStatus is what the class resolved to.
type EC2NodeClassStatus struct {
	// Subnets new nodes are put into.
	Subnets []Subnet `json:"subnets,omitempty"`
	// SecurityGroups every node is in.
	SecurityGroups []SecurityGroup `json:"securityGroups,omitempty"`
	// AMIs nodes are started from, by architecture.
	AMIs []AMI `json:"amis,omitempty"`
	// CapacityReservations that are active.
	CapacityReservations []CapacityReservation `json:"capacityReservations,omitempty"`
	// InstanceProfile is the name of the instance profile nodes run under.
	InstanceProfile string `json:"instanceProfile,omitempty"`
	// Conditions are SubnetsReady, SecurityGroupsReady, AMIsReady, InstanceProfileReady,
	// UserDataReady (where the class has any), CapacityReservationsReady (where the class
	// selects any) and, for all of them, Ready. OfferingsCurrent is there, and False, while
	// instance types or prices could not be read from AWS since the launcher's start; nodes are
	// launched nevertheless.
	//
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

// CapacityReservation is a resolved capacity reservation.
type CapacityReservation struct {
	ID           string `json:"id"`
	InstanceType string `json:"instanceType"`
	Zone         string `json:"zone"`
	// Type is default or capacity-block.
	Type                  string `json:"type"`
	InstanceMatchCriteria string `json:"instanceMatchCriteria,omitempty"`
	OwnerID               string `json:"ownerID,omitempty"`
	// Total instances, and how many of them are not in use.
	Total     int32 `json:"total"`
	Available int32 `json:"available"`
	// EndTime is when the reservation ends; nil where it does not by itself.
	EndTime *metav1.Time `json:"endTime,omitempty"`
}

// Types of a CapacityReservation.
const (
	ReservationTypeDefault       = "default"
	ReservationTypeCapacityBlock = "capacity-block"
)

// Condition types of an EC2NodeClass besides Ready.
const (
	ConditionSubnetsReady         = "SubnetsReady"
	ConditionSecurityGroupsReady  = "SecurityGroupsReady"
	ConditionAMIsReady            = "AMIsReady"
	ConditionInstanceProfileReady = "InstanceProfileReady"
	ConditionUserDataReady        = "UserDataReady"
	ConditionReservationsReady    = "CapacityReservationsReady"
	// ConditionOfferingsCurrent does not bear on Ready.
	ConditionOfferingsCurrent = "OfferingsCurrent"
)

// Families of images.
const (
	AMIFamilyAL2023       = "AL2023"
	AMIFamilyBottlerocket = "Bottlerocket"
	AMIFamilyCustom       = "Custom"
)

// Family is the class's AMI family, which its alias implies where it is left out.
func (s *EC2NodeClassSpec) Family() string {
	if s.AMIFamily != "" {
		return s.AMIFamily
	}
	for _, t := range s.AMISelectorTerms {
		if strings.HasPrefix(t.Alias, "bottlerocket@") {
			return AMIFamilyBottlerocket
		}
	}
	return AMIFamilyAL2023
}

// InstanceStoreRAID0 is a value of InstanceStorePolicy.
const InstanceStoreRAID0 = "RAID0"

// EC2NodeClassList is a list of EC2NodeClasses.
//
// +kubebuilder:object:root=true
type EC2NodeClassList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EC2NodeClass `json:"items"`
}
