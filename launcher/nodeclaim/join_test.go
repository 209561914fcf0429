package nodeclaim

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func TestRegistration(t *testing.T) {
	w := newWorld(t, newClaim(launched), newNode(func(n *corev1.Node) {
		n.Labels = map[string]string{"team": "of the node's own", corev1.LabelTopologyZone: "us-east-1a"}
	}))
	w.reconcile(w.join, "a")

	node, claim := w.node("node-a"), w.claim()
	if !controllerutil.ContainsFinalizer(node, v1alpha1.TerminationFinalizer) {
		t.Error("node has no finalizer")
	}
	if len(node.OwnerReferences) != 1 || node.OwnerReferences[0].UID != claim.UID || !*node.OwnerReferences[0].BlockOwnerDeletion {
		t.Errorf("owner references %v", node.OwnerReferences)
	}
	want := map[string]string{
		"team": "of the node's own", corev1.LabelTopologyZone: "us-east-1a", corev1.LabelInstanceTypeStable: "m5.large",
		v1alpha1.LabelNodePool: "default", v1alpha1.LabelRegistered: "true", v1alpha1.LabelCapacityType: "on-demand",
		v1alpha1.LabelInstanceFamily: "m5",
	}
	if diff := cmp.Diff(want, node.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(claim.Spec.Taints, node.Spec.Taints); diff != "" {
		t.Errorf("taints (-want +got):\n%s", diff)
	}
	if got := claim.Status.Allocatable.Cpu().String(); got != "1900m" {
		t.Errorf("allocatable cpu %s", got)
	}
	if got := condition(claim, v1alpha1.ConditionRegistered); got != "True Registered" {
		t.Errorf("Registered is %q", got)
	}
	if diff := cmp.Diff([]string{"m5.large ami-1 cpu 1900m"}, w.catalog.learnt); diff != "" {
		t.Errorf("learnt (-want +got):\n%s", diff)
	}
}

// TestRegistrationAliases: a node that registered without the second keys of its labels is given them.
func TestRegistrationAliases(t *testing.T) {
	w := newWorld(t, newClaim(launched), newNode(func(n *corev1.Node) {
		n.Labels = map[string]string{"karpenter.sh/nodepool": "of the node's own"}
	}))
	w.catalog.aliases = v1alpha1.KarpenterLabels()
	w.reconcile(w.join, "a")
	got := w.node("node-a").Labels
	for key, want := range map[string]string{
		"karpenter.sh/nodepool": "of the node's own", "karpenter.sh/capacity-type": "on-demand", "karpenter.k8s.aws/instance-family": "m5",
	} {
		if got[key] != want {
			t.Errorf("label %s is %q, want %q", key, got[key], want)
		}
	}
	if _, ok := got["karpenter.k8s.aws/capacity-reservation-id"]; ok {
		t.Errorf("a reservation that is none: %v", got)
	}
}

func TestRegistrationIgnoresStranger(t *testing.T) {
	w := newWorld(t, newClaim(launched), newNode(func(n *corev1.Node) { n.Spec.ProviderID = "aws:///us-east-1a/i-other" }))
	w.join.timeout = 2 * time.Hour
	if result := w.reconcile(w.join, "a"); result.RequeueAfter <= 0 {
		t.Error("timeout not awaited")
	}
	if n := w.node("node-a"); len(n.Finalizers)+len(n.OwnerReferences) > 0 {
		t.Errorf("stranger adopted: %v", n.ObjectMeta)
	}
	w.clock.Step(2 * time.Hour)
	w.reconcile(w.join, "a")
	claim := w.claim()
	if got := condition(claim, v1alpha1.ConditionRegistered); got != "False RegistrationTimeout" || claim.DeletionTimestamp == nil {
		t.Errorf("Registered is %q, deletion timestamp %v", got, claim.DeletionTimestamp)
	}
	if w.events.count("NodeClaim RegistrationTimeout") != 1 {
		t.Errorf("events %v", w.events.events)
	}
}

// TestUnregisteredSaysWhy: of an instance that no node came of, nothing is known but what it is
// most often.
func TestUnregisteredSaysWhy(t *testing.T) {
	w := newWorld(t, newClaim(launched))
	w.clock.Step(w.join.timeout)
	w.reconcile(w.join, "a")
	registered := meta.FindStatusCondition(w.claim().Status.Conditions, v1alpha1.ConditionRegistered)
	if registered == nil || !strings.Contains(registered.Message, "system:node:{{SessionName}}") {
		t.Errorf("Registered is %+v", registered)
	}
}

// TestNodeRemovedByForce: a claim whose Node was removed past its finalizer ends, so that its
// instance does not run for nobody; a cache that is only behind ends nothing.
func TestNodeRemovedByForce(t *testing.T) {
	for _, ready := range []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse} {
		t.Run("ready "+string(ready), func(t *testing.T) {
			w := newWorld(t, newClaim(launched), newNode(func(n *corev1.Node) { n.Status.Conditions[0].Status = ready }))
			w.reconcile(w.join, "a")
			node := w.node("node-a")
			node.Finalizers = nil
			if err := w.client.Update(t.Context(), node); err != nil {
				t.Fatal(err)
			}
			w.delete(node)
			behind := newWorld(t, newNode(nil))
			w.join.direct = behind.client
			w.reconcile(w.join, "a")
			if w.claim().DeletionTimestamp != nil {
				t.Fatal("claim deleted although the API server has its node")
			}
			w.join.direct = w.client
			w.reconcile(w.join, "a")
			if w.claim().DeletionTimestamp == nil || w.events.count("NodeClaim NodeGone") != 1 {
				t.Errorf("claim %v, events %v", w.claim(), w.events.events)
			}
		})
	}
}

func TestInitialization(t *testing.T) {
	startup := corev1.Taint{Key: "cni", Effect: corev1.TaintEffectNoExecute}
	for _, tt := range []struct {
		name  string
		claim func(*v1alpha1.NodeClaim)
		node  func(*corev1.Node)
		want  string
	}{
		{name: "ready", want: "True Initialized"},
		{name: "not ready", want: "Unknown NodeNotReady", node: func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse }},
		{name: "start-up taint", want: "Unknown StartupTaintsRemain", node: func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{startup} }},
		{name: "not-ready taint", want: "Unknown StartupTaintsRemain", node: func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}
		}},
		{name: "GPU not registered", want: "Unknown ResourcesNotRegistered", claim: func(c *v1alpha1.NodeClaim) {
			c.Spec.Requests["nvidia.com/gpu"] = resource.MustParse("1")
		}},
		{name: "nothing requested of an absent resource", want: "True Initialized", claim: func(c *v1alpha1.NodeClaim) {
			c.Spec.Requests["nvidia.com/gpu"] = resource.MustParse("0")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claim := newClaim(launched)
			claim.Spec.StartupTaints = []corev1.Taint{startup}
			if tt.claim != nil {
				tt.claim(claim)
			}
			w := newWorld(t, claim, newNode(tt.node))
			w.reconcile(w.join, "a")
			if got := condition(w.claim(), v1alpha1.ConditionInitialized); got != tt.want {
				t.Errorf("Initialized is %q, want %q", got, tt.want)
			}
		})
	}
}

// TestNodeIsNeverReady: what registers and does not get ready for pods is not kept for ever.
func TestNodeIsNeverReady(t *testing.T) {
	notReady := func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse }
	w := newWorld(t, newClaim(launched), newNode(notReady))
	if result := w.reconcile(w.join, "a"); result.RequeueAfter != w.join.readyTimeout {
		t.Fatalf("looks again after %s", result.RequeueAfter)
	}
	w.clock.Step(w.join.readyTimeout - time.Second)
	if w.reconcile(w.join, "a"); w.claim().DeletionTimestamp != nil {
		t.Fatal("given up before its time")
	}
	w.clock.Step(time.Second)
	for range 2 { // and again before the cache shows it
		w.reconcile(w.join, "a")
	}
	claim := w.claim()
	if got := condition(claim, v1alpha1.ConditionInitialized); got != "False InitializationTimeout" || claim.DeletionTimestamp == nil {
		t.Errorf("Initialized is %q, deletion timestamp %v", got, claim.DeletionTimestamp)
	}
	if n := w.events.count("NodeClaim InitializationTimeout"); n != 1 {
		t.Errorf("%d events", n)
	}
	if got := endReason(claim); got != v1alpha1.ReasonInitializationTimeout {
		t.Errorf("it ends because of %s", got)
	}
}

func TestCatalogIsTaughtAgainAfterRestart(t *testing.T) {
	w := newWorld(t, newClaim(launched), newNode(nil))
	for range 3 {
		w.reconcile(w.join, "a")
	}
	w.join.taught = taught{}
	w.reconcile(w.join, "a")
	if len(w.catalog.learnt) != 2 {
		t.Errorf("learnt %v", w.catalog.learnt)
	}
}

// TestNodeOfEarlierSettingsTeachesNothing: the class was edited after the launch.
func TestNodeOfEarlierSettingsTeachesNothing(t *testing.T) {
	claim := newClaim(launched)
	claim.Status.Sizing = "of the class as it was"
	w := newWorld(t, claim, newNode(nil))
	w.reconcile(w.join, "a")
	if len(w.catalog.learnt) != 0 {
		t.Errorf("learnt %v", w.catalog.learnt)
	}
}

func TestNodeWithoutStatusTeachesNothingYet(t *testing.T) {
	claim := newClaim(launched)
	claim.Status.Allocatable = corev1.ResourceList{"cpu": resource.MustParse("2")}
	w := newWorld(t, claim, newNode(func(n *corev1.Node) { n.Status = corev1.NodeStatus{} }))
	w.reconcile(w.join, "a")
	if got := w.claim().Status.Allocatable.Cpu().String(); len(w.catalog.learnt) != 0 || got != "2" {
		t.Errorf("learnt %v, allocatable cpu %s", w.catalog.learnt, got)
	}
	node := w.node("node-a")
	node.Status = newNode(nil).Status
	if err := w.client.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	w.reconcile(w.join, "a")
	if got := w.claim().Status.Allocatable.Cpu().String(); len(w.catalog.learnt) != 1 || got != "1900m" {
		t.Errorf("learnt %v, allocatable cpu %s", w.catalog.learnt, got)
	}
}

// TestNodeOfUnknownTypeIsNotWaitedForForEver: its class is gone, so that nobody can tell the
// labels by which pods were promised the node.
func TestNodeOfUnknownTypeIsNotWaitedForForEver(t *testing.T) {
	w := newWorld(t, newClaim(launched), newNode(nil)) // bought an hour ago, but this process knows nothing of that
	w.catalog.unknown = errors.New("no subnet is tagged")
	for range 2 {
		if _, err := w.join.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "a"}}); !errors.Is(err, w.catalog.unknown) {
			t.Fatalf("error %v, want that of the catalog, for another try", err)
		}
		w.clock.Step(w.join.timeout - time.Second)
	}
	w.reconcile(w.join, "a")
	claim := w.claim()
	if got := condition(claim, v1alpha1.ConditionRegistered); got != "False RegistrationTimeout" || claim.DeletionTimestamp == nil {
		t.Errorf("Registered is %q, deletion timestamp %v", got, claim.DeletionTimestamp)
	}
}
