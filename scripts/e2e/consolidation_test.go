package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// consolidating is a pool whose underutilized nodes go.
func consolidating(name string, types ...string) *v1alpha1.NodePool {
	p := pool(name, 2*time.Second, types...)
	p.Spec.Disruption.ConsolidationPolicy = v1alpha1.ConsolidateWhenEmptyOrUnderutilized
	return p
}

// consolidateSoon has nodes looked at more often and sooner than anybody would want.
func consolidateSoon(c *stack.Config) {
	c.Launcher = func(l *launcherconfig.Config) {
		l.Consolidation.Every.Duration, l.Consolidation.MinAge.Duration = time.Second, time.Second
	}
}

// up counts the pods of an app that have a node and are not being deleted.
func (w *world) up(app string) int {
	return len(slices.DeleteFunc(w.pods(app), func(p corev1.Pod) bool { return p.DeletionTimestamp != nil || p.Spec.NodeName == "" }))
}

// TestConsolidationVacates: half of the pods are gone, and so are half of the nodes, without
// anything being bought; the app keeps its budget.
func TestConsolidationVacates(t *testing.T) {
	t.Parallel()
	const pods, nodes = 8, 4
	w := start(t, consolidateSoon)
	w.poolReady(consolidating("web", "m5.large"))
	d := deployment("web", pods, "900m")
	w.create(d, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
	})
	w.bound("web", pods)
	if n := w.launches(); n != nodes {
		t.Fatalf("%d instances were bought, want %d", n, nodes)
	}
	w.change(d, func() { d.Spec.Replicas = new(int32(pods / 2)) })
	w.bound("web", pods/2)
	fewest := pods
	w.eventually("half of the nodes are gone", func() error {
		up := w.up("web")
		fewest = min(fewest, up)
		if n := len(w.claims()); n > nodes/2 || up < pods/2 {
			return fmt.Errorf("%d nodes, %d pods are up", n, up)
		}
		return nil
	})
	if fewest < pods/2-1 {
		t.Errorf("only %d of %d pods were up", fewest, pods/2)
	}
	if n := w.launches(); n != nodes {
		t.Errorf("%d instances were bought to save money", n-nodes)
	}

	w.create(pod("lonely", "50m"))
	node := w.bound("lonely", 1)[0].Spec.NodeName
	w.event("Node", node, "Unconsolidatable", "default/lonely has no controller")
}

// TestConsolidationReplaces: what the large node was bought for is gone. The pod that is left
// gets a small one, which is ready before the pod is told to go.
func TestConsolidationReplaces(t *testing.T) {
	t.Parallel()
	w := start(t, consolidateSoon)
	w.poolReady(consolidating("web", "m5.large", "m5.4xlarge"))
	large := deployment("large", 1, "12")
	w.create(large, deployment("web", 1, "900m"))
	w.bound("large", 1)
	old := w.bound("web", 1)[0].Spec.NodeName
	if n := w.launches(); n != 1 {
		t.Fatalf("%d instances were bought, want one for both", n)
	}
	w.delete(large)
	w.eventually("the large node is replaced", func() error {
		ready := slices.ContainsFunc(w.claims(), func(c v1alpha1.NodeClaim) bool { return c.Status.NodeName != old && initialized(c) })
		for _, p := range w.pods("web") {
			if p.Spec.NodeName == old && p.DeletionTimestamp == nil {
				return fmt.Errorf("the pod is on %s still; its replacement is ready: %t", old, ready)
			}
			if !ready {
				w.t.Fatalf("pod %s goes before there is room for the one that follows", p.Name)
			}
		}
		if nodes := w.nodes(); len(nodes) != 1 || nodes[0].Labels[corev1.LabelInstanceTypeStable] != "m5.large" {
			return fmt.Errorf("%d nodes", len(nodes))
		}
		return nil
	})
	w.bound("web", 1)
	if n := w.launches(); n != 2 {
		t.Errorf("%d instances were bought in place of one", n-1)
	}
	before := w.nodes()[0].Name
	w.always(5*time.Second, "nothing moves any more", func() error {
		if nodes := w.nodes(); len(nodes) != 1 || nodes[0].Name != before {
			return fmt.Errorf("%d nodes", len(nodes))
		}
		return nil
	})
}
