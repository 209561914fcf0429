package nodeclaim

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

func TestImpairedInstancesAreNoted(t *testing.T) {
	w := newWorld(t, newClaim(launched))
	w.cloud.add(cloud.Instance{ID: "i-a", ClaimUID: "uid-a"})
	collect := func() {
		t.Helper()
		if err := w.collect.collect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	collect()
	if c := meta.FindStatusCondition(w.claim().Status.Conditions, v1alpha1.ConditionImpaired); c != nil {
		t.Fatalf("impaired without cause: %v", c)
	}
	since := w.clock.Now().Add(-7 * time.Minute)
	w.cloud.impaired = map[string]cloud.Impairment{"i-a": {Check: "system status check", Since: since}, "i-of-others": {Check: "instance status check"}}
	collect()
	c := meta.FindStatusCondition(w.claim().Status.Conditions, v1alpha1.ConditionImpaired)
	if c == nil || c.Status != "True" || !c.LastTransitionTime.Time.Equal(since) || c.Message != "instance i-a fails its system status check" {
		t.Errorf("condition %+v", c)
	}
	w.cloud.impaired = nil
	collect()
	if got := condition(w.claim(), v1alpha1.ConditionImpaired); got != "False StatusChecksPassed" {
		t.Errorf("condition %s", got)
	}
	w.cloud.impaired = map[string]cloud.Impairment{"i-a": {Check: "instance status check"}} // since when, nobody says
	collect()
	c = meta.FindStatusCondition(w.claim().Status.Conditions, v1alpha1.ConditionImpaired)
	if c.Status != "True" || !c.LastTransitionTime.Time.Equal(w.clock.Now()) {
		t.Errorf("condition %+v", c)
	}
}

// TestImpairedThatCannotBeWrittenStopsNothing: what is collected beside it is.
func TestImpairedThatCannotBeWrittenStopsNothing(t *testing.T) {
	w := newWorld(t, newClaim(launched))
	w.cloud.add(cloud.Instance{ID: "i-a", ClaimUID: "uid-a"})
	w.cloud.add(cloud.Instance{ID: "i-orphan", ClaimUID: "uid-gone"})
	w.cloud.impaired = map[string]cloud.Impairment{"i-a": {Check: "system status check"}}
	down := errors.New("down")
	w.hooks.statusPatch = func(client.Object) error { return down }
	if err := w.collect.collect(t.Context()); !errors.Is(err, down) {
		t.Errorf("error %v", err)
	}
	if got := w.cloud.ids(); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
}

// TestDrainOfUnhealthyNode: protected pods are asked to go, and a PodDisruptionBudget that
// never allows it keeps the rest for a while only.
func TestDrainOfUnhealthyNode(t *testing.T) {
	unhealthy := func(c *v1alpha1.NodeClaim) {
		launched(c)
		meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionUnhealthy, Status: metav1.ConditionTrue, Reason: reasonDisrupting})
	}
	node := newNode(func(n *corev1.Node) { n.Finalizers = []string{v1alpha1.TerminationFinalizer} })
	w := newWorld(t, newClaim(unhealthy), node, podWith("batch", protected), podWith("db"))
	w.cloud.add(cloud.Instance{ID: "i-a", ClaimUID: "uid-a", LaunchTime: w.clock.Now().Add(-time.Hour)})
	w.hooks.evict = func(pod string) error {
		if pod == "db" {
			return apierrors.NewTooManyRequestsError("disruption budget")
		}
		return nil
	}
	w.delete(w.claim())
	w.reconcile(w.end, "a")
	w.clock.Step(unhealthyGrace - defaultPodGrace - time.Second)
	w.reconcile(w.end, "a")
	if diff := cmp.Diff([]string{"db"}, w.podNames()); diff != "" {
		t.Errorf("left in time (-want +got):\n%s", diff)
	}
	w.clock.Step(time.Second)
	w.reconcile(w.end, "a")
	if names := w.podNames(); len(names) > 0 {
		t.Errorf("left when time was over: %v", names)
	}
	w.reconcile(w.end, "a")
	w.reconcile(w.end, "a")
	w.gone()
}
