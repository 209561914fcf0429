package ec2_test

import (
	orders "cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

var (
	m5spot = accepted("m5.large", "us-east-1a", v1alpha1.CapacityTypeSpot, "0.03")
	m6g    = accepted("m6g.large", "us-east-1b", v1alpha1.CapacityTypeOnDemand, "0.077")
)

func keyOf(o v1alpha1.AcceptedOffering) offering.Key {
	return offering.Key{InstanceType: o.InstanceType, Zone: o.Zone, CapacityType: o.CapacityType, ReservationID: o.ReservationID}
}

var cloudKinds = []error{cloud.ErrCapacity, cloud.ErrThrottled, cloud.ErrBusy, cloud.ErrDenied, cloud.ErrNotFound, cloud.ErrInvalid}

// launchErrors are what CreateFleet, RunInstances behind it and the credentials are documented
// to fail with, and what a caller is told.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
var launchErrors = []struct {
	code string
	kind error // nil: may pass
}{
	{"AuthFailure.ServiceLinkedRoleCreationNotPermitted", cloud.ErrCapacity},
	{"InsufficientAddressCapacity", cloud.ErrCapacity},
	{"InsufficientCapacity", cloud.ErrCapacity},
	{"InsufficientFreeAddressesInSubnet", cloud.ErrCapacity},
	{"InsufficientHostCapacity", cloud.ErrCapacity},
	{"InsufficientInstanceCapacity", cloud.ErrCapacity},
	{"InsufficientReservedInstanceCapacity", cloud.ErrCapacity},
	{"InsufficientVolumeCapacity", cloud.ErrCapacity},
	{"InstanceLimitExceeded", cloud.ErrCapacity},
	{"InvalidCapacityReservationState", cloud.ErrCapacity},
	{"MaxFleetCountExceeded", cloud.ErrCapacity},
	{"MaxIOPSLimitExceeded", cloud.ErrCapacity},
	{"MaxSpotFleetRequestCountExceeded", cloud.ErrCapacity},
	{"MaxSpotInstanceCountExceeded", cloud.ErrCapacity},
	{"NetworkInterfaceLimitExceeded", cloud.ErrCapacity},
	{"ReservationCapacityExceeded", cloud.ErrCapacity},
	{"SpotMaxPriceTooLow", cloud.ErrCapacity},
	{"UnfulfillableCapacity", cloud.ErrCapacity},
	{"Unsupported", cloud.ErrCapacity},
	{"VcpuLimitExceeded", cloud.ErrCapacity},
	{"VolumeLimitExceeded", cloud.ErrCapacity},
	{"VolumeTypeNotAvailableInZone", cloud.ErrCapacity},

	{"AccessDenied", cloud.ErrDenied},
	{"AccessDeniedException", cloud.ErrDenied},
	{"AuthFailure", cloud.ErrDenied},
	{"Blocked", cloud.ErrDenied},
	{"ExpiredToken", cloud.ErrDenied},
	{"ExpiredTokenException", cloud.ErrDenied},
	{"IncompleteSignature", cloud.ErrDenied},
	{"InvalidClientTokenId", cloud.ErrDenied},
	{"InvalidIdentityToken", cloud.ErrDenied},
	{"MissingAuthenticationToken", cloud.ErrDenied},
	{"OptInRequired", cloud.ErrDenied},
	{"PendingVerification", cloud.ErrDenied},
	{"SignatureDoesNotMatch", cloud.ErrDenied},
	{"UnauthorizedAccess", cloud.ErrDenied},
	{"UnauthorizedOperation", cloud.ErrDenied},
	{"UnrecognizedClientException", cloud.ErrDenied},

	{"InvalidFleetConfig", cloud.ErrInvalid},
	{"InvalidLaunchTemplateName.MalformedException", cloud.ErrInvalid},
	{"InvalidParameterCombination", cloud.ErrInvalid},
	{"InvalidParameterValue", cloud.ErrInvalid},
	{"InvalidUserData.Malformed", cloud.ErrInvalid},
	{"MissingParameter", cloud.ErrInvalid},
	{"UnknownParameter", cloud.ErrInvalid},
	{"UnsupportedOperation", cloud.ErrInvalid},

	{"InvalidAMIID.NotFound", cloud.ErrNotFound},
	{"InvalidAMIID.Unavailable", cloud.ErrNotFound},
	{"InvalidGroup.NotFound", cloud.ErrNotFound},
	{"InvalidKeyPair.NotFound", cloud.ErrNotFound},
	{"InvalidSnapshot.NotFound", cloud.ErrNotFound},
	{"InvalidSubnetID.NotFound", cloud.ErrNotFound},

	{"RequestLimitExceeded", cloud.ErrThrottled},
	{"Throttling", cloud.ErrThrottled},
	{"ThrottlingException", cloud.ErrThrottled},
	{"Unavailable", cloud.ErrThrottled},

	{"InternalError", nil},
	{"InternalFailure", nil},
	{"RequestExpired", nil},
	{"SomethingNew", nil},
}

func wantKind(t *testing.T, err, want error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, k := range cloudKinds {
		if got := errors.Is(err, k); got != errors.Is(want, k) {
			t.Errorf("error %q: is %q = %v", err, k, got)
		}
	}
}

// TestRefusedCall: the whole call fails. Capacity that is wanting is that of all pools asked
// for; once the fault is gone the very same claim can be launched. One bubble serves all codes:
// what the region has is read once.
func TestRefusedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := throttledEC2(t)
		for _, tt := range launchErrors {
			t.Log(tt.code)
			before := len(s.Instances())
			must(t, s.SetFaults(simec2.Fault{Action: "CreateFleet", Code: tt.code}))
			claim := newClaim(m6g, m5)
			_, err := p.Launch(t.Context(), claim, nil)
			wantKind(t, err, tt.kind)
			if !strings.Contains(err.Error(), tt.code) {
				t.Errorf("error %q does not name %s", err, tt.code)
			}
			if capacity, ok := errors.AsType[*cloud.CapacityError](err); ok {
				if diff := cmp.Diff([]offering.Key{keyOf(m5), keyOf(m6g)}, sorted(capacity.Offerings)); diff != "" {
					t.Errorf("%s: unavailable (-want +got):\n%s", tt.code, diff)
				}
			}
			must(t, s.SetFaults())
			if _, err := p.Launch(t.Context(), claim, nil); err != nil || len(s.Instances()) != before+1 {
				t.Errorf("%s: afterwards %d instances, %v", tt.code, len(s.Instances())-before, err)
			}
		}
	})
}

// TestRefusedPool: EC2 carries the call out, but for one pool. The other gives the instance at
// once, in the same call, and only what had no capacity is unavailable.
func TestRefusedPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := throttledEC2(t)
		for _, tt := range launchErrors {
			t.Log(tt.code)
			before := countCalls(s, "CreateFleet")
			must(t, s.SetFaults(simec2.Fault{Action: "CreateFleet", Code: tt.code, Pools: &simec2.PoolMatch{InstanceType: "m6g.large"}}))
			in, err := p.Launch(t.Context(), newClaim(m6g, m5), nil)
			if err != nil || in.Type != "m5.large" {
				t.Errorf("%s: launched %+v, %v", tt.code, in, err)
			}
			var want []offering.Key
			if errors.Is(tt.kind, cloud.ErrCapacity) {
				want = []offering.Key{keyOf(m6g)}
			}
			if diff := cmp.Diff(want, in.Unavailable); diff != "" {
				t.Errorf("%s: unavailable (-want +got):\n%s", tt.code, diff)
			}
			if n := countCalls(s, "CreateFleet") - before; n != 1 {
				t.Errorf("%s: %d calls", tt.code, n)
			}
		}
	})
}

// TestRefusedPools: EC2 carries the call out and launches nothing. The client token is spent;
// so either the claim is over, with a reason, or another token is used.
func TestRefusedPools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := throttledEC2(t)
		for _, tt := range launchErrors {
			t.Log(tt.code)
			must(t, s.SetFaults(simec2.Fault{Action: "CreateFleet", Code: tt.code, Pools: &simec2.PoolMatch{}, Count: 2}))
			before, start := countCalls(s, "CreateFleet"), time.Now()
			in, err := p.Launch(t.Context(), newClaim(m6g, m5), nil)
			want := tt.kind
			switch {
			case tt.kind == nil, errors.Is(tt.kind, cloud.ErrThrottled): // passes
				if calls := countCalls(s, "CreateFleet") - before; err != nil || calls != 3 || time.Since(start) < 3*time.Second {
					t.Errorf("%s: launched %+v after %d calls and %s, %v", tt.code, in, calls, time.Since(start), err)
				}
				must(t, s.SetFaults(simec2.Fault{Action: "CreateFleet", Code: tt.code, Pools: &simec2.PoolMatch{}}))
				_, err = p.Launch(t.Context(), newClaim(m6g, m5), nil)
				want = cloud.ErrBusy // does not pass in time
				if tt.code == "RequestExpired" || tt.code == "SomethingNew" {
					want = cloud.ErrCapacity // who knows: other offerings may do
				}
			case errors.Is(tt.kind, cloud.ErrNotFound):
				want = cloud.ErrInvalid // of this claim; the next one's class is resolved anew
			}
			wantKind(t, err, want)
			if !strings.Contains(err.Error(), tt.code) {
				t.Errorf("error %q does not name %s", err, tt.code)
			}
		}
	})
}

// TestSpotFallsBackToOnDemand where the claim accepts that, at once, and says what was lacking.
func TestSpotFallsBackToOnDemand(t *testing.T) {
	noSpot := &simec2.PoolMatch{CapacityType: v1alpha1.CapacityTypeSpot}
	for _, code := range []string{"InsufficientInstanceCapacity", "MaxSpotInstanceCountExceeded", "AuthFailure.ServiceLinkedRoleCreationNotPermitted"} {
		t.Run(code, func(t *testing.T) {
			s := startEC2(t, simec2.Config{Unthrottled: true})
			must(t, s.InjectFault(simec2.Fault{Action: "CreateFleet", Code: code, Pools: noSpot, Count: 1}))
			claim := newClaim(m5spot, m5)
			in, err := newProvider(t, s).Launch(t.Context(), claim, nil)
			if err != nil || in.CapacityType != v1alpha1.CapacityTypeOnDemand {
				t.Fatalf("launched %+v, %v", in, err)
			}
			if diff := cmp.Diff([]offering.Key{keyOf(m5spot)}, in.Unavailable); diff != "" {
				t.Errorf("unavailable (-want +got):\n%s", diff)
			}
			// After a crash there is spot capacity again; the claim has its instance.
			again, err := newProvider(t, s).Launch(t.Context(), claim, nil)
			if err != nil || again.ID != in.ID || len(s.Instances()) != 1 {
				t.Errorf("launched %+v again, %v", again, err)
			}
		})
	}
	t.Run("not where the call was refused", func(t *testing.T) { // made again it might succeed, and the claim have two instances
		s := startEC2(t, simec2.Config{Unthrottled: true})
		must(t, s.InjectFault(simec2.Fault{Action: "CreateFleet", Code: "MaxSpotInstanceCountExceeded", Count: 1}))
		_, err := newProvider(t, s).Launch(t.Context(), newClaim(m5spot, m5), nil)
		var capacity *cloud.CapacityError
		if !errors.As(err, &capacity) || !cmp.Equal(capacity.Offerings, []offering.Key{keyOf(m5spot)}) || len(s.Instances()) != 0 {
			t.Errorf("%d instances, %v", len(s.Instances()), err)
		}
	})
	t.Run("a part of a fleet", func(t *testing.T) {
		s := startEC2(t, simec2.Config{Unthrottled: true})
		p := newProvider(t, s)
		must(t, s.SetCapacity(simec2.CapacityRule{InstanceType: "m5.large", Zone: "us-east-1a", CapacityType: v1alpha1.CapacityTypeSpot, Instances: 2}))
		var claims []*v1alpha1.NodeClaim
		for range 5 {
			c := newClaim(m5spot, m5)
			c.Spec.Fleet = &v1alpha1.Fleet{ID: "fleet-1", Size: 5}
			claims = append(claims, c)
		}
		got, err := p.LaunchFleet(t.Context(), claims, nil, nil)
		must(t, err)
		count := map[string]int{}
		for _, in := range got {
			count[in.CapacityType]++
		}
		if diff := cmp.Diff(map[string]int{"spot": 2, "on-demand": 3}, count); diff != "" {
			t.Errorf("instances (-want +got):\n%s", diff)
		}
	})
	t.Run("not where it is not accepted", func(t *testing.T) {
		s := startEC2(t, simec2.Config{Unthrottled: true})
		must(t, s.InjectFault(simec2.Fault{Action: "CreateFleet", Code: "InsufficientInstanceCapacity", Pools: noSpot}))
		_, err := newProvider(t, s).Launch(t.Context(), newClaim(m5spot), nil)
		wantKind(t, err, cloud.ErrCapacity)
	})
	t.Run("neither", func(t *testing.T) {
		s := startEC2(t, simec2.Config{Unthrottled: true})
		must(t, s.InjectFault(simec2.Fault{Action: "CreateFleet", Code: "InsufficientInstanceCapacity", Pools: &simec2.PoolMatch{}}))
		_, err := newProvider(t, s).Launch(t.Context(), newClaim(m5spot, m5), nil)
		var capacity *cloud.CapacityError
		if !errors.As(err, &capacity) {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]offering.Key{keyOf(m5), keyOf(m5spot)}, sorted(capacity.Offerings)); diff != "" {
			t.Errorf("unavailable (-want +got):\n%s", diff)
		}
	})
}

// TestDenialIsDecoded: EC2 says what is missing only to who decodes its message.
func TestDenialIsDecoded(t *testing.T) {
	message := simec2.EncodedDenial("ec2:RunInstances", "arn:aws:ec2:us-east-1:111122223333:volume/*")
	const decoded = "ec2:RunInstances on arn:aws:ec2:us-east-1:111122223333:volume/*"
	mayNotDecode := simec2.Fault{Action: "DecodeAuthorizationMessage", Code: "AccessDenied", Status: 403}
	for _, tt := range []struct {
		name   string
		faults []simec2.Fault
		want   string
	}{
		{"of the call", []simec2.Fault{{Action: "CreateFleet", Code: "UnauthorizedOperation", Status: 403, Message: message}}, decoded},
		{"in the answer", []simec2.Fault{{Action: "CreateFleet", Code: "UnauthorizedOperation", Message: message, Pools: &simec2.PoolMatch{}}}, decoded},
		{"of a template", []simec2.Fault{{Action: "CreateLaunchTemplate", Code: "UnauthorizedOperation", Status: 403,
			Message: simec2.EncodedDenial("ec2:CreateTags", "arn:aws:ec2:us-east-1:111122223333:launch-template/*")}}, "ec2:CreateTags on arn:aws:ec2"},
		{"that may not be decoded", []simec2.Fault{mayNotDecode, {Action: "CreateFleet", Code: "UnauthorizedOperation", Status: 403, Message: message}},
			"ec2:CreateFleet or what it needs (allow sts:DecodeAuthorizationMessage"},
		{"in plain words", []simec2.Fault{{Action: "CreateFleet", Code: "UnauthorizedOperation", Status: 403,
			Message: "You are not authorized to perform: iam:PassRole on resource: x"}}, "iam:PassRole"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startEC2(t, simec2.Config{Unthrottled: true, Faults: tt.faults})
			_, err := newProvider(t, s).Launch(t.Context(), newClaim(m5), nil)
			wantKind(t, err, cloud.ErrDenied)
			if err == nil || !strings.Contains(err.Error(), "permission denied: "+tt.want) {
				t.Errorf("error %q, want one that names %s", err, tt.want)
			}
		})
	}
}

func sorted(keys []offering.Key) []offering.Key {
	return slices.SortedFunc(slices.Values(keys), func(a, b offering.Key) int {
		return orders.Or(strings.Compare(a.InstanceType, b.InstanceType), strings.Compare(a.CapacityType, b.CapacityType))
	})
}
