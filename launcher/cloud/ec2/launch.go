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
	if p.cfg.ReadOnly {
		return cloud.Instance{}, fmt.Errorf("%w: this provider only reads", cloud.ErrInvalid)
	}
	if claim.UID == "" || len(claim.Spec.Offerings) == 0 {
		return cloud.Instance{}, fmt.Errorf("%w: a claim needs a UID and offerings", cloud.ErrInvalid)
	}
	// Tokens are not remembered for ever. An old claim's instance, if it has one, is in sight.
	if p.cfg.Clock.Since(claim.CreationTimestamp.Time) > freshClaim {
		instance, err := p.findByClaim(ctx, string(claim.UID))
		if !errors.Is(err, cloud.ErrNotFound) {
			return instance, err
		}
	}
	r, err := p.usable(ctx, class, launchMaxAge)
	if err != nil {
		return cloud.Instance{}, err
	}
	table, err := p.types.get(ctx, typesMaxAge)
	if err != nil {
		return cloud.Instance{}, fmt.Errorf("instance types: %w", err)
	}
	f, err := planFleet(claim, r, table)
	if err != nil {
		return cloud.Instance{}, err
	}
	out, err := p.createFleet(ctx, claim, specOf(class), r, f)
	switch {
	case hasCode(err, codeParameterMismatch):
		return p.adopt(ctx, claim)
	case errors.Is(err, cloud.ErrNotFound):
		// Something of what the class resolved to is gone.
		p.resolved.forget(resolutionKey(specOf(class)))
		return cloud.Instance{}, err
	case errors.Is(err, cloud.ErrCapacity):
		return cloud.Instance{}, &cloud.CapacityError{Offerings: f.pools, Err: err}
	case err != nil:
		return cloud.Instance{}, err
	}
	result := f.read(out)
	if result.subnetFull {
		p.resolved.forget(resolutionKey(specOf(class)))
	}
	switch {
	case result.instanceID != "":
		return p.bought(claim, f, result), nil
	case result.err != nil:
		return cloud.Instance{}, result.err
	default:
		return p.adopt(ctx, claim) // an answer to a token used before may be empty
	}
}

// createFleet makes the call. A launch template that is gone although it was there is
// made again, once.
func (p *Provider) createFleet(
	ctx context.Context, claim *v1alpha1.NodeClaim, spec v1alpha1.EC2NodeClassSpec, r resolution, f fleet,
) (*ec2.CreateFleetOutput, error) {
	taints := append(slices.Clip(claim.Spec.Taints), claim.Spec.StartupTaints...)
	boot, err := userData(p.cfg.Cluster, spec.Kubelet, nodeLabels(claim, f), taints)
	if err != nil {
		return nil, err
	}
	tags := tagList(p.claimTags(claim, spec))
	input := &ec2.CreateFleetInput{
		Type:        types.FleetTypeInstant,
		ClientToken: aws.String(string(claim.UID)),
		TargetCapacitySpecification: &types.TargetCapacitySpecificationRequest{
			TotalTargetCapacity:       aws.Int32(1),
			DefaultTargetCapacityType: f.market(),
		},
		TagSpecifications: []types.TagSpecification{
			{ResourceType: types.ResourceTypeFleet, Tags: tags},
			{ResourceType: types.ResourceTypeInstance, Tags: tags},
			{ResourceType: types.ResourceTypeVolume, Tags: tags},
			{ResourceType: types.ResourceTypeNetworkInterface, Tags: tags},
		},
	}
	if f.capacityType == v1alpha1.CapacityTypeSpot {
		input.SpotOptions = &types.SpotOptionsRequest{AllocationStrategy: types.SpotAllocationStrategyPriceCapacityOptimized}
	} else if f.market() == types.DefaultTargetCapacityTypeOnDemand {
		input.OnDemandOptions = &types.OnDemandOptionsRequest{AllocationStrategy: types.FleetOnDemandAllocationStrategyLowestPrice}
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
func (p *Provider) bought(claim *v1alpha1.NodeClaim, f fleet, r fleetResult) cloud.Instance {
	return cloud.Instance{
		ID: r.instanceID, ProviderID: providerID(r.zone, r.instanceID), NodeName: r.instanceID,
		Type: r.instanceType, Zone: r.zone, CapacityType: f.capacityType,
		ReservationID: f.reservationID(),
		ImageID:       f.imageOf[r.instanceType],
		ClaimName:     claim.Name,
		ClaimUID:      string(claim.UID),
		LaunchTime:    p.cfg.Clock.Now(),
		Unavailable:   r.unavailable,
	}
}

// adopt finds the instance that was bought under the claim's token before. EC2's reads
// lag behind, so it looks for a while.
func (p *Provider) adopt(ctx context.Context, claim *v1alpha1.NodeClaim) (cloud.Instance, error) {
	for range lookups {
		instance, err := p.findByClaim(ctx, string(claim.UID))
		if !errors.Is(err, cloud.ErrNotFound) {
			return instance, err
		}
		timer := p.cfg.Clock.NewTimer(lookupEvery)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return cloud.Instance{}, ctx.Err()
		}
	}
	const nothing = "an earlier call for this claim brought no instance into sight"
	if p.cfg.Clock.Since(claim.CreationTimestamp.Time) > settled {
		return cloud.Instance{}, fmt.Errorf("%w: %s", cloud.ErrInvalid, nothing)
	}
	return cloud.Instance{}, errors.New(nothing)
}
