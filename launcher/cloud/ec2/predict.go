package ec2

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// The arithmetic of an AL2023 node: what nodeadm configures
// (github.com/awslabs/amazon-eks-ami nodeadm/internal/kubelet/config.go) and what the
// kubelet makes of it (capacity less kube-reserved less hard eviction). Where real
// nodes vary, the prediction is on the low side: a node with room to spare is cheaper
// than pods that do not fit.
const (
	// vmOverhead is the share of nominal memory that the operating system never
	// sees. Large types lose less.
	vmOverheadPerMille = 75

	podsBase            = 2 // pods on the host's network: aws-node, kube-proxy
	podsCapSmall        = 110
	podsCapLarge        = 250
	podsCapLargeFromCPU = 30

	reservedMiBPerPod = 11
	reservedMiBBase   = 255
	evictionMiB       = 100 // memory.available

	al2023RootDevice = "/dev/xvda"
	defaultRootGiB   = 20 // of the AL2023 image
	fileSystemMiB    = 80 // partition table and file system of the root volume
	reservedDiskGiB  = 1
	evictionDiskPart = 10 // nodefs.available: a tenth
)

const (
	resourceNvidiaGPU = "nvidia.com/gpu"
	resourceNeuron    = "aws.amazon.com/neuron"

	miB = int64(1) << 20
	giB = int64(1) << 30
)

type prediction struct{ capacity, allocatable corev1.ResourceList }

// predict works out what a node of the hardware with a root volume of that size reports.
func predict(h Hardware, rootGiB int64) prediction {
	memory := (h.MemoryMiB - ceilDiv(h.MemoryMiB*vmOverheadPerMille, 1000)) * miB
	disk := rootGiB*giB - fileSystemMiB*miB
	addressable := h.ENIs*(h.IPv4PerENI-1) + podsBase
	pods := min(addressable, podsCap(h.VCPUs))

	// nodeadm reserves memory for every pod the addresses allow, capped or not.
	reservedMemory := (reservedMiBPerPod*addressable + reservedMiBBase + evictionMiB) * miB
	reservedDisk := reservedDiskGiB*giB + ceilDiv(disk, evictionDiskPart)

	p := prediction{
		capacity:    resourceList(h.VCPUs*1000, memory, disk, pods),
		allocatable: resourceList(h.VCPUs*1000-reservedMilliCPU(h.VCPUs), memory-reservedMemory, disk-reservedDisk, pods),
	}
	// What the vendors' device plugins report. AL2023 has drivers for no other.
	if h.nvidia() {
		p.add(resourceNvidiaGPU, h.GPUs)
	}
	if h.Neurons > 0 {
		p.add(resourceNeuron, h.Neurons)
	}
	return p
}

func (p prediction) add(name corev1.ResourceName, count int64) {
	q := *resource.NewQuantity(count, resource.DecimalSI)
	p.capacity[name], p.allocatable[name] = q, q
}

func resourceList(milliCPU, memory, disk, pods int64) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewMilliQuantity(max(milliCPU, 0), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(max(memory, 0), resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(max(disk, 0), resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(max(pods, 0), resource.DecimalSI),
	}
}

// podsCap bounds the pods of a node as EKS does for its own node groups.
func podsCap(vcpus int64) int64 {
	if vcpus <= podsCapLargeFromCPU {
		return podsCapSmall
	}
	return podsCapLarge
}

// reservedMilliCPU is 6 % of the first core, 1 % of the second, 0.5 % of the next two
// and 0.25 % of all others, rounded up.
func reservedMilliCPU(cores int64) int64 {
	var hundredths int64 // of a millicore
	for core := range cores {
		switch {
		case core == 0:
			hundredths += 6000
		case core == 1:
			hundredths += 1000
		case core < 4:
			hundredths += 500
		default:
			hundredths += 250
		}
	}
	return ceilDiv(hundredths, 100)
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// rootGiB is the size of the volume that the kubelet's directory is on.
func rootGiB(spec v1alpha1.EC2NodeClassSpec, img image) int64 {
	for _, m := range spec.BlockDeviceMappings {
		if (m.RootVolume || m.DeviceName == img.rootDevice) && m.EBS != nil && m.EBS.VolumeSize != nil {
			return m.EBS.VolumeSize.Value() / giB
		}
	}
	if img.rootGiB > 0 {
		return img.rootGiB
	}
	return defaultRootGiB
}
