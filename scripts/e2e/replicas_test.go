package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// TestFixedPool: a pool has the nodes that it says, whatever pods there are, through scaling,
// a node that is deleted, and a change of all of them.
func TestFixedPool(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	p := pool("fixed", time.Second, "m5.large")
	p.Spec.Replicas = new(int64(3))
	w.poolReady(p)
	w.fixed(3)
	if n := w.callsOf("CreateFleet"); n != 1 {
		t.Errorf("%d calls bought the 3 nodes", n)
	}
	w.always(3*time.Second, "empty nodes stay", func() error { return w.hasFixed(3) })

	w.scalePool(p, 4)
	w.fixed(4)
	app := deployment("fixed", 5, "1200m", func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{v1alpha1.LabelNodePool: "fixed"} })
	w.create(app)
	w.eventually("4 pods have the 4 nodes, the fifth is told why it has none", func() error {
		s := w.look("fixed")
		if n := len(slices.DeleteFunc(slices.Clone(s.pods), func(p corev1.Pod) bool { return !onNode(p) })); n != 4 {
			return fmt.Errorf("%d pods are bound", n)
		}
		return nil
	})
	w.event("Pod", "", "Unlaunchable", "keeps a fixed number of nodes (spec.replicas)")
	w.change(app, func() { app.Spec.Replicas = new(int32(2)) })
	w.moment("two pods are left", "fixed", func(s scene) bool { return every(2, s.pods, onNode) })
	before := w.pods("fixed")

	w.scalePool(p, 2)
	w.fixed(2)
	for _, is := range w.pods("fixed") { // the empty nodes went
		if !slices.ContainsFunc(before, func(was corev1.Pod) bool { return was.UID == is.UID }) {
			t.Errorf("pod %s was moved", is.Name)
		}
	}

	nodes := w.look("fixed").nodes
	w.delete(&nodes[0])
	w.eventually("the deleted node has a successor", func() error {
		if slices.ContainsFunc(w.look("fixed").nodes, func(n corev1.Node) bool { return n.UID == nodes[0].UID }) {
			return fmt.Errorf("%s is still there", nodes[0].Name)
		}
		return w.hasFixed(2)
	})

	old := w.look("fixed").claims
	w.change(p, func() { p.Spec.Template.Metadata.Labels = map[string]string{"generation": "2"} })
	fewest := 2
	w.eventually("all nodes are replaced", func() error {
		s := w.look("fixed")
		ready := slices.DeleteFunc(slices.Clone(s.claims), func(c v1alpha1.NodeClaim) bool { return c.DeletionTimestamp != nil || !initialized(c) })
		fewest = min(fewest, len(ready))
		for _, c := range old {
			if slices.ContainsFunc(s.claims, func(o v1alpha1.NodeClaim) bool { return o.UID == c.UID }) {
				return fmt.Errorf("%s is still there", c.Name)
			}
		}
		return w.hasFixed(2)
	})
	if fewest < 2 {
		t.Errorf("the pool had only %d nodes at a time", fewest)
	}
	w.bound("fixed", 2)
}

// hasFixed tells whether the pool "fixed" has n nodes, all ready, and says so.
func (w *world) hasFixed(n int) error {
	w.t.Helper()
	s := w.look("fixed")
	if !every(n, s.claims, initialized) || len(s.nodes) != n {
		return fmt.Errorf("there are %s", s)
	}
	return nil
}

func (w *world) fixed(n int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("the pool has %d nodes", n), func() error {
		scale := &autoscalingv1.Scale{}
		pool := &v1alpha1.NodePool{}
		pool.Name = "fixed"
		if err := w.Client.SubResource("scale").Get(w.ctx, pool, scale); err != nil {
			return err
		}
		if int(scale.Status.Replicas) != n {
			return fmt.Errorf("its scale says %d", scale.Status.Replicas)
		}
		return w.hasFixed(n)
	})
}

// scalePool does what kubectl scale does.
func (w *world) scalePool(p *v1alpha1.NodePool, n int32) {
	w.t.Helper()
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: n}}
	if err := w.Client.SubResource("scale").Update(w.ctx, p, client.WithSubResourceBody(scale)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) callsOf(action string) (n int) {
	for _, c := range w.Sim.Calls() {
		if c.Action == action {
			n++
		}
	}
	return n
}

// change updates an object that others write to at the same time.
func (w *world) change(o client.Object, change func()) {
	w.t.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := w.Client.Get(w.ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		change()
		return w.Client.Update(w.ctx, o)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
