package ec2

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// LaunchFleet buys instances for claims of one fleet. The fleet's ID is CreateFleet's client
// token and is on the instances as a tag. A token buys once: what is missing when it meets
// other parameters, fewer claims among them, is not bought with it again.
func (p *Provider) LaunchFleet(
	ctx context.Context, claims []*v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass, taken sets.Set[string],
) ([]cloud.Instance, error) {
	if len(claims) == 0 || claims[0].Spec.Fleet == nil {
		return nil, fmt.Errorf("%w: there is no fleet to launch", cloud.ErrInvalid)
	}
	instances, err := p.launchFleet(ctx, claims, class, taken)
	instances = slices.DeleteFunc(instances, func(i cloud.Instance) bool { return taken.Has(i.ID) })
	if err != nil {
		err = fmt.Errorf("launch fleet %s of %d nodeclaims: %w", claims[0].Spec.Fleet.ID, len(claims), err)
	}
	return instances[:min(len(instances), len(claims))], err
}

// launchFleet returns all that was bought under the fleet's token, by id.
func (p *Provider) launchFleet(
	ctx context.Context, claims []*v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass, taken sets.Set[string],
) ([]cloud.Instance, error) {
	claim := claims[0]
	if err := p.mayBuy(claim); err != nil {
		return nil, err
	}
	if p.cfg.Clock.Since(claim.CreationTimestamp.Time) > freshClaim {
		if _, bought, err := p.findByFleet(ctx, claim.Spec.Fleet.ID); err != nil {
			return nil, err
		} else if bought {
			return p.adoptFleet(ctx, claims, taken)
		}
	}
	got, err := p.buy(ctx, claim, class, purchase{
		count: int32(min(len(claims), v1alpha1.MaxFleet)), whole: claim.Spec.Fleet.Whole, token: string(claim.Spec.Fleet.ID), tags: p.fleetTags(claim, specOf(class)),
	})
	if errors.Is(err, errSpent) {
		return p.adoptFleet(ctx, claims, taken)
	}
	for i := range got.instances {
		got.instances[i].FleetID = string(claim.Spec.Fleet.ID)
	}
	if len(got.instances) == len(claims) {
		got.instances[0].Unavailable = got.unavailable
		return got.instances, nil
	}
	return got.instances, err
}

// adoptFleet finds what was bought under the fleet's token before.
func (p *Provider) adoptFleet(ctx context.Context, claims []*v1alpha1.NodeClaim, taken sets.Set[string]) (instances []cloud.Instance, err error) {
	var seen sightings
	err = p.lookFor(ctx, claims[0], func() error {
		found, bought, err := p.findByFleet(ctx, claims[0].Spec.Fleet.ID)
		if err != nil {
			return err
		}
		instances = found
		if free := ids(found).Difference(taken).Len(); !bought || !seen.all(free, len(claims)) {
			return cloud.ErrNotFound
		}
		return nil
	})
	if errors.Is(err, errNothingSeen) && len(instances) > 0 {
		return instances, nil // more came each time we looked
	}
	return instances, err
}

func ids(instances []cloud.Instance) sets.Set[string] {
	all := sets.New[string]()
	for _, i := range instances {
		all.Insert(i.ID)
	}
	return all
}

// sightings tells when all of a fleet is in sight: EC2's reads may show some of its instances
// before the others.
type sightings struct{ most, without int }

// steadyLooks in a row that bring nothing new are held to prove that there is no more.
const steadyLooks = 4

// all is told how many instances are in sight and how many were wanted.
func (s *sightings) all(n, want int) bool {
	if n > s.most {
		s.most, s.without = n, 0
	} else {
		s.without++
	}
	return n >= want || s.without >= steadyLooks
}
