package consolidate_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/consolidate"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// randomCluster has up to 12 nodes of up to six types in two zones, each of them used a little.
func randomCluster(seed uint64) *cluster {
	r := rand.New(rand.NewPCG(seed, 9))
	var types []fit.Template
	for range 1 + r.IntN(6) {
		cpus := 2 << r.IntN(4)
		for _, zone := range []string{"a", "b"} {
			types = append(types, typ(cpus, cpus*(2+2*r.IntN(3)), inZone(zone)))
		}
	}
	c := newCluster(types...)
	c.Allowed["default"] = 1 + r.IntN(6)
	for i := range 1 + r.IntN(12) {
		var pods []*corev1.Pod
		for j := range 1 + r.IntN(4) {
			app, cpu := fmt.Sprintf("p%d", r.IntN(4)), []string{"100m", "300m", "450m"}[r.IntN(3)]
			p := pod(app, cpu)
			switch app {
			case "p1":
				overZones(p)
			case "p2":
				if j > 0 {
					continue // no two on one node
				}
				alone(p)
			}
			pods = append(pods, p)
		}
		c.add(fmt.Sprintf("n%d", i), types[r.IntN(len(types))], pods...)
	}
	return c
}

// apply has the pods of all nodes that go planned for at once, as they will be, and returns the
// cluster as it then is. It says what is wrong with that.
func (c *cluster) apply(t *testing.T, engine *fit.Engine, d *consolidate.Decision, round int) *cluster {
	t.Helper()
	going := sets.New[string]()
	var leavers []consolidate.Leaver
	for _, m := range d.Moves {
		going.Insert(m.Node)
		l := consolidate.Leaver{Below: m.Below}
		for _, p := range c.infos[m.Node].Pods {
			own := *p.GetPod()
			own.Spec.NodeName = ""
			l.Pods = append(l.Pods, &own)
		}
		leavers = append(leavers, l)
	}
	next := newCluster(c.Templates...)
	next.Allowed = c.Allowed
	next.Candidates = slices.DeleteFunc(slices.Clone(c.Candidates), func(c consolidate.Candidate) bool { return going.Has(c.Node) })
	var in fit.Input
	plan, err := consolidate.Place(leavers, func(pods []*corev1.Pod, frugal bool) (*fit.Plan, []fit.Template, map[string]fit.Variety, error) {
		in = fit.Input{Pods: pods, Open: c.Open.Difference(going), Templates: c.Templates, Frugal: frugal, Alternatives: c.Alternatives}
		for _, candidate := range next.Candidates {
			in.Nodes = append(in.Nodes, c.infos[candidate.Node].SnapshotConcrete())
		}
		plan, err := engine.Plan(t.Context(), in)
		return plan, c.Templates, nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range plan.Unplaced {
		t.Errorf("%s has no room: %v", u.Pod.Name, u.Reasons)
	}
	for _, info := range in.Nodes {
		next.keep(info)
	}
	for i, n := range plan.Nodes {
		bought := newCluster().add(fmt.Sprintf("new-%d-%d", round, i), c.Templates[n.Templates[0]])
		info := bought.Nodes[0]
		for _, p := range n.Pods {
			info.AddPod(p)
		}
		next.keep(info)
		next.Candidates = append(next.Candidates, bought.Candidates...)
	}
	return next
}

func (c *cluster) keep(info *framework.NodeInfo) {
	c.Nodes = append(c.Nodes, info)
	c.infos[info.Node().Name] = info
	c.Open.Insert(info.Node().Name)
}

func (c *cluster) price() (sum float64) {
	for _, candidate := range c.Candidates {
		sum += candidate.Price
	}
	return sum
}

// TestProperties holds what is true of every decision, until nothing moves any more.
func TestProperties(t *testing.T) {
	engine := newEngine(t)
	for seed := range uint64(150) {
		c := randomCluster(seed)
		for round := 0; ; round++ {
			if round > 20 {
				t.Errorf("seed %d: nodes still move", seed)
				break
			}
			d, err := consolidate.Decide(t.Context(), engine, c.View)
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Moves) == 0 {
				break
			}
			if len(d.Moves) > c.Allowed["default"] {
				t.Errorf("seed %d: %d nodes go, %d may", seed, len(d.Moves), c.Allowed["default"])
			}
			next := c.apply(t, engine, d, round)
			if saved, least := c.price()-next.price(), d.Price-below(d); saved < least-1e-9 {
				t.Errorf("seed %d: saves $%g, want at least $%g", seed, saved, least)
			}
			if t.Failed() {
				t.Fatalf("seed %d, round %d: %+v", seed, round, d)
			}
			c = next
		}
	}
}

func below(d *consolidate.Decision) (sum float64) {
	for _, m := range d.Moves {
		sum += m.Below
	}
	return sum
}
