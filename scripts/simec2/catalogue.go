package simec2

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// InstanceType is one row of the simulator's own catalogue: what the machine
// is described as by DescribeInstanceTypes and what it costs by the hour.
type InstanceType struct {
	Name       string
	Arch       string // "x86_64" or "arm64", as EC2 names it
	VCPU       int
	MemoryMiB  int64
	ENIs       int // of the default network card
	IPv4PerENI int
	// NetworkCards is how many there are, each for as many ENIs; 0 stands for 1. EFAs is how many
	// Elastic Fabric Adapters they take.
	NetworkCards, EFAs int
	GPUs               int
	GPU                string // such as "NVIDIA T4"; empty without GPUs
	GPUMiB             int64  // memory of one GPU
	LocalGB            int64  // NVMe instance storage, all disks together
	Hypervisor         string // "nitro", "xen", or empty on bare metal
	BareMetal          bool
	Burstable          bool
	CurrentGen         bool
	OnDemand           float64 // USD per hour, Linux, shared tenancy, us-east-1
}

// Family is the part of the name before the dot.
func (t InstanceType) Family() string { return strings.SplitN(t.Name, ".", 2)[0] }

// family describes how its members are derived from their size: memory and
// price grow with the vCPUs, network interfaces follow a table, and local disks
// follow a rule. Members that break the pattern are listed in irregular.
type family struct {
	name   string
	arch   string
	gib    float64 // memory per vCPU
	usd    float64 // on-demand price per vCPU and hour
	sizes  string  // separated by spaces; "metal:96" is a bare-metal size with 96 vCPUs
	enis   eniTable
	disks  diskRule
	legacy bool // EC2 reports currentGeneration false
}

// eniTable lists, by rising vCPU count, the most vCPUs an entry applies to.
type eniTable []eniEntry

type eniEntry struct{ vcpu, enis, ips int }

func (t eniTable) lookup(vcpu int) (enis, ips int) {
	for _, e := range t {
		if vcpu <= e.vcpu {
			return e.enis, e.ips
		}
	}
	last := t[len(t)-1]
	return last.enis, last.ips
}

// diskRule gives the gigabytes of local storage of a size.
type diskRule func(vcpu int) int64

func noDisks(int) int64 { return 0 }

// perVCPU is local storage in proportion to the vCPUs, rounded down.
func perVCPU(gb float64) diskRule {
	return func(vcpu int) int64 { return int64(gb * float64(vcpu)) }
}

// disksOf59 is the rule of the sixth and later generations with a "d": disks of
// 59, 118, 237 and 474 GB on the smallest sizes, then 950 GB for each 16 vCPUs.
func disksOf59(vcpu int) int64 {
	if vcpu <= 8 {
		return int64(59.25 * float64(vcpu))
	}
	return int64(59.375 * float64(vcpu))
}

// size is a parsed entry of family.sizes.
type size struct {
	name  string
	vcpu  int
	metal bool
}

func parseSize(s string) (size, error) {
	if name, n, ok := strings.Cut(s, ":"); ok {
		vcpu, err := strconv.Atoi(n)
		if err != nil {
			return size{}, fmt.Errorf("size %q: %w", s, err)
		}
		return size{name: name, vcpu: vcpu, metal: strings.HasPrefix(name, "metal")}, nil
	}
	switch s {
	case "medium":
		return size{name: s, vcpu: 1}, nil
	case "large":
		return size{name: s, vcpu: 2}, nil
	case "xlarge":
		return size{name: s, vcpu: 4}, nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(s, "xlarge"))
	if err != nil {
		return size{}, fmt.Errorf("size %q: %w", s, err)
	}
	return size{name: s, vcpu: 4 * n}, nil
}

func (f family) expand() ([]InstanceType, error) {
	var out []InstanceType
	for s := range strings.FieldsSeq(f.sizes) {
		sz, err := parseSize(s)
		if err != nil {
			return nil, fmt.Errorf("family %s: %w", f.name, err)
		}
		enis, ips := f.enis.lookup(sz.vcpu)
		t := InstanceType{
			Name: f.name + "." + sz.name, Arch: f.arch, VCPU: sz.vcpu,
			MemoryMiB: int64(f.gib * 1024 * float64(sz.vcpu)),
			ENIs:      enis, IPv4PerENI: ips, LocalGB: f.disks(sz.vcpu),
			Hypervisor: "nitro", BareMetal: sz.metal, CurrentGen: !f.legacy,
			OnDemand: roundUSD(f.usd * float64(sz.vcpu)),
		}
		if sz.metal {
			t.Hypervisor = ""
		}
		out = append(out, t)
	}
	return out, nil
}

// roundUSD keeps six decimals, below which float noise would show in answers.
func roundUSD(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// Catalogue expands every family into its instance types, sorted by name. The
// figures are those published for us-east-1.
func Catalogue() ([]InstanceType, error) {
	var out []InstanceType
	for _, f := range families() {
		types, err := f.expand()
		if err != nil {
			return nil, err
		}
		out = append(out, types...)
	}
	out = append(out, burstable()...)
	out = append(out, accelerated()...)
	slices.SortFunc(out, func(a, b InstanceType) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
