package simec2

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

type subnetXML struct {
	ID            string   `xml:"subnetId"`
	ARN           string   `xml:"subnetArn"`
	State         string   `xml:"state"`
	VPC           string   `xml:"vpcId"`
	CIDR          string   `xml:"cidrBlock"`
	Zone          string   `xml:"availabilityZone"`
	ZoneID        string   `xml:"availabilityZoneId"`
	FreeAddresses int      `xml:"availableIpAddressCount"`
	DefaultForAZ  bool     `xml:"defaultForAz"`
	PublicIPs     bool     `xml:"mapPublicIpOnLaunch"`
	OwnerID       string   `xml:"ownerId"`
	Tags          []tagXML `xml:"tagSet>item"`
}

type describeSubnetsAnswer struct {
	Meta
	Subnets   []subnetXML `xml:"subnetSet>item"`
	NextToken string      `xml:"nextToken,omitempty"`
}

func (r *region) describeSubnets(p *params, _ time.Time) (any, *apiError) {
	ids := p.list("SubnetId")
	filters := parseFilters(p)
	pg := parsePage(p, "DescribeSubnets", 5, 1000)
	if err := p.finish(); err != nil {
		return nil, err
	}
	all, err := pick(r.subnets, ids, func(s *subnet) string { return s.id },
		"InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist")
	if err != nil {
		return nil, err
	}
	all, err = selectBy(all, filters, fields[*subnet]{
		"subnet-id":                  one(func(s *subnet) string { return s.id }),
		"vpc-id":                     one(func(*subnet) string { return vpcID }),
		"state":                      one(func(*subnet) string { return "available" }),
		"availability-zone":          one(func(s *subnet) string { return s.zone }),
		"availability-zone-id":       one(func(s *subnet) string { return s.zoneID }),
		"cidr-block":                 one(func(s *subnet) string { return s.prefix.String() }),
		"owner-id":                   one(func(*subnet) string { return accountID }),
		"available-ip-address-count": one(func(s *subnet) string { return strconv.Itoa(s.freeAddresses()) }),
	}, func(s *subnet) map[string]string { return s.tags })
	if err != nil {
		return nil, err
	}
	answer := &describeSubnetsAnswer{}
	part, next := cut(pg, all)
	for _, s := range part {
		answer.Subnets = append(answer.Subnets, subnetXML{
			ID: s.id, ARN: fmt.Sprintf("arn:aws:ec2:%s:%s:subnet/%s", r.cfg.Region, accountID, s.id),
			State: "available", VPC: vpcID, CIDR: s.prefix.String(), Zone: s.zone, ZoneID: s.zoneID,
			FreeAddresses: s.freeAddresses(), OwnerID: accountID, Tags: tagSet(s.tags),
		})
	}
	answer.NextToken = next
	return answer, nil
}

type securityGroupXML struct {
	ID          string   `xml:"groupId"`
	Name        string   `xml:"groupName"`
	Description string   `xml:"groupDescription"`
	VPC         string   `xml:"vpcId"`
	OwnerID     string   `xml:"ownerId"`
	Tags        []tagXML `xml:"tagSet>item"`
}

type describeSecurityGroupsAnswer struct {
	Meta
	Groups    []securityGroupXML `xml:"securityGroupInfo>item"`
	NextToken string             `xml:"nextToken,omitempty"`
}

// AddSecurityGroup makes one more security group and returns its id.
func (s *Server) AddSecurityGroup(name string, tags map[string]string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := securityGroup{id: s.region.stableID("sg-", name), name: name, tags: maps.Clone(tags)}
	s.region.groups = append(s.region.groups, g)
	return g.id
}

func (r *region) groupName(id string) (name string, ok bool) {
	i := slices.IndexFunc(r.groups, func(g securityGroup) bool { return g.id == id })
	if i < 0 {
		return "", false
	}
	return r.groups[i].name, true
}

func (r *region) describeSecurityGroups(p *params, _ time.Time) (any, *apiError) {
	ids, names := p.list("GroupId"), p.list("GroupName")
	filters := parseFilters(p)
	pg := parsePage(p, "DescribeSecurityGroups", 5, 1000)
	if err := p.finish(); err != nil {
		return nil, err
	}
	all, err := pick(r.groups, ids, func(g securityGroup) string { return g.id },
		"InvalidGroup.NotFound", "The security group '%s' does not exist")
	if err != nil {
		return nil, err
	}
	all, err = pick(all, names, func(g securityGroup) string { return g.name },
		"InvalidGroup.NotFound", "The security group '%s' does not exist")
	if err != nil {
		return nil, err
	}
	all, err = selectBy(all, filters, fields[securityGroup]{
		"group-id":   one(func(g securityGroup) string { return g.id }),
		"group-name": one(func(g securityGroup) string { return g.name }),
		"vpc-id":     one(func(securityGroup) string { return vpcID }),
		"owner-id":   one(func(securityGroup) string { return accountID }),
	}, func(g securityGroup) map[string]string { return g.tags })
	if err != nil {
		return nil, err
	}
	answer := &describeSecurityGroupsAnswer{}
	part, next := cut(pg, all)
	for _, g := range part {
		answer.Groups = append(answer.Groups, securityGroupXML{
			ID: g.id, Name: g.name, Description: "Of " + r.cfg.ClusterName, VPC: vpcID, OwnerID: accountID, Tags: tagSet(g.tags),
		})
	}
	answer.NextToken = next
	return answer, nil
}

type zoneXML struct {
	Name        string `xml:"zoneName"`
	ID          string `xml:"zoneId"`
	State       string `xml:"zoneState"`
	Region      string `xml:"regionName"`
	OptInStatus string `xml:"optInStatus"`
	Type        string `xml:"zoneType"`
	GroupName   string `xml:"groupName"`
	Border      string `xml:"networkBorderGroup"`
}

type describeZonesAnswer struct {
	Meta
	Zones []zoneXML `xml:"availabilityZoneInfo>item"`
}

func (r *region) describeAvailabilityZones(p *params, _ time.Time) (any, *apiError) {
	names, ids := p.list("ZoneName"), p.list("ZoneId")
	p.boolean("AllAvailabilityZones")
	filters := parseFilters(p)
	if err := p.finish(); err != nil {
		return nil, err
	}
	all, err := pick(r.subnets, names, func(s *subnet) string { return s.zone },
		"InvalidParameterValue", "Invalid availability zone: [%s]")
	if err != nil {
		return nil, err
	}
	all, err = pick(all, ids, func(s *subnet) string { return s.zoneID },
		"InvalidParameterValue", "Invalid availability zone-id: [%s]")
	if err != nil {
		return nil, err
	}
	all, err = selectBy(all, filters, fields[*subnet]{
		"zone-name":     one(func(s *subnet) string { return s.zone }),
		"zone-id":       one(func(s *subnet) string { return s.zoneID }),
		"zone-type":     one(func(*subnet) string { return "availability-zone" }),
		"state":         one(func(*subnet) string { return "available" }),
		"region-name":   one(func(*subnet) string { return r.cfg.Region }),
		"opt-in-status": one(func(*subnet) string { return "opt-in-not-required" }),
	}, nil)
	if err != nil {
		return nil, err
	}
	answer := &describeZonesAnswer{}
	for _, s := range all {
		answer.Zones = append(answer.Zones, zoneXML{
			Name: s.zone, ID: s.zoneID, State: "available", Region: r.cfg.Region, OptInStatus: "opt-in-not-required",
			Type: "availability-zone", GroupName: r.cfg.Region + "-zg-1", Border: r.cfg.Region,
		})
	}
	return answer, nil
}
