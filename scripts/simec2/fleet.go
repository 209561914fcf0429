package simec2

import (
	"maps"
	"math"
	"strconv"
	"time"
)

// fleetRequest is a CreateFleet call, understood.
type fleetRequest struct {
	token    string
	hash     string
	pools    []*fleetPool
	onDemand goal
	spot     goal
	tags     map[string]map[string]string
}

// goal is what is wanted of one capacity type and how to choose.
type goal struct {
	capacityType string
	count        int
	strategy     string
	singleType   bool
	singleZone   bool
	block        bool // of capacity blocks
	least        int  // all or nothing below this
}

// fleetPool is one override of one launch template: a place to launch from.
type fleetPool struct {
	template *launchTemplate
	data     templateData
	typ      InstanceType
	subnet   *subnet
	imageID  string
	priority float64
	maxPrice float64 // 0 without one
	echo     overrideXML
	err      *apiError // why nothing can be launched here at all
}

func (r *region) createFleet(p *params, now time.Time) (any, *apiError) {
	req := r.parseFleet(p)
	if err := p.finish(); err != nil {
		return nil, err
	}
	return r.once("CreateFleet", req.token, req.hash, func() (any, *apiError) {
		return r.fulfil(req, now), nil
	})
}

func (r *region) parseFleet(p *params) *fleetRequest {
	req := &fleetRequest{token: p.str("ClientToken"), hash: p.hash()}
	if t := p.str("Type"); t != "instant" {
		p.reject("InvalidParameterValue", "Fleet type '%s' is not simulated; use instant", t)
	}
	p.oneOf("ExcessCapacityTerminationPolicy", "termination", "no-termination")
	p.boolean("ReplaceUnhealthyInstances")
	p.str("Context") // reserved
	p.boolean("TerminateInstancesWithExpiration")
	// What is documented for a fleet of the type instant; others have their launch templates' tags.
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleet.html
	req.tags = parseTagSpecs(p, "fleet", "instance", "volume", "network-interface")

	req.onDemand = parseGoal(p.sub("OnDemandOptions"), OnDemand, "lowest-price", "prioritized")
	spot := p.sub("SpotOptions")
	spot.oneOf("InstanceInterruptionBehavior", "terminate")
	req.spot = parseGoal(spot, Spot, "lowest-price", "price-capacity-optimized", "capacity-optimized", "capacity-optimized-prioritized")
	parseTargets(p.sub("TargetCapacitySpecification"), req)

	configs := p.structs("LaunchTemplateConfigs")
	if len(configs) == 0 {
		p.reject("MissingParameter", "The request must contain the parameter LaunchTemplateConfigs")
	}
	for _, c := range configs {
		req.pools = append(req.pools, r.parseConfig(c)...)
	}
	refuseDuplicatePools(p, req.pools)
	return req
}

// parseGoal reads the options of one capacity type; the first strategy is EC2's
// default.
func parseGoal(p *params, capacityType string, strategies ...string) goal {
	g := goal{
		capacityType: capacityType,
		strategy:     p.oneOf("AllocationStrategy", strategies...),
		singleType:   p.boolean("SingleInstanceType"),
		singleZone:   p.boolean("SingleAvailabilityZone"),
		least:        p.integer("MinTargetCapacity", 0, 1, 1000),
	}
	setDefault(&g.strategy, strategies[0])
	if g.least > 0 && !g.singleType && !g.singleZone {
		p.reject("InvalidParameterCombination", "MinTargetCapacity needs SingleInstanceType or SingleAvailabilityZone")
	}
	return g
}

func parseTargets(p *params, req *fleetRequest) {
	const most = 10_000
	total := p.integer("TotalTargetCapacity", 0, 1, most)
	if total == 0 {
		p.reject("MissingParameter", "The request must contain the parameter TotalTargetCapacity")
	}
	p.oneOf("TargetCapacityUnitType", "units")
	req.onDemand.count = p.integer("OnDemandTargetCapacity", 0, 0, most)
	req.spot.count = p.integer("SpotTargetCapacity", 0, 0, most)
	rest := total - req.onDemand.count - req.spot.count
	if rest < 0 {
		p.reject("InvalidTargetCapacitySpecification", "The parts exceed TotalTargetCapacity")
	}
	switch p.oneOf("DefaultTargetCapacityType", OnDemand, Spot, ReservationBlock) {
	case Spot:
		req.spot.count += rest
	case OnDemand:
		req.onDemand.count += rest
	case ReservationBlock:
		req.onDemand.count += rest
		req.onDemand.block = true
	default:
		if rest > 0 {
			p.reject("MissingParameter", "The request must contain the parameter DefaultTargetCapacityType")
		}
	}
}

func (r *region) parseConfig(p *params) []*fleetPool {
	spec := p.sub("LaunchTemplateSpecification")
	t, err := r.findTemplate(spec.str("LaunchTemplateId"), spec.str("LaunchTemplateName"))
	version := spec.str("Version")
	overrides := p.structs("Overrides")
	if err != nil {
		spec.form.complain(err)
		return nil
	}
	switch version {
	case "$Latest", "$Default", "1":
	case "":
		spec.reject("MissingParameter", "The launch template version must be given")
	default:
		spec.reject("InvalidLaunchTemplateId.VersionNotFound", "Could not find launch template version %s", version)
	}
	if len(overrides) == 0 {
		// The template alone is the one pool.
		overrides = []*params{{prefix: p.prefix + "Overrides.none.", form: p.form}}
	}
	var out []*fleetPool
	for _, o := range overrides {
		out = append(out, r.parseOverride(o, t))
	}
	return out
}

func (r *region) parseOverride(p *params, t *launchTemplate) *fleetPool {
	pool := &fleetPool{template: t, data: t.data}
	pool.echo = overrideXML{
		InstanceType: p.str("InstanceType"), SubnetID: p.str("SubnetId"),
		Zone: p.str("AvailabilityZone"), ImageID: p.str("ImageId"), MaxPrice: p.str("MaxPrice"),
	}
	pool.priority = math.Inf(1) // without one: last
	if v, ok := p.float("Priority"); ok {
		pool.priority = v
		pool.echo.Priority = strconv.FormatFloat(v, 'f', -1, 64)
	}
	pool.maxPrice, _ = p.float("MaxPrice")
	if mappings := p.structs("BlockDeviceMapping"); len(mappings) > 0 {
		pool.data.volumes = nil
		for _, b := range mappings {
			pool.data.volumes = append(pool.data.volumes, parseVolume(b))
		}
	}
	name := pool.echo.InstanceType
	setDefault(&name, t.data.instanceType)
	typ, ok := r.types[name]
	if !ok {
		p.reject("InvalidParameterValue", "The instance type '%s' is not known in this region", name)
	}
	pool.typ = typ
	image := pool.echo.ImageID
	setDefault(&image, t.data.imageID)
	pool.place(r, image)
	return pool
}

// place resolves the pool's subnet and image. What is wrong with them is not
// the request's error but the pool's, reported in the answer's errorSet.
func (pool *fleetPool) place(r *region, imageID string) {
	switch {
	case pool.echo.SubnetID != "":
		pool.subnet = r.subnetByID(pool.echo.SubnetID)
		if pool.subnet == nil {
			pool.err = refuse("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", pool.echo.SubnetID)
			return
		}
		if z := pool.echo.Zone; z != "" && z != pool.subnet.zone {
			pool.err = refuse("InvalidParameterCombination", "Subnet %s is not in availability zone %s", pool.subnet.id, z)
			return
		}
	case pool.echo.Zone != "":
		pool.subnet = r.subnetInZone(pool.echo.Zone)
		if pool.subnet == nil {
			pool.err = refuse("InvalidParameterValue", "Invalid availability zone: [%s]", pool.echo.Zone)
			return
		}
	default:
		pool.subnet = r.subnets[0]
	}
	img, err := r.resolveImage(imageID)
	switch {
	case err != nil:
		pool.err = err
	case img.arch != pool.typ.Arch:
		pool.err = refuse("InvalidParameterValue",
			"The architecture '%s' of the specified instance type does not match the architecture '%s' of the specified AMI.", pool.typ.Arch, img.arch)
	case !r.offered(pool.typ, pool.subnet.zone):
		pool.err = refuse("Unsupported",
			"Your requested instance type (%s) is not supported in your requested Availability Zone (%s).", pool.typ.Name, pool.subnet.zone)
	default:
		pool.imageID, pool.err = img.id, pool.typ.lacks(pool.data.interfaces)
	}
}

func refuseDuplicatePools(p *params, pools []*fleetPool) {
	type identity struct{ typ, subnet, zone string }
	seen := map[identity]bool{}
	for _, pool := range pools {
		id := identity{pool.echo.InstanceType, pool.echo.SubnetID, pool.echo.Zone}
		if seen[id] {
			p.reject("InvalidFleetConfig", "The fleet configuration contains duplicate instance pools: %s in %s%s", id.typ, id.subnet, id.zone)
			return
		}
		seen[id] = true
	}
}

// fulfil launches what there is room for and reports the rest.
func (r *region) fulfil(req *fleetRequest, now time.Time) *createFleetAnswer {
	id := r.id("fleet-")
	answer := &createFleetAnswer{FleetID: id}
	r.fleets[id] = map[string]string{}
	maps.Copy(r.fleets[id], req.tags["fleet"])
	for _, g := range []goal{req.onDemand, req.spot} {
		if g.count == 0 {
			continue
		}
		shares, errs := r.allocate(g, req.pools, now)
		for _, e := range errs {
			answer.Errors = append(answer.Errors, fleetErrorXML{
				Where: e.pool.where(), Lifecycle: g.capacityType, Code: e.err.code, Message: e.err.message,
			})
		}
		for _, s := range shares {
			answer.Instances = append(answer.Instances, r.launchShare(req, g, s, id, now))
		}
	}
	return answer
}

func (r *region) launchShare(req *fleetRequest, g goal, s share, fleetID string, now time.Time) fleetInstanceXML {
	out := fleetInstanceXML{
		Where: s.pool.where(), Lifecycle: g.capacityType, InstanceType: s.pool.typ.Name,
		Zone: s.pool.subnet.zone, ZoneID: s.pool.subnet.zoneID, SubnetID: s.pool.subnet.id,
	}
	reservation := r.id("r-")
	for range s.count {
		m := r.launch(launchSpec{
			typ: s.pool.typ, subnet: s.pool.subnet, capacityType: g.capacityType, imageID: s.pool.imageID,
			template: s.pool.template, version: 1, data: s.pool.data, fleetID: fleetID,
			clientToken: req.token, reservation: reservation, tags: req.tags["instance"],
		}, now)
		out.InstanceIDs = append(out.InstanceIDs, m.ID)
	}
	return out
}
