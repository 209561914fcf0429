package reallocate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// nodeConditionSince is a condition of a Node that has held for some time.
func nodeConditionSince(kind corev1.NodeConditionType, status corev1.ConditionStatus, now time.Time, ago time.Duration) corev1.NodeCondition {
	return corev1.NodeCondition{Type: kind, Status: status, Reason: "Because", Message: "so", LastTransitionTime: metav1.NewTime(now.Add(-ago))}
}

func TestAilment(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	at := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, ago time.Duration) corev1.NodeCondition {
		return nodeConditionSince(kind, status, now, ago)
	}
	ready := at(corev1.NodeReady, corev1.ConditionTrue, time.Hour)
	for _, tt := range []struct {
		name       string
		conditions []corev1.NodeCondition
		impaired   metav1.ConditionStatus
		want       *ailment
	}{
		{name: "nothing is said"},
		{name: "ready", conditions: []corev1.NodeCondition{ready}},
		{name: "not ready", conditions: []corev1.NodeCondition{at(corev1.NodeReady, corev1.ConditionFalse, time.Minute)},
			want: &ailment{reasonNotReady, "node is not ready: Because: so", now.Add(-time.Minute)}},
		{name: "not heard of", conditions: []corev1.NodeCondition{at(corev1.NodeReady, corev1.ConditionUnknown, time.Minute)},
			want: &ailment{reasonNotReady, "node is not ready: Because: so", now.Add(-time.Minute)}},
		{name: "no network", conditions: []corev1.NodeCondition{ready, at("NetworkingReady", corev1.ConditionFalse, time.Minute)},
			want: &ailment{reasonBroken, "node says NetworkingReady is False: Because: so", now.Add(-time.Minute)}},
		{name: "agent does not know", conditions: []corev1.NodeCondition{ready, at("NetworkingReady", corev1.ConditionUnknown, time.Minute)}},
		{name: "pressure passes", conditions: []corev1.NodeCondition{ready, at(corev1.NodeMemoryPressure, corev1.ConditionTrue, time.Hour)}},
		{name: "impaired", conditions: []corev1.NodeCondition{ready}, impaired: metav1.ConditionTrue,
			want: &ailment{reasonImpaired, "check fails", now.Add(-2 * time.Minute)}},
		{name: "impaired no more", conditions: []corev1.NodeCondition{ready}, impaired: metav1.ConditionFalse},
		{name: "what began first", conditions: []corev1.NodeCondition{at(corev1.NodeReady, corev1.ConditionUnknown, time.Minute)}, impaired: metav1.ConditionTrue,
			want: &ailment{reasonImpaired, "check fails", now.Add(-2 * time.Minute)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claim, node := &v1alpha1.NodeClaim{}, &corev1.Node{Status: corev1.NodeStatus{Conditions: tt.conditions}}
			if tt.impaired != "" {
				claim.Status.Conditions = []metav1.Condition{{
					Type: v1alpha1.ConditionImpaired, Status: tt.impaired, Message: "check fails", LastTransitionTime: metav1.NewTime(now.Add(-2 * time.Minute)),
				}}
			}
			if diff := cmp.Diff(tt.want, ailmentOf(claim, node), cmp.AllowUnexported(ailment{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// setReady has the node be ready or not since now.
func (w *world) setReady(node string, status corev1.ConditionStatus) {
	w.t.Helper()
	n := get(w.t, w.client, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})
	n.Status.Conditions = []corev1.NodeCondition{nodeConditionSince(corev1.NodeReady, status, w.clock.Now(), 0)}
	if err := w.client.Status().Update(w.t.Context(), n); err != nil {
		w.t.Fatal(err)
	}
}

// impair has the claim's instance fail a check since now.
func (w *world) impair(name string) {
	w.t.Helper()
	claim := get(w.t, w.client, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}})
	meta.SetStatusCondition(&claim.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionImpaired, Status: metav1.ConditionTrue, Reason: "StatusCheckFailed", Message: "check fails", LastTransitionTime: metav1.NewTime(w.clock.Now()),
	})
	if err := w.client.Status().Update(w.t.Context(), claim); err != nil {
		w.t.Fatal(err)
	}
}

// health renders what the claim says of its node's health.
func (w *world) health(name string) string {
	w.t.Helper()
	claim := get(w.t, w.client, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if claim == nil {
		return "gone"
	}
	state := "well"
	if c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionUnhealthy); c != nil {
		state = string(c.Status) + " " + c.Reason
	}
	if node := get(w.t, w.client, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + name}}); node != nil && hasDisruptedTaint(node) {
		state += " tainted"
	}
	if claim.DeletionTimestamp != nil {
		state += " deleted"
	}
	return state
}

func (w *world) expectHealth(claim, want string) {
	w.t.Helper()
	if got := w.health(claim); got != want {
		w.t.Errorf("%s is %q, want %q", claim, got, want)
	}
}

func protectedPod() *corev1.Pod {
	return newPod("p", "node-a", func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"} })
}

func TestNodeThatIsNotReadyIsReplaced(t *testing.T) {
	for _, status := range []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionUnknown} {
		t.Run(string(status), func(t *testing.T) {
			w := newWorld(t, append(nodeOf("a"), newPool(nil), protectedPod())...)
			w.setReady("node-a", status)
			if wait := w.look("a"); wait <= 0 || wait > 30*time.Minute {
				t.Errorf("waits %s", wait)
			}
			w.lookAfter(30*time.Minute-time.Second, "a")
			w.expectHealth("a", "well")
			if wait := w.lookAfter(time.Second, "a"); wait != time.Second {
				t.Errorf("settles for %s", wait)
			}
			w.expectHealth("a", "True Disrupting tainted")
			w.lookAfter(time.Second, "a") // nothing is waited for: its pods do not work
			w.expectHealth("a", "True Disrupting tainted deleted")
			if n := w.events.count("*v1.Node Unhealthy"); n != 1 {
				t.Errorf("%d events, want one", n)
			}
		})
	}
}

func TestNodeThatRecoversStays(t *testing.T) {
	for _, tt := range []struct {
		name string
		step time.Duration // until it recovers
		was  string
		want string
	}{
		{"in time", 29 * time.Minute, "well", "well"},
		{"while its removal has begun", 30 * time.Minute, "True Disrupting tainted", "False NotUnhealthy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, append(nodeOf("a"), newPool(nil), protectedPod())...)
			w.setReady("node-a", corev1.ConditionUnknown)
			w.look("a")
			w.lookAfter(tt.step, "a")
			w.expectHealth("a", tt.was)
			w.setReady("node-a", corev1.ConditionTrue)
			w.lookAfter(time.Second, "a")
			w.expectHealth("a", tt.want)
			w.lookAfter(time.Hour, "a")
			w.expectHealth("a", tt.want)
		})
	}
}

// TestNodeThatRecoversUnseen: the cache says it is not ready, the API server says it is.
func TestNodeThatRecoversUnseen(t *testing.T) {
	w := newWorld(t, append(nodeOf("a"), newPool(nil), protectedPod())...)
	w.setReady("node-a", corev1.ConditionUnknown)
	w.look("a")
	w.lookAfter(30*time.Minute, "a")
	w.expectHealth("a", "True Disrupting tainted")
	stale := get(t, w.client, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}})
	w.setReady("node-a", corev1.ConditionTrue)
	w.remover.client = staleNodes{w.client, stale}
	w.lookAfter(time.Second, "a")
	w.expectHealth("a", "False NotUnhealthy")
}

// TestImpairedNodeIsReplacedFirst: its pods may still work, so they have room elsewhere first.
func TestImpairedNodeIsReplacedFirst(t *testing.T) {
	w := newWorld(t, append(nodeOf("a"), newPool(nil), protectedPod())...)
	w.setReady("node-a", corev1.ConditionTrue)
	w.impair("a")
	w.lookAfter(30*time.Minute, "a")
	w.expectHealth("a", "True Disrupting tainted")
	if wait := w.lookAfter(time.Second, "a"); wait <= 0 || wait > 15*time.Minute {
		t.Errorf("waits %s for room", wait)
	}
	w.expectHealth("a", "True Disrupting tainted")
	w.replace(metav1.ConditionTrue)
	w.look("a")
	w.expectHealth("a", "True Disrupting tainted deleted")
}

func TestBudgetsHoldForUnhealthyNodes(t *testing.T) {
	of := func(nodes string, reasons ...v1alpha1.DisruptionReason) *v1alpha1.NodePool {
		return newPool(func(p *v1alpha1.NodePool) {
			p.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: nodes, Reasons: reasons}}
		})
	}
	for _, tt := range []struct {
		name string
		pool *v1alpha1.NodePool
		want string
	}{
		{"none may go", of("0"), "True BlockedByBudget"},
		{"no unhealthy one may go", of("0", v1alpha1.ReasonUnhealthy), "True BlockedByBudget"},
		{"no drifted one may go", of("0", v1alpha1.ReasonDrifted), "True Disrupting tainted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, append(nodeOf("a"), tt.pool, client.Object(protectedPod()))...)
			w.setReady("node-a", corev1.ConditionFalse)
			w.look("a")
			w.lookAfter(30*time.Minute, "a")
			w.expectHealth("a", tt.want)
		})
	}
}

// TestPoolDeletedDuringRepair: nobody says any more at which pace nodes may go.
func TestPoolDeletedDuringRepair(t *testing.T) {
	w := newWorld(t, append(nodeOf("a"), newPool(nil), client.Object(protectedPod()))...)
	w.setReady("node-a", corev1.ConditionFalse)
	w.look("a")
	w.lookAfter(30*time.Minute, "a")
	w.expectHealth("a", "True Disrupting tainted")
	w.delete(newPool(nil))
	w.look("a")
	w.expectHealth("a", "False NotUnhealthy")
}
