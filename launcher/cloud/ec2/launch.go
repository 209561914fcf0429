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
// offering. It is idempotent by the claim's UID, which is CreateFleet's client token
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
	f, result, err := p.buy(ctx, claim, class, purchase{count: 1, token: string(claim.UID), tags: p.claimTags(claim, specOf(class))})
	switch {
	case errors.Is(err, errSpent):
		return p.adopt(ctx, claim)
	case err != nil:
		return cloud.Instance{}, err
	case len(result.instances) > 0:
		instance := p.bought(f, result.instances[0])
		instance.ClaimName, instance.ClaimUID, instance.Unavailable = claim.Name, string(claim.UID), result.unavailable
		return instance, nil
	default:
		return cloud.Instance{}, result.err
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

// purchase is what a call of CreateFleet buys: so many instances for one claim, or for
// others that are like it.
type purchase struct {
	count int32
	whole bool // all in one zone, or none
	token string
	tags  map[string]string
}

// errSpent says that the client token was used before, and what was bought with it must be
// looked for: the parameters were others, or the answer is empty.
var errSpent = errors.New("the client token was used before")

// buy makes one call, and marks what the class resolved to as out of date where it shows.
func (p *Provider) buy(ctx context.Context, claim *v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass, order purchase) (fleet, fleetResult, error) {
	r, err := p.usable(ctx, class, launchMaxAge)
	if err != nil {
		return fleet{}, fleetResult{}, err
	}
	table, err := p.types.get(ctx, typesMaxAge)
	if err != nil {
		return fleet{}, fleetResult{}, fmt.Errorf("instance types: %w", err)
	}
	f, err := planFleet(claim, r, table)
	if err != nil {
		return f, fleetResult{}, err
	}
	out, err := p.createFleet(ctx, claim, specOf(class), r, f, order)
	switch {
	case hasCode(err, codeParameterMismatch):
		return f, fleetResult{}, errSpent
	case errors.Is(err, cloud.ErrNotFound):
		// Something of what the class resolved to is gone.
		p.resolved.forget(resolutionKey(specOf(class)))
		return f, fleetResult{}, err
	case errors.Is(err, cloud.ErrCapacity):
		return f, fleetResult{}, &cloud.CapacityError{Offerings: f.pools, Err: err}
	case err != nil:
		return f, fleetResult{}, err
	}
	result := f.read(out)
	if result.subnetFull {
		p.resolved.forget(resolutionKey(specOf(class)))
	}
	if len(result.instances) == 0 && result.err == nil {
		return f, result, errSpent
	}
	return f, result, nil
}

// createFleet makes the call. A launch template that is gone although it was there is
// made again, once.
func (p *Provider) createFleet(
	ctx context.Context, claim *v1alpha1.NodeClaim, spec v1alpha1.EC2NodeClassSpec, r resolution, f fleet, order purchase,
) (*ec2.CreateFleetOutput, error) {
	taints := append(slices.Clip(claim.Spec.Taints), claim.Spec.StartupTaints...)
	boot, err := userData(p.cfg.Cluster, spec.Kubelet, nodeLabels(claim, f), taints)
	if err != nil {
		return nil, err
	}
	tags := tagList(order.tags)
	input := &ec2.CreateFleetInput{
		Type:        types.FleetTypeInstant,
		ClientToken: aws.String(order.token),
		TargetCapacitySpecification: &types.TargetCapacitySpecificationRequest{
			TotalTargetCapacity:       aws.Int32(order.count),
			DefaultTargetCapacityType: f.market(),
		},
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
	for again := false; ; again = true {
		input.LaunchTemplateConfigs = nil
		for _, g := range f.groups {
			name, err := p.ensureTemplate(ctx, p.templateFor(spec, r, g.image, boot, f.reservation))
			if err != nil {
				return nil, err
			}
			input.LaunchTemplateConfigs = append(input.LaunchTemplateConfigs, types.FleetLaunchTemplateConfigRequest{
				LaunchTemplateSpecification: &types.FleetLaunchTemplateSpecificationRequest{
					LaunchTemplateName: aws.String(name), Version: aws.String("1"),
				},
				Overrides: g.overrides,
			})
		}
		out, err := p.ec2.CreateFleet(ctx, input)
		if again || !hasCode(err, codeTemplateMissing) {
			return out, err
		}
		for _, c := range input.LaunchTemplateConfigs {
			p.templates.forget(*c.LaunchTemplateSpecification.LaunchTemplateName)
		}
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
		timer := p.cfg.Clock.NewTimer(lookupEvery)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	if p.cfg.Clock.Since(claim.CreationTimestamp.Time) > settled {
		return fmt.Errorf("%w: %w", cloud.ErrInvalid, errNothingSeen)
	}
	return errNothingSeen
}
