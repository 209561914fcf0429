package nodeclaim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// TestAllowanceHolds: whenever within their calls nodes are bought, alone, together, in part or
// not at all, no minute has more than the allowance, and all are bought in the end.
func TestAllowanceHolds(t *testing.T) {
	const most, buyers, nodes = 20, 15, 12
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			a := newAllowance(most, clock.RealClock{})
			var mu sync.Mutex
			var bought []time.Time
			var running sync.WaitGroup
			for buyer := range buyers {
				random := rand.New(rand.NewPCG(seed, uint64(buyer)))
				running.Go(func() {
					var waiting []*v1alpha1.NodeClaim
					for n := range nodes {
						waiting = append(waiting, newClaim(func(c *v1alpha1.NodeClaim) { c.UID = types.UID(fmt.Sprint(buyer, "-", n)) }))
					}
					for len(waiting) > 0 {
						together := waiting[:1+random.IntN(len(waiting))]
						n, wait := a.take(random.IntN(4) == 0, together...)
						if n == 0 {
							time.Sleep(wait)
							continue
						}
						got := random.IntN(n + 1)
						time.Sleep(time.Duration(random.Int64N(int64(40 * time.Second)))) // until it is bought
						mu.Lock()
						for range got {
							bought = append(bought, time.Now())
						}
						mu.Unlock()
						time.Sleep(time.Duration(random.Int64N(int64(40 * time.Second)))) // until the answer is here
						a.answered(false, together[:got]...)
						a.answered(random.IntN(2) == 0, together[got:n]...) // the others are bought later
						waiting = waiting[got:]
					}
				})
			}
			running.Wait()
			if len(bought) != buyers*nodes {
				t.Errorf("%d nodes were bought, want %d", len(bought), buyers*nodes)
			}
			slices.SortFunc(bought, time.Time.Compare)
			for i := range max(0, len(bought)-most) {
				if d := bought[i+most].Sub(bought[i]); d < allowanceWindow {
					t.Fatalf("seed %d: %d nodes were bought within %s", seed, most+1, d)
				}
			}
		})
	}
}

// cappedAt bounds the launches of the world's claims.
func (w *world) cappedAt(most int) { w.launch.allowance = newAllowance(most, w.clock) }

// TestLaunchesAreCapped: what waits for its turn says so, is not given up meanwhile, and gets it.
func TestLaunchesAreCapped(t *testing.T) {
	var claims []client.Object
	for _, name := range []string{"a", "b"} {
		claims = append(claims, newClaim(func(c *v1alpha1.NodeClaim) { c.Name, c.UID = name, types.UID("uid-"+name) }))
	}
	w := newWorld(t, claims...)
	w.cappedAt(1)
	w.launch.timeout = 30 * time.Second
	w.reconcile(w.launch, "a")
	if result := w.reconcile(w.launch, "b"); result.RequeueAfter != time.Minute {
		t.Errorf("looks again after %v, want a minute", result.RequeueAfter)
	}
	w.wantFleet("a i-a", "b Unknown LaunchesCapped")
	capped := "# HELP slipway_nodeclaims_capped NodeClaims that are not bought yet because as many nodes were launched within a minute as may be.\n# TYPE slipway_nodeclaims_capped gauge\nslipway_nodeclaims_capped 1\n"
	if err := testutil.CollectAndCompare(phaseCollector{w.client}, strings.NewReader(capped), "slipway_nodeclaims_capped"); err != nil {
		t.Error(err)
	}
	w.clock.Step(time.Minute - time.Second)
	w.reconcile(w.launch, "b")
	w.wantCalls(0, 1)
	w.clock.Step(time.Second)
	w.reconcile(w.launch, "b")
	w.wantFleet("a i-a", "b i-b")
}

// TestRefusedLaunchesAreFree: what was certainly not bought takes nobody's turn.
func TestRefusedLaunchesAreFree(t *testing.T) {
	var claims []client.Object
	for _, name := range []string{"a", "b"} {
		claims = append(claims, newClaim(func(c *v1alpha1.NodeClaim) { c.Name, c.UID = name, types.UID("uid-"+name) }))
	}
	w := newWorld(t, claims...)
	w.cappedAt(1)
	w.cloud.set(func(f *fakeCloud) { f.beforeBuy = cloud.ErrCapacity })
	w.reconcile(w.launch, "a")
	w.cloud.set(func(f *fakeCloud) { f.beforeBuy, f.afterBuy = nil, fmt.Errorf("the answer was lost") })
	w.reconcile(w.launch, "b")
	w.cloud.set(func(f *fakeCloud) { f.afterBuy = nil })
	w.reconcile(w.launch, "b") // it counts once
	w.wantFleet("a False InsufficientCapacity, leaving", "b i-b")
}

func TestFleetIsCapped(t *testing.T) {
	w := newWorld(t, fleetOf(3, "a", "b", "c")...)
	w.cappedAt(2)
	w.reconcile(w.launch, "a")
	w.wantFleet("a i-0", "b i-1", "c ")
	w.reconcile(w.launch, "c")
	w.wantFleet("a i-0", "b i-1", "c Unknown LaunchesCapped")
	w.clock.Step(time.Minute)
	w.reconcile(w.launch, "c") // alone: the fleet's call was made
	w.wantFleet("a i-0", "b i-1", "c i-c")
	w.wantCalls(1, 1)
}

func TestWholeFleetIsCapped(t *testing.T) {
	whole := func() []client.Object {
		claims := fleetOf(2, "a", "b")
		for _, c := range claims {
			c.(*v1alpha1.NodeClaim).Spec.Fleet.Whole = true
		}
		return claims
	}
	other := newClaim(func(c *v1alpha1.NodeClaim) { c.Name, c.UID = "other", "uid-other" })
	w := newWorld(t, append(whole(), other)...)
	w.cappedAt(2)
	w.reconcile(w.launch, "other")
	w.reconcile(w.launch, "a")
	w.wantFleet("a Unknown LaunchesCapped", "b Unknown LaunchesCapped", "other i-other")
	w.clock.Step(time.Minute)
	w.reconcile(w.launch, "b")
	w.wantCalls(1, 1)

	w = newWorld(t, whole()...)
	w.cappedAt(1)
	w.reconcile(w.launch, "a")
	w.wantFleet("a False InvalidRequest, leaving", "b False InvalidRequest, leaving")
	w.wantCalls(0, 0)
}

// TestNewLeaderCountsLaunches: what was launched within a minute before counts.
func TestNewLeaderCountsLaunches(t *testing.T) {
	before := newClaim(func(c *v1alpha1.NodeClaim) {
		launched(c)
		c.Name, c.UID = "before", "uid-before"
		c.Status.Conditions[0].LastTransitionTime = metav1.NewTime(time.Now().Add(-30 * time.Second))
	})
	w := newWorld(t, before, newClaim(nil))
	w.cappedAt(1)
	if result := w.reconcile(w.launch, "a"); result.RequeueAfter < 25*time.Second || result.RequeueAfter > 35*time.Second {
		t.Errorf("looks again after %v, want half a minute", result.RequeueAfter)
	}
	w.wantCalls(0, 0)
}
