package simkubelet

import (
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/scripts/simec2"
)

// osImages are what machines call their operating systems.
var osImages = map[string]string{
	simec2.OSAL2023:       "Amazon Linux 2023",
	simec2.OSBottlerocket: "Bottlerocket OS",
}

// newNode is the Node a kubelet with this configuration registers on this
// instance.
func newNode(i simec2.Instance, cfg *nodeConfig, kubeletVersion string, now time.Time) (*corev1.Node, error) {
	flags, err := parseFlags(cfg.Spec.Kubelet.Flags)
	if err != nil {
		return nil, err
	}
	capacity, allocatable, err := resources(i, cfg.Spec.Kubelet, cfg.Spec.Instance)
	if err != nil {
		return nil, err
	}
	name := i.PrivateDNS
	if cfg.Spec.FeatureGates[instanceIDNodeName] {
		name = i.ID
	}
	arch := "amd64"
	if i.Type.Arch == "arm64" {
		arch = "arm64"
	}
	labels := map[string]string{}
	maps.Copy(labels, flags.labels)
	maps.Copy(labels, map[string]string{
		corev1.LabelHostname:           name,
		corev1.LabelArchStable:         arch,
		corev1.LabelOSStable:           "linux",
		"beta.kubernetes.io/arch":      arch,
		"beta.kubernetes.io/os":        "linux",
		corev1.LabelInstanceTypeStable: i.Type.Name,
		corev1.LabelInstanceType:       i.Type.Name,
		corev1.LabelTopologyZone:       i.Zone,
		corev1.LabelTopologyRegion:     strings.TrimRight(i.Zone, "abcdef"),
		"topology.k8s.aws/zone-id":     i.ZoneID,
	})
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:   name,
			Labels: labels,
			Annotations: map[string]string{
				"volumes.kubernetes.io/controller-managed-attach-detach": "true",
			},
		},
		Spec: corev1.NodeSpec{
			ProviderID: fmt.Sprintf("aws:///%s/%s", i.Zone, i.ID),
			Taints:     append(flags.taints, cfg.Spec.Kubelet.Config.RegisterWithTaints...),
		},
		Status: corev1.NodeStatus{
			Capacity:    capacity,
			Allocatable: allocatable,
			Conditions:  bootConditions(now),
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: i.PrivateIP},
				{Type: corev1.NodeInternalDNS, Address: i.PrivateDNS},
				{Type: corev1.NodeHostName, Address: i.PrivateDNS},
			},
			NodeInfo: corev1.NodeSystemInfo{
				// KWOK's templates do not quote these: they must not look like numbers.
				MachineID: "ec2" + strings.TrimPrefix(i.ID, "i-"), SystemUUID: "ec2" + strings.TrimPrefix(i.ID, "i-"), BootID: i.ID,
				KernelVersion: "6.12.40-64.114.amzn2023." + i.Type.Arch, OSImage: osImages[i.OS],
				ContainerRuntimeVersion: "containerd://2.1.4", KubeletVersion: kubeletVersion,
				OperatingSystem: "linux", Architecture: arch,
			},
		},
	}, nil
}

// bootConditions are those of a kubelet whose network is not yet up; KWOK turns
// the node Ready.
func bootConditions(now time.Time) []corev1.NodeCondition {
	condition := func(kind corev1.NodeConditionType, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{
			Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message,
			LastHeartbeatTime: metav1.NewTime(now), LastTransitionTime: metav1.NewTime(now),
		}
	}
	return []corev1.NodeCondition{
		condition(corev1.NodeMemoryPressure, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
		condition(corev1.NodeDiskPressure, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
		condition(corev1.NodePIDPressure, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
		condition(corev1.NodeReady, "KubeletNotReady", "container runtime network not ready: cni plugin not initialized"),
	}
}
