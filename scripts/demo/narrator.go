package demo

import (
	"fmt"

	"github.com/slipway-dev/slipway/scripts/observe"
)

// narrate puts what is seen on the timeline. It is called under the observer's lock.
func (w *walkthrough) narrate(s observe.Sight) {
	t := w.timeline
	switch s.Kind {
	case observe.PodCreated:
		if len(s.View.Pods) == 1 {
			t.start(s.At)
			t.say("first pod created")
		}
	case observe.PodUnschedulable:
		if n := s.View.Unschedulable(); n == 1 || n%10 == 0 {
			t.say("%d pods found unschedulable", n)
		}
	case observe.PodBound:
		pods, reserved := s.View.On(s.Pod.Node)
		whose := "each reserved for it"
		if reserved < pods {
			whose = fmt.Sprintf("only %d reserved for it", reserved)
		}
		t.tally("pods bound to "+s.Pod.Node, func(n int) string {
			return fmt.Sprintf("%d pods bound to %s, %s", n, s.Pod.Node, whose)
		})
	case observe.NodeRegistered:
		t.say("node %s registered (%s, %s)", s.Node.Name, s.Node.InstanceType, s.Node.Zone)
	case observe.NodeSchedulable:
		t.say("node %s ready", s.Node.Name)
	case observe.NodeCordoned:
		t.say("node %s cordoned", s.Node.Name)
	case observe.NodeGone:
		t.say("node %s gone", s.Node.Name)
	case observe.ClaimLaunched:
		is := s.Claim.Status
		t.say("instance %s: %s in %s, %s, %s per hour, node name %s, for %d pods",
			is.InstanceID, is.InstanceType, is.Zone, is.CapacityType, is.PricePerHour, is.NodeName, len(s.Claim.HeldPods()))
	case observe.EventWritten:
		// What the daemons tell of pods is told by the watches.
		if e := s.Event; e.Regarding.Kind == "Node" && (e.Reason == "EmptyTTLStarted" || e.Reason == "Terminating") {
			t.say("node %s: %s: %s", e.Regarding.Name, e.Reason, e.Note)
		}
	}
}
