package nodeclaim

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func daemon(p *corev1.Pod) {
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "d", UID: "d", Controller: new(true)}}
}

func critical(p *corev1.Pod) { p.Spec.Priority = ptr.To[int32](criticalPriority) }

func protected(p *corev1.Pod) {
	p.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"}
}

func tolerant(p *corev1.Pod) {
	p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
}

// lingers has a pod stay, ending, when it is deleted.
func lingers(p *corev1.Pod) { p.Finalizers = []string{"x/y"} }

// using has a pod use the claim "data".
func using(p *corev1.Pod) {
	p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
	}}}
}

func podWith(name string, changes ...func(*corev1.Pod)) *corev1.Pod {
	return newPod(name, func(p *corev1.Pod) {
		for _, change := range changes {
			change(p)
		}
	})
}

func attachment(pv string) *storagev1.VolumeAttachment {
	return &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: "csi-" + pv},
		Spec:       storagev1.VolumeAttachmentSpec{NodeName: "node-a", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &pv}},
	}
}

// draining returns what the claim says that its drain waits for.
func (w *world) draining() string {
	w.t.Helper()
	c := meta.FindStatusCondition(w.claim().Status.Conditions, v1alpha1.ConditionDraining)
	if c == nil {
		return ""
	}
	return c.Message
}

// poolWithGrace is the claim's pool, with a terminationGracePeriod of two minutes.
func poolWithGrace() *v1alpha1.NodePool {
	pool := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	pool.Spec.Template.Spec.TerminationGracePeriod = &metav1.Duration{Duration: 2 * time.Minute}
	return pool
}

func TestDrainInWaves(t *testing.T) {
	w := endingWorld(t,
		podWith("agent", daemon), podWith("csi", daemon, critical), podWith("dns", critical), podWith("web", using),
		podWith("proxy", daemon, tolerant), attachment("pv-data"))
	for _, step := range []struct {
		name string
		left []string
	}{
		{"pods that nothing depends on", []string{"agent", "csi", "dns", "proxy"}},
		{"critical pods", []string{"agent", "csi", "proxy"}},
		{"no DaemonSet's pod while a volume is attached", []string{"agent", "csi", "proxy"}},
	} {
		w.reconcile(w.end, "a")
		if diff := cmp.Diff(step.left, w.podNames()); diff != "" {
			t.Errorf("%s: left (-want +got):\n%s", step.name, diff)
		}
	}
	w.clock.Step(reportEvery)
	w.reconcile(w.end, "a")
	if got, want := w.draining(), "waiting for default/agent; default/csi; volume pv-data"; got != want {
		t.Errorf("Draining says %q, want %q", got, want)
	}
	w.delete(attachment("pv-data"))
	for _, left := range [][]string{{"csi", "proxy"}, {"proxy"}} {
		w.reconcile(w.end, "a")
		if diff := cmp.Diff(left, w.podNames()); diff != "" {
			t.Errorf("DaemonSets' pods left (-want +got):\n%s", diff)
		}
	}
	if n := w.cloud.count("Terminate"); n != 0 {
		t.Errorf("terminated %d times before the last pod left", n)
	}
	w.reconcile(w.end, "a")
	w.reconcile(w.end, "a")
	w.gone()
}

func TestDrainWaitsForVolumes(t *testing.T) {
	pvc := func(name, pv string) client.Object {
		return &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: pv},
		}
	}
	for _, tt := range []struct {
		name  string
		objs  []client.Object
		after time.Duration
		waits bool
	}{
		{name: "attached", objs: []client.Object{attachment("pv")}, waits: true},
		{name: "of a pod that stays", objs: []client.Object{attachment("pv"), pvc("data", "pv"), podWith("stays", tolerant, using)}},
		{name: "of a DaemonSet's pod", objs: []client.Object{attachment("pv"), pvc("data", "pv"), podWith("stays", daemon, tolerant, using)}},
		{name: "of another than the one that stays", waits: true,
			objs: []client.Object{attachment("pv"), attachment("pw"), pvc("data", "pv"), podWith("stays", tolerant, using)}},
		{name: "attached a little longer", objs: []client.Object{attachment("pv")}, after: detachWithin - time.Second, waits: true},
		{name: "never detached", objs: []client.Object{attachment("pv")}, after: detachWithin},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := endingWorld(t, tt.objs...)
			w.reconcile(w.end, "a")
			if tt.after > 0 {
				w.clock.Step(tt.after)
				w.reconcile(w.end, "a")
			}
			if waits := w.cloud.count("Terminate") == 0; waits != tt.waits {
				t.Errorf("waits: %v, want %v", waits, tt.waits)
			}
		})
	}
}

func TestDrainSparesProtectedAndCriticalPods(t *testing.T) {
	w := endingWorld(t, podWith("batch", protected), podWith("dns", critical), podWith("web"))
	w.reconcile(w.end, "a")
	if diff := cmp.Diff([]string{"batch", "dns"}, w.podNames()); diff != "" {
		t.Errorf("pods left (-want +got):\n%s", diff)
	}
	w.delete(newPod("batch", nil)) // it ended by itself
	w.reconcile(w.end, "a")
	if names := w.podNames(); len(names) != 0 {
		t.Errorf("pods left: %v", names)
	}
}

func TestDeadlineIsTheLastWord(t *testing.T) {
	blocked := func(w *world) {
		w.hooks.evict = func(string) error { return apierrors.NewTooManyRequestsError("disruption budget") }
	}
	long := func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](600) }
	for _, tt := range []struct {
		name  string
		pod   *corev1.Pod
		world func(*world)
		at    time.Duration // of the two minutes of the pool's terminationGracePeriod
		grace int64         // 0: not told to go yet
	}{
		{name: "protected, in time", pod: podWith("p", protected, lingers), at: 89 * time.Second},
		{name: "protected", pod: podWith("p", protected, lingers), at: 90 * time.Second, grace: 30},
		{name: "protected, seen late", pod: podWith("p", protected, lingers), at: 110 * time.Second, grace: 10},
		{name: "PodDisruptionBudget, in time", pod: podWith("p", lingers), world: blocked, at: 89 * time.Second},
		{name: "PodDisruptionBudget", pod: podWith("p", lingers), world: blocked, at: 90 * time.Second, grace: 30},
		{name: "critical, behind another", pod: podWith("p", critical, lingers), world: func(w *world) {
			w.create(podWith("first", protected, lingers))
		}, at: 90 * time.Second, grace: 30},
		{name: "DaemonSet's, behind another", pod: podWith("p", daemon, lingers), world: func(w *world) {
			w.create(podWith("first", protected, lingers))
		}, at: 90 * time.Second, grace: 30},
		{name: "would take longer than there is", pod: podWith("p", protected, long, lingers), grace: 120},
		{name: "ends too late already", pod: podWith("p", lingers, func(p *corev1.Pod) {
			p.DeletionTimestamp = new(metav1.NewTime(time.Now().Add(time.Hour)))
		}), grace: 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := endingWorld(t, poolWithGrace(), tt.pod)
			if tt.world != nil {
				tt.world(w)
			}
			if tt.at > 0 {
				w.reconcile(w.end, "a")
				w.clock.Step(tt.at)
			}
			w.reconcile(w.end, "a")
			grace := w.hooks.graces["p"]
			if grace != tt.grace {
				t.Errorf("told to go within %d s, want %d", grace, tt.grace)
			}
			if n := w.cloud.count("Terminate"); n != 0 {
				t.Errorf("terminated before the deadline")
			}
			w.clock.Step(2*time.Minute - tt.at)
			w.reconcile(w.end, "a")
			w.reconcile(w.end, "a")
			w.gone()
		})
	}
}

// TestDrainWakesForTheDeadline: a pod has all of its grace period, whatever the drain's own pace.
func TestDrainWakesForTheDeadline(t *testing.T) {
	w := endingWorld(t, poolWithGrace(), podWith("p", protected, lingers, func(p *corev1.Pod) {
		p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](117)
	}))
	if wait := w.reconcile(w.end, "a").RequeueAfter; wait > 3*time.Second {
		t.Errorf("waits %s, while the pod's grace period begins in 3 s", wait)
	}
}

func TestDrainSaysWhoBlocksIt(t *testing.T) {
	w := endingWorld(t, podWith("db-0"), podWith("web-1", lingers), podWith("batch", protected))
	w.hooks.evict = func(pod string) error {
		if pod != "db-0" {
			return nil
		}
		err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: policyv1.DisruptionBudgetCause, Message: "The disruption budget db needs 3 healthy pods and has 3 currently",
		})
		return err
	}
	w.reconcile(w.end, "a")
	w.clock.Step(time.Minute)
	w.reconcile(w.end, "a")
	want := "waiting for default/batch: it is annotated slipway.dev/do-not-disrupt; " +
		"default/db-0: The disruption budget db needs 3 healthy pods and has 3 currently; default/web-1"
	if got := w.draining(); got != want {
		t.Errorf("Draining says\n%q, want\n%q", got, want)
	}
	for _, on := range []string{"*v1.Node", "NodeClaim"} {
		if n := w.events.count(on + " DrainBlocked"); n != 2 {
			t.Errorf("%d events on %s, want one a pod: %v", n, on, w.events.events)
		}
	}
}

func TestDescribeNamesAFew(t *testing.T) {
	var left remaining
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		left.pods = append(left.pods, *newPod(name, nil))
	}
	left.volumes = []string{"pv"}
	got := left.describe(map[string]string{"default/f": "why"})
	if want := "waiting for default/f: why; default/a; default/b; default/c; default/d; 3 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if strings.Count(got, "default/") != mostNamed {
		t.Errorf("%q names not %d", got, mostNamed)
	}
}

// TestEvictionsSideBySide: one that takes its time holds up no other.
func TestEvictionsSideBySide(t *testing.T) {
	w := endingWorld(t, podWith("a"), podWith("b"), podWith("c"))
	var all sync.WaitGroup
	all.Add(3)
	w.hooks.evict = func(string) error {
		all.Done()
		all.Wait()
		return nil
	}
	w.reconcile(w.end, "a")
	if left := w.podNames(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
