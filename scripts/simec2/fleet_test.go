package simec2

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

func TestCreateFleetLaunches(t *testing.T) {
	r := newRig(t)
	in := r.fleet(r.template("one"), 2, []string{"m5.large", "c5.large"}, "us-east-1a", "us-east-1b")
	in.ClientToken = aws.String("claim-1")
	in.TagSpecifications = []ec2types.TagSpecification{{
		ResourceType: ec2types.ResourceTypeInstance, Tags: tagList("claim", "one"),
	}}
	out, err := r.ec2.CreateFleet(r.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Errors) != 0 || len(out.Instances) != 1 {
		t.Fatalf("got %d sets and errors %v, want one set and none", len(out.Instances), out.Errors)
	}
	set := out.Instances[0]
	if set.InstanceType != "c5.large" || set.Lifecycle != ec2types.InstanceLifecycleOnDemand || len(set.InstanceIds) != 2 {
		t.Errorf("got %d %s %s, want 2 of c5.large, the cheapest, on-demand", len(set.InstanceIds), set.InstanceType, set.Lifecycle)
	}
	if got := aws.ToString(set.LaunchTemplateAndOverrides.Overrides.SubnetId); got != r.Subnets()["us-east-1a"] {
		t.Errorf("override's subnet %s, want that of the first zone", got)
	}
	inst := r.Instances()[0]
	want := map[string]string{
		"claim": "one", "aws:ec2:fleet-id": aws.ToString(out.FleetId),
		"aws:ec2launchtemplate:id": inst.LaunchTemplateID, "aws:ec2launchtemplate:version": "1",
	}
	if diff := cmp.Diff(want, inst.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if inst.State != StateRunning || inst.VolumeGiB != 50 || inst.ClientToken != "claim-1" || inst.UserData == "" {
		t.Errorf("unexpected instance %+v", inst)
	}
}

func TestCreateFleetTags(t *testing.T) {
	r := newRig(t)
	template := r.template("one")
	for kind, code := range map[ec2types.ResourceType]string{
		ec2types.ResourceTypeFleet: "", ec2types.ResourceTypeInstance: "", ec2types.ResourceTypeVolume: "",
		ec2types.ResourceTypeNetworkInterface:     "",
		ec2types.ResourceTypeLaunchTemplate:       "InvalidParameterValue",
		ec2types.ResourceTypeSpotInstancesRequest: "InvalidParameterValue",
		ec2types.ResourceTypeSubnet:               "InvalidParameterValue",
	} {
		in := r.fleet(template, 1, []string{"m5.large"})
		in.TagSpecifications = []ec2types.TagSpecification{{ResourceType: kind, Tags: tagList("claim", "one")}}
		_, err := r.ec2.CreateFleet(r.ctx, in)
		switch {
		case code != "":
			wantCode(t, err, code)
		case err != nil:
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestCreateFleetClientToken(t *testing.T) {
	r := newRig(t)
	in := r.fleet(r.template("one"), 1, []string{"m5.large"})
	in.ClientToken = aws.String("claim-1")
	first := r.launch(in)
	if diff := cmp.Diff(first, r.launch(in)); diff != "" {
		t.Errorf("second answer differs (-first +second):\n%s", diff)
	}
	in.TargetCapacitySpecification.TotalTargetCapacity = aws.Int32(2)
	_, err := r.ec2.CreateFleet(r.ctx, in)
	wantCode(t, err, "IdempotentParameterMismatch")
	if n := len(r.Instances()); n != 1 {
		t.Errorf("%d instances, want 1", n)
	}
	in.ClientToken = aws.String(strings.Repeat("x", 65))
	_, err = r.ec2.CreateFleet(r.ctx, in)
	wantCode(t, err, "InvalidParameterValue")
}

func TestCreateFleetAllocation(t *testing.T) {
	zones := []string{"us-east-1a", "us-east-1b"}
	limit := func(typ, zone string, n int) CapacityRule {
		return CapacityRule{InstanceType: typ, Zone: zone, Instances: n}
	}
	for _, tc := range []struct {
		name     string
		capacity []CapacityRule
		change   func(*ec2.CreateFleetInput)
		want     map[string]int // "type zone" to instances
		errors   map[string]int // code to count
	}{
		{
			name:     "partial fulfilment reports every pool tried",
			capacity: []CapacityRule{limit("c5.large", "us-east-1a", 2), limit("c5.large", "us-east-1b", 0), limit("m5.large", "*", 1)},
			want:     map[string]int{"c5.large us-east-1a": 2, "m5.large us-east-1a": 1, "m5.large us-east-1b": 1},
			errors:   map[string]int{"InsufficientInstanceCapacity": 4},
		},
		{
			name:     "a rule for any type in a zone",
			capacity: []CapacityRule{limit("*", "us-east-1a", 0)},
			want:     map[string]int{"c5.large us-east-1b": 5},
			errors:   map[string]int{"InsufficientInstanceCapacity": 1},
		},
		{
			name: "prioritized prefers the lowest number",
			change: func(in *ec2.CreateFleetInput) {
				in.OnDemandOptions = &ec2types.OnDemandOptionsRequest{AllocationStrategy: ec2types.FleetOnDemandAllocationStrategyPrioritized}
				o := in.LaunchTemplateConfigs[0].Overrides
				o[0].Priority, o[3].Priority = aws.Float64(1), aws.Float64(0)
			},
			want: map[string]int{"m5.large us-east-1b": 5},
		},
		{
			name:     "minimum target is all or nothing",
			capacity: []CapacityRule{limit("*", "*", 3)},
			change: func(in *ec2.CreateFleetInput) {
				in.OnDemandOptions = &ec2types.OnDemandOptionsRequest{
					SingleInstanceType: aws.Bool(true), SingleAvailabilityZone: aws.Bool(true), MinTargetCapacity: aws.Int32(5),
				}
			},
			want:   map[string]int{},
			errors: map[string]int{"InsufficientInstanceCapacity": 1},
		},
		{
			name:     "single type and zone choose a pool with room",
			capacity: []CapacityRule{limit("c5.large", "*", 4)},
			change: func(in *ec2.CreateFleetInput) {
				in.OnDemandOptions = &ec2types.OnDemandOptionsRequest{
					SingleInstanceType: aws.Bool(true), SingleAvailabilityZone: aws.Bool(true), MinTargetCapacity: aws.Int32(5),
				}
			},
			want: map[string]int{"m5.large us-east-1a": 5},
		},
		{
			name: "spot too dear for the price offered",
			change: func(in *ec2.CreateFleetInput) {
				in.TargetCapacitySpecification.DefaultTargetCapacityType = ec2types.DefaultTargetCapacityTypeSpot
				for i := range in.LaunchTemplateConfigs[0].Overrides {
					in.LaunchTemplateConfigs[0].Overrides[i].MaxPrice = aws.String("0.0001")
				}
			},
			want:   map[string]int{},
			errors: map[string]int{"SpotMaxPriceTooLow": 4},
		},
		{
			name: "unknown subnet and foreign architecture spoil their pool only",
			change: func(in *ec2.CreateFleetInput) {
				o := in.LaunchTemplateConfigs[0].Overrides
				o[0].SubnetId = aws.String("subnet-0123")
				o[1].InstanceType = "c7g.large"
			},
			want:   map[string]int{"m5.large us-east-1a": 5},
			errors: map[string]int{"InvalidSubnetID.NotFound": 1, "InvalidParameterValue": 1},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Capacity = tc.capacity })
			in := r.fleet(r.template("one"), 5, []string{"c5.large", "m5.large"}, zones...)
			if tc.change != nil {
				tc.change(in)
			}
			out, err := r.ec2.CreateFleet(r.ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			got, errs := map[string]int{}, map[string]int{}
			for _, i := range out.Instances {
				got[string(i.InstanceType)+" "+aws.ToString(i.AvailabilityZone)] += len(i.InstanceIds)
			}
			for _, e := range out.Errors {
				errs[aws.ToString(e.ErrorCode)]++
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("launched (-want +got):\n%s", diff)
			}
			if tc.errors == nil {
				tc.errors = map[string]int{}
			}
			if diff := cmp.Diff(tc.errors, errs); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if len(r.Instances()) != len(fleetIDs(out)) {
				t.Errorf("%d instances exist, %d were reported", len(r.Instances()), len(fleetIDs(out)))
			}
		})
	}
}

func TestCreateFleetSpot(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Capacity = []CapacityRule{{InstanceType: "c5.large", CapacityType: Spot, Instances: 1}}
	})
	in := r.fleet(r.template("one"), 3, []string{"c5.large", "m5.xlarge"})
	in.TargetCapacitySpecification.DefaultTargetCapacityType = ec2types.DefaultTargetCapacityTypeSpot
	in.SpotOptions = &ec2types.SpotOptionsRequest{AllocationStrategy: ec2types.SpotAllocationStrategyPriceCapacityOptimized}
	out, err := r.ec2.CreateFleet(r.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Instances) != 1 || out.Instances[0].InstanceType != "m5.xlarge" || out.Instances[0].Lifecycle != ec2types.InstanceLifecycleSpot {
		t.Errorf("got %+v, want the deeper spot pool m5.xlarge", out.Instances)
	}
	price, err := r.SpotPrice("m5.xlarge", "us-east-1a")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Instances()[0].Price; got != price || got >= 0.192 {
		t.Errorf("price %v, want the spot price %v", got, price)
	}
}

func TestCapacityReturnsAfterTermination(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Capacity = []CapacityRule{{Instances: 1}} })
	template := r.template("one")
	// A fresh request each: the client keeps the token it drew in its input.
	launch := func() []string { return r.launch(r.fleet(template, 1, []string{"m5.large"})) }
	ids := launch()
	if again := launch(); len(again) != 0 {
		t.Fatalf("launched %v beyond capacity", again)
	}
	if _, err := r.ec2.TerminateInstances(r.ctx, &ec2.TerminateInstancesInput{InstanceIds: ids}); err != nil {
		t.Fatal(err)
	}
	if again := launch(); len(again) != 1 {
		t.Errorf("launched %v, want one in the room that came free", again)
	}
}

func TestCreateFleetRefuses(t *testing.T) {
	r := newRig(t)
	template := r.template("one")
	for _, tc := range []struct {
		name   string
		change func(*ec2.CreateFleetInput)
		code   string
	}{
		{"maintain fleets", func(in *ec2.CreateFleetInput) { in.Type = ec2types.FleetTypeMaintain }, "InvalidParameterValue"},
		{"a parameter not simulated", func(in *ec2.CreateFleetInput) {
			in.ReservedCapacityOptions = &ec2types.ReservedCapacityOptionsRequest{ReservationTypes: []ec2types.FleetReservationType{"capacity-block"}}
		}, "UnknownParameter"},
		{"a nested parameter not simulated", func(in *ec2.CreateFleetInput) {
			in.LaunchTemplateConfigs[0].Overrides[0].WeightedCapacity = aws.Float64(2)
		}, "UnknownParameter"},
		{"a strategy not simulated", func(in *ec2.CreateFleetInput) {
			in.SpotOptions = &ec2types.SpotOptionsRequest{AllocationStrategy: ec2types.SpotAllocationStrategyDiversified}
		}, "InvalidParameterValue"},
		{"an unknown type", func(in *ec2.CreateFleetInput) {
			in.LaunchTemplateConfigs[0].Overrides[0].InstanceType = "m99.large"
		}, "InvalidParameterValue"},
		{"an unknown template", func(in *ec2.CreateFleetInput) {
			in.LaunchTemplateConfigs[0].LaunchTemplateSpecification.LaunchTemplateId = aws.String("lt-0")
		}, "InvalidLaunchTemplateId.NotFound"},
		{"an unknown version", func(in *ec2.CreateFleetInput) {
			in.LaunchTemplateConfigs[0].LaunchTemplateSpecification.Version = aws.String("7")
		}, "InvalidLaunchTemplateId.VersionNotFound"},
		{"duplicate pools", func(in *ec2.CreateFleetInput) {
			o := &in.LaunchTemplateConfigs[0].Overrides
			*o = append(*o, (*o)[0])
		}, "InvalidFleetConfig"},
		{"too many instances", func(in *ec2.CreateFleetInput) {
			in.TargetCapacitySpecification.TotalTargetCapacity = aws.Int32(10_001)
		}, "InvalidParameterValue"},
		{"a dry run", func(in *ec2.CreateFleetInput) { in.DryRun = aws.Bool(true) }, "DryRunOperation"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := r.fleet(template, 1, []string{"m5.large"})
			tc.change(in)
			_, err := r.ec2.CreateFleet(r.ctx, in)
			wantCode(t, err, tc.code)
		})
	}
	if n := len(r.Instances()); n != 0 {
		t.Errorf("%d instances launched by refused requests", n)
	}
}
