package simec2

import (
	"strings"
	"time"
)

// offered tells whether a zone has the type. As in every real region, not all
// zones have all types: accelerated and high-memory ones are missing from one
// zone each.
func (r *region) offered(t InstanceType, zone string) bool {
	if t.GPUs == 0 && !strings.HasPrefix(t.Name, "x") {
		return true
	}
	zones := r.zones()
	return zones[hash64(t.Family(), "absent")%uint64(len(zones))] != zone
}

type typeOffering struct {
	typ          string
	location     string
	locationType string
}

type offeringXML struct {
	Type         string `xml:"instanceType"`
	LocationType string `xml:"locationType"`
	Location     string `xml:"location"`
}

type describeOfferingsAnswer struct {
	Meta
	Offerings []offeringXML `xml:"instanceTypeOfferingSet>item"`
	NextToken string        `xml:"nextToken,omitempty"`
}

func (r *region) describeInstanceTypeOfferings(p *params, _ time.Time) (any, *apiError) {
	kind := p.oneOf("LocationType", "region", "availability-zone", "availability-zone-id")
	setDefault(&kind, "region")
	filters := parseFilters(p)
	pg := parsePage(p, "DescribeInstanceTypeOfferings", 5, 1000)
	if err := p.finish(); err != nil {
		return nil, err
	}
	all, err := selectBy(r.typeOfferings(kind), filters, fields[typeOffering]{
		"instance-type": one(func(o typeOffering) string { return o.typ }),
		"location":      one(func(o typeOffering) string { return o.location }),
	}, nil)
	if err != nil {
		return nil, err
	}
	answer := &describeOfferingsAnswer{}
	part, next := cut(pg, all)
	for _, o := range part {
		answer.Offerings = append(answer.Offerings, offeringXML{o.typ, o.locationType, o.location})
	}
	answer.NextToken = next
	return answer, nil
}

func (r *region) typeOfferings(kind string) []typeOffering {
	var out []typeOffering
	for _, t := range r.allTypes() {
		if kind == "region" {
			out = append(out, typeOffering{t.Name, r.cfg.Region, kind})
			continue
		}
		for _, s := range r.subnets {
			if !r.offered(t, s.zone) {
				continue
			}
			location := s.zone
			if kind == "availability-zone-id" {
				location = s.zoneID
			}
			out = append(out, typeOffering{t.Name, location, kind})
		}
	}
	return out
}
