package ec2

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func TestPredict(t *testing.T) {
	text := func(list corev1.ResourceList) map[string]string {
		out := map[string]string{}
		for name, q := range list {
			out[string(name)] = q.String()
		}
		return out
	}
	for _, tt := range []struct {
		name                  string
		typ                   Hardware
		rootGiB               int64
		capacity, allocatable map[string]string
	}{
		{
			name: "m5.large", rootGiB: 20,
			typ: Hardware{Name: "m5.large", VCPUs: 2, MemoryMiB: 8192, ENIs: 3, IPv4PerENI: 10},
			// 8192 - ceil(614.4); pods 3*9+2; 11*29+255+100 MiB reserved
			capacity:    map[string]string{"cpu": "2", "memory": "7577Mi", "ephemeral-storage": "20400Mi", "pods": "29"},
			allocatable: map[string]string{"cpu": "1930m", "memory": "6903Mi", "ephemeral-storage": "17336Mi", "pods": "29"},
		},
		{
			name: "pods are capped, their reserve is not", rootGiB: 100,
			typ:         Hardware{Name: "m5.24xlarge", VCPUs: 96, MemoryMiB: 393216, ENIs: 15, IPv4PerENI: 50},
			capacity:    map[string]string{"cpu": "96", "memory": "363724Mi", "ephemeral-storage": "102320Mi", "pods": "250"},
			allocatable: map[string]string{"cpu": "95690m", "memory": "355262Mi", "ephemeral-storage": "91064Mi", "pods": "250"},
		},
		{
			name: "GPUs", rootGiB: 20,
			typ: Hardware{Name: "g4dn.12xlarge", VCPUs: 48, MemoryMiB: 196608, ENIs: 8, IPv4PerENI: 30, GPUs: 4, GPUMaker: "NVIDIA"},
			capacity: map[string]string{
				"cpu": "48", "memory": "181862Mi", "ephemeral-storage": "20400Mi", "pods": "234", "nvidia.com/gpu": "4"},
			allocatable: map[string]string{
				"cpu": "47810m", "memory": "178933Mi", "ephemeral-storage": "17336Mi", "pods": "234", "nvidia.com/gpu": "4"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := predict(tt.typ, tt.rootGiB)
			if diff := cmp.Diff(tt.capacity, text(got.capacity)); diff != "" {
				t.Errorf("capacity (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.allocatable, text(got.allocatable)); diff != "" {
				t.Errorf("allocatable (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReservedMilliCPU(t *testing.T) {
	for cores, want := range map[int64]int64{1: 60, 2: 70, 3: 75, 4: 80, 5: 83, 8: 90, 96: 310, 192: 550} {
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
	img := image{rootDevice: "/dev/xvda", rootGiB: 30}
	for _, tt := range []struct {
		name  string
		disks []v1alpha1.BlockDeviceMapping
		image image
		want  int64
	}{
		{"nothing said", nil, image{}, 20},
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
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sold{})); diff != "" {
		t.Errorf("distilled (-want +got):\n%s", diff)
	}
}
