package nodeclaim

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

func TestLaunchRecordsWhatWasBought(t *testing.T) {
	w := newWorld(t, newClaim(func(c *v1alpha1.NodeClaim) { c.Finalizers = nil }))
	full := offering.Key{InstanceType: "m5.xlarge", Zone: "us-east-1b", CapacityType: "spot"}
	w.cloud.unavailable = []offering.Key{full}
	w.reconcile(w.launch, "a")

	claim := w.claim()
	if got := condition(claim, v1alpha1.ConditionLaunched); got != "True Launched" {
		t.Errorf("Launched is %q", got)
	}
	s := claim.Status
	got := []string{s.InstanceID, s.ProviderID, s.NodeName, s.ImageID, s.InstanceType, s.Zone, s.CapacityType, s.Price.String(), s.Allocatable.Cpu().String()}
	want := []string{"i-a", "aws:///us-east-1a/i-a", "node-a", "ami-1", "m5.large", "us-east-1a", "on-demand", "96m", "2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{v1alpha1.TerminationFinalizer}, claim.Finalizers); diff != "" {
		t.Errorf("finalizers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]offering.Key{full}, w.catalog.unavailable); diff != "" {
		t.Errorf("unavailable (-want +got):\n%s", diff)
	}
	w.reconcile(w.launch, "a")
	if n := w.cloud.count("Launch"); n != 1 {
		t.Errorf("launched %d times", n)
	}
}

func TestLaunchFailures(t *testing.T) {
	capacity := &cloud.CapacityError{
		Offerings: []offering.Key{{InstanceType: "m5.large", Zone: "us-east-1a", CapacityType: "on-demand"}},
		Err:       errors.New("InsufficientInstanceCapacity"),
	}
	for _, tt := range []struct {
		name        string
		err         error
		want        string // condition Launched; "" when the claim is to be gone
		unavailable int
		event       string
	}{
		{name: "no capacity", err: fmt.Errorf("launch: %w", capacity), unavailable: 1, event: "NodeClaim InsufficientCapacity"},
		{name: "no capacity, unnamed", err: cloud.ErrCapacity, unavailable: 2, event: "NodeClaim InsufficientCapacity"},
		{name: "busy for as long as it may ask", err: cloud.ErrBusy, event: "NodeClaim CloudBusy"},
		{name: "invalid", err: cloud.ErrInvalid, event: "NodeClaim InvalidRequest"},
		{name: "denied", err: cloud.ErrDenied, event: "NodeClaim AccessDenied"},
		{name: "throttled", err: cloud.ErrThrottled, want: "Unknown Throttled"},
		{name: "unknown", err: errors.New("connection reset"), want: "Unknown LaunchFailing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newClaim(nil))
			w.cloud.beforeBuy = tt.err
			result := w.reconcile(w.launch, "a")
			if n := len(w.catalog.unavailable); n != tt.unavailable {
				t.Errorf("%d offerings marked unavailable, want %d", n, tt.unavailable)
			}
			if tt.want != "" {
				if got := condition(w.claim(), v1alpha1.ConditionLaunched); got != tt.want {
					t.Errorf("Launched is %q, want %q", got, tt.want)
				}
				if result.RequeueAfter <= 0 {
					t.Error("not tried again")
				}
				return
			}
			if w.claim().DeletionTimestamp == nil {
				t.Error("claim not deleted")
			}
			w.reconcile(w.launch, "a") // nothing was bought: it goes at once
			if c := w.claim(); c != nil {
				t.Errorf("claim still there: %v", c.Status.Conditions)
			}
			if w.cloud.count("Launch") != 1 || w.cloud.count("List") != 0 {
				t.Errorf("calls %v", w.cloud.calls)
			}
			if w.events.count(tt.event) != 1 {
				t.Errorf("events %v, want one %q", w.events.events, tt.event)
			}
		})
	}
}

func TestLaunchTimeout(t *testing.T) {
	w := newWorld(t, newClaim(nil))
	w.cloud.beforeBuy = errors.New("connection reset")
	w.reconcile(w.launch, "a")
	w.clock.Step(5 * time.Minute)
	w.reconcile(w.launch, "a")
	claim := w.claim()
	if got := condition(claim, v1alpha1.ConditionLaunched); got != "False LaunchTimeout" || claim.DeletionTimestamp == nil {
		t.Errorf("Launched is %q, deletion timestamp %v", got, claim.DeletionTimestamp)
	}
}

func TestLaunchWaitsForClass(t *testing.T) {
	class := &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}}
	w := newWorld(t, newClaim(func(c *v1alpha1.NodeClaim) {
		c.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Name: "gpu"}
	}))
	step := func(want string, launches int) {
		t.Helper()
		w.reconcile(w.launch, "a")
		if got := condition(w.claim(), v1alpha1.ConditionLaunched); got != want || w.cloud.count("Launch") != launches {
			t.Errorf("Launched is %q after %d launches, want %q after %d", got, w.cloud.count("Launch"), want, launches)
		}
	}
	step("Unknown NodeClassNotFound", 0)
	w.create(class)
	step("Unknown NodeClassNotReady", 0)
	want := []reconcile.Request{{NamespacedName: types.NamespacedName{Name: "a"}}}
	if diff := cmp.Diff(want, w.launch.waitingForClass(t.Context(), class)); diff != "" {
		t.Errorf("woken by class (-want +got):\n%s", diff)
	}
	class.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Ready"}}
	if err := w.client.Update(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	step("True Launched", 1)
}

func TestLaunchSurvivesLostStatusWrite(t *testing.T) {
	w := newWorld(t, newClaim(nil))
	w.hooks.statusPatch = func(client.Object) error { return errors.New("API server is down") }
	if _, err := w.launch.Reconcile(t.Context(), request("a")); err == nil {
		t.Fatal("no error")
	}
	w.hooks.statusPatch = nil
	w.reconcile(w.launch, "a")
	if got := condition(w.claim(), v1alpha1.ConditionLaunched); got != "True Launched" || w.cloud.count("Launch") != 1 {
		t.Errorf("Launched is %q after %d launches", got, w.cloud.count("Launch"))
	}
}

func TestLaunchSurvivesConflict(t *testing.T) {
	w := newWorld(t, newClaim(nil))
	w.cloud.during = func() { // somebody else writes the claim while it is launched
		c := w.claim()
		c.Status.Released = []types.UID{"pod-1"}
		if err := w.client.Status().Update(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	w.reconcile(w.launch, "a")
	claim := w.claim()
	if got := condition(claim, v1alpha1.ConditionLaunched); got != "True Launched" || len(claim.Status.Released) != 1 {
		t.Errorf("Launched is %q, released %v", got, claim.Status.Released)
	}
}

func TestLaunchReturnsInstanceOfVanishedClaim(t *testing.T) {
	w := newWorld(t, newClaim(nil))
	w.cloud.during = func() { // the claim is removed by force while it is launched
		c := w.claim()
		c.Finalizers = nil
		if err := w.client.Update(t.Context(), c); err != nil {
			t.Error(err)
		}
		w.delete(c)
	}
	w.reconcile(w.launch, "a")
	if ids := w.cloud.ids(); len(ids) != 0 {
		t.Errorf("instances %v are left", ids)
	}
}

// TestLaunchReturnsSecondInstance: a claim that has an instance keeps it.
func TestLaunchReturnsSecondInstance(t *testing.T) {
	w := newWorld(t, newClaim(nil))
	w.cloud.during = func() { // another writes down what was bought before
		c := w.claim()
		c.Status.InstanceID = "i-first"
		if err := w.client.Status().Update(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	w.reconcile(w.launch, "a")
	if ids := w.cloud.ids(); len(ids) != 0 || w.claim().Status.InstanceID != "i-first" {
		t.Errorf("instances %v, the claim has %s", ids, w.claim().Status.InstanceID)
	}
}

// TestLostAnswerThenRefusal: a refusal does not prove that nothing was bought by an earlier call
// whose answer was lost.
func TestLostAnswerThenRefusal(t *testing.T) {
	lost := errors.New("connection reset")
	for _, tt := range []struct {
		name    string
		between func(*world) // the lost answer and the refusal
	}{
		{"at once", func(*world) {}},
		{"throttled between", func(w *world) {
			w.cloud.set(func(f *fakeCloud) { f.beforeBuy = cloud.ErrThrottled })
			w.reconcile(w.launch, "a")
		}},
		{"another leader", func(w *world) { w.launch.doubts, w.launch.fleets.byID = doubts{}, nil }},
	} {
		for _, fleet := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, fleet %v", tt.name, fleet), func(t *testing.T) {
				claims := []client.Object{newClaim(nil)}
				if fleet {
					claims = fleetOf(1, "a")
				}
				w := newWorld(t, claims...)
				again := func(err error) {
					t.Helper()
					w.clock.Step(w.reconcile(w.launch, "a").RequeueAfter) // its backoff is over
					w.cloud.set(func(f *fakeCloud) { f.beforeBuy, f.afterBuy = err, nil })
					w.clock.Step(time.Second)
					w.reconcile(w.launch, "a")
				}
				w.cloud.afterBuy = lost
				w.reconcile(w.launch, "a")
				tt.between(w)
				w.clock.Step(time.Second)
				w.cloud.set(func(f *fakeCloud) { f.beforeBuy = cloud.ErrDenied })
				w.reconcile(w.launch, "a")
				if c := w.claim(); c.DeletionTimestamp != nil || condition(c, v1alpha1.ConditionLaunched) != "Unknown LaunchFailing" {
					t.Fatalf("Launched is %q", condition(c, v1alpha1.ConditionLaunched))
				}
				again(nil)
				if ids := w.cloud.ids(); w.claim().Status.InstanceID == "" || len(ids) != 1 {
					t.Errorf("instances %v, the claim has %q", ids, w.claim().Status.InstanceID)
				}
			})
		}
	}
}

// TestDoubtEnds: once what was bought would have been found, a refusal is believed.
func TestDoubtEnds(t *testing.T) {
	w := newWorld(t, newClaim(nil))
	w.cloud.beforeBuy = errors.New("connection reset")
	w.reconcile(w.launch, "a")
	w.cloud.beforeBuy = cloud.ErrDenied
	w.clock.Step(lookAfter + w.launch.settle)
	w.reconcile(w.launch, "a")
	if got := condition(w.claim(), v1alpha1.ConditionLaunched); got != "False AccessDenied" {
		t.Errorf("Launched is %q", got)
	}
}

func TestAbandon(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(*world)
		bought bool
	}{
		{name: "never launched", before: func(*world) {}},
		{name: "answer lost before buying", before: func(w *world) {
			w.cloud.beforeBuy = errors.New("connection reset")
			w.reconcile(w.launch, "a")
		}},
		{name: "answer lost after buying", bought: true, before: func(w *world) {
			w.cloud.afterBuy = errors.New("connection reset")
			w.reconcile(w.launch, "a")
		}},
		{name: "answer lost, reads lag", bought: true, before: func(w *world) {
			w.cloud.afterBuy = errors.New("connection reset")
			w.reconcile(w.launch, "a")
			w.cloud.hidden = true
		}},
		{name: "crash after buying", bought: true, before: func(w *world) {
			if _, err := w.cloud.Launch(t.Context(), w.claim(), nil); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newClaim(nil))
			tt.before(w)
			launches := w.cloud.count("Launch")
			w.delete(w.claim())
			result := w.reconcile(w.launch, "a")
			if result.RequeueAfter > 0 {
				w.cloud.hidden = false
				w.clock.Step(result.RequeueAfter)
				w.reconcile(w.launch, "a")
			}
			if n := w.cloud.count("Launch"); n != launches {
				t.Errorf("launched again")
			}
			claim := w.claim()
			if !tt.bought {
				if claim != nil {
					t.Errorf("claim still there: %v", claim.Status.Conditions)
				}
				if result.RequeueAfter <= 0 {
					t.Error("let go before the cloud's reads must know")
				}
				return
			}
			if got := condition(claim, v1alpha1.ConditionLaunched); got != "True Launched" {
				t.Fatalf("Launched is %q", got)
			}
			w.clock.Step(time.Minute)
			w.reconcile(w.end, "a")
			w.reconcile(w.end, "a")
			if ids := w.cloud.ids(); len(ids) != 0 || w.claim() != nil {
				t.Errorf("instances %v, claim %v are left", ids, w.claim())
			}
		})
	}
}

func TestRejectedThenCrashed(t *testing.T) {
	w := newWorld(t, newClaim(func(c *v1alpha1.NodeClaim) {
		c.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: "InsufficientCapacity"}}
	}))
	w.reconcile(w.launch, "a")
	w.reconcile(w.launch, "a")
	if w.claim() != nil || w.cloud.count("Launch") != 0 {
		t.Errorf("claim %v after %d launches", w.claim(), w.cloud.count("Launch"))
	}
}

func TestStaleCacheLaunchesNothingTwice(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
	}{
		{name: "bought"},
		{name: "rejected", err: cloud.ErrCapacity},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newClaim(nil))
			w.launch.client = staleClient{w.client, w.claim()}
			w.cloud.beforeBuy = tt.err
			for range 3 {
				w.reconcile(w.launch, "a")
			}
			if n := w.cloud.count("Launch"); n != 1 {
				t.Errorf("launched %d times", n)
			}
			if n := len(w.events.events); n != 1 {
				t.Errorf("events %v, want one", w.events.events)
			}
		})
	}
}

// staleClient is a cache that has not seen any write to the claim.
type staleClient struct {
	client.Client
	claim *v1alpha1.NodeClaim
}

func (c staleClient) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if claim, ok := o.(*v1alpha1.NodeClaim); ok {
		c.claim.DeepCopyInto(claim)
		return nil
	}
	return c.Client.Get(ctx, key, o, opts...)
}

func request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

// TestClassEditedDuringLaunch: the claim says what its instance was bought by, not what the
// class has become since.
func TestClassEditedDuringLaunch(t *testing.T) {
	class := &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}}
	class.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Ready"}}
	w := newWorld(t, newClaim(func(c *v1alpha1.NodeClaim) { c.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Name: "gpu"} }), class)
	sizing, fields := class.Sizing(), class.FieldHashes()
	w.cloud.set(func(f *fakeCloud) {
		f.during = func() {
			edited := get(t, w.client, &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}})
			edited.Spec.Kubelet = &v1alpha1.KubeletConfiguration{MaxPods: new(int32(20))}
			if err := w.client.Update(t.Context(), edited); err != nil {
				t.Error(err)
			}
		}
	})
	w.reconcile(w.launch, "a")
	claim := w.claim()
	if claim.Status.InstanceID == "" || claim.Status.Sizing != sizing {
		t.Errorf("instance %q of sizing %q, want %q", claim.Status.InstanceID, claim.Status.Sizing, sizing)
	}
	if diff := cmp.Diff(fields, claim.Status.ClassFields); diff != "" {
		t.Errorf("class (-want +got):\n%s", diff)
	}
}
