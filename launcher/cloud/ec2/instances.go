package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	k8stypes "k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// Get reads one instance. EC2's reads lag behind: an instance just launched may not be
// found for some seconds.
func (p *Provider) Get(ctx context.Context, id string) (cloud.Instance, error) {
	in, err := p.gets.do(ctx, id)
	if err != nil {
		return cloud.Instance{}, fmt.Errorf("instance %s: %w", id, err)
	}
	return in, nil
}

// mostFiltered is how many values a filter may have.
const mostFiltered = 200

// getAll reads instances by a filter, since one unknown id would fail a call that names ids.
func (p *Provider) getAll(ctx context.Context, ids []string) (map[string]answer[cloud.Instance], error) {
	found, err := p.describe(ctx, filter("instance-id", ids...))
	if err != nil {
		return nil, err
	}
	answers := make(map[string]answer[cloud.Instance], len(ids))
	for _, id := range ids {
		answers[id] = answer[cloud.Instance]{err: cloud.ErrNotFound}
	}
	for _, i := range found {
		if stateOf(i) != types.InstanceStateNameTerminated {
			answers[aws.ToString(i.InstanceId)] = answer[cloud.Instance]{value: instanceOf(i)}
		}
	}
	return answers, nil
}

// List reads all instances tagged as this cluster's that are not terminated.
func (p *Provider) List(ctx context.Context) ([]cloud.Instance, error) {
	found, err := p.describe(ctx,
		filter("tag:"+v1alpha1.TagCluster, p.cfg.Cluster.Name),
		filter("instance-state-name", "pending", "running", "stopping", "stopped", "shutting-down"))
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	list := make([]cloud.Instance, 0, len(found))
	for _, i := range found {
		list = append(list, instanceOf(i))
	}
	return list, nil
}

// Terminate asks for an instance's end.
func (p *Provider) Terminate(ctx context.Context, id string) error {
	if _, err := p.terminations.do(ctx, id); err != nil {
		return fmt.Errorf("terminate instance %s: %w", id, err)
	}
	return nil
}

// mostTerminated is how many instances a call ends. It might be 1000, but such a call would
// take a whole bucket of instances.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
const mostTerminated = 500

// terminateAll ends instances. An unknown one, or one that may not be ended, has EC2 end
// none: each is then asked for by itself.
func (p *Provider) terminateAll(ctx context.Context, ids []string) (map[string]answer[struct{}], error) {
	if err := p.buckets.draw(ctx, terminatedInstances, len(ids)); err != nil {
		return nil, err
	}
	out, err := p.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})
	answers := make(map[string]answer[struct{}], len(ids))
	switch {
	case err == nil:
		for _, c := range out.TerminatingInstances {
			if c.PreviousState != nil && c.PreviousState.Name == types.InstanceStateNameTerminated {
				answers[aws.ToString(c.InstanceId)] = answer[struct{}]{err: cloud.ErrNotFound}
			}
		}
		return answers, nil
	case len(ids) == 1 || errors.Is(err, cloud.ErrThrottled) || errors.Is(err, cloud.ErrDenied):
		return nil, err
	}
	for _, id := range ids {
		one, err := p.terminateAll(ctx, []string{id})
		answers[id] = answer[struct{}]{err: cmp.Or(err, one[id].err)}
	}
	return answers, nil
}

// findByFleet finds the instances bought under a fleet's ID that still run, by id, and tells
// whether any was bought at all.
func (p *Provider) findByFleet(ctx context.Context, id k8stypes.UID) (running []cloud.Instance, bought bool, err error) {
	found, err := p.describe(ctx,
		filter("tag:"+v1alpha1.TagCluster, p.cfg.Cluster.Name),
		filter("tag:"+v1alpha1.TagFleet, string(id)))
	for _, i := range found {
		switch stateOf(i) {
		case types.InstanceStateNameShuttingDown, types.InstanceStateNameTerminated:
		default:
			running = append(running, instanceOf(i))
		}
	}
	slices.SortFunc(running, func(a, b cloud.Instance) int { return strings.Compare(a.ID, b.ID) })
	return running, len(found) > 0, err
}

// errEnded: the claim had its instance, which is gone. It can have no other.
var errEnded = errors.New("its instance has ended already")

// findByClaim finds the instance bought under a claim's UID: cloud.ErrNotFound when
// there is none to be seen.
func (p *Provider) findByClaim(ctx context.Context, uid string) (cloud.Instance, error) {
	found, err := p.describe(ctx,
		filter("tag:"+v1alpha1.TagCluster, p.cfg.Cluster.Name),
		filter("tag:"+v1alpha1.TagClaimUID, uid))
	if err != nil {
		return cloud.Instance{}, err
	}
	ended := ""
	for _, i := range found {
		switch stateOf(i) {
		case types.InstanceStateNameShuttingDown, types.InstanceStateNameTerminated:
			ended = aws.ToString(i.InstanceId)
		default:
			return instanceOf(i), nil
		}
	}
	if ended != "" {
		return cloud.Instance{}, fmt.Errorf("%w: %w: %s", cloud.ErrInvalid, errEnded, ended)
	}
	return cloud.Instance{}, cloud.ErrNotFound
}

func (p *Provider) describe(ctx context.Context, filters ...types.Filter) ([]types.Instance, error) {
	var all []types.Instance
	pages := ec2.NewDescribeInstancesPaginator(p.ec2, &ec2.DescribeInstancesInput{Filters: filters, MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Reservations {
			all = append(all, r.Instances...)
		}
	}
	return all, nil
}

func stateOf(i types.Instance) types.InstanceStateName {
	if i.State == nil {
		return ""
	}
	return i.State.Name
}

func instanceOf(i types.Instance) cloud.Instance {
	id, zone := aws.ToString(i.InstanceId), ""
	if i.Placement != nil {
		zone = aws.ToString(i.Placement.AvailabilityZone)
	}
	capacityType := v1alpha1.CapacityTypeOnDemand
	if i.InstanceLifecycle == types.InstanceLifecycleTypeSpot {
		capacityType = v1alpha1.CapacityTypeSpot
	}
	reservation := ""
	if s := i.CapacityReservationSpecification; s != nil && s.CapacityReservationTarget != nil {
		reservation = aws.ToString(s.CapacityReservationTarget.CapacityReservationId)
	}
	// One that targets none may be in an open reservation by chance, and one whose reservation
	// has ended runs on outside of it.
	if reservation != aws.ToString(i.CapacityReservationId) {
		reservation = ""
	}
	if reservation != "" {
		capacityType = v1alpha1.CapacityTypeReserved
	}
	var groups []string
	for _, g := range i.SecurityGroups {
		groups = append(groups, aws.ToString(g.GroupId))
	}
	slices.Sort(groups)
	return cloud.Instance{
		ID: id, ProviderID: providerID(zone, id), NodeName: id,
		SubnetID: aws.ToString(i.SubnetId), SecurityGroups: groups,
		Type: string(i.InstanceType), Zone: zone, CapacityType: capacityType,
		ReservationID: reservation,
		ImageID:       aws.ToString(i.ImageId),
		ClaimName:     tagOf(i.Tags, v1alpha1.TagNodeClaim),
		ClaimUID:      tagOf(i.Tags, v1alpha1.TagClaimUID),
		FleetID:       tagOf(i.Tags, v1alpha1.TagFleet),
		LaunchTime:    aws.ToTime(i.LaunchTime),
		Terminating:   stateOf(i) == types.InstanceStateNameShuttingDown,
	}
}

// providerID is as the AWS cloud provider and nodeadm write it into node.spec.
func providerID(zone, id string) string { return "aws:///" + zone + "/" + id }
