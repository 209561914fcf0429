package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// asked counts the calls of an action, whatever was answered.
func (w *world) asked(action string) (n int) {
	for _, c := range w.Sim.Calls() {
		if c.Action == action {
			n++
		}
	}
	return n
}

// restrained checks for a while that a launch that fails is not tried too often, and that
// no more than most claims exist at a time. It returns how often it was tried.
func (w *world) restrained(d time.Duration, calls, most int) {
	w.t.Helper()
	before := w.asked("CreateFleet")
	w.always(d, "little is tried in vain", func() error {
		if n, c := w.asked("CreateFleet")-before, len(w.claims()); n > calls || c > most {
			return fmt.Errorf("%d calls of CreateFleet, at most %d expected; %d claims, at most %d expected", n, calls, c, most)
		}
		return nil
	})
	w.t.Logf("%d calls of CreateFleet in %s", w.asked("CreateFleet")-before, d)
}

// TestEC2Denies: without permission pods are told which one is missing, and the launcher
// tries less and less often until it is granted.
func TestEC2Denies(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.poolReady(pool("web", never, "m5.large"))
	w.faults(simec2.Fault{
		Action: "CreateFleet", Code: "UnauthorizedOperation",
		Message: "You are not authorized to perform this operation. User: slipway is not authorized to perform: iam:PassRole on resource: node",
	})
	w.create(deployment("web", 2, "1200m"))
	w.event("Pod", "", "Unlaunchable", "iam:PassRole")
	// Both claims with one call, tried again after 1, 2 and 4 seconds; pods may drift apart.
	w.restrained(8*time.Second, 2*4, 2)
	w.faults()
	w.bound("web", 2)
	w.boughtOnce("web")
}

// TestEC2Throttles: a throttled launch is kept and tried again; the claim and its pods say so.
func TestEC2Throttles(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.poolReady(pool("web", never, "m5.large"))
	w.faults(simec2.Fault{Action: "CreateFleet", Code: "RequestLimitExceeded", Message: "Request limit exceeded."})
	w.create(deployment("web", 2, "1200m"))
	w.moment("the claims say that EC2 throttles", "web", func(s scene) bool {
		return every(2, s.claims, func(c v1alpha1.NodeClaim) bool { return reasonOf(c, v1alpha1.ConditionLaunched) == "Throttled" })
	})
	w.event("Pod", "", "LaunchDelayed", "Request limit exceeded")
	w.restrained(5*time.Second, 10, 2)
	w.faults()
	w.settled("web", 2)
}

// TestEC2ThrottlesForLong: a launch that never gets through is given up, and its pods are
// told what kept it.
func TestEC2ThrottlesForLong(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) {
		c.Launcher = func(l *launcherconfig.Config) {
			l.NodeClaims.LaunchTimeout = metav1.Duration{Duration: 5 * time.Second}
		}
	})
	w.poolReady(pool("web", never, "m5.large"))
	w.faults(simec2.Fault{Action: "CreateFleet", Code: "RequestLimitExceeded", Message: "Request limit exceeded."})
	w.create(deployment("web", 1, "1200m"))
	w.event("Pod", "", "Unlaunchable", "Request limit exceeded")
	w.faults()
	w.bound("web", 1)
}

// TestOutOfCapacityEverywhere: pods are told that there is no capacity, nothing is tried
// again before its time, and when there is capacity they get their nodes.
func TestOutOfCapacityEverywhere(t *testing.T) {
	t.Parallel()
	none := simec2.CapacityRule{Instances: 0}
	w := start(t, func(c *stack.Config) {
		c.Sim.Capacity = []simec2.CapacityRule{none}
		c.Launcher = func(l *launcherconfig.Config) { l.UnavailableFor = metav1.Duration{Duration: 3 * time.Second} }
	})
	w.poolReady(pool("web", never, "m5.large", "c5.large", "r5.large"))
	const n = 30
	w.create(deployment("web", n, "1200m"))
	w.event("Pod", "", "Unlaunchable", "capacity")
	// Every 3 seconds, spot first and then on-demand.
	w.restrained(9*time.Second, 4*2*3, n) // the claims of a plan together
	plenty := none
	plenty.Instances = 100
	if err := w.Sim.SetCapacity(plenty); err != nil {
		t.Fatal(err)
	}
	w.settled("web", n)
}

// TestAnswerLost: EC2 buys, the answer is lost on its way, and the retry finds what was bought.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.poolReady(pool("web", never, "m5.large"))
	w.faults(simec2.Fault{Action: "CreateFleet", Code: "InternalError", AfterEffect: true, Count: 3})
	w.create(deployment("web", 2, "1200m"))
	w.settled("web", 2)
	if left := w.Sim.Faults(); len(left) > 0 {
		t.Errorf("no answer was lost: faults left: %v", left)
	}
}

// TestAWSTellsNothing: where types and prices cannot be read, pods get nodes by what is built in.
func TestAWSTellsNothing(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	denied := simec2.Fault{Code: "UnauthorizedOperation", Status: 403}
	var list []simec2.Fault
	for _, denied.Action = range []string{"DescribeInstanceTypes", "GetProducts", "DescribeSpotPriceHistory"} {
		list = append(list, denied)
	}
	w.faults(list...)
	w.create(&v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "plain"}})
	p := pool("web", never, "m5.large")
	p.Spec.Template.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Group: v1alpha1.Group, Kind: "EC2NodeClass", Name: "plain"}
	w.poolReady(p)
	w.create(deployment("web", 2, "1200m"))
	w.settled("web", 2)
	if metrics := w.scrape(w.LauncherMetrics); !strings.Contains(metrics, `slipway_cloud_data_substituted{what="instance types"} 1`) {
		t.Error("no metric says that built-in instance types are used")
	}
}

// TestInstanceTerminatedBehindOurBack: an instance that goes before its node has
// registered takes its claim along; the pods get another.
func TestInstanceTerminatedBehindOurBack(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) {
		c.Sim.BootDelay = 3 * time.Second
		c.Launcher = func(l *launcherconfig.Config) { l.NodeClaims.CollectEvery = metav1.Duration{Duration: 2 * time.Second} }
	})
	w.poolReady(pool("web", never, "m5.large"))
	w.create(deployment("web", 1, "1200m"))
	w.moment("an instance is bought", "web", func(s scene) bool { return every(1, s.claims, bought) })
	lost := w.look("web")
	if err := w.Sim.Terminate(lost.claims[0].Status.InstanceID); err != nil {
		t.Fatal(err)
	}
	if len(lost.nodes) > 0 {
		t.Fatal("its node had registered")
	}
	w.onReserved(w.bound("web", 1))
	w.moment("only the new claim is left", "web", func(s scene) bool {
		return every(1, s.claims, func(c v1alpha1.NodeClaim) bool { return initialized(c) && c.UID != lost.claims[0].UID })
	})
	if s := w.look("web"); len(s.nodes) != 1 || len(s.instances) != 2 || slices.IndexFunc(s.instances, works) < 0 {
		t.Errorf("there are %s", s)
	}
}

func reasonOf(c v1alpha1.NodeClaim, condition string) string {
	for _, have := range c.Status.Conditions {
		if have.Type == condition {
			return have.Reason
		}
	}
	return ""
}
