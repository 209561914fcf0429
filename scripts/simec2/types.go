package simec2

import (
	"strconv"
	"strings"
	"time"
)

type instanceTypeXML struct {
	Name           string       `xml:"instanceType"`
	CurrentGen     bool         `xml:"currentGeneration"`
	FreeTier       bool         `xml:"freeTierEligible"`
	UsageClasses   []string     `xml:"supportedUsageClasses>item"`
	RootDevices    []string     `xml:"supportedRootDeviceTypes>item"`
	Virtualization []string     `xml:"supportedVirtualizationTypes>item"`
	BareMetal      bool         `xml:"bareMetal"`
	Hypervisor     string       `xml:"hypervisor,omitempty"`
	Processor      processorXML `xml:"processorInfo"`
	VCPU           vcpuXML      `xml:"vCpuInfo"`
	MemoryMiB      int64        `xml:"memoryInfo>sizeInMiB"`
	HasStorage     bool         `xml:"instanceStorageSupported"`
	Storage        *storageXML  `xml:"instanceStorageInfo"`
	EBS            ebsXML       `xml:"ebsInfo"`
	Network        networkXML   `xml:"networkInfo"`
	GPU            *gpuInfoXML  `xml:"gpuInfo"`
	Strategies     []string     `xml:"placementGroupInfo>supportedStrategies>item"`
	Hibernation    bool         `xml:"hibernationSupported"`
	Burstable      bool         `xml:"burstablePerformanceSupported"`
	DedicatedHosts bool         `xml:"dedicatedHostsSupported"`
	AutoRecovery   bool         `xml:"autoRecoverySupported"`
	BootModes      []string     `xml:"supportedBootModes>item"`
}

type processorXML struct {
	Architectures []string `xml:"supportedArchitectures>item"`
	Manufacturer  string   `xml:"manufacturer"`
}

type vcpuXML struct {
	VCPUs          int `xml:"defaultVCpus"`
	Cores          int `xml:"defaultCores"`
	ThreadsPerCore int `xml:"defaultThreadsPerCore"`
}

type storageXML struct {
	TotalGB    int64     `xml:"totalSizeInGB"`
	Disks      []diskXML `xml:"disks>item"`
	NVMe       string    `xml:"nvmeSupport"`
	Encryption string    `xml:"encryptionSupport"`
}

type diskXML struct {
	SizeGB int64  `xml:"sizeInGB"`
	Count  int    `xml:"count"`
	Type   string `xml:"type"`
}

type ebsXML struct {
	Optimized  string `xml:"ebsOptimizedSupport"`
	Encryption string `xml:"encryptionSupport"`
	NVMe       string `xml:"nvmeSupport"`
}

type networkXML struct {
	Performance string    `xml:"networkPerformance"`
	ENIs        int       `xml:"maximumNetworkInterfaces"`
	MaxCards    int       `xml:"maximumNetworkCards"`
	DefaultCard int       `xml:"defaultNetworkCardIndex"`
	Cards       []cardXML `xml:"networkCards>item"`
	IPv4PerENI  int       `xml:"ipv4AddressesPerInterface"`
	IPv6PerENI  int       `xml:"ipv6AddressesPerInterface"`
	IPv6        bool      `xml:"ipv6Supported"`
	ENASupport  string    `xml:"enaSupport"`
	EFA         bool      `xml:"efaSupported"`
	EFAInfo     *efaXML   `xml:"efaInfo"`
	Encryption  bool      `xml:"encryptionInTransitSupported"`
}

type efaXML struct {
	Most int `xml:"maximumEfaInterfaces"`
}

type cardXML struct {
	Index       int    `xml:"networkCardIndex"`
	Performance string `xml:"networkPerformance"`
	ENIs        int    `xml:"maximumNetworkInterfaces"`
}

type gpuInfoXML struct {
	GPUs     []gpuXML `xml:"gpus>item"`
	TotalMiB int64    `xml:"totalGpuMemoryInMiB"`
}

type gpuXML struct {
	Name         string `xml:"name"`
	Manufacturer string `xml:"manufacturer"`
	Count        int    `xml:"count"`
	MiB          int64  `xml:"memoryInfo>sizeInMiB"`
}

// usageClasses are what every type of the catalogue can be bought as.
func usageClasses() []string { return []string{OnDemand, Spot} }

func (t InstanceType) threadsPerCore() int {
	// Graviton, and AMD from the seventh generation on, have one thread a core.
	amd7 := strings.HasSuffix(t.Family(), "7a") || strings.HasSuffix(t.Family(), "8a")
	if t.Arch == "arm64" || amd7 || t.VCPU == 1 {
		return 1
	}
	return 2
}

func (t InstanceType) manufacturer() string {
	letters := strings.TrimLeft(t.Family(), "abcdefghijklmnopqrstuvwxyz")
	switch {
	case t.Arch == "arm64":
		return "AWS"
	case strings.Contains(letters, "a"):
		return "AMD"
	}
	return "Intel"
}

func (t InstanceType) bootModes() []string {
	if t.Arch == "arm64" {
		return []string{"uefi"}
	}
	return []string{"legacy-bios", "uefi"}
}

// cards is how many network cards the type has; all take as many interfaces.
func (t InstanceType) cards() int { return max(t.NetworkCards, 1) }

func (t InstanceType) xml() instanceTypeXML {
	const performance = "Up to 10 Gigabit"
	out := instanceTypeXML{
		Name: t.Name, CurrentGen: t.CurrentGen, UsageClasses: usageClasses(),
		RootDevices: []string{"ebs"}, Virtualization: []string{"hvm"}, BareMetal: t.BareMetal, Hypervisor: t.Hypervisor,
		Processor: processorXML{[]string{t.Arch}, t.manufacturer()},
		VCPU:      vcpuXML{t.VCPU, t.VCPU / t.threadsPerCore(), t.threadsPerCore()},
		MemoryMiB: t.MemoryMiB, HasStorage: t.LocalGB > 0,
		EBS: ebsXML{"default", "supported", "required"},
		Network: networkXML{
			Performance: performance, ENIs: t.ENIs * t.cards(), MaxCards: t.cards(),
			IPv4PerENI: t.IPv4PerENI, IPv6PerENI: t.IPv4PerENI, IPv6: true, ENASupport: "required", Encryption: !t.Burstable,
		},
		Strategies: []string{"partition", "spread"}, Burstable: t.Burstable, BootModes: t.bootModes(),
	}
	for i := range t.cards() {
		out.Network.Cards = append(out.Network.Cards, cardXML{i, performance, t.ENIs})
	}
	if t.EFAs > 0 {
		out.Network.EFA, out.Network.EFAInfo = true, &efaXML{t.EFAs}
	}
	if t.LocalGB > 0 {
		out.Storage = &storageXML{t.LocalGB, []diskXML{{t.LocalGB, 1, "ssd"}}, "required", "required"}
	}
	if t.GPUs > 0 {
		maker, model, _ := strings.Cut(t.GPU, " ")
		out.GPU = &gpuInfoXML{[]gpuXML{{model, maker, t.GPUs, t.GPUMiB}}, int64(t.GPUs) * t.GPUMiB}
	}
	return out
}

type describeInstanceTypesAnswer struct {
	Meta
	Types     []instanceTypeXML `xml:"instanceTypeSet>item"`
	NextToken string            `xml:"nextToken,omitempty"`
}

func (r *region) describeInstanceTypes(p *params, _ time.Time) (any, *apiError) {
	names := p.list("InstanceType")
	filters := parseFilters(p)
	pg := parsePage(p, "DescribeInstanceTypes", 5, 100)
	if len(names) > 0 && pg.asked {
		p.reject("InvalidParameterCombination", "MaxResults cannot be used together with InstanceType")
	}
	if len(names) > 100 {
		p.reject("InvalidParameterValue", "At most 100 instance types may be named")
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	all, err := pick(r.allTypes(), names, func(t InstanceType) string { return t.Name },
		"InvalidInstanceType", "The following supplied instance types do not exist: [%s]")
	if err != nil {
		return nil, err
	}
	all, err = selectBy(all, filters, typeFields(), nil)
	if err != nil {
		return nil, err
	}
	answer := &describeInstanceTypesAnswer{}
	part, next := cut(pg, all)
	for _, t := range part {
		answer.Types = append(answer.Types, t.xml())
	}
	answer.NextToken = next
	return answer, nil
}

func (r *region) allTypes() []InstanceType {
	out := make([]InstanceType, 0, len(r.typeNames))
	for _, n := range r.typeNames {
		out = append(out, r.types[n])
	}
	return out
}

func typeFields() fields[InstanceType] {
	return fields[InstanceType]{
		"instance-type":                         one(func(t InstanceType) string { return t.Name }),
		"bare-metal":                            one(func(t InstanceType) string { return strconv.FormatBool(t.BareMetal) }),
		"burstable-performance-supported":       one(func(t InstanceType) string { return strconv.FormatBool(t.Burstable) }),
		"current-generation":                    one(func(t InstanceType) string { return strconv.FormatBool(t.CurrentGen) }),
		"instance-storage-supported":            one(func(t InstanceType) string { return strconv.FormatBool(t.LocalGB > 0) }),
		"memory-info.size-in-mib":               one(func(t InstanceType) string { return strconv.FormatInt(t.MemoryMiB, 10) }),
		"vcpu-info.default-vcpus":               one(func(t InstanceType) string { return strconv.Itoa(t.VCPU) }),
		"processor-info.supported-architecture": one(func(t InstanceType) string { return t.Arch }),
		"supported-usage-class":                 func(InstanceType) []string { return usageClasses() },
		"supported-root-device-type":            one(func(InstanceType) string { return "ebs" }),
		"supported-virtualization-type":         one(func(InstanceType) string { return "hvm" }),
		"hypervisor": func(t InstanceType) []string {
			if t.BareMetal {
				return nil
			}
			return []string{t.Hypervisor}
		},
	}
}
