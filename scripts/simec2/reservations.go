package simec2

import (
	"fmt"
	"slices"
	"time"
)

// Types of a CapacityReservation.
const (
	ReservationDefault = "default"
	ReservationBlock   = "capacity-block"
)

// CapacityReservation is a number of instances of a type in a zone that are kept for whoever
// targets it or, if it is open, for whatever matches. Its capacity is apart from the pools'.
// All are of Linux on shared hardware. State is active until EndDate, then expired.
// An instance that falls into an open one also needs room in its pool, which it then does not use.
type CapacityReservation struct {
	ID           string            `json:"id"`
	InstanceType string            `json:"instanceType"`
	Zone         string            `json:"zone"`
	Instances    int               `json:"instances"`
	Type         string            `json:"type,omitempty"`          // default: default
	Match        string            `json:"matchCriteria,omitempty"` // open or targeted; default: targeted
	OwnerID      string            `json:"ownerId,omitempty"`       // default: the region's account
	EndDate      time.Time         `json:"endDate,omitzero"`        // zero: none
	Tags         map[string]string `json:"tags,omitempty"`
}

func (c *CapacityReservation) complete(r *region) error {
	setDefault(&c.Type, ReservationDefault)
	setDefault(&c.Match, "targeted")
	setDefault(&c.OwnerID, accountID)
	_, known := r.types[c.InstanceType]
	switch {
	case c.ID == "" || c.Instances < 0:
		return fmt.Errorf("capacity reservation %q: needs an id and a number of instances", c.ID)
	case !known || r.subnetInZone(c.Zone) == nil:
		return fmt.Errorf("capacity reservation %s: no type %q in zone %q", c.ID, c.InstanceType, c.Zone)
	case c.Type != ReservationDefault && c.Type != ReservationBlock:
		return fmt.Errorf("capacity reservation %s: unknown type %q", c.ID, c.Type)
	case c.Match != "open" && c.Match != "targeted":
		return fmt.Errorf("capacity reservation %s: unknown match criteria %q", c.ID, c.Match)
	case c.Type == ReservationBlock && (c.EndDate.IsZero() || c.Match != "targeted"):
		return fmt.Errorf("capacity reservation %s: a block is targeted and has an end", c.ID)
	}
	return nil
}

func (c *CapacityReservation) active(now time.Time) bool {
	return c.EndDate.IsZero() || now.Before(c.EndDate)
}

// setReservations replaces all reservations. Instances in one that is gone run on.
func (r *region) setReservations(list []CapacityReservation) error {
	list = slices.Clone(list)
	for i := range list {
		if err := list[i].complete(r); err != nil {
			return err
		}
		if slices.ContainsFunc(list[:i], func(c CapacityReservation) bool { return c.ID == list[i].ID }) {
			return fmt.Errorf("capacity reservation %s: given twice", list[i].ID)
		}
	}
	r.reservationList = list
	return nil
}

func (r *region) capacityReservation(id string) *CapacityReservation {
	i := slices.IndexFunc(r.reservationList, func(c CapacityReservation) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return &r.reservationList[i]
}

// unused is how many instances of a reservation nobody has. It may have shrunk below its use.
func (r *region) unused(c *CapacityReservation) int {
	n := c.Instances
	for _, m := range r.order {
		if m.CapacityReservationID == c.ID && m.State != StateTerminated {
			n--
		}
	}
	return max(n, 0)
}

// openReservation finds one that an on-demand instance falls into by matching it.
func (r *region) openReservation(data templateData, typ, zone string, now time.Time) string {
	if data.preference != "" && data.preference != "open" {
		return ""
	}
	for i := range r.reservationList {
		c := &r.reservationList[i]
		if c.Match == "open" && c.InstanceType == typ && c.Zone == zone && c.active(now) && r.unused(c) > 0 {
			return c.ID
		}
	}
	return ""
}

// parseTargeting reads the part of a launch template that chooses a reservation.
func parseTargeting(p *params, d *templateData) {
	spec := p.sub("CapacityReservationSpecification")
	d.preference = spec.oneOf("CapacityReservationPreference", "open", "none", "capacity-reservations-only")
	d.targetID = spec.sub("CapacityReservationTarget").str("CapacityReservationId")
	if (d.preference == "capacity-reservations-only") != (d.targetID != "") {
		spec.reject("InvalidParameterCombination",
			"Only CapacityReservationPreference capacity-reservations-only together with a CapacityReservationTarget is simulated")
	}
	market := p.sub("InstanceMarketOptions").oneOf("MarketType", ReservationBlock)
	if d.block = market != ""; d.block && d.targetID == "" {
		p.reject("InvalidParameterCombination", "MarketType capacity-block needs a CapacityReservationTarget")
	}
}

// targeted says why the pool cannot be launched from, where its template targets a reservation.
// One that does not match the launch is refused with the nearest documented code.
func (r *region) targeted(pool *fleetPool, capacityType string, now time.Time) *apiError {
	c := r.capacityReservation(pool.data.targetID)
	switch {
	case c == nil:
		return refuse("InvalidCapacityReservationId.NotFound", "The capacity reservation '%s' does not exist", pool.data.targetID)
	case capacityType == Spot, pool.data.block != (c.Type == ReservationBlock),
		c.InstanceType != pool.typ.Name, c.Zone != pool.subnet.zone:
		return refuse("InvalidParameterValue", "The capacity reservation '%s' does not match the launch", c.ID)
	case !c.active(now) || r.unused(c) == 0:
		return r.reservationFull()
	}
	return nil
}

func (r *region) reservationFull() *apiError {
	return refuse("ReservationCapacityExceeded", "The requested reservation does not have sufficient compatible and available capacity for this request.")
}

type capacityReservationXML struct {
	ID              string   `xml:"capacityReservationId"`
	OwnerID         string   `xml:"ownerId"`
	ARN             string   `xml:"capacityReservationArn"`
	Zone            string   `xml:"availabilityZone"`
	InstanceType    string   `xml:"instanceType"`
	Platform        string   `xml:"instancePlatform"`
	Tenancy         string   `xml:"tenancy"`
	Total           int      `xml:"totalInstanceCount"`
	Available       int      `xml:"availableInstanceCount"`
	State           string   `xml:"state"`
	EndDate         string   `xml:"endDate,omitempty"`
	EndDateType     string   `xml:"endDateType"`
	Match           string   `xml:"instanceMatchCriteria"`
	ReservationType string   `xml:"reservationType"`
	Tags            []tagXML `xml:"tagSet>item"`
}

type describeReservationsAnswer struct {
	Meta
	Reservations []capacityReservationXML `xml:"capacityReservationSet>item"`
	NextToken    string                   `xml:"nextToken,omitempty"`
}

func (r *region) describeCapacityReservations(p *params, now time.Time) (any, *apiError) {
	ids, filters := p.list("CapacityReservationId"), parseFilters(p)
	pg := parsePage(p, "DescribeCapacityReservations", 1, 1000)
	if len(ids) > 0 && (pg.asked || pg.offset > 0) {
		p.reject("InvalidParameterCombination", "CapacityReservationId cannot be used with MaxResults")
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	var all []capacityReservationXML
	for i := range r.reservationList {
		all = append(all, r.reservationXML(&r.reservationList[i], now))
	}
	all, err := pick(all, ids, func(c capacityReservationXML) string { return c.ID },
		"InvalidCapacityReservationId.NotFound", "The capacity reservation '%s' does not exist")
	if err != nil {
		return nil, err
	}
	all, err = selectBy(all, filters, fields[capacityReservationXML]{
		"instance-type":           one(func(c capacityReservationXML) string { return c.InstanceType }),
		"owner-id":                one(func(c capacityReservationXML) string { return c.OwnerID }),
		"availability-zone":       one(func(c capacityReservationXML) string { return c.Zone }),
		"state":                   one(func(c capacityReservationXML) string { return c.State }),
		"instance-match-criteria": one(func(c capacityReservationXML) string { return c.Match }),
		"end-date-type":           one(func(c capacityReservationXML) string { return c.EndDateType }),
	}, func(c capacityReservationXML) map[string]string { return r.capacityReservation(c.ID).Tags })
	if err != nil {
		return nil, err
	}
	part, next := cut(pg, all)
	return &describeReservationsAnswer{Reservations: part, NextToken: next}, nil
}

func (r *region) reservationXML(c *CapacityReservation, now time.Time) capacityReservationXML {
	out := capacityReservationXML{
		ID: c.ID, OwnerID: c.OwnerID, Zone: c.Zone, InstanceType: c.InstanceType, Platform: "Linux/UNIX", Tenancy: "default",
		ARN:   fmt.Sprintf("arn:aws:ec2:%s:%s:capacity-reservation/%s", r.cfg.Region, c.OwnerID, c.ID),
		Total: c.Instances, Available: r.unused(c), State: "active", EndDateType: "unlimited", Match: c.Match,
		ReservationType: c.Type, Tags: tagSet(c.Tags),
	}
	if !c.EndDate.IsZero() {
		out.EndDate, out.EndDateType = wireTime(c.EndDate), "limited"
	}
	if !c.active(now) {
		out.State, out.Available = "expired", 0
	}
	return out
}
