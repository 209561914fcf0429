package ec2

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

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

// predict works out what a node of the type with a root volume of that size reports.
func predict(t typeInfo, rootGiB int64) prediction {
	memory := (t.memoryMiB - ceilDiv(t.memoryMiB*vmOverheadPerMille, 1000)) * miB
	disk := rootGiB*giB - fileSystemMiB*miB
	addressable := t.enis*(t.ipv4PerENI-1) + podsBase
	pods := min(addressable, podsCap(t.vcpus))

	// nodeadm reserves memory for every pod the addresses allow, capped or not.
	reservedMemory := (reservedMiBPerPod*addressable + reservedMiBBase + evictionMiB) * miB
	reservedDisk := reservedDiskGiB*giB + ceilDiv(disk, evictionDiskPart)

	p := prediction{
		capacity:    resourceList(t.vcpus*1000, memory, disk, pods),
		allocatable: resourceList(t.vcpus*1000-reservedMilliCPU(t.vcpus), memory-reservedMemory, disk-reservedDisk, pods),
	}
	// What the vendors' device plugins report. AL2023 has drivers for no other.
	if t.gpus > 0 && t.gpuMaker == "nvidia" {
		p.add(resourceNvidiaGPU, t.gpus)
	}
	if t.neurons > 0 {
		p.add(resourceNeuron, t.neurons)
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

// labelsOf are the labels every node of the type has.
func labelsOf(t typeInfo) map[string]string {
	family, size, _ := strings.Cut(t.name, ".")
	labels := map[string]string{
		corev1.LabelArchStable:         t.arch,
		corev1.LabelOSStable:           string(corev1.Linux),
		corev1.LabelInstanceTypeStable: t.name,
		v1alpha1.LabelInstanceFamily:   family,
		v1alpha1.LabelInstanceSize:     size,
		v1alpha1.LabelInstanceCPU:      strconv.FormatInt(t.vcpus, 10),
		v1alpha1.LabelInstanceMemory:   strconv.FormatInt(t.memoryMiB, 10),
	}
	if t.hypervisor != "" {
		labels[v1alpha1.LabelHypervisor] = t.hypervisor
	}
	if m := familyParts.FindStringSubmatch(family); m != nil {
		labels[v1alpha1.LabelInstanceCategory], labels[v1alpha1.LabelInstanceGen] = m[1], m[2]
	}
	if t.gpus > 0 {
		labels[v1alpha1.LabelInstanceGPUName] = t.gpuName
		labels[v1alpha1.LabelInstanceGPUCount] = fmt.Sprint(t.gpus)
	}
	if t.localGB > 0 {
		labels[v1alpha1.LabelInstanceLocalGB] = fmt.Sprint(t.localGB)
	}
	return labels
}

// familyParts splits a family such as c7gn into category c and generation 7.
var familyParts = regexp.MustCompile(`^([a-z]+)([0-9]+)`)

// labelValue makes a name such as "Radeon Pro V520" fit for a label.
func labelValue(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		default:
			return '-'
		}
	}, strings.ToLower(s)), "-_.")
}
