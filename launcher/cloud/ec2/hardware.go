package ec2

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// Hardware is the part of an instance type's description that decides what a node of the
// type is like. Whoever knows it, from EC2 or from a file, predicts the same node.
type Hardware struct {
	Name       string
	Arch       string // as in kubernetes.io/arch
	VCPUs      int64
	MemoryMiB  int64 // nominal
	ENIs       int64 // of the default network card
	IPv4PerENI int64
	GPUs       int64
	GPUName    string // in EC2's words, such as "A10G"
	GPUMaker   string // likewise, such as "NVIDIA"
	Neurons    int64  // devices
	LocalGB    int64
	Hypervisor string // empty for bare metal
	Current    bool   // AWS calls it a current generation
}

// TypeFor returns the hardware as a node of the class would be, where the image is not
// known: as the class's family publishes them. A nil class stands for the defaults. It returns false where the class
// reserves more than there is, and fails where its settings cannot be read.
func (h Hardware) TypeFor(class *v1alpha1.EC2NodeClass, offerings []offering.Offering) (offering.Type, bool, error) {
	k, err := settingsOf(specOf(class))
	if err != nil {
		return offering.Type{}, false, fmt.Errorf("class %q: %w", nameOf(class), err)
	}
	t, ok := h.typeWith(rootGiB(specOf(class), image{}), k, offerings)
	return t, ok, nil
}

func (h Hardware) typeWith(rootGiB int64, k kubeletSettings, offerings []offering.Offering) (offering.Type, bool) {
	n, ok := predict(h, rootGiB, k)
	return offering.Type{
		Name: h.Name, Labels: h.labels(), Current: h.Current,
		Capacity: n.capacity, Allocatable: n.allocatable, Offerings: offerings,
	}, ok
}

// RunsAL2023 leaves out Xen types that AWS calls a previous generation, and a1, whose
// first Graviton AL2023 does not run on. A Nitro type that AWS no longer calls current
// (m5, c5, m6i) is as good as ever.
// https://docs.aws.amazon.com/linux/al2023/ug/system-requirements.html
func (h Hardware) RunsAL2023() bool {
	if strings.HasPrefix(h.Name, "a1.") {
		return false
	}
	return h.Current || h.Hypervisor == "" || h.Hypervisor == "nitro"
}

// nvidia tells whether AL2023 has drivers for the GPUs.
func (h Hardware) nvidia() bool { return h.GPUs > 0 && strings.EqualFold(h.GPUMaker, "nvidia") }

// labels are those that every node of the hardware has.
func (h Hardware) labels() map[string]string {
	family, size, _ := strings.Cut(h.Name, ".")
	labels := map[string]string{
		corev1.LabelArchStable:         h.Arch,
		corev1.LabelOSStable:           string(corev1.Linux),
		corev1.LabelInstanceTypeStable: h.Name,
		v1alpha1.LabelInstanceFamily:   family,
		v1alpha1.LabelInstanceSize:     size,
		v1alpha1.LabelInstanceCPU:      strconv.FormatInt(h.VCPUs, 10),
		v1alpha1.LabelInstanceMemory:   strconv.FormatInt(h.MemoryMiB, 10),
	}
	if h.Hypervisor != "" {
		labels[v1alpha1.LabelHypervisor] = h.Hypervisor
	}
	if m := familyParts.FindStringSubmatch(family); m != nil {
		labels[v1alpha1.LabelInstanceCategory], labels[v1alpha1.LabelInstanceGen] = m[1], m[2]
	}
	if h.GPUs > 0 {
		labels[v1alpha1.LabelInstanceGPUName] = labelValue(h.GPUName)
		labels[v1alpha1.LabelInstanceGPUCount] = fmt.Sprint(h.GPUs)
	}
	if h.LocalGB > 0 {
		labels[v1alpha1.LabelInstanceLocalGB] = fmt.Sprint(h.LocalGB)
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
