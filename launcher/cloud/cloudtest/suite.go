package cloudtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// Run checks a Provider, each time on a new Harness.
func Run(t *testing.T, setup func(*testing.T) Harness) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"Types have offerings with prices", typesHaveOfferings},
		{"Resolve finds the defaults", resolveFindsDefaults},
		{"an instance lives and ends", lifecycle},
		{"identity survives the round trip", identity},
		{"a claim is launched once", launchedOnce},
		{"a claim is launched once, called concurrently", launchedOnceConcurrently},
		{"a claim is launched once across a restart", launchedOnceAcrossRestart},
		{"a claim is launched once across a restart with an edited class", launchedOnceWithOtherClass},
		{"a claim is launched once when the answer is lost", launchedOnceThoughAnswerLost},
		{"a claim is launched once, found late", oldClaimIsFound},
		{"a fleet is launched with one call", fleetLaunched},
		{"a fleet is launched once", fleetLaunchedOnce},
		{"a fleet is launched once when the answer is lost", fleetAnswerLost},
		{"a fleet is launched once, found late", oldFleetIsFound},
		{"a fleet gets what there is", fleetGetsFewer},
		{"a fleet that is to be whole gets all or nothing", fleetIsWhole},
		{"a fleet that gets nothing names the offerings", fleetGetsNothing},
		{"no capacity names the offerings", capacityErrorNamesOfferings},
		{"no capacity at the first uses the second", secondOfferingIsUsed},
		{"unknown instances are not found", unknownNotFound},
		{"an instance that fails a check is found", impaired},
		{"a denial names the permission and passes", denied},
		{"throttling passes", throttled},
		{"a claim that cannot be launched is invalid", invalid},
		{"a cancelled context ends the call", cancelled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // they wait for the cloud most of the time
			tt.test(t, setup(t))
		})
	}
}

func typesHaveOfferings(t *testing.T, h Harness) {
	types, err := h.Provider.Types(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[offering.Key]bool{}
	for _, typ := range types {
		if typ.Name == "" || len(typ.Labels) == 0 || len(typ.Offerings) == 0 {
			t.Errorf("type %q lacks a name, labels or offerings: %+v", typ.Name, typ)
		}
		for resourceName, have := range typ.Allocatable {
			if capacity := typ.Capacity[resourceName]; have.Cmp(capacity) > 0 {
				t.Errorf("type %s: allocatable %s %v exceeds its capacity %v", typ.Name, resourceName, &have, &capacity)
			}
		}
		for _, o := range typ.Offerings {
			if o.Price <= 0 || !o.Available {
				t.Errorf("type %s: offering without a price, or not available: %+v", typ.Name, o)
			}
			key := offering.Key{InstanceType: typ.Name, Zone: o.Zone, CapacityType: o.CapacityType}
			if found[key] {
				t.Errorf("offering %v is listed twice", key)
			}
			found[key] = true
		}
	}
	for _, o := range h.Offerings {
		if !found[keyOf(o)] {
			t.Errorf("Types lacks %v", keyOf(o))
		}
	}
}

func resolveFindsDefaults(t *testing.T, h Harness) {
	status, err := h.Provider.Resolve(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(status.Subnets) == 0 || len(status.SecurityGroups) == 0 || len(status.AMIs) == 0 {
		t.Errorf("something is missing: %+v", status)
	}
	again, err := h.Restart().Resolve(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(status, again); diff != "" {
		t.Errorf("Resolve tells something else the second time (-first +second):\n%s", diff)
	}
}

func lifecycle(t *testing.T, h Harness) {
	mustList(t, h.Provider)
	i := mustLaunch(t, h.Provider, claim("one", h.Offerings[:]...), nil)
	if i.ID == "" || i.ProviderID == "" || i.NodeName == "" || i.ImageID == "" || i.LaunchTime.IsZero() {
		t.Errorf("something is missing: %+v", i)
	}
	if got := offeringOf(i); got != keyOf(h.Offerings[0]) && got != keyOf(h.Offerings[1]) {
		t.Errorf("launched %v, which the claim does not accept", got)
	}
	other := mustLaunch(t, h.Provider, claim("two", h.Offerings[:]...), nil)
	mustList(t, h.Provider, i, other)

	if err := h.Provider.Terminate(t.Context(), i.ID); err != nil {
		t.Fatal(err)
	}
	mustList(t, h.Provider, other)
	eventually(t, "Get of a terminated instance", func(ctx context.Context) error {
		got, err := h.Provider.Get(ctx, i.ID)
		if err == nil && !got.Terminating {
			return fmt.Errorf("%+v", got)
		}
		if err != nil && !errors.Is(err, cloud.ErrNotFound) {
			return err
		}
		return nil
	})
	if err := h.Provider.Terminate(t.Context(), i.ID); err != nil && !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("Terminate once more: %v", err)
	}
}

func impaired(t *testing.T, h Harness) {
	one := mustLaunch(t, h.Provider, claim("one", h.Offerings[:]...), nil)
	other := mustLaunch(t, h.Provider, claim("two", h.Offerings[:]...), nil)
	wait := func(what string, fails bool) {
		t.Helper()
		eventually(t, what, func(ctx context.Context) error {
			if err := h.Impair(one.ID, fails); err != nil { // it may not run yet
				return err
			}
			found, err := h.Provider.Impaired(ctx)
			if err != nil {
				return err
			}
			if is, ok := found[one.ID]; ok != fails || fails && (is.Check == "" || is.Since.IsZero()) {
				return fmt.Errorf("found %v", found)
			}
			if _, ok := found[other.ID]; ok {
				return fmt.Errorf("%s is found, too", other.ID)
			}
			return nil
		})
	}
	wait("the instance is found", true)
	wait("the instance is found no more", false)
}

func identity(t *testing.T, h Harness) {
	c := claim("one", h.Offerings[:]...)
	want := mustLaunch(t, h.Provider, c, nil)
	if want.ClaimName != c.Name || want.ClaimUID != string(c.UID) {
		t.Errorf("launched for claim %q %q, want %q %q", want.ClaimName, want.ClaimUID, c.Name, c.UID)
	}
	restarted := h.Restart()
	var got cloud.Instance
	eventually(t, "Get", func(ctx context.Context) (err error) {
		got, err = restarted.Get(ctx, want.ID)
		return err
	})
	same := cmpopts.IgnoreFields(cloud.Instance{}, "SubnetID", "SecurityGroups", "LaunchTime", "Unavailable")
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("Get after Launch (-Launch +Get):\n%s", diff)
	}
	mustList(t, restarted, want)
	listed, err := live(t.Context(), restarted)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, listed[want.ID]); diff != "" {
		t.Errorf("List and Get differ (-Get +List):\n%s", diff)
	}
}

func launchedOnce(t *testing.T, h Harness) {
	c := claim("one", h.Offerings[:]...)
	first := mustLaunch(t, h.Provider, c, nil)
	second := mustLaunch(t, h.Provider, c, nil)
	if first.ID != second.ID {
		t.Errorf("launched %s and %s for one claim", first.ID, second.ID)
	}
	mustList(t, h.Provider, first)
}

func launchedOnceConcurrently(t *testing.T, h Harness) {
	c := claim("one", h.Offerings[:]...)
	var wg sync.WaitGroup
	var instances [4]cloud.Instance
	var errs [4]error
	for n := range instances {
		wg.Go(func() { instances[n], errs[n] = h.Provider.Launch(t.Context(), c.DeepCopy(), nil) })
	}
	wg.Wait()
	for n, i := range instances {
		if errs[n] != nil {
			t.Fatal(errs[n])
		}
		if i.ID != instances[0].ID {
			t.Errorf("launched %s and %s for one claim", instances[0].ID, i.ID)
		}
	}
	mustList(t, h.Provider, instances[0])
}

func launchedOnceAcrossRestart(t *testing.T, h Harness) {
	c := claim("one", h.Offerings[:]...)
	first := mustLaunch(t, h.Provider, c, nil)
	restarted := h.Restart()
	if second := mustLaunch(t, restarted, c, nil); first.ID != second.ID {
		t.Errorf("launched %s and %s for one claim", first.ID, second.ID)
	}
	mustList(t, restarted, first)
}

func launchedOnceWithOtherClass(t *testing.T, h Harness) {
	c := claim("one", h.Offerings[:]...)
	first := mustLaunch(t, h.Provider, c, class("first"))
	restarted := h.Restart()
	if second := mustLaunch(t, restarted, c, class("second")); first.ID != second.ID {
		t.Errorf("launched %s and %s for one claim", first.ID, second.ID)
	}
	mustList(t, restarted, first)
}

func launchedOnceThoughAnswerLost(t *testing.T, h Harness) {
	c := claim("one", h.Offerings[:]...)
	h.Break(LostAnswer)
	if i, err := h.Provider.Launch(t.Context(), c, nil); err == nil {
		t.Fatalf("Launch = %+v although the answer was lost", i)
	} else if errors.Is(err, cloud.ErrCapacity) || errors.Is(err, cloud.ErrBusy) || errors.Is(err, cloud.ErrDenied) || errors.Is(err, cloud.ErrInvalid) {
		t.Errorf("error %q says that nothing was bought", err)
	}
	h.Mend()
	i := mustLaunch(t, h.Provider, c, nil)
	mustList(t, h.Provider, i)
}

func oldClaimIsFound(t *testing.T, h Harness) {
	c := claim("one", h.Offerings[:]...)
	first := mustLaunch(t, h.Provider, c, class("first"))
	mustList(t, h.Provider, first)
	c.CreationTimestamp.Time = c.CreationTimestamp.AddDate(0, 0, -7)
	restarted := h.Restart()
	if second := mustLaunch(t, restarted, c, class("second")); first.ID != second.ID {
		t.Errorf("launched %s and %s for one claim", first.ID, second.ID)
	}
}

func capacityErrorNamesOfferings(t *testing.T, h Harness) {
	h.Leave(0, keyOf(h.Offerings[0]), keyOf(h.Offerings[1]))
	_, err := h.Provider.Launch(t.Context(), claim("one", h.Offerings[:]...), nil)
	wantOne(t, err, cloud.ErrCapacity)
	var capacity *cloud.CapacityError
	if !errors.As(err, &capacity) {
		t.Fatalf("error %q is no CapacityError", err)
	}
	wantKeys(t, capacity.Offerings, keyOf(h.Offerings[0]), keyOf(h.Offerings[1]))

	_, err = h.Provider.Launch(t.Context(), claim("two", h.Offerings[1]), nil)
	if !errors.As(err, &capacity) {
		t.Fatalf("error %v is no CapacityError", err)
	}
	wantKeys(t, capacity.Offerings, keyOf(h.Offerings[1]))
	mustList(t, h.Provider)
}

func secondOfferingIsUsed(t *testing.T, h Harness) {
	h.Leave(0, keyOf(h.Offerings[0]))
	i := mustLaunch(t, h.Provider, claim("one", h.Offerings[:]...), nil)
	if got := offeringOf(i); got != keyOf(h.Offerings[1]) {
		t.Errorf("launched %v, want the one left: %v", got, keyOf(h.Offerings[1]))
	}
	for _, key := range i.Unavailable {
		if key != keyOf(h.Offerings[0]) {
			t.Errorf("%v is said to be unavailable", key)
		}
	}
}

func unknownNotFound(t *testing.T, h Harness) {
	_, err := h.Provider.Get(t.Context(), h.UnknownID)
	wantOne(t, err, cloud.ErrNotFound)
	wantOne(t, h.Provider.Terminate(t.Context(), h.UnknownID), cloud.ErrNotFound)
}

func denied(t *testing.T, h Harness) {
	h.Break(Denied)
	c := claim("one", h.Offerings[:]...)
	_, err := h.Provider.Launch(t.Context(), c, nil)
	wantOne(t, err, cloud.ErrDenied)
	if err != nil && (!strings.Contains(err.Error(), c.Name) || !strings.Contains(err.Error(), ":")) {
		t.Errorf("error %q does not name claim and permission", err)
	}
	h.Mend()
	mustList(t, h.Provider)
	mustList(t, h.Provider, mustLaunch(t, h.Provider, c, nil))
}

func throttled(t *testing.T, h Harness) {
	h.Break(Throttled)
	c := claim("one", h.Offerings[:]...)
	_, err := h.Provider.Launch(t.Context(), c, nil)
	wantOne(t, err, cloud.ErrThrottled)
	h.Mend()
	mustList(t, h.Provider, mustLaunch(t, h.Provider, c, nil))
}

func invalid(t *testing.T, h Harness) {
	nonesuch := h.Offerings[0]
	nonesuch.InstanceType = "x0.nonesuch"
	unpayable := h.Offerings[0]
	unpayable.CapacityType = "barter"
	unpayable.Price = resource.MustParse("0")
	for name, c := range map[string]func() error{
		"no offering":   func() error { _, err := h.Provider.Launch(t.Context(), claim("one"), nil); return err },
		"unknown type":  func() error { _, err := h.Provider.Launch(t.Context(), claim("one", nonesuch), nil); return err },
		"capacity type": func() error { _, err := h.Provider.Launch(t.Context(), claim("one", unpayable), nil); return err },
	} {
		t.Run(name, func(t *testing.T) { wantOne(t, c(), cloud.ErrInvalid) })
	}
	mustList(t, h.Provider)
}

func cancelled(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Provider.Launch(ctx, claim("one", h.Offerings[:]...), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Launch: %v, want context canceled", err)
	}
	if _, err := h.Provider.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v, want context canceled", err)
	}
	if _, err := h.Provider.Types(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Types: %v, want context canceled", err)
	}
}

func wantKeys(t *testing.T, got []offering.Key, want ...offering.Key) {
	t.Helper()
	byText := cmpopts.SortSlices(func(a, b offering.Key) bool { return fmt.Sprint(a) < fmt.Sprint(b) })
	if diff := cmp.Diff(want, got, byText); diff != "" {
		t.Errorf("offerings (-want +got):\n%s", diff)
	}
}
