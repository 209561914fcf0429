package consolidate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/consolidate"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// manySpot are spot types of the same size.
func manySpot(n int) (all []fit.Template) {
	for i := range n {
		all = append(all, typ(2, 4, spot, named(fmt.Sprintf("s%d", i))))
	}
	return all
}

func TestDecide(t *testing.T) {
	engine := newEngine(t)
	large, small := typ(16, 64), typ(2, 4)
	for _, tt := range []struct {
		name    string
		cluster *cluster
		want    []string // the nodes that go
		buys    bool
	}{
		{
			name:    "pods fit elsewhere: goes",
			cluster: newCluster().add("a", typ(4, 16), pod("p", "500m")).add("b", typ(4, 16), pod("q", "2")),
			want:    []string{"a"},
		},
		{
			name:    "no room elsewhere: stays",
			cluster: newCluster().add("a", typ(4, 16), pod("p", "2")).add("b", typ(4, 16), pod("q", "2500m")),
		},
		{
			name:    "the room of closed nodes is not used",
			cluster: newCluster().add("a", typ(4, 16), pod("p", "500m")).add("b", typ(4, 16), pod("q", "2")).only("a").change(func(c *cluster) { c.Open.Delete("b") }),
		},
		{
			name: "pods of nodes that are leaving have room first",
			cluster: newCluster().add("a", typ(4, 16), pod("p", "1500m")).add("b", typ(4, 16), pod("q", "2")).add("going", typ(4, 16), pod("r", "1")).
				only("a").change(func(c *cluster) { c.Leaving = []string{"going"}; c.Open.Delete("going") }),
		},
		{
			name: "does not pay for the pods that move: stays",
			cluster: newCluster().add("a", typ(4, 16), pod("p", "500m")).add("b", typ(4, 16), pod("q", "2")).
				change(func(c *cluster) { c.Terms.PerPod = 1 }),
		},
		{
			name:    "a cheaper node would do: is replaced",
			cluster: newCluster(large, small).add("a", large, pod("p", "500m")),
			want:    []string{"a"}, buys: true,
		},
		{
			name:    "several nodes for one: are replaced together",
			cluster: newCluster(typ(8, 32), small).add("a", typ(4, 16), pod("p", "2")).add("b", typ(4, 16), pod("p", "2500m")).add("c", typ(4, 16), pod("q", "2200m")),
			want:    []string{"a", "c", "b"}, buys: true,
		},
		{
			name:    "nothing is cheaper: stays",
			cluster: newCluster(large, small).add("a", small, pod("p", "500m")),
		},
		{
			name:    "only dearer ones would do: stays",
			cluster: newCluster(large).add("a", small, pod("p", "500m")),
		},
		{
			name:    "would save too little: stays",
			cluster: newCluster(typ(4, 16, at(0.23))).add("a", typ(4, 16, at(0.24)), pod("p", "3")),
		},
		{
			name:    "spot for spot with little choice: stays",
			cluster: newCluster(manySpot(consolidate.SpotTypes-1)...).add("a", typ(16, 64, spot), pod("p", "500m")),
		},
		{
			name:    "spot for spot with much choice: is replaced",
			cluster: newCluster(manySpot(consolidate.SpotTypes)...).add("a", typ(16, 64, spot), pod("p", "500m")),
			want:    []string{"a"}, buys: true,
		},
		{
			name:    "spot for on-demand takes no choice: is replaced",
			cluster: newCluster(manySpot(1)...).add("a", large, pod("p", "500m")),
			want:    []string{"a"}, buys: true,
		},
		{
			name: "a budget of nothing: stays",
			cluster: newCluster(large, small).add("a", large, pod("p", "500m")).add("b", large, pod("q", "2")).
				change(func(c *cluster) { c.Allowed["default"] = 0 }),
		},
		{
			name: "a budget of one: the worst goes",
			cluster: newCluster().add("a", typ(4, 16), pod("p", "1")).add("b", typ(4, 16), pod("p", "500m")).add("c", typ(8, 32), pod("q", "5")).
				change(func(c *cluster) { c.Allowed["default"] = 1 }),
			want: []string{"b"},
		},
		{
			name: "the rest of a set goes where one node has no room",
			cluster: newCluster().add("a", typ(4, 16), pod("p", "200m")).add("b", typ(4, 16), pod("alone", "200m", alone)).
				add("c", typ(4, 16), pod("alone", "200m", alone), pod("q", "2")),
			want: []string{"a"},
		},
		{
			name:    "pods that keep apart: stay",
			cluster: newCluster().add("a", typ(4, 16), pod("p", "500m", alone)).add("b", typ(4, 16), pod("p", "500m", alone)),
		},
		{
			name: "pods spread over zones: stay",
			cluster: newCluster().add("a", typ(4, 16), pod("p", "500m", overZones)).add("b", typ(4, 16, inZone("b")), pod("p", "500m", overZones)).
				add("full", typ(4, 16, inZone("b")), pod("q", "3800m")).only("b"),
		},
		{
			name:    "DaemonSets' pods do not move",
			cluster: newCluster().add("a", typ(4, 16), pod("p", "500m"), pod("agent", "3", ofDaemonSet)).add("b", typ(4, 16), pod("q", "2")),
			want:    []string{"a"},
		},
		{
			name:    "paid for anyway: stays",
			cluster: newCluster().add("a", typ(4, 16, at(0)), pod("p", "500m")).add("b", typ(4, 16), pod("q", "2")).only("a"),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := consolidate.Decide(t.Context(), engine, tt.cluster.View)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			below := 0.0
			for _, m := range d.Moves {
				got = append(got, m.Node)
				below += m.Below
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("nodes that go (-want +got):\n%s", diff)
			}
			if tt.buys != (d.Bought > 0) {
				t.Errorf("buys for $%g", d.Bought)
			}
			if len(got) > 0 && (d.Bought > below || below >= d.Price) {
				t.Errorf("buys for $%g, may for $%g, saves $%g", d.Bought, below, d.Price)
			}
		})
	}
}

// TestTies: of nodes that are alike in everything but their name always the same one goes.
func TestTies(t *testing.T) {
	engine := newEngine(t)
	r := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		c := newCluster()
		for _, i := range r.Perm(4) {
			c.add(string(rune('a'+i)), typ(4, 16), pod("p", "1900m"))
		}
		d, err := consolidate.Decide(t.Context(), engine, c.View)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Moves) != 2 || d.Moves[0].Node != "a" || d.Moves[1].Node != "b" {
			t.Errorf("%v", d.Moves)
		}
	}
}

// TestDecideChangesNothing: a View is the caller's.
func TestDecideChangesNothing(t *testing.T) {
	c := newCluster().add("a", typ(4, 16), pod("p", "500m")).add("b", typ(4, 16), pod("q", "2"))
	if _, err := consolidate.Decide(t.Context(), newEngine(t), c.View); err != nil {
		t.Fatal(err)
	}
	for name, info := range c.infos {
		if len(info.Pods) != 1 || info.Pods[0].GetPod().Spec.NodeName != name {
			t.Errorf("%s has changed", name)
		}
	}
}

func TestAffordable(t *testing.T) {
	templates := []fit.Template{typ(2, 4, at(0.10)), typ(2, 8, at(0.12)), typ(4, 16, at(0.20))}
	for _, tt := range []struct {
		name    string
		below   float64
		variety map[string]fit.Variety
		want    []int // nil: not affordable
	}{
		{"all", 0.20, nil, []int{0, 1, 2}},
		{"the dearest might be chosen", 0.19, nil, []int{0, 1}},
		{"just so", 0.10, nil, []int{0}},
		{"too dear", 0.09, nil, nil},
		{"the pool wants them all", 0.19, map[string]fit.Variety{"default": {corev1.LabelInstanceTypeStable: 3}}, nil},
		{"the pool gets them all", 0.20, map[string]fit.Variety{"default": {corev1.LabelInstanceTypeStable: 3}}, []int{0, 1, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := &fit.Plan{Nodes: []fit.Planned{{Templates: []int{0, 1, 2}}}, Price: 0.10}
			got := consolidate.Affordable(plan, templates, tt.variety, tt.below, false)
			if got != (tt.want != nil) {
				t.Fatalf("affordable: %t", got)
			}
			if diff := cmp.Diff(tt.want, plan.Nodes[0].Templates); got && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBelow(t *testing.T) {
	terms := consolidate.Terms{PerPod: 0.001, Share: 0.05}
	if got := terms.Below(0.1, 5); math.Abs(got-0.09) > 1e-9 {
		t.Errorf("got %g", got)
	}
}
