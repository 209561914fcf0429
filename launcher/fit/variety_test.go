package fit_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
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
		name         string
		least        int
		pods         []*corev1.Pod
		placed       int
		nodes        int // 0 for any number
		alternatives int // 0 for plenty
		reason       string
	}{
		{name: "small pods leave many types", least: 3, pods: pods(40, "web", "500m", "512Mi"), placed: 40},
		{name: "a pod that few types hold", least: 3, pods: pods(1, "web", "7", "1Gi"), reason: "minValues wants 3 values of node.kubernetes.io/instance-type"},
		{name: "as many as there are", least: 5, pods: pods(2, "web", "1", "1Gi"), placed: 2},
		{name: "more than a claim lists otherwise", least: 4, pods: pods(2, "web", "500m", "512Mi"), placed: 2, alternatives: 2},
		{name: "pods that share a host", least: 3, pods: pods(3, "web", "500m", "256Mi", nextTo("web", corev1.LabelHostname)), placed: 3, nodes: 1},
		{name: "pods that share a host and leave too few types", least: 3, pods: pods(8, "web", "1", "256Mi", nextTo("web", corev1.LabelHostname)), placed: 3, reason: "minValues wants 3 values of node.kubernetes.io/instance-type, and the pods of a node leave only 2"},
		{name: "more than a claim lists otherwise, pods that share a host", least: 4, pods: pods(2, "web", "250m", "256Mi", nextTo("web", corev1.LabelHostname)), placed: 2, nodes: 1, alternatives: 2},
		{name: "more than there are", least: 6, pods: pods(2, "web", "1", "1Gi"), reason: "minValues wants 6 values of node.kubernetes.io/instance-type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := fit.Input{
				Pods: tt.pods, Templates: templates(), Alternatives: cmp.Or(tt.alternatives, 60),
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
			if tt.nodes > 0 && len(plan.Nodes) != tt.nodes {
				t.Errorf("%d nodes, want %d", len(plan.Nodes), tt.nodes)
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

// TestListed: a node lists the cheapest types, all their offerings, and of dearer ones what
// minValues take.
func TestListed(t *testing.T) {
	engine := newEngine(t)
	const family, capacity = "family", "capacity"
	var market []fit.Template
	for i, f := range []string{"x", "x", "x", "y", "y", "z"} {
		for _, c := range []string{"spot", "on-demand"} {
			tmpl := template("default", 2, 4, "a")
			tmpl.Price = 0.1 + 0.01*float64(i)
			tmpl.Node.Labels[corev1.LabelInstanceTypeStable] = fmt.Sprint(f, i)
			tmpl.Node.Labels[family], tmpl.Node.Labels[capacity] = f, c
			market = append(market, tmpl)
		}
	}
	for _, tt := range []struct {
		name    string
		variety fit.Variety
		want    string
	}{
		{"the cheapest", nil, "x0 x1 x2"},
		{"two families", fit.Variety{family: 2}, "x0 x1 y3"},
		{"three families", fit.Variety{family: 3}, "x0 y3 z5"},
		{"three families, four types", fit.Variety{family: 3, corev1.LabelInstanceTypeStable: 4}, "x0 x1 y3 z5"},
		{"as the types come, both capacity types", fit.Variety{capacity: 2}, "x0 x1 x2"},
	} {
		for path, change := range map[string]func(*corev1.Pod){"packed": func(*corev1.Pod) {}, "one by one": nextTo("web", corev1.LabelHostname)} {
			t.Run(tt.name+", "+path, func(t *testing.T) {
				plan, err := engine.Plan(t.Context(), fit.Input{
					Pods: pods(1, "web", "1", "1Gi", change), Templates: market, Alternatives: 3, Variety: map[string]fit.Variety{"default": tt.variety},
				})
				if err != nil || len(plan.Nodes) != 1 {
					t.Fatalf("%d nodes, error %v: %v", len(plan.Nodes), err, plan.Unplaced)
				}
				types := map[string]int{}
				for _, o := range plan.Nodes[0].Templates {
					types[market[o].Node.Labels[corev1.LabelInstanceTypeStable]]++
				}
				if got := strings.Join(slices.Sorted(maps.Keys(types)), " "); got != tt.want {
					t.Errorf("lists %s, want %s", got, tt.want)
				}
				for name, n := range types {
					if n != 2 {
						t.Errorf("lists %d offerings of %s, want 2", n, name)
					}
				}
			})
		}
	}
}
