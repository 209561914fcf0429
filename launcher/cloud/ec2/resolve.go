package ec2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// maxClasses bounds the resolutions kept.
const maxClasses = 256

// tagDiscovery with the cluster's name as its value marks what nodes may use.
const tagDiscovery = v1alpha1.Group + "/discovery"

// resolution is what a class stands for just now.
type resolution struct {
	subnets []subnet // by zone, then id
	groups  []v1alpha1.SecurityGroup
	images  []image
	profile string // name of the instance profile
	// reservations are active ones, by id.
	reservations []v1alpha1.CapacityReservation
	selects      bool // whether the class selects reservations
	userData     bool // whether the class has any
	// problems are what keeps the class from being used, by condition; nothing is
	// wrong with AWS, somebody has to act.
	problems map[string]error
}

type subnet struct {
	v1alpha1.Subnet
	free int32 // addresses
}

// Resolve finds the class's subnets, security groups and images, and makes the instance profile
// of its role. What it finds is
// returned, with a condition for each kind, also when it fails; apply the conditions
// with meta.SetStatusCondition, they carry no time.
func (p *Provider) Resolve(ctx context.Context, class *v1alpha1.EC2NodeClass) (v1alpha1.EC2NodeClassStatus, error) {
	r, err := p.resolution(ctx, class, resolveMaxAge)
	if err != nil {
		return v1alpha1.EC2NodeClassStatus{}, err
	}
	status := r.status()
	if c := p.substituted(); c != nil {
		status.Conditions = append(status.Conditions, *c)
	}
	return status, r.err()
}

// resolution returns what the class stands for, no older than maxAge if AWS answers.
func (p *Provider) resolution(ctx context.Context, class *v1alpha1.EC2NodeClass, maxAge time.Duration) (resolution, error) {
	spec := specOf(class)
	r, err := p.resolved.at(resolutionKey(spec), func() *cached[resolution] {
		return newCached("class resolution", p.cfg.Clock, p.metrics, func(ctx context.Context) (resolution, error) {
			return p.resolve(ctx, spec)
		})
	}).get(ctx, maxAge)
	if err != nil {
		return resolution{}, fmt.Errorf("resolve class %q: %w", nameOf(class), err)
	}
	if r.userData = spec.UserData != nil; r.userData {
		if _, err := userData(p.cfg.Cluster, spec, nil, nil); err != nil {
			r.problems = maps.Clone(r.problems) // others share them
			r.problems[v1alpha1.ConditionUserDataReady] = err
		}
	}
	return r, nil
}

// usable returns what the class stands for when nodes can be made of it. A class that
// could not be used is looked at again sooner.
func (p *Provider) usable(ctx context.Context, class *v1alpha1.EC2NodeClass, maxAge time.Duration) (resolution, error) {
	r, err := p.resolution(ctx, class, maxAge)
	if err == nil && r.err() != nil && maxAge > resolveMaxAge {
		r, err = p.resolution(ctx, class, resolveMaxAge)
	}
	if err != nil {
		return resolution{}, err
	}
	if err := r.err(); err != nil {
		return resolution{}, fmt.Errorf("class %q: %w", nameOf(class), err)
	}
	return r, nil
}

// resolutionKey is equal for classes that resolve to the same.
func resolutionKey(spec v1alpha1.EC2NodeClassSpec) string {
	key, err := json.Marshal([]any{spec.AMISelectorTerms, spec.SubnetSelectorTerms, spec.SecurityGroupSelectorTerms, spec.CapacityReservationSelectorTerms, spec.Role, spec.InstanceProfile})
	if err != nil {
		panic(fmt.Sprintf("selector terms do not marshal: %v", err)) // strings and maps of strings do
	}
	return string(key)
}

func specOf(class *v1alpha1.EC2NodeClass) v1alpha1.EC2NodeClassSpec {
	if class == nil {
		return v1alpha1.EC2NodeClassSpec{}
	}
	return class.Spec
}

func nameOf(class *v1alpha1.EC2NodeClass) string {
	if class == nil {
		return ""
	}
	return class.Name
}

// resolve asks AWS. It fails when AWS does; what only the user can mend becomes one of
// the resolution's problems.
func (p *Provider) resolve(ctx context.Context, spec v1alpha1.EC2NodeClassSpec) (resolution, error) {
	r := resolution{problems: map[string]error{}, selects: len(spec.CapacityReservationSelectorTerms) > 0}
	var err error
	for _, part := range []struct {
		condition string
		find      func() error
	}{
		{v1alpha1.ConditionSubnetsReady, func() error { r.subnets, err = p.findSubnets(ctx, spec.SubnetSelectorTerms); return err }},
		{v1alpha1.ConditionSecurityGroupsReady, func() error { r.groups, err = p.findGroups(ctx, spec.SecurityGroupSelectorTerms); return err }},
		{v1alpha1.ConditionAMIsReady, func() error { r.images, err = p.findImages(ctx, spec.AMISelectorTerms); return err }},
		{v1alpha1.ConditionInstanceProfileReady, func() error { r.profile, err = p.findProfile(ctx, spec); return err }},
		{v1alpha1.ConditionReservationsReady, func() error {
			r.reservations, err = p.findReservations(ctx, spec.CapacityReservationSelectorTerms)
			return err
		}},
	} {
		switch err := part.find(); {
		case err == nil:
		case errors.Is(err, cloud.ErrDenied), errors.Is(err, cloud.ErrInvalid), errors.Is(err, cloud.ErrNotFound):
			r.problems[part.condition] = err
		default:
			return resolution{}, err
		}
	}
	return r, nil
}

func (p *Provider) findSubnets(ctx context.Context, terms []v1alpha1.SubnetSelectorTerm) ([]subnet, error) {
	queries := p.subnetsOfCluster()
	if len(terms) > 0 {
		var selected [][]types.Filter
		for _, t := range terms {
			filters := selector(t.Tags, "subnet-id", t.ID)
			if t.CIDR != "" {
				filters = append(filters, filter("cidr-block", t.CIDR))
			}
			selected = append(selected, filters)
		}
		queries = alternatives{selected}
	}
	found, err := firstFound(queries, func(filters []types.Filter) (all []types.Subnet, err error) {
		pages := ec2.NewDescribeSubnetsPaginator(p.ec2, &ec2.DescribeSubnetsInput{Filters: filters})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			all = append(all, page.Subnets...)
		}
		return all, nil
	})
	if err != nil {
		return nil, err
	}
	if len(terms) == 0 {
		found = preferPrivate(found)
	}
	subnets := make([]subnet, 0, len(found))
	for _, s := range found {
		subnets = append(subnets, subnet{
			Subnet: v1alpha1.Subnet{
				ID: aws.ToString(s.SubnetId), Zone: aws.ToString(s.AvailabilityZone), ZoneID: aws.ToString(s.AvailabilityZoneId),
			},
			free: aws.ToInt32(s.AvailableIpAddressCount),
		})
	}
	subnets = sortedUnique(subnets, func(s subnet) string { return s.Zone + " " + s.ID })
	if len(subnets) == 0 {
		return nil, nothingFound("subnet", "subnetSelectorTerms", len(terms) > 0, p.cfg.Cluster.Name)
	}
	return subnets, nil
}

func (p *Provider) findGroups(ctx context.Context, terms []v1alpha1.SecurityGroupSelectorTerm) ([]v1alpha1.SecurityGroup, error) {
	queries := p.groupsOfCluster()
	if len(terms) > 0 {
		var selected [][]types.Filter
		for _, t := range terms {
			f := selector(t.Tags, "group-id", t.ID)
			if t.Name != "" {
				f = append(f, filter("group-name", t.Name))
			}
			selected = append(selected, f)
		}
		queries = alternatives{selected}
	}
	found, err := firstFound(queries, func(filters []types.Filter) (all []types.SecurityGroup, err error) {
		pages := ec2.NewDescribeSecurityGroupsPaginator(p.ec2, &ec2.DescribeSecurityGroupsInput{Filters: filters})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			all = append(all, page.SecurityGroups...)
		}
		return all, nil
	})
	if err != nil {
		return nil, err
	}
	if len(terms) == 0 {
		found = slices.DeleteFunc(found, ofLoadBalancer)
	}
	groups := make([]v1alpha1.SecurityGroup, 0, len(found))
	for _, g := range found {
		groups = append(groups, v1alpha1.SecurityGroup{ID: aws.ToString(g.GroupId), Name: aws.ToString(g.GroupName)})
	}
	groups = sortedUnique(groups, func(g v1alpha1.SecurityGroup) string { return g.ID })
	if len(groups) == 0 {
		return nil, nothingFound("security group", "securityGroupSelectorTerms", len(terms) > 0, p.cfg.Cluster.Name)
	}
	return groups, nil
}

// err says what keeps the class from being used; nil when it can be. It wraps
// cloud.ErrInvalid unless AWS itself said otherwise.
func (r resolution) err() error {
	for _, condition := range resolveConditions {
		if err := r.problems[condition]; err != nil {
			return err
		}
	}
	return nil
}

var resolveConditions = [...]string{
	v1alpha1.ConditionSubnetsReady, v1alpha1.ConditionSecurityGroupsReady, v1alpha1.ConditionAMIsReady,
	v1alpha1.ConditionInstanceProfileReady, v1alpha1.ConditionUserDataReady, v1alpha1.ConditionReservationsReady,
}

func (r resolution) status() v1alpha1.EC2NodeClassStatus {
	status := v1alpha1.EC2NodeClassStatus{SecurityGroups: r.groups, InstanceProfile: r.profile, CapacityReservations: r.reservations}
	for _, s := range r.subnets {
		status.Subnets = append(status.Subnets, s.Subnet)
	}
	for _, i := range r.images {
		status.AMIs = append(status.AMIs, v1alpha1.AMI{ID: i.id, Name: i.name, Architecture: i.arch})
	}
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Resolved"}
	for _, name := range resolveConditions {
		if name == v1alpha1.ConditionReservationsReady && !r.selects || name == v1alpha1.ConditionUserDataReady && !r.userData {
			continue
		}
		c := metav1.Condition{Type: name, Status: metav1.ConditionTrue, Reason: "Resolved"}
		if err := r.problems[name]; err != nil {
			c.Status, c.Reason, c.Message = metav1.ConditionFalse, reasonOf(err), err.Error()
			ready.Status, ready.Reason, ready.Message = c.Status, c.Reason, c.Message
		} else if name == v1alpha1.ConditionReservationsReady && len(r.reservations) == 0 {
			c.Reason, c.Message = "NoneActive", "no active capacity reservation matches spec.capacityReservationSelectorTerms; nodes are launched without"
		}
		status.Conditions = append(status.Conditions, c)
	}
	status.Conditions = append(status.Conditions, ready)
	return status
}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, cloud.ErrDenied):
		return "PermissionDenied"
	case errors.Is(err, errUserData):
		return "Invalid"
	}
	return "NotFound"
}
