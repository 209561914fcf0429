package plugin_test

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/slipway-dev/slipway/plugin"
	"github.com/slipway-dev/slipway/plugin/config"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// TestSeveralProfiles: what is tried first is each profile's own; what is promised to a pod
// of one is kept from the pods of another, and each speaks for its own pods.
func TestSeveralProfiles(t *testing.T) {
	const preempts = "preempts-first"
	c := startCluster(t, func(c *cluster, _ *config.SlipwayArgs) {
		c.others = map[string]func(*config.SlipwayArgs){preempts: func(args *config.SlipwayArgs) { args.Order = config.PreemptFirst }}
	})
	c.join("n1", "2")
	c.create("low", "2")
	c.waitForPod("low", "bound", bound("n1"))
	c.createAs(preempts, "high", "2", 10)
	c.waitForPod("high", "bound", bound("n1"))
	if pods, _ := c.launcher.Pods(); len(pods) != 0 {
		t.Errorf("%d pods were handed over though there was one to preempt", len(pods))
	}
	c.createAs(plugin.SchedulerName, "holder", "2", 20)
	c.waitForLauncher(1)
	c.publish("holder", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n2")
	c.waitForPod("holder", "nominated", nominated("n2"))
	c.join("n2", "2")
	c.createAs(preempts, "thief", "2", 10)
	c.waitForPod("holder", "bound", bound("n2"))
	c.waitForLauncher(2)
	c.publish("thief", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-2", "n3")
	c.waitForPod("thief", "nominated", nominated("n3"))
	c.waitForSpeaker("holder", plugin.SchedulerName)
	c.waitForSpeaker("thief", preempts)
}

// waitForSpeaker waits until a pod's reservation has been told of, in the name of a profile.
func (c *cluster) waitForSpeaker(pod, scheduler string) {
	c.t.Helper()
	var speaker string
	err := wait.PollUntilContextCancel(c.ctx, 5*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		list, err := c.client.EventsV1().Events("ns").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, e := range list.Items {
			if e.Regarding.Name == pod && e.Reason == "Reserved" {
				speaker = e.ReportingController
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil || speaker != scheduler {
		c.t.Errorf("pod %s: told of by %q, want %q (%v)", pod, speaker, scheduler, err)
	}
}
