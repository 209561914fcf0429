package reallocate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// told renders a condition of a claim: "True Disrupting: message".
func (w *world) told(claim, condition string) string {
	w.t.Helper()
	c := get(w.t, w.client, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: claim}})
	cond := meta.FindStatusCondition(c.Status.Conditions, condition)
	if cond == nil {
		return ""
	}
	return fmt.Sprintf("%s %s: %s", cond.Status, cond.Reason, cond.Message)
}

func (w *world) says(claim, condition, want string) {
	w.t.Helper()
	if got := w.told(claim, condition); got != want {
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
	w.says("a", v1alpha1.ConditionExpired, "True Disrupting: older than its pool's expireAfter, 1h0m0s; being removed")
	w.expect("a", "occupied tainted")
	w.lookAfter(time.Second, "a")
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
	w.says("a", v1alpha1.ConditionDrifted, "True Disrupting: spec.template.metadata.labels[team] of NodePool default was changed; being removed")
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted deleted")
}

func TestDriftTakenBack(t *testing.T) {
	w := newWorld(t, append(aged(time.Hour, "a"), newPool(nil))...)
	w.changePool(func(p *v1alpha1.NodePool) { p.Spec.Template.Metadata.Labels = map[string]string{"team": "a"} })
	w.look("a")
	w.expect("a", "occupied tainted")
	w.changePool(func(p *v1alpha1.NodePool) { p.Spec.Template.Metadata.Labels = nil })
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied")
	w.says("a", v1alpha1.ConditionDrifted, "False NotDrifted: holds no more")
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
	w.says("a", v1alpha1.ConditionDrifted, "")
	w.resolved.status.AMIs[0].ID = "ami-2"
	w.lookAfter(lookForDrift, "a")
	w.says("a", v1alpha1.ConditionDrifted, "True Disrupting: image ami-1 is not one of the class's any more: status.amis; being removed")
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
			w.says("a", v1alpha1.ConditionExpired, tt.want)
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
	w.lookAfter(time.Second, "a")
	w.expect("a", "True NoPods tainted deleted")
}

func TestRestartWhileExpiredNodeIsRemoved(t *testing.T) {
	w := newWorld(t, append(aged(2*time.Hour, "a"), newPool(expiring))...)
	w.look("a")
	w.restart()
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted") // how old the taint is was forgotten
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted deleted")
}
