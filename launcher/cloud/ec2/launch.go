package ec2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

const (
	// freshClaim is how young a claim is whose instance cannot have been bought by
	// an earlier process, or only so recently that its client token tells.
	freshClaim = time.Minute
	// settled is when EC2's reads are held to have caught up with a claim's launch.
	settled = 2 * time.Minute
	// lookupEvery and lookups bound the search for an instance that must exist.
	lookupEvery = 250 * time.Millisecond
	lookups     = 20
)

// Launch buys one instance for the claim, of the capacity type of its cheapest
// offering, or on demand where there is no spot capacity and the claim accepts that. It is
// idempotent by the claim's UID, which CreateFleet's client tokens begin with
// and is on the instance as a tag: a token that meets other parameters (the class was
// edited, a new image came out) leads to the instance that was bought with the first.
func (p *Provider) Launch(ctx context.Context, claim *v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass) (cloud.Instance, error) {
	instance, err := p.launch(ctx, claim, class)
	if err != nil {
		return cloud.Instance{}, fmt.Errorf("launch nodeclaim %s: %w", claim.Name, err)
	}
	return instance, nil
}

func (p *Provider) launch(ctx context.Context, claim *v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass) (cloud.Instance, error) {
	if err := p.mayBuy(claim); err != nil {
		return cloud.Instance{}, err
	}
	// Tokens are not remembered for ever. An old claim's instance, if it has one, is in sight.
	if p.cfg.Clock.Since(claim.CreationTimestamp.Time) > freshClaim {
		instance, err := p.findByClaim(ctx, string(claim.UID))
		if !errors.Is(err, cloud.ErrNotFound) {
			return instance, err
		}
	}
	got, err := p.buy(ctx, claim, class, purchase{count: 1, token: string(claim.UID), tags: p.claimTags(claim, specOf(class))})
	switch {
	case errors.Is(err, errSpent):
		return p.adopt(ctx, claim)
	case len(got.instances) > 0:
		instance := got.instances[0]
		instance.ClaimName, instance.ClaimUID, instance.Unavailable = claim.Name, string(claim.UID), got.unavailable
		return instance, nil
	default:
		return cloud.Instance{}, err
	}
}

// mayBuy refuses what no call could buy.
func (p *Provider) mayBuy(claim *v1alpha1.NodeClaim) error {
	if p.cfg.ReadOnly {
		return fmt.Errorf("%w: this provider only reads", cloud.ErrInvalid)
	}
	if claim.UID == "" || len(claim.Spec.Offerings) == 0 {
		return fmt.Errorf("%w: a claim needs a UID and offerings", cloud.ErrInvalid)
	}
	return nil
}

// createFleet makes the call. A launch template that is gone although it was there is
// made again, once.
func (p *Provider) createFleet(
	ctx context.Context, claim *v1alpha1.NodeClaim, spec v1alpha1.EC2NodeClassSpec, r resolution, f fleet, order purchase,
) (*ec2.CreateFleetOutput, error) {
	taints := append(slices.Clip(claim.Spec.Taints), claim.Spec.StartupTaints...)
	boot, err := userData(p.cfg.Cluster, spec, p.registeredLabels(claim, f), taints)
	if err != nil {
		return nil, err
	}
	tags := tagList(order.tags)
	input := &ec2.CreateFleetInput{
		Type:        types.FleetTypeInstant,
		ClientToken: aws.String(order.token),
		Context:     spec.Context,
		TargetCapacitySpecification: &types.TargetCapacitySpecificationRequest{
			TotalTargetCapacity:       aws.Int32(order.count),
			DefaultTargetCapacityType: f.market(),
		},
		// Of an instant fleet, network interfaces are tagged here, too, as API_CreateFleet says.
		TagSpecifications: []types.TagSpecification{
			{ResourceType: types.ResourceTypeFleet, Tags: tags},
			{ResourceType: types.ResourceTypeInstance, Tags: tags},
			{ResourceType: types.ResourceTypeVolume, Tags: tags},
			{ResourceType: types.ResourceTypeNetworkInterface, Tags: tags},
		},
	}
	var least *int32
	var oneZone *bool
	if order.whole {
		least, oneZone = input.TargetCapacitySpecification.TotalTargetCapacity, aws.Bool(true)
	}
	switch f.market() {
	case types.DefaultTargetCapacityTypeSpot:
		input.SpotOptions = &types.SpotOptionsRequest{
			AllocationStrategy: types.SpotAllocationStrategyPriceCapacityOptimized, MinTargetCapacity: least, SingleAvailabilityZone: oneZone,
		}
	case types.DefaultTargetCapacityTypeOnDemand:
		input.OnDemandOptions = &types.OnDemandOptionsRequest{
			AllocationStrategy: types.FleetOnDemandAllocationStrategyLowestPrice, MinTargetCapacity: least, SingleAvailabilityZone: oneZone,
		}
	}
	t := p.templateFor(spec, r, boot, f.reservation)
	for again := false; ; again = true {
		name, err := p.ensureTemplate(ctx, t)
		if err != nil {
			return nil, err
		}
		input.LaunchTemplateConfigs = []types.FleetLaunchTemplateConfigRequest{{
			LaunchTemplateSpecification: &types.FleetLaunchTemplateSpecificationRequest{
				LaunchTemplateName: aws.String(name), Version: aws.String("1"),
			},
			Overrides: f.overrides,
		}}
		out, err := p.ec2.CreateFleet(ctx, input)
		if again || !hasCode(err, codeTemplateMissing) {
			return out, err
		}
		p.templates.forget(name)
	}
}

// bought puts together what is known of a new instance without asking EC2 again.
func (p *Provider) bought(f fleet, i fleetInstance) cloud.Instance {
	return cloud.Instance{
		ID: i.id, ProviderID: providerID(i.zone, i.id), NodeName: i.id,
		Type: i.typeName, Zone: i.zone, CapacityType: f.capacityType,
		ReservationID: f.reservationID(),
		ImageID:       f.imageOf[i.typeName],
		LaunchTime:    p.cfg.Clock.Now(),
	}
}

// errNothingSeen says that a token was used, and that nothing is in sight that it bought.
var errNothingSeen = errors.New("an earlier call brought no instance into sight")

// adopt finds the instance that was bought under the claim's token before.
func (p *Provider) adopt(ctx context.Context, claim *v1alpha1.NodeClaim) (instance cloud.Instance, err error) {
	err = p.lookFor(ctx, claim, func() error {
		instance, err = p.findByClaim(ctx, string(claim.UID))
		return err
	})
	return instance, err
}

// lookFor calls find until it finds something: EC2's reads lag behind.
func (p *Provider) lookFor(ctx context.Context, claim *v1alpha1.NodeClaim, find func() error) error {
	for range lookups {
		if err := find(); !errors.Is(err, cloud.ErrNotFound) {
			return err
		}
		if err := sleep(ctx, p.cfg.Clock, lookupEvery); err != nil {
			return err
		}
	}
	if p.cfg.Clock.Since(claim.CreationTimestamp.Time) > settled {
		return fmt.Errorf("%w: %w", cloud.ErrInvalid, errNothingSeen)
	}
	return errNothingSeen
}
