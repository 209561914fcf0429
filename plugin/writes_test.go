package plugin_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	clienttesting "k8s.io/client-go/testing"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	"k8s.io/kubernetes/pkg/features"

	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// TestOneWrite: pods that a node is launched for cost one status patch and one event each
// until they are bound, however the scheduler writes.
func TestOneWrite(t *testing.T) {
	for _, async := range []bool{false, true} {
		t.Run(fmt.Sprintf("SchedulerAsyncAPICalls=%v", async), func(t *testing.T) {
			featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.SchedulerAsyncAPICalls, async)
			c := startCluster(t)
			c.join("full", "1")
			const pods = 20
			for i := range pods {
				c.create(fmt.Sprint("p", i), "2")
			}
			c.waitForLauncher(pods)
			for i := range pods {
				c.publish(fmt.Sprint("p", i), slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
			}
			for i := range pods {
				c.waitForPod(fmt.Sprint("p", i), "nominated", func(p *v1.Pod) bool {
					conditions := p.Status.Conditions
					return p.Status.NominatedNodeName == "n1" && len(conditions) == 1 && conditions[0].Type == v1.PodScheduled &&
						conditions[0].Status == v1.ConditionFalse && conditions[0].Message == "node n1 is being launched for this pod (claim claim-1)"
				})
			}
			c.join("n1", "40")
			for i := range pods {
				c.waitForPod(fmt.Sprint("p", i), "bound", bound("n1"))
			}
			c.waitForEvents("Scheduled", pods)
			for what, n := range c.writes() {
				if n > 1 {
					t.Errorf("%d times: %s", n, what)
				}
			}
		})
	}
}

// writes counts what was written about each pod.
func (c *cluster) writes() map[string]int {
	counts := map[string]int{}
	for _, action := range c.client.Actions() {
		switch a := action.(type) {
		case clienttesting.PatchAction:
			counts[fmt.Sprintf("patch %s/%s of %s", a.GetResource().Resource, a.GetSubresource(), a.GetName())]++
		case clienttesting.CreateAction:
			switch obj := a.GetObject().(type) {
			case *v1.Binding:
				counts["bind "+obj.Name]++
			case *eventsv1.Event:
				what := "event about "
				if obj.Reason == "Scheduled" {
					what = "event of the binding of "
				}
				counts[what+obj.Regarding.Name]++
			}
		}
	}
	return counts
}

// waitForEvents waits until so many events were written for a reason.
func (c *cluster) waitForEvents(reason string, n int) {
	c.t.Helper()
	err := wait.PollUntilContextCancel(c.ctx, 5*time.Millisecond, true, func(context.Context) (bool, error) {
		seen := 0
		for _, action := range c.client.Actions() {
			if a, ok := action.(clienttesting.CreateAction); ok {
				if e, ok := a.GetObject().(*eventsv1.Event); ok && e.Reason == reason {
					seen++
				}
			}
		}
		return seen >= n, nil
	})
	if err != nil {
		c.t.Fatalf("waiting for %d events %s: %v", n, reason, err)
	}
}
