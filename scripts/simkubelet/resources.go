package simkubelet

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/scripts/simec2"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// eniPods is how many pods the network interfaces carry: each interface keeps
// one address for itself, and two pods of every node use the host's network.
// nodeadm and Bottlerocket derive both maxPods and the memory to reserve from
// it; neither puts an upper limit on it.
func eniPods(t simec2.InstanceType) int64 { return int64(t.ENIs*(t.IPv4PerENI-1) + 2) }

// podsByExpression is nodeadm's maxPodsExpression, evaluated as nodeadm does.
func podsByExpression(t simec2.InstanceType, expression string) (int64, error) {
	variables := map[string]any{"default_enis": t.ENIs, "ips_per_eni": t.IPv4PerENI, "max_pods": eniPods(t)}
	var declared []cel.EnvOption
	for name := range variables {
		declared = append(declared, cel.Variable(name, cel.IntType))
	}
	env, err := cel.NewEnv(declared...)
	if err != nil {
		return 0, err
	}
	parsed, issues := env.Compile(expression)
	if issues.Err() != nil {
		return 0, fmt.Errorf("%w: maxPodsExpression: %w", errUserData, issues.Err())
	}
	program, err := env.Program(parsed)
	if err != nil {
		return 0, fmt.Errorf("%w: maxPodsExpression: %w", errUserData, err)
	}
	result, _, err := program.Eval(variables)
	if err != nil {
		return 0, fmt.Errorf("%w: maxPodsExpression: %w", errUserData, err)
	}
	pods, ok := result.Value().(int64)
	if !ok || pods <= 0 {
		return 0, fmt.Errorf("%w: maxPodsExpression: %v is no number of pods", errUserData, result.Value())
	}
	return pods, nil
}

// cpuReservedMilli is the share of each core that nodeadm reserves: 6 % of the
// first, 1 % of the second, 0.5 % of the next two, 0.25 % of the rest.
func cpuReservedMilli(vcpu int) int64 {
	quarterPercents := 0
	for core := range vcpu {
		switch {
		case core == 0:
			quarterPercents += 24
		case core == 1:
			quarterPercents += 4
		case core < 4:
			quarterPercents += 2
		default:
			quarterPercents++
		}
	}
	return int64(quarterPercents) * 10 / 4
}

// defaultReserved is the image's kubeReserved where it reckons with so many pods.
func defaultReserved(t simec2.InstanceType, pods int64) map[string]string {
	return map[string]string{
		"cpu":               fmt.Sprintf("%dm", cpuReservedMilli(t.VCPU)),
		"memory":            fmt.Sprintf("%dMi", 11*pods+255),
		"ephemeral-storage": "1Gi",
	}
}

// defaultEviction is nodeadm's evictionHard.
func defaultEviction() map[string]string {
	return map[string]string{"memory.available": "100Mi", "nodefs.available": "10%"}
}

// fileSystem is what the partition table and XFS of an AL2023 image take of its volume.
const fileSystem = 77844 << 10

// resources works out what the machine has and what of it is for pods. Like the kubelet, it
// refuses to start where more is reserved than there is.
func resources(i simec2.Instance, kubelet kubeletOptions, storage instanceOptions) (capacity, allocatable corev1.ResourceList, err error) {
	cfg := kubelet.Config
	disk := i.VolumeGiB*gib - fileSystem
	if storage.LocalStorage.Strategy == "RAID0" && i.Type.LocalGB > 0 {
		disk = i.Type.LocalGB * 990_000_000 // /var/lib/kubelet moves to the array, which keeps a little
	}
	pods := eniPods(i.Type)
	if kubelet.MaxPodsExpression != "" {
		if pods, err = podsByExpression(i.Type, kubelet.MaxPodsExpression); err != nil {
			return nil, nil, err
		}
	}
	reckoned := pods
	if cfg.MaxPods > 0 {
		pods = cfg.MaxPods
	}
	if cfg.PodsPerCore > 0 {
		pods = min(pods, cfg.PodsPerCore*int64(i.Type.VCPU))
	}
	capacity = corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(i.Type.VCPU), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(i.MemoryMiB*mib, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(disk, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(pods, resource.DecimalSI),
		"hugepages-1Gi":                 *resource.NewQuantity(0, resource.DecimalSI),
		"hugepages-2Mi":                 *resource.NewQuantity(0, resource.DecimalSI),
	}
	if i.Type.GPUs > 0 {
		// In truth a device plugin adds them a little later.
		capacity["nvidia.com/gpu"] = *resource.NewQuantity(int64(i.Type.GPUs), resource.DecimalSI)
	}
	if n := i.EFAs(); n > 0 {
		capacity["vpc.amazonaws.com/efa"] = *resource.NewQuantity(int64(n), resource.DecimalSI)
	}
	allocatable = capacity.DeepCopy()
	if i.OS == simec2.OSBottlerocket {
		reckoned = pods // what nodeadm does not: maxPods counts for it
	}
	reserved := defaultReserved(i.Type, reckoned)
	maps.Copy(reserved, cfg.KubeReserved)
	for _, list := range []map[string]string{reserved, cfg.SystemReserved} {
		if err := withhold(allocatable, list); err != nil {
			return nil, nil, err
		}
	}
	eviction := defaultEviction() // a drop-in configuration overlays maps key by key
	maps.Copy(eviction, cfg.EvictionHard)
	if err := withholdEviction(capacity, allocatable, eviction); err != nil {
		return nil, nil, err
	}
	for name, left := range allocatable {
		if left.Sign() < 0 {
			return nil, nil, fmt.Errorf("%w: invalid Node Allocatable configuration: more %s is reserved than there is", errUserData, name)
		}
	}
	return capacity, allocatable, nil
}

// withhold takes reserved quantities out of what is allocatable.
func withhold(allocatable corev1.ResourceList, reserved map[string]string) error {
	for name, amount := range reserved {
		key := corev1.ResourceName(name)
		switch key {
		case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		case "pid":
			continue // not a node resource
		default:
			return fmt.Errorf("%w: cannot reserve %q", errUserData, name)
		}
		q, err := resource.ParseQuantity(amount)
		if err != nil || q.Sign() < 0 {
			return fmt.Errorf("%w: cannot reserve %q of %s", errUserData, amount, name)
		}
		subtract(allocatable, key, q)
	}
	return nil
}

func subtract(list corev1.ResourceList, key corev1.ResourceName, q resource.Quantity) {
	v := list[key]
	v.Sub(q)
	list[key] = v
}

// withholdEviction takes the hard eviction thresholds, amounts or percentages
// of the capacity, out of memory and disk.
func withholdEviction(capacity, allocatable corev1.ResourceList, thresholds map[string]string) error {
	for signal, amount := range thresholds {
		var key corev1.ResourceName
		switch signal {
		case "memory.available":
			key = corev1.ResourceMemory
		case "nodefs.available":
			key = corev1.ResourceEphemeralStorage
		case "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree", "pid.available":
			continue // watched, not withheld
		default:
			return fmt.Errorf("%w: unknown eviction signal %q", errUserData, signal)
		}
		amount, err := threshold(amount, capacity[key])
		if err != nil {
			return fmt.Errorf("%w: eviction threshold of %s: %w", errUserData, signal, err)
		}
		subtract(allocatable, key, amount)
	}
	return nil
}

// threshold is an amount, or a percentage of the capacity that the kubelet holds in single
// precision. Written as 0% or 100% it is switched off.
func threshold(text string, capacity resource.Quantity) (resource.Quantity, error) {
	var none resource.Quantity
	number, isShare := strings.CutSuffix(text, "%")
	switch {
	case number == "0" && isShare, number == "100" && isShare:
		return none, nil
	case isShare:
		percent, err := strconv.ParseFloat(number, 32)
		if err != nil || percent < 0 || percent > 100 {
			return none, fmt.Errorf("%q is no percentage", text)
		}
		share := float64(float32(percent) / 100)
		return *resource.NewQuantity(int64(share*float64(capacity.Value())), resource.BinarySI), nil
	}
	q, err := resource.ParseQuantity(text)
	if err == nil && q.Sign() <= 0 {
		err = fmt.Errorf("%q is not positive", text)
	}
	return q, err
}
