package ec2

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// maxOverrides bounds the pools of one CreateFleet: EC2's quota for launch
// specifications and overrides of a fleet.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/fleet-quotas.html
const maxOverrides = 300

// fleet is what one claim asks CreateFleet for.
type fleet struct {
	capacityType string
	reservation  *v1alpha1.CapacityReservation // where that is reserved
	overrides    []types.FleetLaunchTemplateOverridesRequest
	pools        []offering.Key    // all that are asked for
	imageOf      map[string]string // by instance type
	zoneOf       map[string]string // by subnet
	wanted       map[offering.Key]struct{}
}

// planFleet pairs the claim's offerings of the capacity type, and of the first one's reservation
// where that is reserved, with images and subnets, cheapest first.
func planFleet(claim *v1alpha1.NodeClaim, capacityType string, r resolution, table typeTable) (fleet, error) {
	offerings := claim.Spec.Accepted()
	f := fleet{
		capacityType: capacityType,
		imageOf:      map[string]string{},
		zoneOf:       map[string]string{},
		wanted:       map[offering.Key]struct{}{},
	}
	switch f.capacityType {
	case v1alpha1.CapacityTypeOnDemand, v1alpha1.CapacityTypeSpot:
	case v1alpha1.CapacityTypeReserved:
		if err := f.reserve(offerings[0], r); err != nil {
			return f, err
		}
	default:
		return f, fmt.Errorf("%w: capacity type %q is not supported", cloud.ErrInvalid, f.capacityType)
	}
	for _, s := range r.subnets {
		f.zoneOf[s.ID] = s.Zone
	}
	var left []string // out, and why
	for _, o := range offerings {
		key := offering.Key{InstanceType: o.InstanceType, Zone: o.Zone, CapacityType: o.CapacityType, ReservationID: o.ReservationID}
		if _, twice := f.wanted[key]; twice || o.CapacityType != f.capacityType || o.ReservationID != f.reservationID() || len(f.pools) == maxOverrides {
			continue
		}
		t, known := table[o.InstanceType]
		img, hasImage := imageFor(r.images, t.Hardware)
		subnetID, hasSubnet := roomiest(r.subnets, o.Zone)
		switch {
		case !known:
			left = append(left, o.InstanceType+": no such instance type")
		case !hasImage:
			left = append(left, o.InstanceType+": no image of the class runs on it")
		case !hasSubnet:
			left = append(left, o.Zone+": the class has no subnet there")
		default:
			f.add(key, img, subnetID)
		}
	}
	if len(f.pools) == 0 {
		return f, fmt.Errorf("%w: none of the claim's offerings can be bought: %s", cloud.ErrInvalid, strings.Join(left, "; "))
	}
	return f, nil
}

// reserve finds the offering's reservation. One that is no longer active has no capacity.
func (f *fleet) reserve(o v1alpha1.AcceptedOffering, r resolution) error {
	i := slices.IndexFunc(r.reservations, func(c v1alpha1.CapacityReservation) bool { return c.ID == o.ReservationID })
	if i < 0 {
		key := offering.Key{InstanceType: o.InstanceType, Zone: o.Zone, CapacityType: o.CapacityType, ReservationID: o.ReservationID}
		return &cloud.CapacityError{
			Offerings: []offering.Key{key}, Err: fmt.Errorf("capacity reservation %s is not active or not selected by the class", o.ReservationID),
		}
	}
	f.reservation = &r.reservations[i]
	return nil
}

func (f *fleet) add(key offering.Key, img image, subnetID string) {
	f.wanted[key] = struct{}{}
	f.pools = append(f.pools, key)
	f.imageOf[key.InstanceType] = img.id
	f.overrides = append(f.overrides, types.FleetLaunchTemplateOverridesRequest{
		InstanceType: types.InstanceType(key.InstanceType),
		SubnetId:     aws.String(subnetID),
		ImageId:      aws.String(img.id),
	})
}

// reservationID is empty where the capacity type is not reserved.
func (f fleet) reservationID() string {
	if f.reservation == nil {
		return ""
	}
	return f.reservation.ID
}

// market is what CreateFleet calls the capacity type. Instances that target a reservation
// by their launch template are on-demand ones, save in a capacity block.
func (f fleet) market() types.DefaultTargetCapacityType {
	switch {
	case f.capacityType == v1alpha1.CapacityTypeSpot:
		return types.DefaultTargetCapacityTypeSpot
	case f.reservation != nil && f.reservation.Type == v1alpha1.ReservationTypeCapacityBlock:
		return types.DefaultTargetCapacityTypeCapacityBlock
	default:
		return types.DefaultTargetCapacityTypeOnDemand
	}
}

// roomiest returns the zone's subnet with the most free addresses. A fleet takes one
// subnet a zone: more are refused as duplicate instance pools (InvalidFleetConfig).
func roomiest(subnets []subnet, zone string) (id string, ok bool) {
	free := int32(-1)
	for _, s := range subnets {
		if s.Zone == zone && s.free > free {
			id, free, ok = s.ID, s.free, true
		}
	}
	return id, ok
}

// fleetResult is what came of a CreateFleet call that EC2 answered.
type fleetResult struct {
	instances []fleetInstance // by id
	// unavailable are the pools that had no capacity.
	unavailable []offering.Key
	// stale says that what the class resolved to is not what there is any more.
	stale bool
	// err says why there are fewer instances than asked for, or others than the cheapest.
	err error
	// final says that another call would be answered likewise.
	final bool
	// busy says that nothing is wrong but with EC2.
	busy bool
}

type fleetInstance struct{ id, typeName, zone string }

// read makes sense of EC2's answer. denied names the permission that an error's message is about.
func (f fleet) read(out *ec2.CreateFleetOutput, denied func(message string) string) fleetResult {
	var r fleetResult
	for _, i := range out.Instances {
		zone := aws.ToString(i.AvailabilityZone)
		if zone == "" {
			zone = f.zoneOf[aws.ToString(i.SubnetId)]
		}
		if o := overridesOf(i.LaunchTemplateAndOverrides); o != nil && zone == "" {
			zone = f.zone(o)
		}
		for _, id := range i.InstanceIds {
			r.instances = append(r.instances, fleetInstance{id, string(i.InstanceType), zone})
		}
	}
	slices.SortFunc(r.instances, func(a, b fleetInstance) int { return strings.Compare(a.id, b.id) })
	byKind := map[error][]error{}
	for _, e := range out.Errors {
		code := aws.ToString(e.ErrorCode)
		err := fmt.Errorf("%s: %s", code, aws.ToString(e.ErrorMessage))
		k := kind(code)
		switch {
		case errors.Is(k, cloud.ErrCapacity):
			r.unavailable = append(r.unavailable, f.failed(e)...)
			r.stale = r.stale || code == codeSubnetFull
		case errors.Is(k, cloud.ErrNotFound):
			r.stale = true
			k = cloud.ErrInvalid // the call can never succeed, the next one will be another
		case errors.Is(k, cloud.ErrDenied):
			err = fmt.Errorf("%s: %w", denied(aws.ToString(e.ErrorMessage)), err)
		}
		byKind[k] = append(byKind[k], err)
	}
	r.unavailable = sortedUnique(r.unavailable, func(k offering.Key) string {
		return k.InstanceType + " " + k.Zone + " " + k.CapacityType + " " + k.ReservationID
	})
	r.busy = !slices.ContainsFunc(out.Errors, func(e types.CreateFleetError) bool { return !busy(aws.ToString(e.ErrorCode)) })
	r.final, r.err = worst(byKind, r.unavailable)
	return r
}

// worst chooses what to tell the caller when errors of several kinds came back: want of
// capacity first, because another plan mends it. It tells whether that is final.
func worst(byKind map[error][]error, unavailable []offering.Key) (final bool, err error) {
	if lacking := byKind[cloud.ErrCapacity]; len(lacking) > 0 {
		return true, &cloud.CapacityError{Offerings: unavailable, Err: joined(lacking)}
	}
	for _, k := range []error{cloud.ErrDenied, cloud.ErrThrottled, cloud.ErrInvalid} {
		if errs := byKind[k]; len(errs) > 0 {
			return !errors.Is(k, cloud.ErrThrottled), fmt.Errorf("%w: %w", k, joined(errs))
		}
	}
	if errs := byKind[nil]; len(errs) > 0 {
		return false, joined(errs)
	}
	return false, nil
}

// joined puts errors on one line, each once.
func joined(errs []error) error {
	var texts []string
	for _, e := range errs {
		if !slices.Contains(texts, e.Error()) {
			texts = append(texts, e.Error())
		}
	}
	return errors.New(strings.Join(texts, "; "))
}

// failed returns the pools an error is about. One that names no instance type, such as
// a used-up quota, is about all.
func (f fleet) failed(e types.CreateFleetError) []offering.Key {
	o := overridesOf(e.LaunchTemplateAndOverrides)
	var keys []offering.Key
	for _, key := range f.pools {
		if o != nil && o.InstanceType != "" && string(o.InstanceType) != key.InstanceType {
			continue
		}
		if zone := f.zone(o); zone != "" && zone != key.Zone {
			continue
		}
		keys = append(keys, key)
	}
	return keys
}

func (f fleet) zone(o *types.FleetLaunchTemplateOverrides) string {
	if o == nil {
		return ""
	}
	if zone := aws.ToString(o.AvailabilityZone); zone != "" {
		return zone
	}
	return f.zoneOf[aws.ToString(o.SubnetId)]
}

func overridesOf(l *types.LaunchTemplateAndOverridesResponse) *types.FleetLaunchTemplateOverrides {
	if l == nil {
		return nil
	}
	return l.Overrides
}
