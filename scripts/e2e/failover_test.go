package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// schedulerCrash is a crash of the scheduler in one state of its ledger.
type schedulerCrash struct {
	crash
	// prepare comes before the pods, resume after the crash.
	prepare, resume func(*world, crash)
	// fails over to a standby, instead of being started again.
	failsOver bool
}

func schedulerCrashes() []schedulerCrash {
	return []schedulerCrash{
		{crash: crash{
			name: "waiting", bare: true,
			at: func(w *world, s scene) bool { return len(s.claims) == 0 && w.launcherKnows("waiting", crashPods) },
		}},
		{crash: crash{
			name: "planned", faults: []simec2.Fault{{Action: "CreateFleet", Latency: slow, Count: 1}},
			at: func(_ *world, s scene) bool { return len(s.claims) == crashPods && len(s.instances)+len(s.faults) == 0 },
		}},
		{crash: crash{
			name: "launched",
			at:   func(_ *world, s scene) bool { return every(crashPods, s.claims, bought) && len(s.nodes) == 0 },
		}},
		{
			crash: crash{
				name: "ready", bare: true,
				at: func(w *world, s scene) bool {
					return every(crashPods, s.claims, initialized) && w.schedulerHolds("Ready", crashPods)
				},
			},
			prepare: (*world).denyBindings, resume: (*world).allowBindings,
		},
		{
			crash: crash{
				name: "binding", bare: true, volumes: true,
				at: func(w *world, s scene) bool {
					return every(crashPods, s.claims, initialized) && w.volumesHavePlaces("binding", crashPods)
				},
			},
			prepare: (*world).claimVolumes, resume: (*world).provideVolumes,
		},
		{
			crash: crash{
				name: "fails-over",
				at:   func(_ *world, s scene) bool { return every(crashPods, s.claims, bought) && len(s.nodes) == 0 },
			},
			failsOver: true,
		},
	}
}

// TestSchedulerKilled kills the scheduler in each state of its ledger. Its successor, the
// same one restarted or a standby, binds each pod where its place was reserved.
func TestSchedulerKilled(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) {
		c.Sim.BootDelay = 2 * time.Second
		c.Launcher = func(l *launcherconfig.Config) {
			l.Batch = launcherconfig.Batch{Idle: metav1.Duration{Duration: 2 * time.Second}, Longest: metav1.Duration{Duration: 4 * time.Second}}
		}
	})
	for _, c := range schedulerCrashes() {
		t.Run(c.name, func(t *testing.T) {
			w := &world{Stack: w.Stack, t: t, ctx: t.Context()}
			w.crashPool(c.crash)
			if c.prepare != nil {
				c.prepare(w, c.crash)
			}
			standby := ""
			if c.failsOver {
				var err error
				if standby, err = w.StandbyScheduler(w.ctx); err != nil {
					t.Fatal(err)
				}
			}
			w.faults(c.faults...)
			w.create(c.pods()...)
			w.moment(c.name, c.name, func(s scene) bool { return c.at(w, s) })
			w.Scheduler.Kill()
			if s := w.look(c.name); s.bound() > 0 {
				t.Fatalf("the scheduler was killed too late: there are %s", s)
			}
			w.faults()
			if c.resume != nil {
				c.resume(w, c.crash)
			}
			if c.failsOver {
				w.SchedulerMetrics = standby
			} else if err := w.RestartScheduler(w.ctx); err != nil {
				t.Fatal(err)
			}
			w.settled(c.name, crashPods)
			w.nothingWaits()
		})
	}
}

// bound counts the pods that are on a node.
func (s scene) bound() (n int) {
	for _, p := range s.pods {
		if onNode(p) {
			n++
		}
	}
	return n
}

// schedulerHolds tells whether n reservations are in a state, as the scheduler's metrics say.
func (w *world) schedulerHolds(state string, n int) bool {
	w.t.Helper()
	return strings.Contains(w.scrape(w.SchedulerMetrics), fmt.Sprintf("slipway_reservations{state=%q} %d\n", state, n))
}

// denyBindings has the API server refuse to bind the crash's pods.
func (w *world) denyBindings(c crash) {
	w.t.Helper()
	deny, all := admissionv1.Fail, admissionv1.AllScopes
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	policy.Spec = admissionv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: &deny,
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
			RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods/binding"}, Scope: &all},
			},
		}}},
		Validations: []admissionv1.Validation{{Expression: fmt.Sprintf("!object.metadata.name.startsWith('%s-')", c.name)}},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: c.name}}
	binding.Spec = admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: c.name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
	}
	w.create(policy, binding)
	w.eventually("bindings are denied", func() error {
		nobody := pod(c.name+"-nobody", "1")
		err := w.Client.SubResource("binding").Create(w.ctx, nobody, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: nobody.Namespace, Name: nobody.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "none"},
		})
		if err == nil || apierrors.IsNotFound(err) {
			return fmt.Errorf("not yet: %w", err)
		}
		return nil
	})
}

func (w *world) allowBindings(c crash) {
	w.t.Helper()
	meta := metav1.ObjectMeta{Name: c.name}
	w.delete(&admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta}, &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: meta})
}

// claimVolumes gives each of the crash's pods a volume that is made once the pod has a
// node, by somebody who takes his time.
func (w *world) claimVolumes(c crash) {
	w.t.Helper()
	mode := storagev1.VolumeBindingWaitForFirstConsumer
	w.create(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: c.name}, Provisioner: "example.com/slow", VolumeBindingMode: &mode})
	for i := range crashPods {
		w.create(&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("%s-%d", c.name, i)},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: &c.name, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
		})
	}
}

// volumesHavePlaces tells whether the scheduler has chosen a node for n volumes.
func (w *world) volumesHavePlaces(class string, n int) bool {
	w.t.Helper()
	var claims corev1.PersistentVolumeClaimList
	if err := w.Client.List(w.ctx, &claims, client.InNamespace("default")); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range claims.Items {
		if *c.Spec.StorageClassName == class && c.Annotations["volume.kubernetes.io/selected-node"] != "" {
			n--
		}
	}
	return n == 0
}

func (w *world) provideVolumes(c crash) {
	w.t.Helper()
	for i := range crashPods {
		name := fmt.Sprintf("%s-%d", c.name, i)
		w.create(&corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PersistentVolumeSpec{
				StorageClassName: c.name, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: "default", Name: name},
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/tmp/" + name}},
			},
		})
	}
}
