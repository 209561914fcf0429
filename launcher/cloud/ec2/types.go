package ec2

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// typeTable is what EC2 says about its instance types, by name.
type typeTable map[string]sold

// sold is hardware with how and where it is sold.
type sold struct {
	Hardware
	usage []string // capacity types, sorted
	zones []string // sorted
	// cards are how many network interfaces each network card takes, by index, and efas how many
	// Elastic Fabric Adapters there can be; both are not known of what is built in.
	cards []int32
	efas  int32
	// anywhere says that the zones are not known: EC2 will tell where there is none.
	anywhere bool
}

// takes tells whether instances can be launched with the network interfaces.
func (t sold) takes(interfaces []v1alpha1.NetworkInterface) bool {
	efas := int32(0)
	for _, n := range interfaces {
		if n.InterfaceType == v1alpha1.InterfaceTypeEFAOnly {
			efas++
		}
		if int(n.NetworkCardIndex) >= len(t.cards) || n.DeviceIndex >= t.cards[n.NetworkCardIndex] {
			return false
		}
	}
	return efas <= t.efas
}

func (t sold) isSold(usage string) bool { return slices.Contains(t.usage, usage) }

func (t sold) isSoldIn(zone string) bool { return t.anywhere || slices.Contains(t.zones, zone) }

// Types lists the instance types that an image of the class runs on, with an offering for
// every zone the class has a subnet in and every way it can be paid there. A type of which
// the class's kubelet settings reserve more than it has is left out.
func (p *Provider) Types(ctx context.Context, class *v1alpha1.EC2NodeClass) ([]offering.Type, error) {
	spec := specOf(class)
	kubelet, err := settingsOf(spec)
	if err != nil {
		return nil, fmt.Errorf("class %q: %w", nameOf(class), err)
	}
	maxAge := resolveMaxAge
	if len(spec.CapacityReservationSelectorTerms) > 0 {
		maxAge = 0 // what is left of a reservation is to be no older than the list
	}
	r, err := p.usable(ctx, class, maxAge)
	if err != nil {
		return nil, err
	}
	table, err := p.types.get(ctx, typesMaxAge)
	if err != nil {
		return nil, fmt.Errorf("instance types: %w", err)
	}
	price, err := p.prices(ctx)
	if err != nil {
		return nil, err
	}
	var zones []string
	for _, s := range r.subnets {
		zones = append(zones, s.Zone)
	}
	zones = sortedUnique(zones, func(z string) string { return z })

	var list []offering.Type
	for _, name := range sortedKeys(table) {
		t := table[name]
		img, ok := imageFor(r.images, t.Hardware)
		if !ok || !t.takes(spec.NetworkInterfaces) {
			continue
		}
		offerings := append(offeringsOf(t, zones, price), p.reservedOf(t, r, price)...)
		if len(offerings) == 0 {
			continue
		}
		if typ, ok := t.typeWith(rootGiB(spec, img), kubelet, offerings); ok {
			typ.ImageID, typ.Aliases = img.id, p.cfg.LabelAliases
			list = append(list, typ)
		}
	}
	return list, nil
}

// offeringsOf pairs the zones and the ways to pay; what has no known price is left out.
func offeringsOf(t sold, zones []string, price prices) []offering.Offering {
	var out []offering.Offering
	for _, zone := range zones {
		if !t.isSoldIn(zone) {
			continue
		}
		for _, usage := range t.usage {
			if usd, ok := price.of(t.Name, zone, usage); ok {
				out = append(out, offering.Offering{Zone: zone, CapacityType: usage, Price: usd, Available: true})
			}
		}
	}
	return out
}

// describeTypes reads all instance types of the region and where they are offered.
func (p *Provider) describeTypes(ctx context.Context) (typeTable, error) {
	table := typeTable{}
	pages := ec2.NewDescribeInstanceTypesPaginator(p.ec2, &ec2.DescribeInstanceTypesInput{MaxResults: aws.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, i := range page.InstanceTypes {
			if t, ok := distill(i); ok {
				table[t.Name] = t
			}
		}
	}
	zones := map[string][]string{}
	where := ec2.NewDescribeInstanceTypeOfferingsPaginator(p.ec2, &ec2.DescribeInstanceTypeOfferingsInput{
		LocationType: types.LocationTypeAvailabilityZone, MaxResults: aws.Int32(1000),
	})
	for where.HasMorePages() {
		page, err := where.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.InstanceTypeOfferings {
			name := string(o.InstanceType)
			zones[name] = append(zones[name], aws.ToString(o.Location))
		}
	}
	for name, t := range table {
		t.zones = sortedUnique(zones[name], func(z string) string { return z })
		table[name] = t
	}
	return table, nil
}

// distill takes from a description what matters; false for types that no node can be.
func distill(i types.InstanceTypeInfo) (sold, bool) {
	t := sold{Hardware: Hardware{Name: string(i.InstanceType), Hypervisor: string(i.Hypervisor), Current: aws.ToBool(i.CurrentGeneration)}}
	if i.ProcessorInfo == nil || i.VCpuInfo == nil || i.MemoryInfo == nil || i.NetworkInfo == nil ||
		!slices.Contains(i.SupportedVirtualizationTypes, types.VirtualizationTypeHvm) || !t.RunsAL2023() {
		return t, false
	}
	for _, a := range i.ProcessorInfo.SupportedArchitectures {
		t.Arch = cmp.Or(t.Arch, kubeArch(string(a)))
	}
	for _, u := range i.SupportedUsageClasses {
		switch u {
		case types.UsageClassTypeOnDemand:
			t.usage = append(t.usage, v1alpha1.CapacityTypeOnDemand)
		case types.UsageClassTypeSpot:
			t.usage = append(t.usage, v1alpha1.CapacityTypeSpot)
		}
	}
	slices.Sort(t.usage)
	if t.Arch == "" || len(t.usage) == 0 {
		return t, false
	}
	t.VCPUs = int64(aws.ToInt32(i.VCpuInfo.DefaultVCpus))
	t.MemoryMiB = aws.ToInt64(i.MemoryInfo.SizeInMiB)
	t.ENIs, t.IPv4PerENI = addresses(i.NetworkInfo)
	t.cards, t.efas = interfaces(i.NetworkInfo)
	if g := i.GpuInfo; g != nil {
		for _, d := range g.Gpus {
			t.GPUs += int64(aws.ToInt32(d.Count))
			t.GPUName = cmp.Or(t.GPUName, aws.ToString(d.Name))
			t.GPUMaker = cmp.Or(t.GPUMaker, aws.ToString(d.Manufacturer))
		}
	}
	if n := i.NeuronInfo; n != nil {
		for _, d := range n.NeuronDevices {
			t.Neurons += int64(aws.ToInt32(d.Count))
		}
	}
	if s := i.InstanceStorageInfo; s != nil {
		t.LocalGB = aws.ToInt64(s.TotalSizeInGB)
	}
	return t, true
}

// addresses returns how many network interfaces the default card takes and how many
// IPv4 addresses each has; the VPC CNI uses the default card only.
func addresses(n *types.NetworkInfo) (enis, ipv4 int64) {
	enis = int64(aws.ToInt32(n.MaximumNetworkInterfaces))
	for _, card := range n.NetworkCards {
		if aws.ToInt32(card.NetworkCardIndex) == aws.ToInt32(n.DefaultNetworkCardIndex) && card.MaximumNetworkInterfaces != nil {
			enis = int64(*card.MaximumNetworkInterfaces)
		}
	}
	return enis, int64(aws.ToInt32(n.Ipv4AddressesPerInterface))
}

// interfaces returns how many network interfaces each card takes, by its index, and how many
// Elastic Fabric Adapters there can be.
func interfaces(n *types.NetworkInfo) (cards []int32, efas int32) {
	for _, card := range n.NetworkCards {
		for i := aws.ToInt32(card.NetworkCardIndex); int(i) >= len(cards); {
			cards = append(cards, 0)
		}
		cards[aws.ToInt32(card.NetworkCardIndex)] = aws.ToInt32(card.MaximumNetworkInterfaces)
	}
	if n.EfaInfo != nil {
		efas = aws.ToInt32(n.EfaInfo.MaximumEfaInterfaces)
	}
	return cards, efas
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
