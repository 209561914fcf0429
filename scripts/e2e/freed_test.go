package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// oneEach takes up an m5.large, of 1.93 CPUs, so that no two such pods share a node.
const oneEach = "1500m"

// TestRoomFreedWhileNodesBoot: of two pods that wait for their slow nodes, one runs as soon
// as a pod ends elsewhere. The next pod gets the node that it has given back, without
// another purchase.
func TestRoomFreedWhileNodesBoot(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) { c.Sim.BootDelay = 12 * time.Second })
	w.poolReady(pool("m5", never, "m5.large"))
	old := deployment("old", 1, oneEach)
	w.create(old)
	first := w.bound("old", 1)[0].Spec.NodeName

	w.create(deployment("next", 2, oneEach))
	w.moment("their nodes are launched", "m5", func(s scene) bool { return every(3, s.claims, bought) })
	w.delete(old)
	w.eventually("one of them takes the place of the old pod", func() error {
		pods := slices.DeleteFunc(w.pods("next"), func(p corev1.Pod) bool { return p.Spec.NodeName != first })
		if len(pods) != 1 {
			return fmt.Errorf("%d pods run on node %s", len(pods), first)
		}
		return nil
	})
	w.create(deployment("late", 1, oneEach))
	if s := w.look("m5"); !slices.ContainsFunc(s.claims, func(c v1alpha1.NodeClaim) bool { return !registered(c) }) {
		t.Fatal("the nodes came before the room was taken: nothing is shown")
	}
	w.bound("next", 2)
	w.onReserved(w.bound("late", 1))
	w.moment("every node has its pod", "m5", func(s scene) bool { return every(3, s.claims, initialized) && len(s.nodes) == 3 })
	w.boughtOnce("m5")
	w.nothingWaits()
}

// TestRoomFreedBeforeLaunch: the claim of a pod that runs elsewhere meanwhile is cancelled
// before anything is bought.
func TestRoomFreedBeforeLaunch(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.poolReady(pool("m5", never, "m5.large"))
	old := deployment("old", 1, oneEach)
	w.create(old)
	first := w.bound("old", 1)[0].Spec.NodeName
	w.faults(simec2.Fault{Action: "CreateFleet", Code: "RequestLimitExceeded"})
	w.create(deployment("next", 1, oneEach))
	w.event("Pod", "", "LaunchDelayed", "")
	w.delete(old)
	if got := w.bound("next", 1)[0].Spec.NodeName; got != first {
		t.Errorf("the pod runs on %s, want %s", got, first)
	}
	w.moment("its claim is cancelled", "m5", func(s scene) bool { return every(1, s.claims, initialized) })
	w.faults()
	w.always(2*time.Second, "nothing more is bought", func() error {
		if n := w.launches(); n != 1 {
			return fmt.Errorf("%d purchases", n)
		}
		return nil
	})
	w.nothingWaits()
}

// TestSlowNode: a pod does not wait for a node that is slow to become ready if another one
// takes it first. The slow one is left empty and goes by its TTL.
func TestSlowNode(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	p := pool("m5", 2*time.Second, "m5.large")
	w.poolReady(p)
	keep := deployment("keep", 1, "100m")
	w.create(keep)
	quick := w.bound("keep", 1)[0].Spec.NodeName
	// Until then it has room to spare, which the next pod would be given.
	w.moment("its node is initialized", "m5", func(s scene) bool { return every(1, s.claims, initialized) })
	w.cordon(quick, true)
	w.startsUp(p, bootTaint)
	w.create(deployment("waits", 1, oneEach))
	w.moment("its node is registered", "m5", func(s scene) bool { return every(2, s.claims, registered) && len(s.nodes) == 2 })
	slow := w.nodes()[slices.IndexFunc(w.nodes(), func(n corev1.Node) bool { return n.Name != quick })].Name
	w.eventually("the pod is nominated to it", func() error {
		if got := w.pods("waits")[0].Status.NominatedNodeName; got != slow {
			return fmt.Errorf("nominated to %q, want %q", got, slow)
		}
		return nil
	})
	w.cordon(quick, false)
	if got := w.bound("waits", 1)[0].Spec.NodeName; got != quick {
		t.Errorf("the pod runs on %s, want %s", got, quick)
	}
	w.removeBootTaint("m5")
	w.moment("it goes, being empty", "m5", func(s scene) bool { return len(s.nodes) == 1 && len(s.claims) == 1 })
	w.nothingWaits()
}

// startsUp sets the taints that keep the next nodes of a pool from being ready. Those that
// there are stay, although they have drifted then.
func (w *world) startsUp(p *v1alpha1.NodePool, taints ...corev1.Taint) {
	w.t.Helper()
	w.eventually("start-up taints are set", func() error {
		if err := w.Client.Get(w.ctx, client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		p.Spec.Template.Spec.StartupTaints = taints
		p.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: "0", Reasons: []v1alpha1.DisruptionReason{v1alpha1.ReasonDrifted}}}
		return w.Client.Update(w.ctx, p)
	})
}

func (w *world) cordon(node string, yes bool) {
	w.t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"unschedulable":%v}}`, yes))
	if err := w.Client.Patch(w.ctx, n, patch); err != nil {
		w.t.Fatal(err)
	}
}

// TestDisplacedHolder: a DaemonSet's pod goes where it must, though its room was promised to
// another. That one gets another node at once, which has room for both.
func TestDisplacedHolder(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	p := pool("m5", never, "m5.large", "m5.xlarge")
	p.Spec.Template.Spec.StartupTaints = []corev1.Taint{bootTaint}
	w.poolReady(p)
	w.create(deployment("web", 1, oneEach))
	w.moment("its node is registered", "m5", func(s scene) bool { return every(1, s.claims, registered) && len(s.nodes) == 1 })
	w.startsUp(p)

	agent := podSpec("800m")
	agent.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	labels := map[string]string{"app": "agent"}
	w.create(&appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "agent"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: agent},
		},
	})
	first := w.bound("agent", 1)[0].Spec.NodeName
	w.removeBootTaint("m5")
	web := w.bound("web", 1)
	if web[0].Spec.NodeName == first {
		t.Errorf("it runs on %s, which is too small for both", first)
	}
	w.onReserved(web)
	w.bound("agent", 2)
	w.boughtOnce("m5")
	w.nothingWaits()
}
