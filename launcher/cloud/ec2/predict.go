package ec2

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

const (
	vmOverheadPerMille = 75 // of nominal memory, see predict

	podsOnHostNetwork = 2

	reservedMiBPerPod = 11
	reservedMiBBase   = 255
	reservedDiskGiB   = 1

	al2023RootDevice       = "/dev/xvda"
	bottlerocketDataDevice = "/dev/xvdb"

	addressesPerPrefix = 16
	mostPodsByPrefixes = 110

	localDiskPerMille = 990   // of local disks' nominal size, see predict
	defaultRootGiB    = 20    // of the images of AL2023, and for data of Bottlerocket's
	fileSystemKiB     = 77844 // of the root volume, see predict
)

const (
	resourceNvidiaGPU = "nvidia.com/gpu"
	resourceNeuron    = "aws.amazon.com/neuron"
	resourceEFA       = "vpc.amazonaws.com/efa"

	kiB = int64(1) << 10
	miB = int64(1) << 20
	giB = int64(1) << 30
)

// prediction is what a node reports as capacity and allocatable.
type prediction struct{ capacity, allocatable corev1.ResourceList }

// predict works out what an AL2023 node of the hardware reports, with a root volume of
// that size and the class's settings of the kubelet. It returns false where the kubelet
// would not start because more is reserved than there is. nodeadm below stands for
// github.com/awslabs/amazon-eks-ami, nodeadm/internal/kubelet, pkg and cmd for
// k8s.io/kubernetes v1.36.3.
//
// Capacity:
//
//   - cpu: the type's default vCPUs.
//   - memory: nominal less 7.5 % for the virtual machine and the kernel, as Karpenter assumes
//     (https://karpenter.sh/docs/reference/settings/, vmMemoryOverheadPercent). Large types
//     lose less, the smallest a little more; EC2 does not say. This is the term that
//     real nodes correct (offering.Catalog.Learn).
//   - ephemeral-storage: the root volume less partition table and file system, 77844 KiB of
//     it, as AL2023 nodes show: 20893676Ki of 20 GiB, 104779756Ki of 100 GiB.
//   - pods: network interfaces × (IPv4 addresses each − 1) + 2 (maxpods/maxpods.go in
//     nodeadm); the class's maxPods in its place; podsPerCore × vCPUs where that is less
//     (pkg/kubelet/nodestatus/setters.go). EKS caps this at 110 and 250, but only for managed
//     node groups (https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html,
//     "How maxPods is determined"). A NodeClaim lists 512 pods at most: no more are predicted.
//     Where the CNI delegates prefixes an address is one of 16, and 110 are the most: nodeadm
//     is told to reckon so too (maxPodsExpression). Bottlerocket has no such setting.
//   - ephemeral-storage with instanceStorePolicy: local disks as they are sold, less 1 % for the
//     array and the file system, where there are any.
//   - GPUs, Neuron devices and the class's Elastic Fabric Adapters: what the vendors' device plugins report. AL2023 has drivers
//     for no other.
//
// Allocatable is capacity less kubeReserved, systemReserved and the hard eviction thresholds of
// memory.available and nodefs.available (pkg/kubelet/cm/node_container_manager_linux.go;
// https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/). Soft
// thresholds are not subtracted. nodeadm sets (config.go)
//
//   - kubeReserved cpu: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 %
//     of all others, each step rounded down to millicores;
//   - kubeReserved memory: 11 MiB for each pod the interfaces have addresses for, whatever
//     maxPods says, and 255 MiB; Bottlerocket does as maxPods says
//     (https://bottlerocket.dev/en/os/latest/api/settings/kubernetes/);
//   - kubeReserved ephemeral-storage: 1 GiB;
//   - evictionHard: memory.available 100Mi, nodefs.available 10%;
//   - systemReserved: nothing;
//
// and each key of these that the class sets replaces nodeadm's. Bottlerocket's defaults are the
// same but for what is said above; Custom images are taken to be like AL2023's.
func predict(h Hardware, rootGiB int64, k kubeletSettings) (prediction, bool) {
	memory := (h.MemoryMiB - ceilDiv(h.MemoryMiB*vmOverheadPerMille, 1000)) * miB
	disk := rootGiB*giB - fileSystemKiB*kiB
	if k.localDisk && h.LocalGB > 0 {
		disk = h.LocalGB * 1_000_000 * localDiskPerMille
	}
	addressable := k.addressable(h)
	pods := min(k.pods(addressable, h.VCPUs), v1alpha1.MaxReservedPods)
	if k.family == v1alpha1.AMIFamilyBottlerocket {
		addressable = k.pods(addressable, h.VCPUs)
	}

	p := prediction{capacity: resourceList(h.VCPUs*1000, memory, disk)}
	var ok bool
	p.allocatable, ok = k.allocatable(p.capacity,
		resourceList(reservedMilliCPU(h.VCPUs), (reservedMiBPerPod*addressable+reservedMiBBase)*miB, reservedDiskGiB*giB),
		map[corev1.ResourceName]threshold{
			corev1.ResourceMemory:           {amount: *resource.NewQuantity(100*miB, resource.BinarySI)},
			corev1.ResourceEphemeralStorage: {share: 0.1},
		})
	if !ok {
		return prediction{}, false
	}
	p.add(corev1.ResourcePods, pods)
	if h.nvidia() {
		p.add(resourceNvidiaGPU, h.GPUs)
	}
	if h.Neurons > 0 {
		p.add(resourceNeuron, h.Neurons)
	}
	if k.efas > 0 {
		p.add(resourceEFA, k.efas)
	}
	return p, true
}

// add puts in what is all for pods.
func (p prediction) add(name corev1.ResourceName, count int64) {
	q := *resource.NewQuantity(count, resource.DecimalSI)
	p.capacity[name], p.allocatable[name] = q, q
}

func resourceList(milliCPU, memory, disk int64) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewMilliQuantity(milliCPU, resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(memory, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(disk, resource.BinarySI),
	}
}

// reservedMilliCPU is what nodeadm reserves of so many cores.
func reservedMilliCPU(cores int64) int64 {
	var reserved int64
	for _, step := range []struct{ from, to, perMyriad int64 }{
		{0, 1, 600}, {1, 2, 100}, {2, 4, 50}, {4, cores, 25},
	} {
		reserved += max(min(cores, step.to)-step.from, 0) * 1000 * step.perMyriad / 10_000
	}
	return reserved
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// addressable is for how many pods the network interfaces have addresses.
func (k kubeletSettings) addressable(h Hardware) int64 {
	addresses := h.ENIs * (h.IPv4PerENI - 1)
	if k.prefixes && k.family != v1alpha1.AMIFamilyBottlerocket {
		return min(addresses*addressesPerPrefix+podsOnHostNetwork, mostPodsByPrefixes)
	}
	return addresses + podsOnHostNetwork
}

// rootGiB is the size of the volume that the kubelet's directory is on.
func rootGiB(spec v1alpha1.EC2NodeClassSpec, img image) int64 {
	device := cmp.Or(img.rootDevice, al2023RootDevice)
	if spec.Family() == v1alpha1.AMIFamilyBottlerocket {
		device = bottlerocketDataDevice // its root volume is read-only
	}
	for _, m := range spec.BlockDeviceMappings {
		if (m.RootVolume || m.DeviceName == device) && m.EBS != nil && m.EBS.VolumeSize != nil {
			return m.EBS.VolumeSize.Value() / giB
		}
	}
	return cmp.Or(img.disks[device], defaultRootGiB)
}
