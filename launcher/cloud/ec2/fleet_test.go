package ec2

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

var (
	testResolution = resolution{
		subnets: []subnet{
			{Subnet: v1alpha1.Subnet{ID: "subnet-a1", Zone: "a"}, free: 10},
			{Subnet: v1alpha1.Subnet{ID: "subnet-a2", Zone: "a"}, free: 20},
			{Subnet: v1alpha1.Subnet{ID: "subnet-b", Zone: "b"}, free: 0},
		},
		images: []image{
			{id: "ami-amd", arch: "amd64", variant: variantStandard},
			{id: "ami-gpu", arch: "amd64", variant: variantNvidia},
			{id: "ami-arm", arch: "arm64", variant: variantStandard},
		},
	}
	testTable = typeTable{
		"m5.large":    {Hardware: Hardware{Name: "m5.large", Arch: "amd64"}},
		"m6g.large":   {Hardware: Hardware{Name: "m6g.large", Arch: "arm64"}},
		"g4dn.xlarge": {Hardware: Hardware{Name: "g4dn.xlarge", Arch: "amd64", GPUs: 1, GPUMaker: "NVIDIA"}},
		"trn1.large":  {Hardware: Hardware{Name: "trn1.large", Arch: "amd64", Neurons: 1}},
	}
)

func claimFor(offerings ...v1alpha1.AcceptedOffering) *v1alpha1.NodeClaim {
	return &v1alpha1.NodeClaim{Spec: v1alpha1.NodeClaimSpec{Offerings: v1alpha1.GroupOfferings(offerings...)}}
}

func accept(instanceType, zone, capacityType, price string) v1alpha1.AcceptedOffering {
	return v1alpha1.AcceptedOffering{
		InstanceType: instanceType, Zone: zone, CapacityType: capacityType, Price: resource.MustParse(price),
	}
}

func TestPlanFleet(t *testing.T) {
	for _, tt := range []struct {
		name      string
		offerings []v1alpha1.AcceptedOffering
		want      map[string][]string // image: types and subnets, in order
		spot      bool
		err       bool
	}{
		{
			name: "one subnet a zone, the roomiest; an image for each type",
			offerings: []v1alpha1.AcceptedOffering{
				accept("m6g.large", "a", "on-demand", "0.07"), accept("m5.large", "a", "on-demand", "0.09"), accept("m5.large", "b", "on-demand", "0.1"),
			},
			want: map[string][]string{"ami-arm": {"m6g.large subnet-a2"}, "ami-amd": {"m5.large subnet-a2", "m5.large subnet-b"}},
		},
		{
			name: "capacity type of the cheapest only, wherever it stands",
			offerings: []v1alpha1.AcceptedOffering{
				accept("m5.large", "a", "on-demand", "0.09"), accept("m5.large", "a", "spot", "0.03"), accept("m6g.large", "b", "spot", "0.04"),
			},
			want: map[string][]string{"ami-amd": {"m5.large subnet-a2"}, "ami-arm": {"m6g.large subnet-b"}}, spot: true,
		},
		{
			name:      "an image with drivers",
			offerings: []v1alpha1.AcceptedOffering{accept("g4dn.xlarge", "a", "on-demand", "0.5")},
			want:      map[string][]string{"ami-gpu": {"g4dn.xlarge subnet-a2"}},
		},
		{
			name: "no pool twice",
			offerings: []v1alpha1.AcceptedOffering{
				accept("m5.large", "a", "on-demand", "0.09"), accept("m5.large", "a", "on-demand", "0.09"),
			},
			want: map[string][]string{"ami-amd": {"m5.large subnet-a2"}},
		},
		{
			name: "what cannot be bought is left out",
			offerings: []v1alpha1.AcceptedOffering{
				accept("x0.large", "a", "on-demand", "0.01"), accept("trn1.large", "a", "on-demand", "0.02"),
				accept("m5.large", "c", "on-demand", "0.03"), accept("m5.large", "a", "on-demand", "0.09"),
			},
			want: map[string][]string{"ami-amd": {"m5.large subnet-a2"}},
		},
		{name: "nothing can be bought", offerings: []v1alpha1.AcceptedOffering{accept("m5.large", "c", "on-demand", "0.03")}, err: true},
		{name: "unknown capacity type", offerings: []v1alpha1.AcceptedOffering{accept("m5.large", "a", "barter", "0.1")}, err: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claim := claimFor(tt.offerings...)
			f, err := planFleet(claim, claim.Spec.Accepted()[0].CapacityType, testResolution, testTable)
			if tt.err != errors.Is(err, cloud.ErrInvalid) {
				t.Fatalf("err = %v", err)
			}
			if tt.err {
				return
			}
			got := map[string][]string{}
			for _, o := range f.overrides {
				got[*o.ImageId] = append(got[*o.ImageId], string(o.InstanceType)+" "+*o.SubnetId)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("overrides (-want +got):\n%s", diff)
			}
			if spot := f.capacityType == "spot"; spot != tt.spot {
				t.Errorf("spot = %v, want %v", spot, tt.spot)
			}
		})
	}
}

func TestReadFleetAnswer(t *testing.T) {
	f, err := planFleet(claimFor(
		accept("m6g.large", "a", "on-demand", "0.07"), accept("m5.large", "a", "on-demand", "0.09"), accept("m5.large", "b", "on-demand", "0.1"),
	), v1alpha1.CapacityTypeOnDemand, testResolution, testTable)
	if err != nil {
		t.Fatal(err)
	}
	key := func(instanceType, zone string) offering.Key {
		return offering.Key{InstanceType: instanceType, Zone: zone, CapacityType: "on-demand"}
	}
	failure := func(code, instanceType, subnet, zone string) types.CreateFleetError {
		e := types.CreateFleetError{ErrorCode: &code, ErrorMessage: aws.String("words")}
		if instanceType != "" {
			o := &types.FleetLaunchTemplateOverrides{InstanceType: types.InstanceType(instanceType)}
			if subnet != "" {
				o.SubnetId = &subnet
			}
			if zone != "" {
				o.AvailabilityZone = &zone
			}
			e.LaunchTemplateAndOverrides = &types.LaunchTemplateAndOverridesResponse{Overrides: o}
		}
		return e
	}
	for _, tt := range []struct {
		name        string
		out         ec2.CreateFleetOutput
		instances   []fleetInstance
		unavailable []offering.Key
		stale       bool
		kind        error
	}{
		{
			name: "an instance, and pools without capacity",
			out: ec2.CreateFleetOutput{
				Instances: []types.CreateFleetInstance{{InstanceIds: []string{"i-1"}, InstanceType: "m5.large", SubnetId: aws.String("subnet-b")}},
				Errors:    []types.CreateFleetError{failure("InsufficientInstanceCapacity", "m6g.large", "subnet-a2", "")},
			},
			instances: []fleetInstance{{"i-1", "m5.large", "b"}}, unavailable: []offering.Key{key("m6g.large", "a")}, kind: cloud.ErrCapacity,
		},
		{
			name: "instances from several pools",
			out: ec2.CreateFleetOutput{Instances: []types.CreateFleetInstance{
				{InstanceIds: []string{"i-3", "i-1"}, InstanceType: "m5.large", SubnetId: aws.String("subnet-b")},
				{InstanceIds: []string{"i-2"}, InstanceType: "m6g.large", AvailabilityZone: aws.String("a")},
			}},
			instances: []fleetInstance{{"i-1", "m5.large", "b"}, {"i-2", "m6g.large", "a"}, {"i-3", "m5.large", "b"}},
		},
		{
			name: "exactly the pools that failed",
			out: ec2.CreateFleetOutput{Errors: []types.CreateFleetError{
				failure("InsufficientInstanceCapacity", "m5.large", "", "b"),
				failure("InsufficientInstanceCapacity", "m5.large", "subnet-b", "b"),
				failure("InvalidParameterValue", "m6g.large", "subnet-a2", ""),
			}},
			unavailable: []offering.Key{key("m5.large", "b")}, kind: cloud.ErrCapacity,
		},
		{
			name:        "a full subnet",
			out:         ec2.CreateFleetOutput{Errors: []types.CreateFleetError{failure("InsufficientFreeAddressesInSubnet", "m5.large", "subnet-a2", "")}},
			unavailable: []offering.Key{key("m5.large", "a")}, stale: true, kind: cloud.ErrCapacity,
		},
		{
			name:        "a quota that names no type is about all",
			out:         ec2.CreateFleetOutput{Errors: []types.CreateFleetError{failure("VcpuLimitExceeded", "", "", "")}},
			unavailable: []offering.Key{key("m5.large", "a"), key("m5.large", "b"), key("m6g.large", "a")}, kind: cloud.ErrCapacity,
		},
		{
			name: "denied goes before invalid",
			out: ec2.CreateFleetOutput{Errors: []types.CreateFleetError{
				failure("InvalidParameterValue", "m5.large", "subnet-b", ""), failure("UnauthorizedOperation", "m5.large", "subnet-a2", ""),
			}},
			kind: cloud.ErrDenied,
		},
		{
			name: "throttled", kind: cloud.ErrThrottled,
			out: ec2.CreateFleetOutput{Errors: []types.CreateFleetError{failure("RequestLimitExceeded", "m5.large", "subnet-b", "")}},
		},
		{
			name: "invalid", kind: cloud.ErrInvalid,
			out: ec2.CreateFleetOutput{Errors: []types.CreateFleetError{failure("InvalidAMIID.Malformed", "m5.large", "subnet-b", "")}},
		},
		{name: "nothing at all"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := f.read(&tt.out, func(string) string { return "ec2:RunInstances" })
			if diff := cmp.Diff(tt.instances, r.instances, cmp.AllowUnexported(fleetInstance{})); diff != "" || r.stale != tt.stale {
				t.Errorf("stale: %v, instances (-want +got):\n%s", r.stale, diff)
			}
			if diff := cmp.Diff(tt.unavailable, r.unavailable); diff != "" {
				t.Errorf("unavailable (-want +got):\n%s", diff)
			}
			for _, k := range kinds {
				if got := errors.Is(r.err, k); got != errors.Is(tt.kind, k) {
					t.Errorf("error %v: is %q = %v", r.err, k, got)
				}
			}
			if capacity, ok := errors.AsType[*cloud.CapacityError](r.err); ok {
				if diff := cmp.Diff(tt.unavailable, capacity.Offerings); diff != "" {
					t.Errorf("CapacityError (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestFleetComesIntoSight: reads that show some instances of a fleet first do not pass for all.
func TestFleetComesIntoSight(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reads []int // instances in sight
		want  int   // reads until it is held to be all of 5
	}{
		{"all at once", []int{5}, 1},
		{"one after the other", []int{0, 1, 3, 3, 4, 5}, 6},
		{"fewer were bought", []int{3, 3, 3, 3, 3, 3}, 1 + steadyLooks},
		{"nothing is left of it", []int{0, 0, 0, 0, 0}, steadyLooks},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s sightings
			for i, n := range tt.reads {
				if s.all(n, 5) {
					if i+1 != tt.want {
						t.Errorf("enough after %d reads, want %d", i+1, tt.want)
					}
					return
				}
			}
			t.Errorf("not enough after %d reads", len(tt.reads))
		})
	}
}
