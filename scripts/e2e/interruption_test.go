package e2e

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/observe"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// storm follows what an interruption of nodes does to the pods of an app.
type storm struct {
	nodes   int              // in all
	hit     sets.Set[string] // names of the nodes
	began   time.Time
	tainted time.Duration // until all of them were
	// evicted is when the first pod on them was told to go, ready how many other nodes could take
	// pods by then, and emptied how many nodes lost pods.
	evicted        time.Duration
	ready, emptied int
	waits          map[types.UID]time.Duration // of the successors, from when they were seen first
	fewest         int                         // of the pods that were up at any time
}

// watch looks until all pods run on other nodes and those that were hit are gone.
func (s *storm) watch(w *world, app string, pods int) {
	w.t.Helper()
	seen, known := map[types.UID]time.Time{}, map[types.UID]string{} // the latter with their nodes
	for _, p := range w.pods(app) {
		known[p.UID] = p.Spec.NodeName
	}
	s.fewest, s.waits = pods, map[types.UID]time.Duration{}
	w.eventually("all pods run on other nodes", func() error {
		nodes := w.nodes() // before the pods: none is ready that is not by the time they go
		left, bare, ready := 0, 0, 0
		for i := range nodes {
			n := &nodes[i]
			switch hit := s.hit.Has(n.Name); {
			case hit && !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1alpha1.DisruptedTaintKey }):
				bare++
				left++
			case hit:
				left++
			case slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
				return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
			}):
				ready++
			}
		}
		if bare == 0 && s.tainted == 0 {
			s.tainted = time.Since(s.began)
		}
		up, emptied := 0, sets.New(slices.Collect(maps.Values(known))...)
		staying := map[string]int{}
		for _, p := range w.pods(app) {
			on := p.Spec.NodeName
			switch {
			case p.DeletionTimestamp != nil:
				continue
			case on == "" && seen[p.UID].IsZero():
				seen[p.UID] = time.Now()
			case on != "":
				up++
				staying[on]++
				if _, told := s.waits[p.UID]; !told && known[p.UID] == "" {
					s.waits[p.UID] = 0
					if at := seen[p.UID]; !at.IsZero() {
						s.waits[p.UID] = time.Since(at)
					}
				}
			}
		}
		s.fewest = min(s.fewest, up)
		emptied = emptied.Intersection(s.hit)
		for node := range emptied {
			if staying[node] == pods/s.nodes {
				emptied.Delete(node)
			}
		}
		if emptied.Len() > 0 && s.evicted == 0 {
			s.evicted, s.ready, s.emptied = time.Since(s.began), ready, emptied.Len()
		}
		if left > 0 || up != pods {
			return fmt.Errorf("%d of %d pods are up, %d nodes are still there", up, pods, left)
		}
		return nil
	})
}

// TestInterruptionStorm: half the spot nodes are taken back at once. The successors of each one's
// pods have a node before the first of them is told to go, and nothing is left unplaced.
func TestInterruptionStorm(t *testing.T) {
	t.Parallel()
	const pods = 120 // three a node
	w := start(t, func(c *stack.Config) { c.Sim.BootDelay = 2 * time.Second })
	p := pool("web", 5*time.Second, "m5.large", "m5a.large", "m6i.large", "m6a.large")
	p.Spec.Template.Spec.Requirements = append(p.Spec.Template.Spec.Requirements,
		v1alpha1.Requirement{Key: v1alpha1.LabelCapacityType, Operator: v1alpha1.OpIn, Values: []string{v1alpha1.CapacityTypeSpot}})
	w.poolReady(p)
	w.create(deployment("web", pods, "600m"))
	w.bound("web", pods)
	w.moment("all nodes are initialized", "web", func(s scene) bool { return every(len(s.claims), s.claims, initialized) })

	claims := w.claims()
	s := storm{nodes: len(claims), hit: sets.New[string]()}
	var ids []string
	for _, c := range claims[:len(claims)/2] {
		ids = append(ids, c.Status.InstanceID)
		s.hit.Insert(c.Status.NodeName)
	}
	w.Sim.SendMessage("{", "[]", `{"source":"com.example","detail-type":"Nothing","time":"2026-11-23T00:00:00Z"}`)
	s.began = time.Now()
	if err := w.Sim.Interrupt(simec2.Interruption{Kind: simec2.InterruptSpot, InstanceIDs: ids}); err != nil {
		t.Fatal(err)
	}
	s.watch(w, "web", pods)

	settled := time.Since(s.began)
	waits := slices.Sorted(maps.Values(s.waits))
	t.Logf("%d of %d nodes interrupted: tainted in %v; first pods, of %d nodes, told to go after %v, with %d other nodes ready; at least %d of %d pods were up; all were again after %v; %d successors waited p50 %.0f ms, p99 %.0f ms, at most %v",
		len(ids), len(claims), s.tainted.Round(time.Millisecond), s.emptied, s.evicted.Round(time.Millisecond), s.ready, s.fewest, pods,
		settled.Round(time.Millisecond), len(waits), observe.Quantile(waits, 0.5), observe.Quantile(waits, 0.99), slices.Max(waits).Round(time.Millisecond))
	if len(waits) != 3*len(ids) {
		t.Errorf("%d pods were replaced, want %d", len(waits), 3*len(ids))
	}
	if s.tainted > 3*time.Second { // a second, on a machine that does nothing else
		t.Errorf("the last node was tainted after %v", s.tainted)
	}
	if s.ready < len(claims)-len(ids)+s.emptied {
		t.Errorf("pods of %d nodes were told to go when %d other nodes were ready, want %d", s.emptied, s.ready, len(claims)-len(ids)+s.emptied)
	}
	if n := w.Sim.QueuedMessages(); n > 0 {
		w.eventually("the queue is empty", func() error {
			if n := w.Sim.QueuedMessages(); n > 0 {
				return fmt.Errorf("%d messages", n)
			}
			return nil
		})
	}
	if n := w.launches(); n != len(claims)+len(ids) {
		t.Errorf("%d instances were bought, want %d and %d", n, len(claims), len(ids))
	}
	for _, in := range w.Sim.Instances() {
		if slices.Contains(ids, in.ID) && in.TerminationReason == "Server.SpotInstanceTermination" {
			t.Errorf("instance %s was taken back with its node not drained", in.ID)
		}
	}
	w.always(8*time.Second, "the new nodes stay", func() error { // longer than the TTL
		if n := len(w.running()); n != len(claims) {
			return fmt.Errorf("%d instances", n)
		}
		return nil
	})
	w.delete(deployment("web", pods, "600m"))
	w.clean()
}

// TestInterruptionUsesFreeRoom: where other nodes have room, nothing is bought.
func TestInterruptionUsesFreeRoom(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	p := pool("web", never, "m5.large")
	p.Spec.Template.Spec.Requirements = append(p.Spec.Template.Spec.Requirements,
		v1alpha1.Requirement{Key: v1alpha1.LabelCapacityType, Operator: v1alpha1.OpIn, Values: []string{v1alpha1.CapacityTypeSpot}})
	w.poolReady(p)
	w.create(deployment("web", 1, "900m"))
	first := w.bound("web", 1)[0]
	w.create(deployment("other", 1, "1500m"))
	other := w.bound("other", 1)[0]
	w.delete(deployment("other", 1, "1500m"))
	w.moment("both nodes are initialized", "web", func(s scene) bool { return every(2, s.claims, initialized) })
	if first.Spec.NodeName == other.Spec.NodeName {
		t.Fatal("one node took both pods")
	}
	claims := w.claims()
	i := slices.IndexFunc(claims, func(c v1alpha1.NodeClaim) bool { return c.Status.NodeName == first.Spec.NodeName })
	if err := w.Sim.Interrupt(simec2.Interruption{Kind: simec2.InterruptSpot, InstanceIDs: []string{claims[i].Status.InstanceID}}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the pod runs on the other node", func() error {
		pods := w.pods("web")
		if len(pods) != 1 || pods[0].Spec.NodeName != other.Spec.NodeName {
			return fmt.Errorf("pods %d, the first on %s", len(pods), pods[0].Spec.NodeName)
		}
		return nil
	})
	if n := w.launches(); n != 2 {
		t.Errorf("%d instances were bought, want the 2 that there were", n)
	}
}

// TestRebalanceWithoutRoom: a node that may run on is kept while its pods have nowhere to go.
func TestRebalanceWithoutRoom(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	p := pool("web", never, "m5.large")
	p.Spec.Template.Spec.Requirements = append(p.Spec.Template.Spec.Requirements,
		v1alpha1.Requirement{Key: v1alpha1.LabelCapacityType, Operator: v1alpha1.OpIn, Values: []string{v1alpha1.CapacityTypeSpot}},
		v1alpha1.Requirement{Key: corev1.LabelTopologyZone, Operator: v1alpha1.OpIn, Values: []string{"us-east-1a"}})
	w.poolReady(p)
	w.create(deployment("web", 1, "900m"))
	before := w.bound("web", 1)[0]
	w.moment("the node is initialized", "web", func(s scene) bool { return every(1, s.claims, initialized) })
	claim := w.claims()[0]
	if err := w.Sim.Interrupt(simec2.Interruption{Kind: simec2.InterruptRebalance, InstanceIDs: []string{claim.Status.InstanceID}}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the claim says that there is no room", func() error {
		var c v1alpha1.NodeClaim
		if err := w.Client.Get(w.ctx, client.ObjectKeyFromObject(&claim), &c); err != nil {
			return err
		}
		if r := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReplaced); r == nil || r.Reason != "NoRoom" {
			return fmt.Errorf("conditions %v", c.Status.Conditions)
		}
		return nil
	})
	w.always(2*time.Second, "the pod stays", func() error {
		if pods := w.pods("web"); len(pods) != 1 || pods[0].UID != before.UID || pods[0].DeletionTimestamp != nil {
			return fmt.Errorf("pods %v", len(pods))
		}
		return nil
	})
}
