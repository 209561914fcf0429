package ec2

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

func TestPredict(t *testing.T) {
	m5large := Hardware{Name: "m5.large", VCPUs: 2, MemoryMiB: 8192, ENIs: 3, IPv4PerENI: 10}
	for _, tt := range []struct {
		name                  string
		typ                   Hardware
		rootGiB               int64
		kubelet               v1alpha1.KubeletConfiguration
		capacity, allocatable map[string]string // as m5.large without settings where nothing else is said
	}{
		{
			name: "m5.large", typ: m5large, rootGiB: 20,
			// 8192 - ceil(614.4); pods 3*9+2; 11*29+255+100 MiB reserved; the disk as of a real node
			capacity:    map[string]string{"cpu": "2", "memory": "7577Mi", "ephemeral-storage": "20893676Ki", "pods": "29"},
			allocatable: map[string]string{"cpu": "1930m", "memory": "6903Mi", "ephemeral-storage": "18181869946", "pods": "29"},
		},
		{
			name: "many addresses", rootGiB: 100,
			typ:         Hardware{Name: "m5.4xlarge", VCPUs: 16, MemoryMiB: 65536, ENIs: 8, IPv4PerENI: 30},
			capacity:    map[string]string{"cpu": "16", "memory": "60620Mi", "ephemeral-storage": "104779756Ki", "pods": "234"},
			allocatable: map[string]string{"cpu": "15890m", "memory": "57691Mi", "ephemeral-storage": "95491281146", "pods": "234"},
		},
		{
			name: "no more pods than a claim lists, memory reserved for all", rootGiB: 100,
			typ:         Hardware{Name: "m5.24xlarge", VCPUs: 96, MemoryMiB: 393216, ENIs: 15, IPv4PerENI: 50},
			capacity:    map[string]string{"cpu": "96", "memory": "363724Mi", "ephemeral-storage": "104779756Ki", "pods": "512"},
			allocatable: map[string]string{"cpu": "95690m", "memory": "355262Mi", "ephemeral-storage": "95491281146", "pods": "512"},
		},
		{
			name: "GPUs", rootGiB: 20,
			typ: Hardware{Name: "g4dn.12xlarge", VCPUs: 48, MemoryMiB: 196608, ENIs: 8, IPv4PerENI: 30, GPUs: 4, GPUMaker: "NVIDIA"},
			capacity: map[string]string{
				"cpu": "48", "memory": "181862Mi", "ephemeral-storage": "20893676Ki", "pods": "234", "nvidia.com/gpu": "4"},
			allocatable: map[string]string{
				"cpu": "47810m", "memory": "178933Mi", "ephemeral-storage": "18181869946", "pods": "234", "nvidia.com/gpu": "4"},
		},
		{
			name: "maxPods, memory still reserved by addresses", typ: m5large, rootGiB: 20,
			kubelet:     v1alpha1.KubeletConfiguration{MaxPods: new(int32(5))},
			capacity:    map[string]string{"pods": "5"},
			allocatable: map[string]string{"pods": "5"},
		},
		{
			name: "maxPods above the addresses", typ: m5large, rootGiB: 20,
			kubelet:     v1alpha1.KubeletConfiguration{MaxPods: new(int32(110))},
			capacity:    map[string]string{"pods": "110"},
			allocatable: map[string]string{"pods": "110"},
		},
		{
			name: "podsPerCore below maxPods", typ: m5large, rootGiB: 20,
			kubelet:     v1alpha1.KubeletConfiguration{MaxPods: new(int32(110)), PodsPerCore: new(int32(10))},
			capacity:    map[string]string{"pods": "20"},
			allocatable: map[string]string{"pods": "20"},
		},
		{
			name: "podsPerCore above maxPods", typ: m5large, rootGiB: 20,
			kubelet:     v1alpha1.KubeletConfiguration{MaxPods: new(int32(15)), PodsPerCore: new(int32(10))},
			capacity:    map[string]string{"pods": "15"},
			allocatable: map[string]string{"pods": "15"},
		},
		{
			name: "podsPerCore of zero bounds nothing", typ: m5large, rootGiB: 20,
			kubelet: v1alpha1.KubeletConfiguration{PodsPerCore: new(int32(0))},
		},
		{
			name: "kubeReserved replaces key by key", typ: m5large, rootGiB: 20,
			kubelet: v1alpha1.KubeletConfiguration{KubeReserved: map[string]v1alpha1.ReservedAmount{"memory": "1Gi", "pid": "100"}},
			// 7577 - 1024 - 100 MiB; CPU and disk as nodeadm reserves them
			allocatable: map[string]string{"memory": "6453Mi"},
		},
		{
			name: "systemReserved adds", typ: m5large, rootGiB: 20,
			kubelet: v1alpha1.KubeletConfiguration{
				SystemReserved: map[string]v1alpha1.ReservedAmount{"cpu": "100m", "memory": "200Mi", "ephemeral-storage": "1Gi"},
			},
			allocatable: map[string]string{"cpu": "1830m", "memory": "6703Mi", "ephemeral-storage": "17108128122"},
		},
		{
			name: "hard eviction by amount", typ: m5large, rootGiB: 20,
			kubelet: v1alpha1.KubeletConfiguration{
				EvictionHard: map[string]v1alpha1.EvictionThreshold{"memory.available": "500Mi", "nodefs.available": "2Gi"},
			},
			// 7577 - 574 - 500 MiB; 20893676 KiB - 3 GiB
			allocatable: map[string]string{"memory": "6503Mi", "ephemeral-storage": "17747948Ki"},
		},
		{
			name: "hard eviction by share", typ: m5large, rootGiB: 20,
			kubelet: v1alpha1.KubeletConfiguration{EvictionHard: map[string]v1alpha1.EvictionThreshold{"memory.available": "5%"}},
			// 7003 MiB less a twentieth of 7577 MiB, of which the kubelet has float32(0.05)
			allocatable: map[string]string{"memory": "6945924705"},
		},
		{
			name: "hard eviction turned off", typ: m5large, rootGiB: 20,
			kubelet: v1alpha1.KubeletConfiguration{
				EvictionHard: map[string]v1alpha1.EvictionThreshold{"memory.available": "0%", "nodefs.available": "100%"},
			},
			allocatable: map[string]string{"memory": "7003Mi", "ephemeral-storage": "19845100Ki"},
		},
		{
			name: "what keeps nothing from pods", typ: m5large, rootGiB: 20,
			kubelet: v1alpha1.KubeletConfiguration{
				EvictionHard:            map[string]v1alpha1.EvictionThreshold{"imagefs.available": "20%", "pid.available": "10%"},
				EvictionSoft:            map[string]v1alpha1.EvictionThreshold{"memory.available": "1Gi"},
				EvictionSoftGracePeriod: map[string]v1alpha1.GracePeriod{"memory.available": "1m"},
				CPUCFSQuota:             new(false),
			},
		},
		{
			name: "all reserved", typ: m5large, rootGiB: 20,
			kubelet:     v1alpha1.KubeletConfiguration{KubeReserved: map[string]v1alpha1.ReservedAmount{"memory": "7477Mi"}},
			allocatable: map[string]string{"memory": "0"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := parseKubelet(&tt.kubelet)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := predict(tt.typ, tt.rootGiB, k)
			if !ok {
				t.Fatal("more is reserved than there is")
			}
			capacity := map[string]string{"cpu": "2", "memory": "7577Mi", "ephemeral-storage": "20893676Ki", "pods": "29"}
			allocatable := map[string]string{"cpu": "1930m", "memory": "6903Mi", "ephemeral-storage": "18181869946", "pods": "29"}
			maps.Copy(capacity, tt.capacity)
			maps.Copy(allocatable, tt.allocatable)
			if diff := cmp.Diff(capacity, texts(got.capacity)); diff != "" {
				t.Errorf("capacity (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(allocatable, texts(got.allocatable)); diff != "" {
				t.Errorf("allocatable (-want +got):\n%s", diff)
			}
		})
	}
}

func texts(list corev1.ResourceList) map[string]string {
	out := map[string]string{}
	for name, q := range list {
		out[string(name)] = q.String()
	}
	return out
}

// TestPredictMoreReservedThanThereIs: the kubelet of such a node does not start.
func TestPredictMoreReservedThanThereIs(t *testing.T) {
	for _, tt := range []struct {
		name    string
		kubelet v1alpha1.KubeletConfiguration
	}{
		{"memory", v1alpha1.KubeletConfiguration{KubeReserved: map[string]v1alpha1.ReservedAmount{"memory": "7478Mi"}}},
		{"CPU", v1alpha1.KubeletConfiguration{SystemReserved: map[string]v1alpha1.ReservedAmount{"cpu": "2"}}},
		{"disk", v1alpha1.KubeletConfiguration{EvictionHard: map[string]v1alpha1.EvictionThreshold{"nodefs.available": "20Gi"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := parseKubelet(&tt.kubelet)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := predict(Hardware{Name: "m5.large", VCPUs: 2, MemoryMiB: 8192, ENIs: 3, IPv4PerENI: 10}, 20, k); ok {
				t.Errorf("predicted %v", got)
			}
		})
	}
}

func TestParseKubeletRefuses(t *testing.T) {
	reserved := func(text v1alpha1.ReservedAmount) map[string]v1alpha1.ReservedAmount {
		return map[string]v1alpha1.ReservedAmount{"memory": text}
	}
	threshold := func(text v1alpha1.EvictionThreshold) map[string]v1alpha1.EvictionThreshold {
		return map[string]v1alpha1.EvictionThreshold{"memory.available": text}
	}
	for _, tt := range []struct {
		name    string
		kubelet v1alpha1.KubeletConfiguration
		says    string
	}{
		{"negative maxPods", v1alpha1.KubeletConfiguration{MaxPods: new(int32(-1))}, "maxPods -1"},
		{"malformed kubeReserved", v1alpha1.KubeletConfiguration{KubeReserved: reserved("much")}, `kubeReserved: invalid: memory: "much"`},
		{"negative systemReserved", v1alpha1.KubeletConfiguration{SystemReserved: reserved("-1Gi")}, `systemReserved: invalid: memory: "-1Gi"`},
		{"malformed threshold", v1alpha1.KubeletConfiguration{EvictionHard: threshold("low")}, `evictionHard: memory.available`},
		{"threshold of zero", v1alpha1.KubeletConfiguration{EvictionHard: threshold("0")}, `evictionHard: memory.available`},
		{"malformed share", v1alpha1.KubeletConfiguration{EvictionHard: threshold("x%")}, `"x%" is not a share`},
		{"share of more than all", v1alpha1.KubeletConfiguration{EvictionHard: threshold("101%")}, `"101%" is not a share`},
		{"share of no number", v1alpha1.KubeletConfiguration{EvictionHard: threshold("NaN%")}, `"NaN%" is not a share`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseKubelet(&tt.kubelet)
			if !errors.Is(err, cloud.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("err = %v, want an invalid one that says %s", err, tt.says)
			}
		})
	}
}

func TestReservedMilliCPU(t *testing.T) {
	for cores, want := range map[int64]int64{1: 60, 2: 70, 3: 75, 4: 80, 5: 82, 6: 85, 8: 90, 96: 310, 192: 550} {
		if got := reservedMilliCPU(cores); got != want {
			t.Errorf("%d cores: %d millicores, want %d", cores, got, want)
		}
	}
}

func TestRootGiB(t *testing.T) {
	disk := func(name, size string, root bool) v1alpha1.BlockDeviceMapping {
		q := resource.MustParse(size)
		return v1alpha1.BlockDeviceMapping{DeviceName: name, RootVolume: root, EBS: &v1alpha1.BlockDevice{VolumeSize: &q}}
	}
	img := image{rootDevice: "/dev/xvda", disks: map[string]int64{"/dev/xvda": 30, "/dev/xvdb": 40}}
	for _, tt := range []struct {
		name  string
		disks []v1alpha1.BlockDeviceMapping
		image image
		want  int64
	}{
		{"nothing said", nil, image{}, 20},
		{"by device name, of an image not known", []v1alpha1.BlockDeviceMapping{disk("/dev/xvda", "100Gi", false)}, image{}, 100},
		{"the image's", nil, img, 30},
		{"by device name", []v1alpha1.BlockDeviceMapping{disk("/dev/xvda", "100Gi", false)}, img, 100},
		{"marked", []v1alpha1.BlockDeviceMapping{disk("/dev/xvdb", "200Gi", true)}, img, 200},
		{"another disk", []v1alpha1.BlockDeviceMapping{disk("/dev/xvdb", "200Gi", false)}, img, 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := rootGiB(v1alpha1.EC2NodeClassSpec{BlockDeviceMappings: tt.disks}, tt.image); got != tt.want {
				t.Errorf("%d GiB, want %d", got, tt.want)
			}
		})
	}
}

// TestRootOfBottlerocket: the kubelet's directory is on the volume for data.
func TestRootOfBottlerocket(t *testing.T) {
	size := resource.MustParse("100Gi")
	spec := v1alpha1.EC2NodeClassSpec{AMIFamily: v1alpha1.AMIFamilyBottlerocket}
	img := image{rootDevice: "/dev/xvda", disks: map[string]int64{"/dev/xvda": 2, "/dev/xvdb": 30}}
	if got := rootGiB(spec, img); got != 30 {
		t.Errorf("%d GiB of the image, want 30", got)
	}
	for device, want := range map[string]int64{"/dev/xvda": 30, "/dev/xvdb": 100} {
		spec.BlockDeviceMappings = []v1alpha1.BlockDeviceMapping{{DeviceName: device, EBS: &v1alpha1.BlockDevice{VolumeSize: &size}}}
		if got := rootGiB(spec, img); got != want {
			t.Errorf("%d GiB with 100 on %s, want %d", got, device, want)
		}
	}
}

// TestPredictByClass: what the class says beside the kubelet's settings.
func TestPredictByClass(t *testing.T) {
	m5large := Hardware{Name: "m5.large", VCPUs: 2, MemoryMiB: 8192, ENIs: 3, IPv4PerENI: 10}
	nano := Hardware{Name: "t3.nano", VCPUs: 2, MemoryMiB: 512, ENIs: 2, IPv4PerENI: 2}
	m5dlarge := m5large
	m5dlarge.LocalGB = 75
	raid := v1alpha1.EC2NodeClassSpec{InstanceStorePolicy: v1alpha1.InstanceStoreRAID0}
	maxPods := &v1alpha1.KubeletConfiguration{MaxPods: new(int32(5))}
	for _, tt := range []struct {
		name               string
		typ                Hardware
		spec               v1alpha1.EC2NodeClassSpec
		pods, memory, disk string // allocatable pods and memory, the disk's capacity
	}{
		{"nothing said", m5large, v1alpha1.EC2NodeClassSpec{}, "29", "6903Mi", "20893676Ki"},
		{"RAID0", m5dlarge, raid, "29", "6903Mi", "74250000000"},
		{"RAID0 without local disks", m5large, raid, "29", "6903Mi", "20893676Ki"},
		{"local disks without RAID0", m5dlarge, v1alpha1.EC2NodeClassSpec{}, "29", "6903Mi", "20893676Ki"},
		{"prefixes, 11 * 110 + 255 + 100 MiB", m5large, v1alpha1.EC2NodeClassSpec{IPPrefixCount: new(int32(1))}, "110", "6012Mi", "20893676Ki"},
		{"prefixes on a small type", nano, v1alpha1.EC2NodeClassSpec{
			IPPrefixCount: new(int32(1)),
			Kubelet:       &v1alpha1.KubeletConfiguration{KubeReserved: map[string]v1alpha1.ReservedAmount{"memory": "0"}},
		}, "34", "373Mi", "20893676Ki"},
		{"prefixes and maxPods", m5large, v1alpha1.EC2NodeClassSpec{IPPrefixCount: new(int32(1)), Kubelet: maxPods}, "5", "6012Mi", "20893676Ki"},
		{"no prefixes", m5large, v1alpha1.EC2NodeClassSpec{IPPrefixCount: new(int32(0))}, "29", "6903Mi", "20893676Ki"},
		{"Bottlerocket", m5large, v1alpha1.EC2NodeClassSpec{AMIFamily: v1alpha1.AMIFamilyBottlerocket}, "29", "6903Mi", "20893676Ki"},
		{"Bottlerocket reserves by maxPods", m5large, v1alpha1.EC2NodeClassSpec{
			AMIFamily: v1alpha1.AMIFamilyBottlerocket, Kubelet: maxPods,
		}, "5", "7167Mi", "20893676Ki"},
		{"Bottlerocket takes no expression", m5large, v1alpha1.EC2NodeClassSpec{
			AMIFamily: v1alpha1.AMIFamilyBottlerocket, IPPrefixCount: new(int32(1)),
		}, "29", "6903Mi", "20893676Ki"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok, err := tt.typ.TypeFor(&v1alpha1.EC2NodeClass{Spec: tt.spec}, nil)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			have := []string{got.Allocatable.Pods().String(), got.Allocatable.Memory().String(), got.Capacity.StorageEphemeral().String()}
			if diff := cmp.Diff([]string{tt.pods, tt.memory, tt.disk}, have); diff != "" {
				t.Errorf("pods, memory, disk (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLabelsOf(t *testing.T) {
	for _, tt := range []struct {
		typ  Hardware
		want map[string]string
	}{
		{
			Hardware{Name: "c7gn.2xlarge", Arch: "arm64", VCPUs: 8, MemoryMiB: 16384, Hypervisor: "nitro"},
			map[string]string{
				"kubernetes.io/arch": "arm64", "kubernetes.io/os": "linux", "node.kubernetes.io/instance-type": "c7gn.2xlarge",
				"slipway.dev/instance-category": "c", "slipway.dev/instance-family": "c7gn", "slipway.dev/instance-generation": "7",
				"slipway.dev/instance-size": "2xlarge", "slipway.dev/instance-cpu": "8", "slipway.dev/instance-memory": "16384",
				"slipway.dev/instance-hypervisor": "nitro",
			},
		},
		{
			Hardware{Name: "p4d.24xlarge", Arch: "amd64", VCPUs: 96, MemoryMiB: 1179648, Hypervisor: "nitro", GPUs: 8, GPUName: "A100", LocalGB: 8000},
			map[string]string{
				"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "node.kubernetes.io/instance-type": "p4d.24xlarge",
				"slipway.dev/instance-category": "p", "slipway.dev/instance-family": "p4d", "slipway.dev/instance-generation": "4",
				"slipway.dev/instance-size": "24xlarge", "slipway.dev/instance-cpu": "96", "slipway.dev/instance-memory": "1179648",
				"slipway.dev/instance-hypervisor": "nitro", "slipway.dev/instance-gpu-name": "a100", "slipway.dev/instance-gpu-count": "8",
				"slipway.dev/instance-local-nvme": "8000",
			},
		},
		{
			Hardware{Name: "u-6tb1.metal", Arch: "amd64", VCPUs: 448, MemoryMiB: 6291456},
			map[string]string{
				"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "node.kubernetes.io/instance-type": "u-6tb1.metal",
				"slipway.dev/instance-family": "u-6tb1", "slipway.dev/instance-size": "metal",
				"slipway.dev/instance-cpu": "448", "slipway.dev/instance-memory": "6291456",
			},
		},
	} {
		t.Run(tt.typ.Name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.typ.labels()); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDistill(t *testing.T) {
	base := func(edit func(*types.InstanceTypeInfo)) types.InstanceTypeInfo {
		i := types.InstanceTypeInfo{
			InstanceType: "m5.large", CurrentGeneration: aws.Bool(true), Hypervisor: types.InstanceTypeHypervisorNitro,
			SupportedVirtualizationTypes: []types.VirtualizationType{types.VirtualizationTypeHvm},
			SupportedUsageClasses:        []types.UsageClassType{types.UsageClassTypeSpot, types.UsageClassTypeOnDemand},
			ProcessorInfo:                &types.ProcessorInfo{SupportedArchitectures: []types.ArchitectureType{"i386", "x86_64"}},
			VCpuInfo:                     &types.VCpuInfo{DefaultVCpus: aws.Int32(2)},
			MemoryInfo:                   &types.MemoryInfo{SizeInMiB: aws.Int64(8192)},
			NetworkInfo: &types.NetworkInfo{
				MaximumNetworkInterfaces: aws.Int32(9), Ipv4AddressesPerInterface: aws.Int32(10), DefaultNetworkCardIndex: aws.Int32(1),
				NetworkCards: []types.NetworkCardInfo{
					{NetworkCardIndex: aws.Int32(0), MaximumNetworkInterfaces: aws.Int32(6)},
					{NetworkCardIndex: aws.Int32(1), MaximumNetworkInterfaces: aws.Int32(3)},
				},
				EfaInfo: &types.EfaInfo{MaximumEfaInterfaces: aws.Int32(2)},
			},
		}
		if edit != nil {
			edit(&i)
		}
		return i
	}
	for _, tt := range []struct {
		name string
		edit func(*types.InstanceTypeInfo)
		want bool
	}{
		{"current", nil, true},
		{"previous generation on Nitro", func(i *types.InstanceTypeInfo) { i.CurrentGeneration = aws.Bool(false) }, true},
		{"previous generation on Xen", func(i *types.InstanceTypeInfo) {
			i.CurrentGeneration, i.Hypervisor = aws.Bool(false), types.InstanceTypeHypervisorXen
		}, false},
		{"first Graviton", func(i *types.InstanceTypeInfo) { i.InstanceType = "a1.large" }, false},
		{"bare metal", func(i *types.InstanceTypeInfo) { i.BareMetal, i.Hypervisor = aws.Bool(true), "" }, true},
		{"Mac", func(i *types.InstanceTypeInfo) {
			i.ProcessorInfo.SupportedArchitectures = []types.ArchitectureType{"arm64_mac"}
		}, false},
		{"paravirtual", func(i *types.InstanceTypeInfo) {
			i.SupportedVirtualizationTypes = []types.VirtualizationType{types.VirtualizationTypeParavirtual}
		}, false},
		{"sold in blocks", func(i *types.InstanceTypeInfo) {
			i.SupportedUsageClasses = []types.UsageClassType{types.UsageClassTypeCapacityBlock}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := distill(base(tt.edit)); got != tt.want {
				t.Errorf("can be a node: %v, want %v", got, tt.want)
			}
		})
	}
	got, _ := distill(base(nil))
	want := sold{
		Hardware: Hardware{
			Name: "m5.large", Arch: "amd64", VCPUs: 2, MemoryMiB: 8192, ENIs: 3, IPv4PerENI: 10,
			Hypervisor: "nitro", Current: true,
		},
		usage: []string{"on-demand", "spot"},
		cards: []int32{6, 3}, efas: 2,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sold{})); diff != "" {
		t.Errorf("distilled (-want +got):\n%s", diff)
	}
}
