package nodeclaim

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// fleetOf makes claims that are to be bought together, of more that were planned.
func fleetOf(size int, names ...string) []client.Object {
	var claims []client.Object
	for _, name := range names {
		claims = append(claims, newClaim(func(c *v1alpha1.NodeClaim) {
			c.Name, c.UID = name, types.UID("uid-"+name)
			c.Spec.Fleet = &v1alpha1.Fleet{ID: "fleet", Size: int32(size)}
		}))
	}
	return claims
}

// fleet renders the claims and their instances, or what they wait for.
func (w *world) fleet() []string {
	w.t.Helper()
	var all v1alpha1.NodeClaimList
	if err := w.client.List(w.t.Context(), &all); err != nil {
		w.t.Fatal(err)
	}
	var lines []string
	for i := range all.Items {
		c := &all.Items[i]
		line := c.Name + " " + condition(c, v1alpha1.ConditionLaunched)
		if c.Status.InstanceID != "" {
			line = c.Name + " " + c.Status.InstanceID
		}
		if c.DeletionTimestamp != nil {
			line += ", leaving"
		}
		lines = append(lines, line)
	}
	return lines
}

func (w *world) wantFleet(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.fleet()); diff != "" {
		w.t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func (w *world) wantCalls(fleets, alone int) {
	w.t.Helper()
	if f, l := w.cloud.count("LaunchFleet"), w.cloud.count("Launch"); f != fleets || l != alone {
		w.t.Errorf("%d calls for the fleet and %d for single claims, want %d and %d", f, l, fleets, alone)
	}
}

func TestFleetIsBoughtWithOneCall(t *testing.T) {
	w := newWorld(t, fleetOf(3, "a", "b", "c")...)
	w.reconcile(w.launch, "b")
	w.wantFleet("a i-0", "b i-1", "c i-2")
	for _, name := range []string{"a", "b", "c"} {
		if result := w.reconcile(w.launch, name); result.RequeueAfter != 0 {
			t.Errorf("%s looks again after %v", name, result.RequeueAfter)
		}
	}
	w.wantCalls(1, 0)
	if n := w.events.count("NodeClaim Launched"); n != 3 {
		t.Errorf("%d events", n)
	}
}

func TestFleetWaitsForItsClaims(t *testing.T) {
	w := newWorld(t, fleetOf(3, "a", "b")...)
	if result := w.reconcile(w.launch, "a"); result.RequeueAfter != fleetWindow {
		t.Errorf("looks again after %v", result.RequeueAfter)
	}
	w.wantCalls(0, 0)
	w.clock.Step(fleetWindow)
	w.reconcile(w.launch, "a")
	w.wantFleet("a i-0", "b i-1")
	// The third comes late: what the fleet bought is taken, so that it is bought alone.
	w.create(fleetOf(3, "c")...)
	w.reconcile(w.launch, "c")
	w.reconcile(w.launch, "c")
	w.wantFleet("a i-0", "b i-1", "c i-c")
	w.wantCalls(2, 1)
}

// TestFleetWaitsWhileClaimsCome: a fleet that takes long to be written is bought as one all the
// same.
func TestFleetWaitsWhileClaimsCome(t *testing.T) {
	w := newWorld(t, fleetOf(4, "a")...)
	for _, next := range []string{"b", "c", "d"} {
		w.reconcile(w.launch, "a")
		w.wantCalls(0, 0)
		w.clock.Step(fleetWindow - time.Millisecond)
		w.create(fleetOf(4, next)...)
	}
	w.reconcile(w.launch, "a")
	w.wantFleet("a i-0", "b i-1", "c i-2", "d i-3")
	w.wantCalls(1, 0)
}

func TestFleetFailures(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want []string
	}{
		{"no capacity", cloud.ErrCapacity, []string{"a False InsufficientCapacity, leaving", "b False InsufficientCapacity, leaving"}},
		{"busy", cloud.ErrBusy, []string{"a False CloudBusy, leaving", "b False CloudBusy, leaving"}},
		{"denied", cloud.ErrDenied, []string{"a False AccessDenied, leaving", "b False AccessDenied, leaving"}},
		{"throttled", cloud.ErrThrottled, []string{"a Unknown Throttled", "b Unknown Throttled"}},
		{"unknown", errors.New("connection reset"), []string{"a Unknown LaunchFailing", "b Unknown LaunchFailing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, fleetOf(2, "a", "b")...)
			w.cloud.beforeBuy = fmt.Errorf("launch: %w", tt.err)
			w.reconcile(w.launch, "a")
			w.wantFleet(tt.want...)
			// Its other claims do not ask again before it is time.
			if condition(w.claim(), v1alpha1.ConditionLaunched)[:5] == "False" {
				w.reconcile(w.launch, "a")
				w.reconcile(w.launch, "b")
				w.wantFleet()
				w.wantCalls(1, 0)
				return
			}
			wait := w.reconcile(w.launch, "b").RequeueAfter
			w.wantCalls(1, 0)
			w.cloud.beforeBuy = nil
			w.clock.Step(wait)
			w.reconcile(w.launch, "b")
			w.wantFleet("a i-0", "b i-1")
			w.wantCalls(2, 0)
		})
	}
}

func TestFleetGetsFewer(t *testing.T) {
	w := newWorld(t, fleetOf(3, "a", "b", "c")...)
	w.cloud.room = new(1)
	w.reconcile(w.launch, "a")
	w.wantFleet("a i-0", "b False InsufficientCapacity, leaving", "c False InsufficientCapacity, leaving")
	if n := len(w.catalog.unavailable); n != 2 {
		t.Errorf("%d offerings marked unavailable", n)
	}
	w.reconcile(w.launch, "b") // nothing was bought for it: it goes at once
	w.reconcile(w.launch, "c")
	w.wantFleet("a i-0")
}

// TestFleetAcrossCrash kills the launcher, which forgets all, when the fleet was bought
// and some of it written down.
func TestFleetAcrossCrash(t *testing.T) {
	w := newWorld(t, fleetOf(3, "a", "b", "c")...)
	w.hooks.statusPatch = func(o client.Object) error {
		if o.GetName() != "b" {
			return errors.New("the process is dead")
		}
		return nil
	}
	if _, err := w.launch.Reconcile(t.Context(), request("a")); err == nil {
		t.Fatal("all was written")
	}
	w.wantFleet("a ", "b i-1", "c ")
	w.hooks.statusPatch = nil
	w.launch.outcomes, w.launch.fleets.byID = outcomes{}, nil
	w.reconcile(w.launch, "c")
	w.wantFleet("a i-0", "b i-1", "c i-2")
	w.wantCalls(2, 0)
	if n := len(w.cloud.ids()); n != 3 {
		t.Errorf("%d instances", n)
	}
}

// TestFleetAnswerLost: what was bought by a call whose answer was lost goes to the claims
// that are left, and to those that are being deleted when nobody needs it.
func TestFleetAnswerLost(t *testing.T) {
	w := newWorld(t, fleetOf(3, "a", "b", "c")...)
	w.cloud.afterBuy = errors.New("connection reset")
	w.reconcile(w.launch, "a")
	w.cloud.afterBuy = nil
	w.delete(get(t, w.client, newClaim(func(c *v1alpha1.NodeClaim) { c.Name = "c" })))
	w.reconcile(w.launch, "c")
	w.wantFleet("a Unknown LaunchFailing", "b Unknown LaunchFailing", "c i-0, leaving")
	w.clock.Step(time.Minute)
	w.reconcile(w.launch, "a")
	w.wantFleet("a i-1", "b i-2", "c i-0, leaving")
}

func TestFleetAbandonedBeforeItIsBought(t *testing.T) {
	w := newWorld(t, fleetOf(3, "a", "b", "c")...)
	w.delete(w.claim())
	w.reconcile(w.launch, "a")
	w.clock.Step(w.launch.settle)
	w.reconcile(w.launch, "a")
	w.reconcile(w.launch, "b")
	w.wantFleet("b i-0", "c i-1")
	w.wantCalls(1, 0)
}

// TestFleetIsBoughtWhileAClaimLooksOn: a claim whose reconcile began before its fleet was bought,
// and goes on when the fleet is spent, is not bought for a second time.
func TestFleetIsBoughtWhileAClaimLooksOn(t *testing.T) {
	w := newWorld(t, fleetOf(2, "a", "b")...)
	w.cloud.room = new(1)
	late := w.claim()
	w.reconcile(w.launch, "a")
	w.launch.fleets.of(late, w.clock.Now()).spent.Store(true)
	if _, err := w.launch.launch(t.Context(), late, time.Minute); err != nil {
		t.Fatal(err)
	}
	w.wantCalls(1, 0)
}

// TestFleetIsForgotten: nothing of a fleet is kept for longer than it may be launched for.
func TestFleetIsForgotten(t *testing.T) {
	w := newWorld(t, fleetOf(1, "a")...)
	w.cloud.beforeBuy = cloud.ErrThrottled
	var waits []time.Duration
	for range 8 {
		wait := w.reconcile(w.launch, "a").RequeueAfter
		waits = append(waits, wait)
		w.clock.Step(wait)
	}
	s := time.Second
	if diff := cmp.Diff([]time.Duration{s / 2, s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}, waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if n := w.launch.backoff.NumRequeues("fleet"); n != 0 {
		t.Errorf("the launcher itself remembers %d failures", n)
	}
	w.clock.Step(2 * time.Hour)
	other := newClaim(func(c *v1alpha1.NodeClaim) { c.Spec.Fleet = &v1alpha1.Fleet{ID: "other"} })
	w.launch.fleets.of(other, w.clock.Now())
	if n := len(w.launch.fleets.byID); n != 1 {
		t.Errorf("%d fleets are remembered", n)
	}
}
