package v1alpha1

// Labels on nodes, NodeClaims and, where they describe an offering, in NodePool requirements.
const (
	LabelNodePool = Group + "/nodepool"
	// LabelRegistered is on a node from when it is tied to its claim; until then the scheduler
	// keeps all pods off it but those it was bought for.
	LabelRegistered       = Group + "/registered"
	LabelCapacityType     = Group + "/capacity-type"
	LabelReservationID    = Group + "/capacity-reservation-id" // of reserved nodes only
	LabelInstanceCategory = Group + "/instance-category"
	LabelInstanceFamily   = Group + "/instance-family"
	LabelInstanceGen      = Group + "/instance-generation"
	LabelInstanceSize     = Group + "/instance-size"
	LabelInstanceCPU      = Group + "/instance-cpu"    // vCPUs
	LabelInstanceMemory   = Group + "/instance-memory" // MiB
	LabelInstanceGPUName  = Group + "/instance-gpu-name"
	LabelInstanceGPUCount = Group + "/instance-gpu-count"
	LabelInstanceLocalGB  = Group + "/instance-local-nvme" // GB
	LabelHypervisor       = Group + "/instance-hypervisor"
)

// KarpenterLabels are the labels that nodes have in Karpenter v1 under other keys than here, by
// Karpenter's key. The values mean the same.
func KarpenterLabels() map[string]string {
	const core, aws = "karpenter.sh", "karpenter.k8s.aws"
	return map[string]string{
		core + "/nodepool":               LabelNodePool,
		core + "/capacity-type":          LabelCapacityType,
		aws + "/capacity-reservation-id": LabelReservationID,
		aws + "/instance-category":       LabelInstanceCategory,
		aws + "/instance-family":         LabelInstanceFamily,
		aws + "/instance-generation":     LabelInstanceGen,
		aws + "/instance-size":           LabelInstanceSize,
		aws + "/instance-cpu":            LabelInstanceCPU,
		aws + "/instance-memory":         LabelInstanceMemory,
		aws + "/instance-gpu-name":       LabelInstanceGPUName,
		aws + "/instance-gpu-count":      LabelInstanceGPUCount,
		aws + "/instance-local-nvme":     LabelInstanceLocalGB,
		aws + "/instance-hypervisor":     LabelHypervisor,
	}
}

// Values of LabelCapacityType.
const (
	CapacityTypeOnDemand = "on-demand"
	CapacityTypeSpot     = "spot"
	CapacityTypeReserved = "reserved"
)

// TerminationFinalizer holds a NodeClaim until its instance is gone, and a Node
// until it is drained.
const TerminationFinalizer = Group + "/termination"

// DisruptedTaintKey is put (effect NoSchedule) on a node that is on its way out.
const DisruptedTaintKey = Group + "/disrupted"

// DoNotDisruptAnnotation on a pod, a node or a NodeClaim keeps the node from voluntary
// disruption: for good with the value "true", or for a duration such as "2h" from the
// object's creation.
const DoNotDisruptAnnotation = Group + "/do-not-disrupt"

// Groups of pods that run together or not at all, where the cluster has no PodGroups. The
// minimum is a label or an annotation; the topology is an annotation, and of its values only
// topology.kubernetes.io/zone is supported.
const (
	LabelPodGroup              = Group + "/pod-group"
	LabelPodGroupMin           = Group + "/pod-group-min"
	PodGroupTopologyAnnotation = Group + "/pod-group-topology"
)

// Tags on everything created in EC2, from birth.
const (
	TagCluster   = Group + "/cluster"   // name of the cluster
	TagNodePool  = Group + "/nodepool"  // name of the NodePool
	TagNodeClaim = Group + "/nodeclaim" // name of the NodeClaim
	TagClaimUID  = Group + "/nodeclaim-uid"
	// TagFleet is on instances that were bought with one call for several claims, in place of
	// the claim's tags: which claim has which stands in the claims' status.
	TagFleet = Group + "/fleet"
)
