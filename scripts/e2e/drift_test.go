package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// TestRollingDrift: a pool is edited while its nodes are in use. They are replaced, two at a
// time, with new room ready before a pod is told to go, and the app keeps its budget.
func TestRollingDrift(t *testing.T) {
	t.Parallel()
	const pods, atOnce = 10, 2
	w := start(t, nil)
	p := pool("web", 5*time.Second, "m5.large")
	p.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: fmt.Sprint(atOnce)}}
	w.poolReady(p)
	w.create(deployment("web", pods, "900m"), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
	})
	w.bound("web", pods)
	w.moment("all nodes are initialized", "web", func(s scene) bool { return every(len(s.claims), s.claims, initialized) })
	old := sets.New[string]()
	for _, c := range w.claims() {
		old.Insert(c.Name)
	}

	if err := w.Client.Get(w.ctx, client.ObjectKeyFromObject(p), p); err != nil {
		t.Fatal(err)
	}
	p.Spec.Template.Metadata.Labels = map[string]string{"generation": "2"}
	if err := w.Client.Update(w.ctx, p); err != nil {
		t.Fatal(err)
	}
	began, fewest, most := time.Now(), pods, 0
	w.eventually("all pods are on new nodes, and the old ones gone", func() error {
		leaving, left := 0, 0
		for _, c := range w.claims() {
			if !old.Has(c.Name) {
				continue
			}
			left++
			if c.IsBeingReplaced() {
				leaving++
			}
			if d := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionDrifted); d != nil && !strings.Contains(d.Message, "spec.template.metadata.labels[generation]") {
				t.Errorf("%s: Drifted says %q", c.Name, d.Message)
			}
		}
		up := len(slices.DeleteFunc(w.pods("web"), func(p corev1.Pod) bool { return p.DeletionTimestamp != nil || p.Spec.NodeName == "" }))
		fewest, most = min(fewest, up), max(most, leaving)
		if left > 0 || up < pods {
			return fmt.Errorf("%d old nodes are left, %d of %d pods are up", left, up, pods)
		}
		return nil
	})
	t.Logf("%d nodes replaced in %v; at least %d of %d pods were up, at most %d nodes on their way out",
		old.Len(), time.Since(began).Round(time.Millisecond), fewest, pods, most)
	if most > atOnce {
		t.Errorf("%d nodes were on their way out at once, want at most %d", most, atOnce)
	}
	if fewest < pods-1 {
		t.Errorf("only %d of %d pods were up", fewest, pods)
	}
	for _, n := range w.nodes() {
		if n.Labels["generation"] != "2" || n.Labels[v1alpha1.LabelInstanceFamily] != "m5" {
			t.Errorf("%s has labels %v", n.Name, n.Labels)
		}
	}
	if n := w.launches(); n > 2*old.Len() {
		t.Errorf("%d instances were bought in place of %d", n-old.Len(), old.Len())
	}
}
