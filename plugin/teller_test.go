package plugin

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// told says what a patch of a pod's status tells.
func (w *world) told(patch []byte) string {
	w.t.Helper()
	var p struct {
		Metadata struct{ UID string }
		Status   map[string]json.RawMessage
	}
	if err := json.Unmarshal(patch, &p); err != nil || p.Metadata.UID != "a" {
		w.t.Fatalf("patch %s: %v", patch, err)
	}
	said := "write:"
	if raw, ok := p.Status["conditions"]; ok {
		var conditions []v1.PodCondition
		if err := json.Unmarshal(raw, &conditions); err != nil || len(conditions) != 1 || conditions[0].LastTransitionTime.IsZero() {
			w.t.Fatalf("conditions %s: %v", raw, err)
		}
		c := conditions[0]
		said += fmt.Sprintf(" %s=%s %s %q", c.Type, c.Status, c.Reason, c.Message)
	}
	if raw, ok := p.Status["nominatedNodeName"]; ok {
		said += " node " + string(raw)
	}
	return said
}

// tell has the teller tell of pod a, and returns what it wrote, and when it looks again.
func (w *world) tell() []string {
	w.t.Helper()
	w.client.ClearActions()
	wait, err := w.plugin.teller.sync(w.ctx, ledger.PodRef{UID: "a", Namespace: "ns", Name: "a"})
	if err != nil {
		w.t.Fatal(err)
	}
	var did []string
	for _, action := range w.client.Actions() {
		if action.GetVerb() == "list" || action.GetVerb() == "watch" {
			continue // informers, which may be late
		}
		patch, ok := action.(clienttesting.PatchAction)
		if !ok || action.GetSubresource() != "status" {
			w.t.Fatalf("unexpected request: %v", action)
		}
		did = append(did, w.told(patch.GetPatch()))
		updated, err := w.client.CoreV1().Pods("ns").Get(w.ctx, "a", metav1.GetOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		if err := w.factory.Core().V1().Pods().Informer().GetIndexer().Update(updated); err != nil {
			w.t.Fatal(err)
		}
	}
	for len(w.events.Events) > 0 {
		did = append(did, <-w.events.Events)
	}
	if wait > 0 {
		did = append(did, "again in "+wait.String())
	}
	return did
}

// TestTelling: nominations and events follow the ledger.
func TestTelling(t *testing.T) {
	w := newWorld(t)
	a := pod("a", "1").Obj()
	w.exists(a)
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"nothing to tell", func() {}, nil},
		{"unlaunchable", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseUnlaunchable, "too large")}) },
			[]string{"Warning Unlaunchable no node can be launched for this pod: too large"}},
		{"the same again", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseUnlaunchable, "too large")}) }, nil},
		{"for another reason", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseUnlaunchable, "limit")}) },
			[]string{"Warning Unlaunchable no node can be launched for this pod: limit"}},
		{"launched", func() { w.plugin.Apply([]ledger.Update{launched("a", "c1", "i-1")}) }, []string{
			`write: PodScheduled=False Unschedulable "node i-1 is being launched for this pod (claim c1)" node "i-1"`,
			"Normal Reserved node i-1 (t3.medium, us-east-1a, on-demand, $0.0416/h) is being launched for this pod (claim c1); the pod waits since 01:46:40 UTC",
		}},
		{"ready", func() { w.nodeSeen(node("i-1", "1")) }, nil},
		{"ended", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseEnded, "")}) },
			[]string{"again in 2s"}},
		{"later", func() { w.clock.Step(2 * time.Second) }, []string{"write: node null"}},
		{"nothing more", func() {}, nil},
	} {
		step.do()
		if diff := cmp.Diff(step.want, w.tell()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	if n := len(w.plugin.teller.told); n != 0 {
		t.Errorf("%d pods are remembered for ever", n)
	}
}

// TestPatience: a pod whose node is known soon costs one write; one that waits for it is
// told why.
func TestPatience(t *testing.T) {
	const planned = `write: PodScheduled=False Unschedulable "a node is planned for this pod (claim c1)"`
	type step struct {
		name string
		do   func(w *world)
		want []string
	}
	handOver := step{"handed over", func(w *world) { w.schedule(pod("a", "2").Obj()) }, []string{"again in 2s"}}
	plan := func(reason string) func(w *world) {
		return func(w *world) {
			u := update("a", ledger.PhasePlanned, reason)
			u.Claim = "c1"
			w.plugin.Apply([]ledger.Update{u})
		}
	}
	launch := func(w *world) { w.plugin.Apply([]ledger.Update{launched("a", "c1", "i-1")}) }
	const launchedNote = "Normal Reserved node i-1 (t3.medium, us-east-1a, on-demand, $0.0416/h) is being launched for this pod (claim c1); the pod waits since 01:46:40 UTC"
	const launchedCondition = `write: PodScheduled=False Unschedulable "node i-1 is being launched for this pod (claim c1)" node "i-1"`
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"soon", []step{
			handOver,
			{"planned", func(w *world) { w.clock.Step(time.Second); plan("")(w) }, []string{"again in 1s"}},
			{"launched", launch, []string{launchedCondition, launchedNote}},
			{"later", func(w *world) { w.clock.Step(time.Hour) }, nil},
		}},
		{"late", []step{
			handOver,
			{"planned", plan(""), []string{"again in 2s"}},
			{"later", func(w *world) { w.clock.Step(2 * time.Second) }, []string{planned}},
			{"launched", launch, []string{launchedCondition, launchedNote}},
		}},
		{"no answer", []step{
			handOver,
			{"later", func(w *world) { w.clock.Step(2 * time.Second) },
				[]string{`write: PodScheduled=False Unschedulable "waiting for the launcher to plan a node for this pod"`}},
			{"planned", plan(""), []string{planned}},
		}},
		{"held up", []step{
			handOver,
			{"planned", plan("no capacity"), []string{
				`write: PodScheduled=False Unschedulable "a node is planned for this pod (claim c1): no capacity"`, "Warning LaunchDelayed no capacity",
			}},
		}},
		{"handed back", []step{
			handOver,
			{"launched", launch, []string{launchedCondition, launchedNote}},
			{"handed back", func(w *world) { w.plugin.ledger.HandBack(w.clock.Now(), "a", "too small") },
				[]string{`write: PodScheduled=False Unschedulable "waiting for the launcher to plan a node for this pod" node null`}},
		}},
		{"a nomination that was given up", []step{
			{"handed over", func(w *world) {
				given := pod("a", "2").NominatedNodeName("gone").Obj()
				if err := w.factory.Core().V1().Pods().Informer().GetIndexer().Update(given); err != nil {
					w.t.Fatal(err)
				}
				w.schedule(given)
				w.plugin.teller.adopt("a", "gone")
			}, []string{`write: PodScheduled=False Unschedulable "waiting for the launcher to plan a node for this pod" node null`}},
		}},
		{"after a failover", []step{
			{"launched, by the other scheduler", func(w *world) {
				launch(w)
				other := pod("a", "2").NominatedNodeName("i-1").Obj()
				other.Status.Conditions = []v1.PodCondition{{Type: v1.PodScheduled, Status: v1.ConditionFalse, Reason: v1.PodReasonUnschedulable, Message: "node i-1 is being launched for this pod (claim c1)"}}
				if err := w.factory.Core().V1().Pods().Informer().GetIndexer().Update(other); err != nil {
					w.t.Fatal(err)
				}
			}, []string{launchedNote}},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.exists(pod("a", "2").Obj())
			w.nodes(nil, node("small", "1"))
			for _, s := range tc.steps {
				s.do(w)
				if diff := cmp.Diff(s.want, w.tell()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", s.name, diff)
				}
			}
		})
	}
}

// TestBoundIsNotTold: that a pod was bound may be seen only after its reservation ended.
func TestBoundIsNotTold(t *testing.T) {
	w := newWorld(t)
	a := pod("a", "1").Obj()
	w.exists(a)
	w.plugin.Apply([]ledger.Update{launched("a", "c1", "i-1")})
	w.tell()
	w.plugin.bound(a, "i-1")
	if got := w.tell(); !slices.Equal(got, []string{"again in 2s"}) {
		t.Errorf("told: %v", got)
	}
	seen := a.DeepCopy()
	seen.Spec.NodeName = "i-1"
	if err := w.factory.Core().V1().Pods().Informer().GetIndexer().Update(seen); err != nil {
		t.Fatal(err)
	}
	w.clock.Step(time.Minute)
	if got := w.tell(); got != nil {
		t.Errorf("told: %v", got)
	}
	if n := len(w.plugin.teller.told); n != 0 {
		t.Errorf("%d pods are remembered for ever", n)
	}
}

func TestReservedNote(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	r := ledger.Reservation{
		Claim: "c1", Node: "i-1", Since: noon, Batch: "planned with 99 other pods after 22ms: all pods of its owners are known",
		Offer: ledger.Offer{InstanceType: "t3.medium", Zone: "us-east-1a", CapacityType: "spot", Price: 0.0125, ExpectedReady: noon.Add(38 * time.Second)},
	}
	want := "node i-1 (t3.medium, us-east-1a, spot, $0.0125/h) is being launched for this pod (claim c1); " +
		"expected to be ready at 12:00:38 UTC; the pod waits since 12:00:00 UTC, " +
		"planned with 99 other pods after 22ms: all pods of its owners are known"
	if got := reservedNote(r); got != want {
		t.Errorf("note %q\nwant %q", got, want)
	}
}
