package ec2

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// kubeletSettings are a class's settings, of the kubelet and of what it finds, as far as they
// decide what a node has for pods. The zero value is a class without any. See predict for the
// arithmetic.
type kubeletSettings struct {
	family         string // of the images; empty as AL2023
	prefixes       bool   // pods' addresses come from delegated prefixes
	localDisk      bool   // local disks take the root volume's part
	efas           int64  // devices
	maxPods        int64  // 0: as many as nodeadm says
	podsPerCore    int64  // 0: no bound
	kubeReserved   corev1.ResourceList
	systemReserved corev1.ResourceList
	evictionHard   map[corev1.ResourceName]threshold
}

// withheld are the resources that a signal's hard threshold is kept of; other signals
// are watched only (hardEvictionReservation, pkg/kubelet/cm/helpers.go).
var withheld = map[string]corev1.ResourceName{
	"memory.available": corev1.ResourceMemory,
	"nodefs.available": corev1.ResourceEphemeralStorage,
}

// settingsOf reads all of the class that decides what a node has for pods, but its disks' sizes.
func settingsOf(spec v1alpha1.EC2NodeClassSpec) (kubeletSettings, error) {
	k, err := parseKubelet(spec.Kubelet)
	k.family = spec.Family()
	k.prefixes = spec.DelegatesPrefixes()
	k.localDisk = spec.InstanceStorePolicy == v1alpha1.InstanceStoreRAID0
	k.efas = int64(spec.EFAs())
	return k, err
}

// parseKubelet reads the class's settings of the kubelet. The CRD lets only such pass that it can read;
// a class from elsewhere may have others.
func parseKubelet(c *v1alpha1.KubeletConfiguration) (kubeletSettings, error) {
	var k kubeletSettings
	if c == nil {
		return k, nil
	}
	if c.MaxPods != nil {
		k.maxPods = int64(*c.MaxPods)
	}
	if c.PodsPerCore != nil {
		k.podsPerCore = int64(*c.PodsPerCore)
	}
	if k.maxPods < 0 || k.podsPerCore < 0 {
		return k, fmt.Errorf("%w: kubelet: maxPods %d, podsPerCore %d: they cannot be negative", cloud.ErrInvalid, k.maxPods, k.podsPerCore)
	}
	var err error
	if k.kubeReserved, err = parseReserved(c.KubeReserved); err != nil {
		return k, fmt.Errorf("kubelet: kubeReserved: %w", err)
	}
	if k.systemReserved, err = parseReserved(c.SystemReserved); err != nil {
		return k, fmt.Errorf("kubelet: systemReserved: %w", err)
	}
	k.evictionHard = map[corev1.ResourceName]threshold{}
	for signal, text := range c.EvictionHard {
		t, err := parseThreshold(string(text))
		if err != nil {
			return k, fmt.Errorf("kubelet: evictionHard: %s: %w", signal, err)
		}
		if name, ok := withheld[signal]; ok {
			k.evictionHard[name] = t
		}
	}
	return k, nil
}

func parseReserved(amounts map[string]v1alpha1.ReservedAmount) (corev1.ResourceList, error) {
	list := corev1.ResourceList{}
	for name, text := range amounts {
		q, err := resource.ParseQuantity(string(text))
		if err != nil || q.Sign() < 0 {
			return nil, fmt.Errorf("%w: %s: %q is not a quantity that can be reserved", cloud.ErrInvalid, name, text)
		}
		list[corev1.ResourceName(name)] = q
	}
	return list, nil
}

// threshold is what an eviction signal must not fall below: an amount or a share of the
// capacity. The zero value keeps nothing.
type threshold struct {
	amount resource.Quantity
	share  float32 // the kubelet's precision, which shows in the bytes
}

// parseThreshold reads a threshold as the kubelet does: exactly 0% and 100% turn a signal off
// (parseThresholdStatement, pkg/kubelet/eviction/helpers.go).
func parseThreshold(text string) (threshold, error) {
	if text == "0%" || text == "100%" {
		return threshold{}, nil
	}
	if percent, ok := strings.CutSuffix(text, "%"); ok {
		p, err := strconv.ParseFloat(percent, 32)
		if err != nil || math.IsNaN(p) || p < 0 || p > 100 {
			return threshold{}, fmt.Errorf("%w: %q is not a share from 0%% to 100%%", cloud.ErrInvalid, text)
		}
		return threshold{share: float32(p) / 100}, nil
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Sign() <= 0 {
		return threshold{}, fmt.Errorf("%w: %q is neither a quantity above zero nor a share", cloud.ErrInvalid, text)
	}
	return threshold{amount: q}, nil
}

// of is the amount that the threshold keeps of a capacity
// (GetThresholdQuantity, pkg/kubelet/eviction/api/types.go).
func (t threshold) of(capacity resource.Quantity) resource.Quantity {
	if t.share == 0 {
		return t.amount
	}
	return *resource.NewQuantity(int64(float64(capacity.Value())*float64(t.share)), resource.BinarySI)
}

// pods is how many pods the kubelet runs on so many CPUs where the image says byDefault
// (MachineInfo, pkg/kubelet/nodestatus/setters.go).
func (k kubeletSettings) pods(byDefault, vcpus int64) int64 {
	pods := byDefault
	if k.maxPods > 0 {
		pods = k.maxPods
	}
	if k.podsPerCore > 0 {
		pods = min(pods, k.podsPerCore*vcpus)
	}
	return pods
}

// allocatable is what the kubelet leaves to pods of the capacity, where the image reserves
// byDefault and keeps the thresholds evictionByDefault. It returns false where more is
// reserved than there is: then the kubelet does not start
// (validateNodeAllocatable, pkg/kubelet/cm/node_container_manager_linux.go).
func (k kubeletSettings) allocatable(
	capacity, byDefault corev1.ResourceList, evictionByDefault map[corev1.ResourceName]threshold,
) (corev1.ResourceList, bool) {
	// nodeadm puts the class's settings into a drop-in file, which is merged over the
	// image's configuration key by key (mergeKubeletConfigurations, cmd/kubelet/app/server.go).
	kubeReserved, evictionHard := maps.Clone(byDefault), maps.Clone(evictionByDefault)
	maps.Copy(kubeReserved, k.kubeReserved)
	maps.Copy(evictionHard, k.evictionHard)

	allocatable := corev1.ResourceList{}
	for name, all := range capacity {
		left := all.DeepCopy()
		left.Sub(kubeReserved[name])
		left.Sub(k.systemReserved[name])
		left.Sub(evictionHard[name].of(all))
		if left.Sign() < 0 {
			return nil, false
		}
		allocatable[name] = left
	}
	return allocatable, true
}
