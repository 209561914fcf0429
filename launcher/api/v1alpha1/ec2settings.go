package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// BlockDeviceMapping is one disk.
//
// +kubebuilder:validation:XValidation:rule="has(self.ebs)",message="blockDeviceMappings: ebs is missing; say which volume the device is"
type BlockDeviceMapping struct {
	// DeviceName such as /dev/xvda.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	DeviceName string `json:"deviceName"`
	// EBS describes the volume.
	EBS *BlockDevice `json:"ebs,omitempty"`
	// RootVolume marks the disk that the kubelet's directory is on.
	RootVolume bool `json:"rootVolume,omitempty"`
}

// BlockDevice is one EBS volume.
//
// +kubebuilder:validation:XValidation:rule="has(self.snapshotID) || has(self.volumeSize)",message="ebs: volumeSize is missing; give it or a snapshotID"
// +kubebuilder:validation:XValidation:rule="!has(self.iops) || (has(self.volumeType) && self.volumeType in ['gp3', 'io1', 'io2'])",fieldPath=".iops",message="iops needs volumeType gp3, io1 or io2"
// +kubebuilder:validation:XValidation:rule="!has(self.throughput) || (has(self.volumeType) && self.volumeType == 'gp3')",fieldPath=".throughput",message="throughput needs volumeType gp3"
// +kubebuilder:validation:XValidation:rule="!has(self.kmsKeyID) || (has(self.encrypted) && self.encrypted)",fieldPath=".kmsKeyID",message="kmsKeyID needs encrypted: true"
// +kubebuilder:validation:XValidation:rule="!has(self.volumeInitializationRate) || has(self.snapshotID)",fieldPath=".volumeInitializationRate",message="volumeInitializationRate needs a snapshotID"
type BlockDevice struct {
	// VolumeSize in whole Gi, G, Ti or T.
	//
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,4}(Gi|G|Ti|T)$`
	VolumeSize *resource.Quantity `json:"volumeSize,omitempty"`
	// VolumeType of the volume.
	//
	// +kubebuilder:validation:Enum=standard;io1;io2;gp2;sc1;st1;gp3
	VolumeType string `json:"volumeType,omitempty"`
	// Encrypted encrypts the volume.
	Encrypted *bool `json:"encrypted,omitempty"`
	// DeleteOnTermination deletes the volume with its instance.
	DeleteOnTermination *bool `json:"deleteOnTermination,omitempty"`
	// IOPS provisioned, for gp3, io1 and io2.
	//
	// +kubebuilder:validation:Minimum=100
	// +kubebuilder:validation:Maximum=256000
	IOPS *int64 `json:"iops,omitempty"`
	// Throughput provisioned in MiB/s, for gp3.
	//
	// +kubebuilder:validation:Minimum=125
	// +kubebuilder:validation:Maximum=2000
	Throughput *int64 `json:"throughput,omitempty"`
	// KMSKeyID is the key to encrypt with; the account's default when left out.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	KMSKeyID string `json:"kmsKeyID,omitempty"`
	// SnapshotID to make the volume from.
	//
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^snap-[0-9a-z]+$`
	SnapshotID string `json:"snapshotID,omitempty"`
	// VolumeInitializationRate in MiB/s at which the snapshot is read in.
	//
	// +kubebuilder:validation:Minimum=100
	// +kubebuilder:validation:Maximum=300
	VolumeInitializationRate *int32 `json:"volumeInitializationRate,omitempty"`
}

// Types of a NetworkInterface.
const (
	InterfaceTypeInterface = "interface"
	InterfaceTypeEFAOnly   = "efa-only"
)

// NetworkInterface is one that instances are launched with.
type NetworkInterface struct {
	// NetworkCardIndex is the network card it is on.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=63
	NetworkCardIndex int32 `json:"networkCardIndex"`
	// DeviceIndex is its place on that card.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=63
	DeviceIndex int32 `json:"deviceIndex"`
	// InterfaceType: interface has addresses; efa-only is an Elastic Fabric Adapter without any.
	//
	// +kubebuilder:validation:Enum=interface;efa-only
	InterfaceType string `json:"interfaceType"`
}

// MetadataOptions configures the instance metadata service.
type MetadataOptions struct {
	// HTTPEndpoint turns the service on or off.
	//
	// +kubebuilder:default=enabled
	// +kubebuilder:validation:Enum=enabled;disabled
	HTTPEndpoint string `json:"httpEndpoint,omitempty"`
	// HTTPProtocolIPv6 turns its IPv6 address on or off.
	//
	// +kubebuilder:default=disabled
	// +kubebuilder:validation:Enum=enabled;disabled
	HTTPProtocolIPv6 string `json:"httpProtocolIPv6,omitempty"`
	// HTTPPutResponseHopLimit is how many network hops a token may travel; with 1,
	// pods that are not on the host's network cannot get one.
	//
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	HTTPPutResponseHopLimit *int64 `json:"httpPutResponseHopLimit,omitempty"`
	// HTTPTokens required means IMDSv2 only.
	//
	// +kubebuilder:default=required
	// +kubebuilder:validation:Enum=required;optional
	HTTPTokens string `json:"httpTokens,omitempty"`
}
