package v1alpha1

// KubeletConfiguration is the part of the kubelet's configuration a class may set. Names
// and meanings are the kubelet's own; maps are merged, key by key, over what the image
// configures. It goes to the node as it is, so its JSON must stay the kubelet's.
// https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
//
// The rules refuse what would keep the kubelet from starting, or what it ignores.
//
// +kubebuilder:validation:XValidation:rule="(has(self.imageGCLowThresholdPercent) ? self.imageGCLowThresholdPercent : 80) < (has(self.imageGCHighThresholdPercent) ? self.imageGCHighThresholdPercent : 85)",fieldPath=".imageGCLowThresholdPercent",message="imageGCLowThresholdPercent must be below imageGCHighThresholdPercent; left out, they are 80 and 85"
// +kubebuilder:validation:XValidation:rule="!has(self.evictionSoft) || self.evictionSoft.all(s, has(self.evictionSoftGracePeriod) && s in self.evictionSoftGracePeriod)",fieldPath=".evictionSoft",message="evictionSoft: every signal needs its period in evictionSoftGracePeriod"
// +kubebuilder:validation:XValidation:rule="!has(self.evictionSoftGracePeriod) || self.evictionSoftGracePeriod.all(s, has(self.evictionSoft) && s in self.evictionSoft)",fieldPath=".evictionSoftGracePeriod",message="evictionSoftGracePeriod: a period without its threshold in evictionSoft does nothing"
type KubeletConfiguration struct {
	// ClusterDNS are the addresses of the cluster's name servers.
	//
	// +kubebuilder:validation:MaxItems=3
	// +kubebuilder:validation:items:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="self.all(a, isIP(a))",message="clusterDNS must be IP addresses"
	ClusterDNS []string `json:"clusterDNS,omitempty"`
	// MaxPods is the number of pods a node may run. Left out: as many as its network
	// interfaces have addresses for.
	//
	// +kubebuilder:validation:Minimum=1
	MaxPods *int32 `json:"maxPods,omitempty"`
	// PodsPerCore bounds the pods by the node's CPUs as well; 0 does not.
	//
	// +kubebuilder:validation:Minimum=0
	PodsPerCore *int32 `json:"podsPerCore,omitempty"`
	// SystemReserved resources of the operating system: cpu, memory, ephemeral-storage, pid.
	//
	// +kubebuilder:validation:MaxProperties=4
	// +kubebuilder:validation:XValidation:rule="self.all(r, r in ['cpu', 'memory', 'ephemeral-storage', 'pid'])",message="systemReserved: only cpu, memory, ephemeral-storage and pid can be reserved"
	SystemReserved map[string]ReservedAmount `json:"systemReserved,omitempty"`
	// KubeReserved resources of Kubernetes' own daemons: cpu, memory, ephemeral-storage,
	// pid. A resource left out keeps the image's amount, which for memory grows with the
	// addresses of the network interfaces, whatever maxPods says.
	//
	// +kubebuilder:validation:MaxProperties=4
	// +kubebuilder:validation:XValidation:rule="self.all(r, r in ['cpu', 'memory', 'ephemeral-storage', 'pid'])",message="kubeReserved: only cpu, memory, ephemeral-storage and pid can be reserved"
	KubeReserved map[string]ReservedAmount `json:"kubeReserved,omitempty"`
	// EvictionHard thresholds by signal. Those of memory.available and nodefs.available
	// are kept from pods.
	//
	// +kubebuilder:validation:MaxProperties=6
	// +kubebuilder:validation:XValidation:rule="self.all(s, s in ['memory.available', 'nodefs.available', 'nodefs.inodesFree', 'imagefs.available', 'imagefs.inodesFree', 'pid.available'])",message="evictionHard: signals are memory.available, nodefs.available, nodefs.inodesFree, imagefs.available, imagefs.inodesFree and pid.available"
	EvictionHard map[string]EvictionThreshold `json:"evictionHard,omitempty"`
	// EvictionSoft thresholds by signal.
	//
	// +kubebuilder:validation:MaxProperties=6
	// +kubebuilder:validation:XValidation:rule="self.all(s, s in ['memory.available', 'nodefs.available', 'nodefs.inodesFree', 'imagefs.available', 'imagefs.inodesFree', 'pid.available'])",message="evictionSoft: signals are memory.available, nodefs.available, nodefs.inodesFree, imagefs.available, imagefs.inodesFree and pid.available"
	EvictionSoft map[string]EvictionThreshold `json:"evictionSoft,omitempty"`
	// EvictionSoftGracePeriod is how long a soft threshold is exceeded before pods are evicted, by signal.
	//
	// +kubebuilder:validation:MaxProperties=6
	EvictionSoftGracePeriod map[string]GracePeriod `json:"evictionSoftGracePeriod,omitempty"`
	// EvictionMaxPodGracePeriod in seconds for soft evictions.
	EvictionMaxPodGracePeriod *int32 `json:"evictionMaxPodGracePeriod,omitempty"`
	// ImageGCHighThresholdPercent of disk use that starts the removal of unused images.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	ImageGCHighThresholdPercent *int32 `json:"imageGCHighThresholdPercent,omitempty"`
	// ImageGCLowThresholdPercent of disk use that ends it.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	ImageGCLowThresholdPercent *int32 `json:"imageGCLowThresholdPercent,omitempty"`
	// CPUCFSQuota enforces CPU limits.
	CPUCFSQuota *bool `json:"cpuCFSQuota,omitempty"`
}

// ReservedAmount is a quantity such as 500m or 1Gi.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="isQuantity(self) && !quantity(self).isLessThan(quantity('0'))",message="must be a quantity that is not negative, such as 500m or 1Gi"
type ReservedAmount string

// EvictionThreshold is a quantity such as 500Mi, or a share of the capacity such as 5%.
// 0% and 100% turn a signal off.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="self.endsWith('%') ? self.matches('^(100(\\\\.0+)?|[0-9]{1,2}(\\\\.[0-9]+)?)%$') : isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",message="must be a quantity above zero such as 500Mi, or a share from 0% to 100% such as 5%"
type EvictionThreshold string

// GracePeriod is a duration such as 1m30s.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
type GracePeriod string
