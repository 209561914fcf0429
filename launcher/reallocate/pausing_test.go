package reallocate

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// poolOfFive has five nodes, each with a pod.
func poolOfFive() []client.Object {
	objs := []client.Object{newPool(nil)}
	for i := range 5 {
		name := fmt.Sprintf("n%d", i)
		nodes := nodeOf(name)
		nodes[1].SetLabels(map[string]string{v1alpha1.LabelNodePool: "default"})
		objs = append(objs, append(nodes, newPod("on-"+name, "node-"+name, nil))...)
	}
	return objs
}

// pulse has the pool looked at, and returns its condition DisruptionPaused.
func (w *world) pulse(p *pauser) (condition string, wait time.Duration) {
	w.t.Helper()
	result, err := p.Reconcile(w.t.Context(), requests("default")[0])
	if err != nil {
		w.t.Fatal(err)
	}
	c := pausedCondition(get(w.t, w.client, newPool(nil)))
	if c == nil {
		return "", result.RequeueAfter
	}
	return string(c.Status) + " " + c.Reason, result.RequeueAfter
}

func (w *world) expectPulse(p *pauser, want string) {
	w.t.Helper()
	if got, _ := w.pulse(p); got != want {
		w.t.Errorf("the pool is %q, want %q", got, want)
	}
}

func newPauser(w *world) *pauser {
	return &pauser{client: w.client, recorder: w.events, clock: w.clock, paused: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "paused"}, []string{"nodepool", "reason"})}
}

func TestPausedWhileManyAreUnhealthy(t *testing.T) {
	w := newWorld(t, poolOfFive()...)
	p := newPauser(w)
	w.expectPulse(p, "")
	w.setReady("node-n0", corev1.ConditionFalse)
	w.expectPulse(p, "") // one may be
	w.setReady("node-n1", corev1.ConditionUnknown)
	w.expectPulse(p, "True TooManyUnhealthyNodes")
	w.look("n0")
	w.lookAfter(time.Hour, "n0")
	w.expectHealth("n0", "True DisruptionPaused")
	if n := testutil.ToFloat64(p.paused.WithLabelValues("default", reasonManyUnhealthy)); n != 1 {
		t.Errorf("the metric is %v", n)
	}
	w.setReady("node-n1", corev1.ConditionTrue)
	w.expectPulse(p, "False Healthy")
	w.lookAfter(time.Second, "n0")
	w.expectHealth("n0", "True Disrupting tainted")
	if n := testutil.ToFloat64(p.paused.WithLabelValues("default", reasonManyUnhealthy)); n != 0 {
		t.Errorf("the metric is %v", n)
	}
	want := []int{1, 1}
	got := []int{w.events.count("*v1alpha1.NodePool DisruptionPaused"), w.events.count("*v1alpha1.NodePool DisruptionResumed")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestNodesOnTheirWayOutAreNotUnhealthy: a kubelet falls silent as its instance ends.
func TestNodesOnTheirWayOutAreNotUnhealthy(t *testing.T) {
	w := newWorld(t, poolOfFive()...)
	p := newPauser(w)
	for i := range 5 {
		w.setReady(fmt.Sprintf("node-n%d", i), corev1.ConditionUnknown)
	}
	w.expectPulse(p, "True TooManyUnhealthyNodes")
	for i := range 5 {
		w.delete(&v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i)}})
	}
	w.expectPulse(p, "False Healthy")
}

func TestPausedWhileReplacementsFail(t *testing.T) {
	w := newWorld(t, poolOfFive()...)
	p := newPauser(w)
	for range failuresInARow {
		w.expectPulse(p, "")
		p.tallies.note("default", nodeFailed, w.clock.Now())
	}
	if got, wait := w.pulse(p); got != "True ReplacementsFail" || wait != pauseAfterFailure {
		t.Errorf("%s for %s", got, wait)
	}
	w.clock.Step(10 * time.Minute)
	p = newPauser(w) // another leads
	if got, wait := w.pulse(p); got != "True ReplacementsFail" || wait != pauseAfterFailure-10*time.Minute {
		t.Errorf("%s for %s more", got, wait)
	}
	w.clock.Step(20 * time.Minute)
	w.expectPulse(p, "False Healthy")
	p.tallies.note("default", nodeFailed, w.clock.Now())
	w.expectPulse(p, "True ReplacementsFail") // at once
	p.tallies.note("default", nodeCame, w.clock.Now())
	w.expectPulse(p, "False Healthy")
}

// TestRemovalThatHadBegunIsGivenUp: what is drained is, what only waits for room stays.
func TestRemovalThatHadBegunIsGivenUp(t *testing.T) {
	objs := append(aged(2*time.Hour, "a"), newPool(expiring))
	w := newWorld(t, objs...)
	w.look("a")
	w.expect("a", "occupied tainted")
	pool := get(t, w.client, newPool(nil))
	pool.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionDisruptionPaused, Status: metav1.ConditionTrue, Reason: reasonManyUnhealthy, Message: "2 of the 5 nodes are unhealthy"}}
	if err := w.client.Status().Update(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied")
	w.says(v1alpha1.ConditionExpired, "True DisruptionPaused: older than its pool's expireAfter, 1h0m0s; disruption of pool default is paused: 2 of the 5 nodes are unhealthy")
}
