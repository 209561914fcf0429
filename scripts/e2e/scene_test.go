package e2e

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

// scene is what there is of one NodePool, at one look.
type scene struct {
	pods      []corev1.Pod // of the app named as the pool
	claims    []v1alpha1.NodeClaim
	nodes     []corev1.Node
	instances []simec2.Instance // that were ever launched
	faults    []simec2.Fault    // still in force
}

func (s scene) String() string {
	states := map[string]int{}
	for _, in := range s.instances {
		states[in.State]++
	}
	return fmt.Sprintf("%d pods, %d claims, %d nodes, instances %v, %d faults", len(s.pods), len(s.claims), len(s.nodes), states, len(s.faults))
}

func (w *world) look(pool string) scene {
	w.t.Helper()
	s := scene{pods: w.pods(pool), claims: w.claims(), nodes: w.nodes(), instances: w.Sim.Instances(), faults: w.Sim.Faults()}
	s.claims = slices.DeleteFunc(s.claims, func(c v1alpha1.NodeClaim) bool { return c.Spec.NodePool != pool })
	s.nodes = slices.DeleteFunc(s.nodes, func(n corev1.Node) bool { return n.Labels[v1alpha1.LabelNodePool] != pool })
	s.instances = slices.DeleteFunc(s.instances, func(in simec2.Instance) bool { return in.Tags[v1alpha1.TagNodePool] != pool })
	return s
}

// every tells whether there are n things, and all are so.
func every[T any](n int, things []T, so func(T) bool) bool {
	return len(things) == n && !slices.ContainsFunc(things, func(t T) bool { return !so(t) })
}

func onNode(p corev1.Pod) bool              { return p.Spec.NodeName != "" }
func leaving(c v1alpha1.NodeClaim) bool     { return c.DeletionTimestamp != nil }
func bought(c v1alpha1.NodeClaim) bool      { return c.Status.InstanceID != "" }
func initialized(c v1alpha1.NodeClaim) bool { return is(c, v1alpha1.ConditionInitialized) }
func registered(c v1alpha1.NodeClaim) bool  { return is(c, v1alpha1.ConditionRegistered) }
func works(in simec2.Instance) bool         { return in.State == simec2.StateRunning }
func ended(in simec2.Instance) bool         { return in.State == simec2.StateTerminated }

func is(c v1alpha1.NodeClaim, condition string) bool {
	return meta.IsStatusConditionTrue(c.Status.Conditions, condition)
}

// moment waits until the scene is as wanted.
func (w *world) moment(what, pool string, wanted func(scene) bool) {
	w.t.Helper()
	w.eventually(what, func() error {
		if s := w.look(pool); !wanted(s) {
			return fmt.Errorf("there are %s", s)
		}
		return nil
	})
}

// settled waits until n pods of a pool run on n nodes that were reserved for them, and
// checks that nothing was bought twice and nothing beside.
func (w *world) settled(pool string, n int) {
	w.t.Helper()
	w.onReserved(w.bound(pool, n))
	w.moment("every claim has its node", pool, func(s scene) bool {
		return every(n, s.claims, initialized) && len(s.nodes) == n
	})
	w.boughtOnce(pool)
}

// boughtOnce checks that each claim has one instance, and each instance that was ever
// launched its claim.
func (w *world) boughtOnce(pool string) {
	w.t.Helper()
	s := w.look(pool)
	owner := map[string]string{} // by instance
	for _, c := range s.claims {
		if other, twice := owner[c.Status.InstanceID]; twice {
			w.t.Errorf("claims %s and %s have instance %q", other, c.Name, c.Status.InstanceID)
		}
		owner[c.Status.InstanceID] = c.Name
	}
	for _, in := range s.instances {
		if owner[in.ID] == "" {
			w.t.Errorf("instance %s (%s), bought for claim %q or fleet %q, is no claim's", in.ID, in.State, in.Tags[v1alpha1.TagNodeClaim], in.Tags[v1alpha1.TagFleet])
		}
		delete(owner, in.ID)
	}
	for id, claim := range owner {
		w.t.Errorf("claim %s has instance %q, which was never launched", claim, id)
	}
}

func (w *world) restartLauncher() {
	w.t.Helper()
	if err := w.RestartLauncher(w.ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) faults(list ...simec2.Fault) {
	w.t.Helper()
	if err := w.Sim.SetFaults(list...); err != nil {
		w.t.Fatal(err)
	}
}
