package reallocate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// told renders a condition of the claim "a": "True Disrupting: message".
func (w *world) told(condition string) string {
	w.t.Helper()
	c := get(w.t, w.client, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	cond := meta.FindStatusCondition(c.Status.Conditions, condition)
	if cond == nil {
		return ""
	}
	return fmt.Sprintf("%s %s: %s", cond.Status, cond.Reason, cond.Message)
}

// says tells what a condition of the claim "a" should be.
func (w *world) says(condition, want string) {
	w.t.Helper()
	if got := w.told(condition); got != want {
		w.t.Errorf("%s is %q, want %q", condition, got, want)
	}
}

// aged makes a node with a pod, bought some time ago.
func aged(w time.Duration, name string) []client.Object {
	objs := append(nodeOf(name), newPod("on-"+name, "node-"+name, nil))
	objs[0].SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second).Add(-w)))
	return objs
}

func expiring(p *v1alpha1.NodePool) { p.Spec.Template.Spec.ExpireAfter = "1h" }

func (w *world) changePool(change func(*v1alpha1.NodePool)) {
	w.t.Helper()
	pool := get(w.t, w.client, newPool(nil))
	change(pool)
	w.update(pool)
}

func TestExpiredNodeIsRemovedWithItsPods(t *testing.T) {
	w := newWorld(t, append(aged(59*time.Minute, "a"), newPool(expiring))...)
	if wait := w.look("a"); wait != time.Minute {
		t.Errorf("waits %s", wait)
	}
	w.expect("a", "occupied")
	if wait := w.lookAfter(time.Minute, "a"); wait != time.Second {
		t.Errorf("settles for %s", wait)
	}
	w.says(v1alpha1.ConditionExpired, "True Disrupting: older than its pool's expireAfter, 1h0m0s; being removed")
	w.expect("a", "occupied tainted")
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted") // there is no room for its pod's successor yet
	w.replace(metav1.ConditionTrue)
	w.look("a")
	w.expect("a", "occupied tainted deleted")
	if n := w.events.count("*v1.Node Expired"); n != 1 {
		t.Errorf("Expired %d times", n)
	}
}

func TestDriftedNodeIsRemovedWithItsPods(t *testing.T) {
	w := newWorld(t, append(aged(time.Hour, "a"), newPool(nil))...)
	if wait := w.look("a"); wait != lookForDrift {
		t.Errorf("waits %s", wait)
	}
	w.changePool(func(p *v1alpha1.NodePool) { p.Spec.Template.Metadata.Labels = map[string]string{"team": "a"} })
	w.look("a")
	w.says(v1alpha1.ConditionDrifted, "True Disrupting: spec.template.metadata.labels[team] of NodePool default was changed; being removed")
	w.replace(metav1.ConditionTrue)
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted deleted")
}

// replace plays the part of package allocate for the claim "a".
func (w *world) replace(status metav1.ConditionStatus) {
	w.t.Helper()
	c := get(w.t, w.client, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	if !c.IsBeingReplaced() {
		w.t.Error("the claim does not ask for a replacement")
	}
	meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReplaced, Status: status, Reason: "Test", Message: "no room"})
	if err := w.client.Status().Update(w.t.Context(), c); err != nil {
		w.t.Fatal(err)
	}
}

func TestNodeThatIsNotReplacedIsGivenBack(t *testing.T) {
	w := newWorld(t, append(aged(2*time.Hour, "a"), newPool(expiring))...)
	w.look("a")
	w.replace(metav1.ConditionFalse)
	if wait := w.lookAfter(time.Second, "a"); wait != lookForDrift {
		t.Errorf("waits %s", wait)
	}
	w.expect("a", "occupied tainted")
	w.lookAfter(15*time.Minute, "a")
	w.expect("a", "occupied")
	w.says(v1alpha1.ConditionExpired,
		"True NotReplaced: older than its pool's expireAfter, 1h0m0s; its replacement was not ready within 15m0s: no room")
	w.lookAfter(29*time.Minute, "a")
	w.expect("a", "occupied")
	w.lookAfter(time.Minute, "a")
	w.expect("a", "occupied tainted")
	w.says(v1alpha1.ConditionReplaced, "") // of the first attempt
	w.replace(metav1.ConditionTrue)
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted deleted")
}

// TestReplacedNodeThatMustNotBeDisrupted: what came up meanwhile counts, and Replaced does
// not hold for the next attempt.
func TestReplacedNodeThatMustNotBeDisrupted(t *testing.T) {
	w := newWorld(t, append(aged(2*time.Hour, "a"), newPool(expiring))...)
	w.look("a")
	w.replace(metav1.ConditionTrue)
	pod := get(t, w.client, newPod("on-a", "node-a", nil))
	pod.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"}
	w.update(pod)
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied")
	pod.Annotations = nil
	w.update(pod)
	w.look("a")
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted")
}

func TestReplacementStaysWhileItIsNeeded(t *testing.T) {
	old := aged(2*time.Hour, "old")
	next := nodeOf("next")
	next[0].(*v1alpha1.NodeClaim).Spec.Replaces = []string{"old"}
	w := newWorld(t, append(append(old, next...), newPool(expiring))...)
	w.look("old")
	w.look("next")
	w.expect("next", "occupied")
	w.changePool(func(p *v1alpha1.NodePool) { p.Spec.Template.Spec.ExpireAfter = v1alpha1.Never })
	w.lookAfter(time.Second, "old")
	w.look("next")
	w.expect("next", "True NoPods")
}

func TestInterruptedNodeIsLeftToTheCloud(t *testing.T) {
	objs := aged(2*time.Hour, "a")
	claim := objs[0].(*v1alpha1.NodeClaim)
	meta.SetStatusCondition(&claim.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionInterrupted, Status: metav1.ConditionTrue, Reason: "Test"})
	w := newWorld(t, append(objs, newPool(expiring))...)
	w.look("a")
	w.expect("a", "occupied")
}

func TestDriftTakenBack(t *testing.T) {
	w := newWorld(t, append(aged(time.Hour, "a"), newPool(nil))...)
	w.changePool(func(p *v1alpha1.NodePool) { p.Spec.Template.Metadata.Labels = map[string]string{"team": "a"} })
	w.look("a")
	w.expect("a", "occupied tainted")
	w.changePool(func(p *v1alpha1.NodePool) { p.Spec.Template.Metadata.Labels = nil })
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied")
	w.says(v1alpha1.ConditionDrifted, "False NotDrifted: holds no more")
	if w.events.count("*v1.Node DisruptionCancelled") != 1 {
		t.Errorf("events %v", w.events.events)
	}
}

func TestDefaultClassDrifts(t *testing.T) {
	w := newWorld(t, append(aged(time.Hour, "a"), newPool(nil))...)
	claim := get(t, w.client, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	claim.Status.ImageID = "ami-1"
	if err := w.client.Status().Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	w.resolved.status.AMIs = []v1alpha1.AMI{{ID: "ami-1"}}
	w.look("a")
	w.says(v1alpha1.ConditionDrifted, "")
	w.resolved.status.AMIs[0].ID = "ami-2"
	w.lookAfter(lookForDrift, "a")
	w.says(v1alpha1.ConditionDrifted, "True Disrupting: image ami-1 is not one of the class's any more: status.amis; being removed")
}

func TestOutdatedNodeStays(t *testing.T) {
	daily := func(n string) func(*v1alpha1.NodePool) {
		return func(p *v1alpha1.NodePool) {
			expiring(p)
			p.Spec.Disruption.Budgets = append(p.Spec.Disruption.Budgets, v1alpha1.Budget{Nodes: n, Reasons: []v1alpha1.DisruptionReason{v1alpha1.ReasonExpired}})
		}
	}
	const old = "older than its pool's expireAfter, 1h0m0s; "
	for _, tt := range []struct {
		name string
		pool func(*v1alpha1.NodePool)
		more []client.Object
		on   func(pod, node client.Object)
		want string
	}{
		{name: "budget", pool: daily("0"),
			want: "True BlockedByBudget: " + old + "pool default allows 0 of its 1 nodes to be disrupted at a time (budget \"0\"), 0 are"},
		{name: "protected pod", pool: expiring, want: "True DoNotDisrupt: " + old + "pod default/on-a is annotated slipway.dev/do-not-disrupt",
			on: func(pod, _ client.Object) {
				pod.SetAnnotations(map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"})
			}},
		{name: "protected node", pool: expiring, want: "True DoNotDisrupt: " + old + "node node-a is annotated slipway.dev/do-not-disrupt",
			on: func(_, node client.Object) {
				node.SetAnnotations(map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"})
			}},
		{name: "a reserved pod is yet to come", pool: expiring, more: []client.Object{newPod("reserved", "", nil)},
			want: "True PodsPromised: " + old + "room is reserved for pod default/reserved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objs := aged(2*time.Hour, "a")
			if tt.on != nil {
				tt.on(objs[2], objs[1])
			}
			w := newWorld(t, append(append(objs, tt.more...), newPool(tt.pool))...)
			for range 3 {
				w.lookAfter(time.Minute, "a")
			}
			w.expect("a", "occupied")
			w.says(v1alpha1.ConditionExpired, tt.want)
			if n := w.events.count("*v1.Node DisruptionBlocked"); n != 1 {
				t.Errorf("DisruptionBlocked %d times", n)
			}
		})
	}
}

func TestBudgetIsSharedByAllCauses(t *testing.T) {
	objs := []client.Object{newPool(func(p *v1alpha1.NodePool) {
		expiring(p)
		p.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: "2"}}
	})}
	for i := range 3 {
		objs = append(objs, aged(2*time.Hour, fmt.Sprintf("old%d", i))...)
		objs = append(objs, nodeOf(fmt.Sprintf("empty%d", i))...)
	}
	w := newWorld(t, objs...)
	var claims v1alpha1.NodeClaimList
	if err := w.client.List(t.Context(), &claims); err != nil {
		t.Fatal(err)
	}
	leaving := 0
	for range 4 {
		for _, c := range claims.Items {
			w.look(c.Name)
		}
		w.clock.Step(31 * time.Second)
	}
	for _, c := range claims.Items {
		if strings.Contains(w.state(c.Name), "tainted") {
			leaving++
		}
	}
	if leaving != 2 {
		t.Errorf("%d nodes leave, want 2", leaving)
	}
}

func TestEmptyNodeThatStaysStillExpires(t *testing.T) {
	w := newWorld(t, append(aged(2*time.Hour, "a")[:2], newPool(func(p *v1alpha1.NodePool) {
		expiring(p)
		p.Spec.Disruption.ConsolidateAfter = v1alpha1.Never
	}))...)
	w.look("a")
	w.replace(metav1.ConditionTrue)
	w.lookAfter(time.Second, "a")
	w.expect("a", "True NoPods tainted deleted")
}

func TestRestartWhileExpiredNodeIsRemoved(t *testing.T) {
	w := newWorld(t, append(aged(2*time.Hour, "a"), newPool(expiring))...)
	w.look("a")
	w.replace(metav1.ConditionTrue)
	w.restart()
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted") // how old the taint is was forgotten
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted deleted")
}

// TestPoolDeletedDuringReplacement: nobody says any more what the node should be, so it stays
// as it is, and takes pods again.
func TestPoolDeletedDuringReplacement(t *testing.T) {
	w := newWorld(t, append(aged(time.Hour, "a"), newPool(nil))...)
	w.changePool(func(p *v1alpha1.NodePool) { p.Spec.Template.Metadata.Labels = map[string]string{"team": "a"} })
	w.look("a")
	w.expect("a", "occupied tainted")
	w.delete(newPool(nil))
	w.look("a")
	w.expect("a", "occupied")
	w.says(v1alpha1.ConditionDrifted, "False NotDrifted: holds no more")
}

// TestBudgetOfAnotherReason: a budget that keeps expired nodes does not keep drifted ones.
func TestBudgetOfAnotherReason(t *testing.T) {
	w := newWorld(t, append(aged(2*time.Hour, "a"), newPool(func(p *v1alpha1.NodePool) {
		expiring(p)
		p.Spec.Disruption.Budgets = append(p.Spec.Disruption.Budgets, v1alpha1.Budget{Nodes: "0", Reasons: []v1alpha1.DisruptionReason{v1alpha1.ReasonExpired}})
	}))...)
	w.changePool(func(p *v1alpha1.NodePool) { p.Spec.Template.Metadata.Labels = map[string]string{"team": "a"} })
	w.look("a")
	w.says(v1alpha1.ConditionDrifted, "True Disrupting: spec.template.metadata.labels[team] of NodePool default was changed; being removed")
	w.replace(metav1.ConditionTrue)
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted deleted")
}

// TestBudgetOfPodsThatNeverYields: a drain that could not end is not begun, unless the pool
// bounds it.
func TestBudgetOfPodsThatNeverYields(t *testing.T) {
	never := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "never"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{}}, // all pods
		Status:     policyv1.PodDisruptionBudgetStatus{ExpectedPods: 1, DesiredHealthy: 1},
	}
	for _, tt := range []struct {
		name  string
		grace *metav1.Duration
		want  string
	}{
		{name: "no end to a drain", want: "True BlockedByPodDisruptionBudget: older than its pool's expireAfter, 1h0m0s; PodDisruptionBudget never of pod default/on-a never allows a disruption"},
		{name: "drains end", grace: &metav1.Duration{Duration: time.Minute}, want: "True Disrupting: older than its pool's expireAfter, 1h0m0s; being removed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pool := newPool(expiring)
			pool.Spec.Template.Spec.TerminationGracePeriod = tt.grace
			w := newWorld(t, append(aged(2*time.Hour, "a"), pool, never)...)
			w.look("a")
			w.says(v1alpha1.ConditionExpired, tt.want)
		})
	}
}
