package ec2_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

// TestManyInstancesEndTogether: ending instances takes few calls, and one that is unknown
// keeps none of the others.
func TestManyInstancesEndTogether(t *testing.T) {
	s := startEC2(t, simec2.Config{})
	p := newProvider(t, s)
	ids := []string{"i-0123456789abcdef0"} // unknown
	for range 5 {
		in, err := p.Launch(t.Context(), newClaim(accepted("m5.large", "us-east-1a", v1alpha1.CapacityTypeOnDemand, "0.096")), nil)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, in.ID)
	}
	end := func(ids []string) (notFound int) {
		t.Helper()
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, id := range ids {
			wg.Go(func() {
				err := p.Terminate(t.Context(), id)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, cloud.ErrNotFound):
					notFound++
				case err != nil:
					t.Errorf("%s: %v", id, err)
				}
			})
		}
		wg.Wait()
		return notFound
	}
	if n := end(ids); n != 1 {
		t.Errorf("%d not found, want the unknown one", n)
	}
	before := len(s.Calls())
	end(ids[1:])
	if n := len(s.Calls()) - before; n != 1 {
		t.Errorf("%d calls to end instances again, want 1", n)
	}
	for _, in := range s.Instances() {
		if in.State != simec2.StateShuttingDown && in.State != simec2.StateTerminated {
			t.Errorf("%s is %s", in.ID, in.State)
		}
	}
}
