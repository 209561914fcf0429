package fit_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// TestVariety: every node of a pool with minValues can become as many different things, and
// pods that leave too few to choose from are told so.
func TestVariety(t *testing.T) {
	engine := newEngine(t)
	for _, tt := range []struct {
		name   string
		least  int
		pods   []*corev1.Pod
		placed int
		reason string
	}{
		{name: "small pods leave many types", least: 3, pods: pods(40, "web", "500m", "512Mi"), placed: 40},
		{name: "a pod that few types hold", least: 3, pods: pods(1, "web", "7", "1Gi"), reason: "minValues wants 3 values of node.kubernetes.io/instance-type"},
		{name: "as many as there are", least: 5, pods: pods(2, "web", "1", "1Gi"), placed: 2},
		{name: "more than there are", least: 6, pods: pods(2, "web", "1", "1Gi"), reason: "minValues wants 6 values of node.kubernetes.io/instance-type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := fit.Input{
				Pods: tt.pods, Templates: templates(), Alternatives: 60,
				Variety: map[string]fit.Variety{"default": {corev1.LabelInstanceTypeStable: tt.least}},
			}
			plan, err := engine.Plan(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			placed := 0
			for _, n := range plan.Nodes {
				placed += len(n.Pods)
				types := map[string]bool{}
				for _, o := range n.Templates {
					types[in.Templates[o].Node.Labels[corev1.LabelInstanceTypeStable]] = true
				}
				if len(types) < tt.least {
					t.Errorf("a node can be of %d types, want %d", len(types), tt.least)
				}
			}
			if placed != tt.placed {
				t.Errorf("%d pods placed, want %d", placed, tt.placed)
			}
			for _, u := range plan.Unplaced {
				if got := strings.Join(u.Reasons, "; "); tt.reason == "" || !strings.Contains(got, tt.reason) {
					t.Errorf("unplaced: %s; want %q", got, tt.reason)
				}
			}
		})
	}
}
