package explain_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/explain"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/report"
)

func podSituations() map[string]*explain.Explanation {
	situations := map[string]*explain.Explanation{}
	explained := func(name string, s explain.Scene, p *corev1.Pod) *explain.Explanation {
		s.Pods = append(s.Pods, p)
		situations["pod-"+name] = explain.Pod(scene(s), p)
		return situations["pod-"+name]
	}
	of := func(c *v1alpha1.NodeClaim) explain.Scene {
		return explain.Scene{Claims: []*v1alpha1.NodeClaim{c}, Events: []*eventsv1.Event{event(10*time.Second, "Reserved", reserved)}}
	}
	explained("unseen", explain.Scene{}, pod("web-1", ""))
	explained("unscheduled", explain.Scene{}, pod("web-1", "", says(preempted))).AddPlan(&report.Result{Pods: 1, Placed: 1, Nodes: []report.Node{
		{NodePool: "general", InstanceType: "c6a.large", Zone: "us-east-1a", CapacityType: "on-demand", PricePerHour: 0.0765},
	}}, "built-in on-demand prices of us-east-1")
	explained("fits-by-now", explain.Scene{}, pod("web-1", "", says(preempted))).AddPlan(
		&report.Result{Pods: 1, Placed: 1, Existing: []report.Existing{{Name: "i-0c3d"}}}, "what AWS offers now")
	explained("unlaunchable", explain.Scene{Events: []*eventsv1.Event{
		event(3*time.Minute, "FailedScheduling", preempted), event(time.Minute, "Unlaunchable", unlaunchable),
	}}, pod("web-1", "", says(unlaunchable))).AddPlan(&report.Result{Pods: 1, Unplaced: []report.Unplaced{{Pod: "shop/web-1", Reasons: []string{
		"nodepool general: needs 500 cpu, the largest allowed type c6a.48xlarge gives 191450m", "nodepool gpu: untolerated taint {nvidia.com/gpu: }",
	}}}}, "built-in on-demand prices of us-east-1")
	explained("delayed", explain.Scene{Events: []*eventsv1.Event{event(time.Minute, "LaunchDelayed", "EC2 has no capacity")}},
		pod("web-1", "", says("a node is planned for this pod (claim general-x7k2p): EC2 has no capacity")))
	explained("preempting", explain.Scene{}, pod("web-1", "", says("waiting for victims to leave node i-0c3d"), func(p *corev1.Pod) { p.Status.NominatedNodeName = "i-0c3d" }))
	explained("planned-anew", of(claim(leaving)), pod("web-1", "", says("waiting for the launcher to plan a node for this pod")))
	explained("planned", of(claim(young(0))), pod("web-1", ""))
	explained("not-bought", of(claim(young(0), with(v1alpha1.ConditionLaunched, metav1.ConditionFalse, "Throttled", "EC2 throttles CreateFleet"))), pod("web-1", ""))
	explained("booting", of(claim(young(1))), pod("web-1", "", says("node i-0a1b is being launched for this pod (claim general-x7k2p)")))
	joining := of(claim(young(2), with(v1alpha1.ConditionInitialized, metav1.ConditionUnknown, "NodeNotReady", "node i-0a1b is not ready")))
	joining.Node = node()
	explained("joining", joining, pod("web-1", ""))
	ready := of(claim(young(3)))
	ready.Node = node()
	explained("ready", ready, pod("web-1", "", says("waiting for 2 more pods of group shop/ring")))
	explained("gated", explain.Scene{}, pod("web-1", "", func(p *corev1.Pod) {
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "quota.example.com/later"}}
	}))
	explained("other-scheduler", explain.Scene{}, pod("web-1", "", says(preempted), func(p *corev1.Pod) { p.Spec.SchedulerName = "default-scheduler" }))
	explained("daemon", explain.Scene{}, pod("agent-1", "", says("0/1 nodes are available: 1 Insufficient cpu."), ofDaemonSet))
	bound := of(claim())
	bound.Node, bound.Budgets = node(), []*policyv1.PodDisruptionBudget{budget("web", 0)}
	explained("bound", bound, pod("web-1", "i-0a1b", annotated(v1alpha1.DoNotDisruptAnnotation, "2h")))
	bound = of(claim(with(v1alpha1.ConditionDrifted, metav1.ConditionTrue, v1alpha1.ReasonDisrupting, "image ami-1 is not one of the class's any more; being removed")))
	bound.Node = node()
	explained("bound-node-leaves", bound, pod("web-3", "i-0a1b", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }))
	explained("ended", explain.Scene{}, pod("web-1", "i-0a1b", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }))
	explained("deleted", explain.Scene{}, pod("web-1", "", func(p *corev1.Pod) { p.DeletionTimestamp = new(before(time.Second)) }))
	return situations
}

func nodeSituations() map[string]*explain.Explanation {
	situations := map[string]*explain.Explanation{}
	explained := func(name string, c *v1alpha1.NodeClaim, change ...func(*explain.Scene)) {
		s := scene(explain.Scene{Node: node(), Pool: pool()})
		if c != nil {
			s.Claims = []*v1alpha1.NodeClaim{c}
		}
		for _, f := range change {
			f(s)
		}
		if s.Node == nil {
			situations["claim-"+name] = explain.NodeClaim(s, c)
		} else {
			situations["node-"+name] = explain.Node(s)
		}
	}
	pods := func(pods ...*corev1.Pod) func(*explain.Scene) { return func(s *explain.Scene) { s.Pods = pods } }
	budgets := func(budgets ...*policyv1.PodDisruptionBudget) func(*explain.Scene) {
		return func(s *explain.Scene) { s.Budgets = budgets }
	}
	of := func(change ...func(*v1alpha1.NodePool)) func(*explain.Scene) {
		return func(s *explain.Scene) { s.Pool = pool(change...) }
	}
	absent := func(s *explain.Scene) { s.Node = nil }
	busy := pods(pod("web-1", "i-0a1b"), pod("web-3", "i-0a1b"), pod("agent-1", "i-0a1b", ofDaemonSet), pod("web-2", ""),
		pod("gone", "i-0a1b", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }))
	const changed = "spec.template.metadata.labels[team] of NodePool general was changed"

	explained("not-ours", nil, busy)
	explained("stays", claim(), busy, of(func(p *v1alpha1.NodePool) { p.Spec.Template.Spec.ExpireAfter = "720h" }))
	explained("kept", claim(), budgets(budget("web", 0)), pods(
		pod("web-1", "i-0a1b"), pod("db-0", "i-0a1b", annotated(v1alpha1.DoNotDisruptAnnotation, "true"), func(p *corev1.Pod) { p.OwnerReferences, p.Labels = nil, nil }),
	))
	explained("unconsolidatable", claim(with(v1alpha1.ConditionConsolidatable, metav1.ConditionFalse, "Underutilized", "its pods would cost more elsewhere")), busy,
		of(func(p *v1alpha1.NodePool) {
			p.Spec.Disruption.ConsolidationPolicy = v1alpha1.ConsolidateWhenEmptyOrUnderutilized
		}))
	explained("empty", claim(func(c *v1alpha1.NodeClaim) { c.Spec.Pods = nil }, with(v1alpha1.ConditionEmpty, metav1.ConditionTrue, "NoPods", "empty; will be removed in 30s unless a pod lands")),
		func(s *explain.Scene) {
			s.Events = []*eventsv1.Event{event(5*time.Second, "EmptyTTLStarted", "empty; will be removed in 30s unless a pod lands")}
		})
	explained("drifted-budget-0", claim(with(v1alpha1.ConditionDrifted, metav1.ConditionTrue, "BlockedByBudget",
		changed+`; pool general allows 0 of its 4 nodes to be disrupted at a time (budget "0 from 0 9 * * mon-fri for 8h0m0s"), 0 are`)), busy,
		of(func(p *v1alpha1.NodePool) {
			p.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: "10%"},
				{Nodes: "0", Schedule: new("0 9 * * mon-fri"), Duration: &metav1.Duration{Duration: 8 * time.Hour}, Reasons: []v1alpha1.DisruptionReason{v1alpha1.ReasonDrifted}},
				{Nodes: "0", Schedule: new("0 23 * * *"), Duration: &metav1.Duration{Duration: time.Hour}}}
		}), func(s *explain.Scene) {
			s.Events = []*eventsv1.Event{event(time.Minute, "Drifted", changed), event(50*time.Second, "DisruptionBlocked", "Drifted, but not removed: pool general allows 0 of its 4 nodes")}
		})
	explained("removing", claim(with(v1alpha1.ConditionExpired, metav1.ConditionTrue, "Expired", "older than its pool's expireAfter, 24h0m0s"),
		with(v1alpha1.ConditionDrifted, metav1.ConditionTrue, v1alpha1.ReasonDisrupting, changed+"; being removed"),
		with(v1alpha1.ConditionReplaced, metav1.ConditionFalse, "Launching", "waiting for nodeclaim general-n3w")), busy)
	explained("interrupted", claim(with(v1alpha1.ConditionInterrupted, metav1.ConditionTrue, "SpotInterruption", "EC2 takes the instance back at 09:31:00 UTC")), busy)
	explained("draining-blocked", claim(leaving, with(v1alpha1.ConditionDrifted, metav1.ConditionTrue, v1alpha1.ReasonDisrupting, changed+"; being removed"),
		with(v1alpha1.ConditionDraining, metav1.ConditionTrue, "Draining", "waiting for shop/web-1: the disruption budget web needs 2 healthy pods and has 2 currently")),
		busy, budgets(budget("web", 0), func() *policyv1.PodDisruptionBudget {
			b := budget("db", 0)
			b.Spec.Selector.MatchLabels["app"] = "db"
			return b
		}()))
	explained("draining-deadline", claim(leaving), busy, budgets(budget("web", 1), budget("all", 1)),
		of(func(p *v1alpha1.NodePool) {
			p.Spec.Template.Spec.TerminationGracePeriod = &metav1.Duration{Duration: time.Hour}
		}))
	explained("ending", claim(leaving, with(v1alpha1.ConditionEmpty, metav1.ConditionTrue, v1alpha1.ReasonDisrupting, "empty for its pool's consolidateAfter; being removed"),
		with(v1alpha1.ConditionInstanceTerminated, metav1.ConditionFalse, "Terminating", "instance i-0a1b is shutting down")))
	explained("not-ready", claim(), busy, func(s *explain.Scene) {
		s.Node = node(func(n *corev1.Node) {
			n.Status.Conditions[0].Status, n.Status.Conditions[0].Message = corev1.ConditionUnknown, "Kubelet stopped posting node status."
		})
	})
	explained("unhealthy-paused", claim(with(v1alpha1.ConditionImpaired, metav1.ConditionTrue, "InstanceStatus", "EC2's status check of the instance fails"),
		with(v1alpha1.ConditionUnhealthy, metav1.ConditionTrue, v1alpha1.ConditionDisruptionPaused, "Ready has been Unknown for 30m; 3 of 4 nodes are unwell")), busy,
		func(s *explain.Scene) {
			s.Node = node(func(n *corev1.Node) {
				n.Status.Conditions[0].Status, n.Status.Conditions[0].Message = corev1.ConditionUnknown, "Kubelet stopped posting node status."
			})
		}, of(func(p *v1alpha1.NodePool) {
			p.Spec.Replicas = new(int64(4))
			p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionDisruptionPaused, Status: metav1.ConditionTrue, Message: "3 of 4 nodes are unwell"}}
		}))
	explained("pool-gone", claim(), busy, func(s *explain.Scene) { s.Pool = nil })
	explained("planned", claim(young(0)), absent, pods(pod("web-1", ""), pod("web-2", "")))
	explained("booting", claim(young(1), func(c *v1alpha1.NodeClaim) {
		c.Spec.Replaces = []string{"general-old"}
		c.Status.CapacityType = "reserved"
	}), absent)
	return situations
}

func TestText(t *testing.T) {
	for _, situations := range []map[string]*explain.Explanation{podSituations(), nodeSituations()} {
		for name, e := range situations {
			t.Run(name, func(t *testing.T) {
				var out strings.Builder
				if err := e.Text(&out, 110); err != nil {
					t.Fatal(err)
				}
				golden(t, name+".txt", out.String())
			})
		}
	}
}

func TestJSON(t *testing.T) {
	all := map[string]*explain.Explanation{
		"pod-unlaunchable": podSituations()["pod-unlaunchable"], "pod-booting": podSituations()["pod-booting"],
		"node-drifted-budget-0": nodeSituations()["node-drifted-budget-0"],
	}
	for name, e := range all {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := e.JSON(&out); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", out.String())
		})
	}
}

// TestUndecided: a plan is made for pods only that wait for one.
func TestUndecided(t *testing.T) {
	want := map[string]bool{"pod-unseen": true, "pod-unscheduled": true, "pod-fits-by-now": true, "pod-unlaunchable": true, "pod-delayed": true, "pod-preempting": true, "pod-planned-anew": true}
	for name, e := range podSituations() {
		if e.Undecided() != want[name] {
			t.Errorf("%s: undecided is %v, state %s", name, e.Undecided(), e.State)
		}
	}
}

func TestWithoutRight(t *testing.T) {
	s := scene(explain.Scene{})
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", nil)
	if err := s.WithoutRight(forbidden, "events"); err != nil || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "you may not read them") {
		t.Errorf("error %v, notes %q", err, s.Notes)
	}
	other := apierrors.NewInternalError(os.ErrClosed)
	if err := s.WithoutRight(other, "events"); err != other || len(s.Notes) != 1 { //nolint:errorlint // the very error
		t.Errorf("error %v, notes %q", err, s.Notes)
	}
}

// golden compares a text with a file of testdata; with UPDATE set it writes the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
