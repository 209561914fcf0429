package reallocate

import (
	"math"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// chooseA has the node of claim "a" chosen to go.
func (w *world) chooseA() {
	w.remover.schedulers = sets.New(testScheduler)
	w.remover.moves.choose(map[string]move{"a": {claim: "uid-a", below: 0.0912, message: "underutilized: test"}})
}

func TestUnderutilizedNodeIsRemovedWithItsPods(t *testing.T) {
	w := newWorld(t, append(underused("a"), underusedPool())...)
	w.look("a")
	w.says(v1alpha1.ConditionConsolidatable, "")
	w.chooseA()
	w.look("a")
	w.expect("a", "occupied tainted")
	w.says(v1alpha1.ConditionConsolidatable, "True Disrupting: underutilized: test; being removed")
	claim := get(t, w.client, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	if below, ok := claim.MaxReplacement(); !ok || math.Abs(below-0.0912) > 1e-6 {
		t.Errorf("may be replaced for %g, %t", below, ok)
	}
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted") // there is no room for its pod's successor yet
	w.restart()                       // the claim tells the next process
	w.remover.schedulers = sets.New(testScheduler)
	w.look("a")
	w.replace(metav1.ConditionTrue)
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted deleted")
}

// TestUnderutilizedNodeThatIsKept: whatever comes up, the node stays as it was.
func TestUnderutilizedNodeThatIsKept(t *testing.T) {
	for _, tt := range []struct {
		name    string
		happens func(*world)
		want    string
	}{
		{"it does not pay any more", func(w *world) { w.replace(metav1.ConditionFalse) }, "True NotWorthIt: underutilized: test; no room"},
		{"a pod came that cannot move", func(w *world) { w.create(newPod("lonely", "node-a", nil)) }, "True Needed: underutilized: test; pod default/lonely has no controller that would replace it"},
		{
			"the pool wants it no more",
			func(w *world) {
				w.changePool(func(p *v1alpha1.NodePool) { p.Spec.Disruption.ConsolidationPolicy = v1alpha1.ConsolidateWhenEmpty })
			},
			"True Needed: underutilized: test; its pool no longer says WhenEmptyOrUnderutilized",
		},
		{
			"a pod is protected",
			func(w *world) {
				pod := get(w.t, w.client, newPod("on-a", "node-a", nil))
				pod.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"}
				w.update(pod)
			},
			"True DoNotDisrupt: underutilized: test; pod default/on-a is annotated slipway.dev/do-not-disrupt",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, append(underused("a"), underusedPool())...)
			w.chooseA()
			w.look("a")
			w.expect("a", "occupied tainted")
			tt.happens(w)
			w.lookAfter(time.Second, "a")
			w.expect("a", "occupied")
			w.says(v1alpha1.ConditionConsolidatable, tt.want)
			w.lookAfter(time.Minute, "a")
			w.expect("a", "occupied") // the next look at the cluster decides anew
			if n := w.events.count("*v1.Node DisruptionBlocked"); n != 1 {
				t.Errorf("DisruptionBlocked %d times", n)
			}
		})
	}
}

// TestUnderutilizedNodeWithoutAPlace: a budget for the reason holds.
func TestUnderutilizedNodeWithoutAPlace(t *testing.T) {
	w := newWorld(t, append(underused("a"), underusedPool(func(p *v1alpha1.NodePool) {
		p.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: "100%"}, {Nodes: "0", Reasons: []v1alpha1.DisruptionReason{v1alpha1.ReasonUnderutilized}}}
	}))...)
	w.chooseA()
	w.look("a")
	w.expect("a", "occupied")
	if _, ok := w.remover.moves.of(&v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "uid-a"}}); ok {
		t.Error("it is tried again although the cluster may look otherwise by then")
	}
}
