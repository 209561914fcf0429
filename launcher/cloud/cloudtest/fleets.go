package cloudtest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

func fleetLaunched(t *testing.T, h Harness) {
	claims := fleet(3, h.Offerings[:]...)
	got := mustLaunchFleet(t, h.Provider, claims, nil)
	if sets.New(ids(got)...).Len() != 3 {
		t.Fatalf("%d claims got instances %v", len(claims), ids(got))
	}
	for _, i := range got {
		if i.FleetID != string(claims[0].Spec.Fleet.ID) || i.ClaimUID != "" || i.ProviderID == "" || i.NodeName == "" || i.ImageID == "" {
			t.Errorf("something is missing or wrong: %+v", i)
		}
		if o := offeringOf(i); o != keyOf(h.Offerings[0]) && o != keyOf(h.Offerings[1]) {
			t.Errorf("launched %v, which the claims do not accept", o)
		}
	}
	mustList(t, h.Provider, got...)
	listed, err := live(t.Context(), h.Restart())
	if err != nil {
		t.Fatal(err)
	}
	same := cmpopts.IgnoreFields(cloud.Instance{}, "SubnetID", "SecurityGroups", "LaunchTime", "Unavailable")
	if diff := cmp.Diff(got[0], listed[got[0].ID], same); diff != "" {
		t.Errorf("List after LaunchFleet (-LaunchFleet +List):\n%s", diff)
	}
}

func fleetLaunchedOnce(t *testing.T, h Harness) {
	claims := fleet(3, h.Offerings[:]...)
	got := mustLaunchFleet(t, h.Provider, claims, class("first"))
	restarted := h.Restart()
	if diff := cmp.Diff(ids(got), ids(mustLaunchFleet(t, restarted, claims, class("second")))); diff != "" {
		t.Errorf("launched again (-first +second):\n%s", diff)
	}
	mustList(t, restarted, got...)
	// Fewer claims, some of which have theirs: they get what is left, and no more.
	rest := mustLaunchFleet(t, restarted, claims[1:], nil, got[1].ID)
	if diff := cmp.Diff(ids([]cloud.Instance{got[0], got[2]}), ids(rest)); diff != "" {
		t.Errorf("the others get (-want +got):\n%s", diff)
	}
	if none := mustLaunchFleet(t, restarted, claims[2:], nil, ids(got)...); len(none) != 0 {
		t.Errorf("another claim got %v, want nothing", ids(none))
	}
	mustList(t, restarted, got...)
}

func fleetAnswerLost(t *testing.T, h Harness) {
	claims := fleet(2, h.Offerings[:]...)
	h.Break(LostAnswer)
	if got, err := h.Provider.LaunchFleet(t.Context(), claims, nil, nil); err == nil {
		t.Fatalf("LaunchFleet = %v although the answer was lost", ids(got))
	}
	h.Mend()
	got := mustLaunchFleet(t, h.Provider, claims, nil)
	if len(got) != 2 {
		t.Errorf("got %v", ids(got))
	}
	mustList(t, h.Provider, got...)
}

func oldFleetIsFound(t *testing.T, h Harness) {
	claims := fleet(2, h.Offerings[:]...)
	got := mustLaunchFleet(t, h.Provider, claims, class("first"))
	mustList(t, h.Provider, got...)
	for _, c := range claims {
		c.CreationTimestamp.Time = c.CreationTimestamp.AddDate(0, 0, -7)
	}
	if diff := cmp.Diff(ids(got), ids(mustLaunchFleet(t, h.Restart(), claims, class("second")))); diff != "" {
		t.Errorf("launched again (-first +second):\n%s", diff)
	}
}

func fleetGetsFewer(t *testing.T, h Harness) {
	h.Leave(1, keyOf(h.Offerings[0]), keyOf(h.Offerings[1]))
	claims := fleet(3, h.Offerings[:]...)
	got, err := h.Provider.LaunchFleet(t.Context(), claims, nil, nil)
	wantOne(t, err, cloud.ErrCapacity)
	if len(got) == 0 || len(got) > 2 {
		t.Errorf("got %v where there is room for two", ids(got))
	}
	mustList(t, h.Provider, got...)
	// What it did not get then it never gets under its ID.
	h.Leave(5, keyOf(h.Offerings[0]), keyOf(h.Offerings[1]))
	if more := mustLaunchFleet(t, h.Restart(), claims[len(got):], nil, ids(got)...); len(more) != 0 {
		t.Errorf("the fleet was launched again: %v", ids(more))
	}
	mustList(t, h.Provider, got...)
}

func fleetIsWhole(t *testing.T, h Harness) {
	h.Leave(2, keyOf(h.Offerings[0]), keyOf(h.Offerings[1]))
	claims := fleet(3, h.Offerings[:]...) // in two zones, as the harness has them
	claims[0].Spec.Fleet.Whole = true
	got, err := h.Provider.LaunchFleet(t.Context(), claims, nil, nil)
	wantOne(t, err, cloud.ErrCapacity)
	if len(got) > 0 {
		t.Errorf("got %v", ids(got))
	}
	mustList(t, h.Provider)

	claims = fleet(2, h.Offerings[:]...)
	claims[0].Spec.Fleet.Whole = true
	got = mustLaunchFleet(t, h.Provider, claims, nil)
	if len(got) != 2 || got[0].Zone != got[1].Zone {
		t.Errorf("got %+v", got)
	}
}

func fleetGetsNothing(t *testing.T, h Harness) {
	h.Leave(0, keyOf(h.Offerings[0]), keyOf(h.Offerings[1]))
	got, err := h.Provider.LaunchFleet(t.Context(), fleet(2, h.Offerings[:]...), nil, nil)
	wantOne(t, err, cloud.ErrCapacity)
	var capacity *cloud.CapacityError
	if !errors.As(err, &capacity) || len(got) > 0 {
		t.Fatalf("got %v, and error %v", ids(got), err)
	}
	wantKeys(t, capacity.Offerings, keyOf(h.Offerings[0]), keyOf(h.Offerings[1]))
}
