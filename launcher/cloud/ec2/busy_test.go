package ec2_test

import (
	"testing"
	"testing/synctest"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

// TestBusyEC2: an EC2 that is too busy for a claim's spot capacity has said nothing of it. The
// claim ends without one bought on demand, no pool is said to be empty, and the next is as before.
func TestBusyEC2(t *testing.T) {
	for _, code := range []string{"RequestLimitExceeded", "InternalError"} {
		t.Run(code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := throttledEC2(t)
				must(t, s.SetFaults(simec2.Fault{Action: "CreateFleet", Code: code, Pools: &simec2.PoolMatch{CapacityType: v1alpha1.CapacityTypeSpot}}))
				claim := newClaim(m5spot, m5)
				_, err := p.Launch(t.Context(), claim, nil)
				wantKind(t, err, cloud.ErrBusy)
				if n := len(s.Instances()); n > 0 {
					t.Errorf("%d instances", n)
				}
				must(t, s.SetFaults())
				_, err = p.Launch(t.Context(), claim, nil) // EC2 repeats its answers
				wantKind(t, err, cloud.ErrBusy)
				in, err := p.Launch(t.Context(), newClaim(m5spot, m5), nil)
				if err != nil || in.CapacityType != v1alpha1.CapacityTypeSpot {
					t.Errorf("launched %+v, %v", in, err)
				}
			})
		})
	}
}
