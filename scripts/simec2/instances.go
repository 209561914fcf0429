package simec2

import (
	"slices"
	"time"
)

type instanceXML struct {
	ID             string     `xml:"instanceId"`
	ImageID        string     `xml:"imageId"`
	State          stateXML   `xml:"instanceState"`
	PrivateDNS     string     `xml:"privateDnsName"`
	Reason         string     `xml:"reason"`
	LaunchIndex    int        `xml:"amiLaunchIndex"`
	Type           string     `xml:"instanceType"`
	LaunchTime     string     `xml:"launchTime"`
	Placement      placeXML   `xml:"placement"`
	Monitoring     string     `xml:"monitoring>state"`
	SubnetID       string     `xml:"subnetId,omitempty"`
	VPC            string     `xml:"vpcId,omitempty"`
	PrivateIP      string     `xml:"privateIpAddress,omitempty"`
	Groups         []groupXML `xml:"groupSet>item"`
	Architecture   string     `xml:"architecture"`
	RootDeviceType string     `xml:"rootDeviceType"`
	RootDevice     string     `xml:"rootDeviceName"`
	Virtualization string     `xml:"virtualizationType"`
	Hypervisor     string     `xml:"hypervisor"`
	Lifecycle      string     `xml:"instanceLifecycle,omitempty"`
	InReservation  string     `xml:"capacityReservationId,omitempty"`
	Targets        *targetXML `xml:"capacityReservationSpecification"`
	ClientToken    string     `xml:"clientToken"`
	Tags           []tagXML   `xml:"tagSet>item"`
	Profile        *arnXML    `xml:"iamInstanceProfile"`
	ENA            bool       `xml:"enaSupport"`
	EBSOptimized   bool       `xml:"ebsOptimized"`
	HopLimit       int        `xml:"metadataOptions>httpPutResponseHopLimit"`
	HTTPTokens     string     `xml:"metadataOptions>httpTokens,omitempty"`
	Platform       string     `xml:"platformDetails"`
	StateReason    *reasonXML `xml:"stateReason"`
}

type stateXML struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

type placeXML struct {
	Zone    string `xml:"availabilityZone"`
	ZoneID  string `xml:"availabilityZoneId"`
	Tenancy string `xml:"tenancy"`
}

type groupXML struct {
	ID   string `xml:"groupId"`
	Name string `xml:"groupName"`
}

type targetXML struct {
	ID string `xml:"capacityReservationTarget>capacityReservationId"`
}

type arnXML struct {
	ARN string `xml:"arn"`
}

type reasonXML struct {
	Code    string `xml:"code"`
	Message string `xml:"message"`
}

func (r *region) instanceXML(m *machine, now time.Time) instanceXML {
	out := instanceXML{
		ID: m.ID, ImageID: m.ImageID, State: stateXML{stateCode(m.State), m.State}, Type: m.Type.Name,
		LaunchTime: wireTime(m.LaunchTime), Placement: placeXML{m.Zone, m.ZoneID, "default"}, Monitoring: "disabled",
		Architecture: m.Type.Arch, RootDeviceType: "ebs", RootDevice: "/dev/xvda", Virtualization: "hvm", Hypervisor: "xen",
		ClientToken: m.ClientToken, Tags: tagSet(m.describedTags(now)), ENA: true, EBSOptimized: true,
		HopLimit: m.hopLimit, HTTPTokens: m.httpTokens, Platform: "Linux/UNIX",
	}
	if m.CapacityType == Spot {
		out.Lifecycle = Spot
	}
	if m.targetID != "" {
		out.Targets = &targetXML{m.targetID}
	}
	if c := r.capacityReservation(m.CapacityReservationID); c != nil && c.active(now) {
		out.InReservation = m.CapacityReservationID
	}
	if m.profileARN != "" {
		out.Profile = &arnXML{m.profileARN}
	}
	if m.TerminationReason != "" {
		out.Reason = m.TerminationReason
		out.StateReason = &reasonXML{reasonCode(m.TerminationReason), m.TerminationReason}
	}
	if m.State != StateTerminated { // a terminated instance has lost its network
		out.SubnetID, out.VPC, out.PrivateIP, out.PrivateDNS = m.SubnetID, vpcID, m.PrivateIP, m.PrivateDNS
		for _, id := range m.securityGroup {
			name, _ := r.groupName(id)
			out.Groups = append(out.Groups, groupXML{id, name})
		}
	}
	return out
}

const (
	userInitiated = "User initiated"
	outOfBand     = "Server.InstanceTermination"
)

func reasonCode(reason string) string {
	if reason == userInitiated {
		return "Client.UserInitiatedShutdown"
	}
	return reason
}

type reservationXML struct {
	ID        string        `xml:"reservationId"`
	OwnerID   string        `xml:"ownerId"`
	Instances []instanceXML `xml:"instancesSet>item"`
}

type describeInstancesAnswer struct {
	Meta
	Reservations []reservationXML `xml:"reservationSet>item"`
	NextToken    string           `xml:"nextToken,omitempty"`
}

func (r *region) describeInstances(p *params, now time.Time) (any, *apiError) {
	ids := p.list("InstanceId")
	filters := parseFilters(p)
	p.boolean("IncludeManagedResources")
	pg := parsePage(p, "DescribeInstances", 5, 1000)
	if len(ids) > 0 && (pg.asked || pg.offset > 0) {
		p.reject("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	all, err := pick(r.visible(now), ids, func(m *machine) string { return m.ID },
		"InvalidInstanceID.NotFound", "The instance ID '%s' does not exist")
	if err != nil {
		return nil, err
	}
	all, err = selectBy(all, filters, instanceFields(), func(m *machine) map[string]string { return m.describedTags(now) })
	if err != nil {
		return nil, err
	}
	part, next := cut(pg, all)
	return &describeInstancesAnswer{Reservations: r.reservations(part, now), NextToken: next}, nil
}

// reservations groups machines as they were launched.
func (r *region) reservations(machines []*machine, now time.Time) []reservationXML {
	var out []reservationXML
	at := map[string]int{}
	for _, m := range machines {
		i, ok := at[m.reservationID]
		if !ok {
			i = len(out)
			at[m.reservationID] = i
			out = append(out, reservationXML{ID: m.reservationID, OwnerID: accountID})
		}
		x := r.instanceXML(m, now)
		x.LaunchIndex = len(out[i].Instances)
		out[i].Instances = append(out[i].Instances, x)
	}
	return out
}

func instanceFields() fields[*machine] {
	return fields[*machine]{
		"iam-instance-profile.arn": one(func(m *machine) string { return m.profileARN }),
		"instance-id":              one(func(m *machine) string { return m.ID }),
		"instance-state-name":      one(func(m *machine) string { return m.State }),
		"instance-type":            one(func(m *machine) string { return m.Type.Name }),
		"availability-zone":        one(func(m *machine) string { return m.Zone }),
		"client-token":             one(func(m *machine) string { return m.ClientToken }),
		"image-id":                 one(func(m *machine) string { return m.ImageID }),
		"private-dns-name":         one(func(m *machine) string { return m.PrivateDNS }),
		"private-ip-address":       one(func(m *machine) string { return m.PrivateIP }),
		"reservation-id":           one(func(m *machine) string { return m.reservationID }),
		"subnet-id":                one(func(m *machine) string { return m.SubnetID }),
		"vpc-id":                   one(func(*machine) string { return vpcID }),
		"architecture":             one(func(m *machine) string { return m.Type.Arch }),
		"instance.group-id":        func(m *machine) []string { return m.securityGroup },
		"instance-lifecycle": func(m *machine) []string {
			if m.CapacityType == Spot {
				return []string{Spot}
			}
			return nil
		},
	}
}

type stateChangeXML struct {
	ID       string   `xml:"instanceId"`
	Current  stateXML `xml:"currentState"`
	Previous stateXML `xml:"previousState"`
}

type terminateAnswer struct {
	Meta
	Changes []stateChangeXML `xml:"instancesSet>item"`
}

func (r *region) terminateInstances(p *params, now time.Time) (any, *apiError) {
	ids := p.list("InstanceId")
	p.boolean("Force")
	p.boolean("SkipOsShutdown")
	if len(ids) == 0 {
		p.reject("MissingParameter", "The request must contain the parameter InstanceId")
	}
	if len(ids) > 1000 {
		p.reject("InvalidParameterValue", "At most 1000 instances may be terminated at once")
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	// All or nothing: one unknown id fails the request.
	targets, err := pick(r.order, ids, func(m *machine) string { return m.ID },
		"InvalidInstanceID.NotFound", "The instance ID '%s' does not exist")
	if err != nil {
		return nil, err
	}
	answer := &terminateAnswer{}
	for _, m := range targets {
		before := m.State
		r.terminate(m, userInitiated, now)
		answer.Changes = append(answer.Changes, stateChangeXML{
			ID: m.ID, Current: stateXML{stateCode(m.State), m.State}, Previous: stateXML{stateCode(before), before},
		})
	}
	slices.SortFunc(answer.Changes, func(a, b stateChangeXML) int { return slices.Index(ids, a.ID) - slices.Index(ids, b.ID) })
	return answer, nil
}
