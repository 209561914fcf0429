package ec2

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// findReservations reads the active capacity reservations that the terms select. That there
// is none is no error: the class's other nodes do without.
func (p *Provider) findReservations(ctx context.Context, terms []v1alpha1.CapacityReservationSelectorTerm) ([]v1alpha1.CapacityReservation, error) {
	var found []v1alpha1.CapacityReservation
	for _, t := range terms {
		some, err := p.describeReservations(ctx, reservationQuery(t))
		if t.ID != "" && errors.Is(err, cloud.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, r := range some {
			if usableReservation(r) {
				found = append(found, reservationOf(r))
			}
		}
	}
	return sortedUnique(found, func(r v1alpha1.CapacityReservation) string { return r.ID }), nil
}

func reservationQuery(t v1alpha1.CapacityReservationSelectorTerm) *ec2.DescribeCapacityReservationsInput {
	active := filter("state", string(types.CapacityReservationStateActive))
	if t.ID != "" { // which cannot be paged
		return &ec2.DescribeCapacityReservationsInput{CapacityReservationIds: []string{t.ID}, Filters: []types.Filter{active}}
	}
	filters := append([]types.Filter{active}, selector(t.Tags, "", "")...)
	if t.OwnerID != "" {
		filters = append(filters, filter("owner-id", t.OwnerID))
	}
	if t.InstanceMatchCriteria != "" {
		filters = append(filters, filter("instance-match-criteria", t.InstanceMatchCriteria))
	}
	return &ec2.DescribeCapacityReservationsInput{Filters: filters, MaxResults: aws.Int32(1000)}
}

func (p *Provider) describeReservations(ctx context.Context, in *ec2.DescribeCapacityReservationsInput) (all []types.CapacityReservation, err error) {
	pages := ec2.NewDescribeCapacityReservationsPaginator(p.ec2, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, page.CapacityReservations...)
	}
	return all, nil
}

// usableReservation tells whether a Linux node on shared hardware can be in the reservation.
// Interruptible ones are left out: that they end at two minutes' notice is not handled.
func usableReservation(r types.CapacityReservation) bool {
	return r.State == types.CapacityReservationStateActive && r.Tenancy == types.CapacityReservationTenancyDefault &&
		r.InstancePlatform == types.CapacityReservationInstancePlatformLinuxUnix && !aws.ToBool(r.Interruptible) &&
		aws.ToString(r.OutpostArn) == "" && aws.ToString(r.PlacementGroupArn) == ""
}

func reservationOf(r types.CapacityReservation) v1alpha1.CapacityReservation {
	out := v1alpha1.CapacityReservation{
		ID: aws.ToString(r.CapacityReservationId), InstanceType: aws.ToString(r.InstanceType), Zone: aws.ToString(r.AvailabilityZone),
		Type: v1alpha1.ReservationTypeDefault, InstanceMatchCriteria: string(r.InstanceMatchCriteria), OwnerID: aws.ToString(r.OwnerId),
		Total: aws.ToInt32(r.TotalInstanceCount), Available: aws.ToInt32(r.AvailableInstanceCount),
	}
	if r.ReservationType == types.CapacityReservationTypeCapacityBlock {
		out.Type = v1alpha1.ReservationTypeCapacityBlock
	}
	if r.EndDate != nil {
		end := metav1.NewTime(*r.EndDate)
		out.EndTime = &end
	}
	return out
}

// closed tells whether nothing is to be launched into the reservation any more.
func closed(r v1alpha1.CapacityReservation, now time.Time) bool {
	closes := r.Closes()
	return !closes.IsZero() && !now.Before(closes)
}

// reservedOf lists a type's offerings in the class's reservations. They have the type's
// on-demand price; a type without one is left out as it is elsewhere.
func (p *Provider) reservedOf(t sold, r resolution, price prices) []offering.Offering {
	var out []offering.Offering
	for _, c := range r.reservations {
		usd, ok := price.of(t.Name, c.Zone, v1alpha1.CapacityTypeOnDemand)
		if _, hasSubnet := roomiest(r.subnets, c.Zone); !ok || !hasSubnet || c.InstanceType != t.Name {
			continue
		}
		out = append(out, offering.Offering{
			Zone: c.Zone, CapacityType: v1alpha1.CapacityTypeReserved, Price: usd,
			Available:   c.Available > 0 && !closed(c, p.cfg.Clock.Now()),
			Reservation: &offering.Reservation{ID: c.ID, Total: int(c.Total), Available: int(c.Available)},
		})
	}
	return out
}

// target makes a template's instances run in the reservation and nowhere else, or, where
// the class selects reservations and none is asked for, outside of all: EC2 puts them into
// open ones by default, which would then be counted on in vain.
func target(data *types.RequestLaunchTemplateData, spec v1alpha1.EC2NodeClassSpec, r *v1alpha1.CapacityReservation) {
	switch {
	case r != nil:
		data.CapacityReservationSpecification = &types.LaunchTemplateCapacityReservationSpecificationRequest{
			CapacityReservationPreference: types.CapacityReservationPreferenceCapacityReservationsOnly,
			CapacityReservationTarget:     &types.CapacityReservationTarget{CapacityReservationId: aws.String(r.ID)},
		}
		if r.Type == v1alpha1.ReservationTypeCapacityBlock {
			data.InstanceMarketOptions = &types.LaunchTemplateInstanceMarketOptionsRequest{MarketType: types.MarketTypeCapacityBlock}
		}
	case len(spec.CapacityReservationSelectorTerms) > 0:
		data.CapacityReservationSpecification = &types.LaunchTemplateCapacityReservationSpecificationRequest{
			CapacityReservationPreference: types.CapacityReservationPreferenceNone,
		}
	}
}
