package nodeclaim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// endingWorld has a claim that is being deleted, its node and its instance.
func endingWorld(t *testing.T, objs ...client.Object) *world {
	t.Helper()
	node := newNode(func(n *corev1.Node) { n.Finalizers = []string{v1alpha1.TerminationFinalizer} })
	w := newWorld(t, append(objs, newClaim(launched), node)...)
	w.cloud.add(cloud.Instance{ID: "i-a", ClaimUID: "uid-a", ClaimName: "a", LaunchTime: w.clock.Now().Add(-time.Hour)})
	w.delete(w.claim())
	w.clock.SetTime(w.claim().DeletionTimestamp.Time) // the client has a clock of its own
	return w
}

func (w *world) podNames() []string {
	w.t.Helper()
	var pods corev1.PodList
	if err := w.client.List(w.t.Context(), &pods); err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, p := range pods.Items {
		names = append(names, p.Name)
	}
	return names
}

// gone fails the test unless nothing is left of the claim.
func (w *world) gone() {
	w.t.Helper()
	if c, n, ids := w.claim(), w.node("node-a"), w.cloud.ids(); c != nil || n != nil || len(ids) > 0 {
		w.t.Errorf("left: claim %v, node %v, instances %v", c, n, ids)
	}
}

func TestTerminationInOrder(t *testing.T) {
	w := endingWorld(t, newPod("web", nil))
	w.cloud.lingers = true

	if result := w.reconcile(w.end, "a"); result.RequeueAfter <= 0 {
		t.Error("no wait for the evicted pod")
	}
	if !hasTaint(w.node("node-a"), &disruptedTaint) {
		t.Error("node not cordoned")
	}
	if len(w.podNames()) != 0 || w.cloud.count("Terminate") != 0 {
		t.Fatalf("pods %v, calls %v", w.podNames(), w.cloud.calls)
	}
	if got := condition(w.claim(), v1alpha1.ConditionDraining); got != "True Draining" {
		t.Errorf("Draining is %q", got)
	}

	w.reconcile(w.end, "a")
	if got := condition(w.claim(), v1alpha1.ConditionInstanceTerminated); got != "False Terminating" {
		t.Errorf("InstanceTerminated is %q", got)
	}
	w.reconcile(w.end, "a")
	if w.node("node-a") == nil || w.claim() == nil || w.cloud.count("Terminate") != 1 {
		t.Fatalf("node or claim gone before the instance; calls %v", w.cloud.calls)
	}

	w.cloud.instances = nil // shut down
	w.reconcile(w.end, "a")
	w.gone()
	for _, event := range []string{"*v1.Node Terminating", "NodeClaim Terminating"} {
		if w.events.count(event) != 1 {
			t.Errorf("events %v, want one %q", w.events.events, event)
		}
	}
}

func TestDrainWaitsForPodsOnly(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pod   func(*corev1.Pod)
		waits bool
	}{
		{name: "plain", pod: nil, waits: true},
		{name: "DaemonSet", pod: daemon, waits: true},
		{name: "DaemonSet that tolerates all", pod: func(p *corev1.Pod) {
			daemon(p)
			p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}},
		{name: "mirror", pod: func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }},
		{name: "succeeded", pod: func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }},
		{name: "failed", pod: func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }},
		{name: "tolerates all", pod: func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} }},
		{name: "tolerates the taint", pod: func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{{Key: v1alpha1.DisruptedTaintKey, Effect: corev1.TaintEffectNoSchedule}}
		}},
		{name: "tolerates another effect", waits: true, pod: func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{{Key: v1alpha1.DisruptedTaintKey, Effect: corev1.TaintEffectNoExecute}}
		}},
		{name: "tolerates another value", waits: true, pod: func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{{Key: v1alpha1.DisruptedTaintKey, Value: "x"}}
		}},
		{name: "ending", waits: true, pod: func(p *corev1.Pod) {
			p.Finalizers, p.DeletionTimestamp = []string{"x/y"}, new(metav1.Now())
		}},
		{name: "stuck ending", pod: func(p *corev1.Pod) {
			p.Finalizers, p.DeletionTimestamp = []string{"x/y"}, new(metav1.NewTime(time.Now().Add(-3*time.Minute)))
		}},
		{name: "on another node", pod: func(p *corev1.Pod) { p.Spec.NodeName = "node-b" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := endingWorld(t, newPod("p", tt.pod))
			w.reconcile(w.end, "a")
			if waits := w.cloud.count("Terminate") == 0; waits != tt.waits {
				t.Errorf("waits: %v, want %v", waits, tt.waits)
			}
		})
	}
}

func TestDrainRetriesBlockedEviction(t *testing.T) {
	w := endingWorld(t, newPod("web", nil))
	asked, blocked := 0, true
	w.hooks.evict = func(string) error {
		asked++
		if blocked {
			return apierrors.NewTooManyRequestsError("disruption budget")
		}
		return nil
	}
	first := w.reconcile(w.end, "a").RequeueAfter
	w.reconcile(w.end, "a") // an event of another pod: not asked again so soon
	if asked != 1 {
		t.Errorf("asked %d times, want 1", asked)
	}
	w.clock.Step(first)
	second := w.reconcile(w.end, "a").RequeueAfter
	if asked != 2 || second <= first {
		t.Errorf("asked %d times, waits %s then %s", asked, first, second)
	}
	draining := meta.FindStatusCondition(w.claim().Status.Conditions, v1alpha1.ConditionDraining)
	if draining == nil || !strings.Contains(draining.Message, "waiting for default/web: its PodDisruptionBudget allows no disruption now") {
		t.Errorf("Draining is %v", draining)
	}
	blocked = false
	w.clock.Step(second)
	w.reconcile(w.end, "a")
	w.reconcile(w.end, "a")
	w.reconcile(w.end, "a")
	w.gone()
}

func TestDrainOfLostInstanceWaitsForNobody(t *testing.T) {
	w := endingWorld(t, newPod("web", func(p *corev1.Pod) { p.Finalizers = []string{"x/y"} }))
	node := w.node("node-a")
	node.Status.Conditions[0].Status = corev1.ConditionUnknown
	if err := w.client.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	w.cloud.instances = nil
	w.reconcile(w.end, "a")
	w.gone()
}

func TestTerminationMistrustsEarlyNotFound(t *testing.T) {
	w := newWorld(t, newClaim(nil))
	w.reconcile(w.launch, "a")
	w.cloud.hidden = true
	w.delete(w.claim())
	result := w.reconcile(w.end, "a")
	if w.claim() == nil || result.RequeueAfter <= 0 {
		t.Fatal("claim let go though its instance may run")
	}
	w.cloud.hidden = false
	w.clock.Step(result.RequeueAfter)
	w.reconcile(w.end, "a")
	w.reconcile(w.end, "a")
	w.gone()
}

func TestTerminationBelievesThatWhatItEndedIsGone(t *testing.T) {
	w := newWorld(t, newClaim(nil))
	w.reconcile(w.launch, "a")
	w.cloud.lingers = true
	w.delete(w.claim())
	w.reconcile(w.end, "a")
	w.cloud.hidden = true // within the time that reads may lag after the launch
	w.reconcile(w.end, "a")
	if w.claim() != nil {
		t.Error("waits for an instance that is gone")
	}
}

func TestTerminationRetriesCloud(t *testing.T) {
	w := endingWorld(t)
	w.end.provider = failingTerminate{w.cloud}
	if result := w.reconcile(w.end, "a"); result.RequeueAfter <= 0 || w.claim() == nil {
		t.Error("not tried again")
	}
	w.end.provider = w.cloud
	w.reconcile(w.end, "a")
	w.reconcile(w.end, "a")
	w.gone()
}

type failingTerminate struct{ *fakeCloud }

func (failingTerminate) Terminate(context.Context, string) error { return errors.New("internal error") }

func TestNodeDeletionEndsClaim(t *testing.T) {
	node := newNode(func(n *corev1.Node) { n.Finalizers = []string{v1alpha1.TerminationFinalizer} })
	w := newWorld(t, newClaim(launched), node)
	w.reconcile(w.nodeDel, "node-a")
	if w.claim().DeletionTimestamp != nil {
		t.Fatal("claim of a living node deleted")
	}
	w.delete(w.node("node-a"))
	w.reconcile(w.nodeDel, "node-a")
	if w.claim().DeletionTimestamp == nil {
		t.Fatal("claim not deleted")
	}
	w.reconcile(w.end, "a")
	w.gone()
}
