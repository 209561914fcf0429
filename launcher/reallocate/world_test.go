package reallocate

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

func TestMain(m *testing.M) {
	log.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	goleak.VerifyTestMain(m)
}

func testScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}

// world is everything emptiness touches, in memory.
type world struct {
	t       *testing.T
	clock   *clocktesting.FakeClock
	client  client.WithWatch
	events  *fakeRecorder
	remover *remover
	// resolved is what the launcher's default class stands for.
	resolved fakeResolver
}

// fakeResolver answers for the default class.
type fakeResolver struct{ status v1alpha1.EC2NodeClassStatus }

func (r *fakeResolver) Resolve(context.Context, *v1alpha1.EC2NodeClass) (v1alpha1.EC2NodeClassStatus, error) {
	return r.status, nil
}

func newWorld(t *testing.T, objs ...client.Object) *world {
	t.Helper()
	builder := fake.NewClientBuilder().WithScheme(testScheme()).WithStatusSubresource(&v1alpha1.NodeClaim{}, &v1alpha1.NodePool{}).WithObjects(objs...)
	if err := cluster.Index(t.Context(), builderIndexer{builder}); err != nil {
		t.Fatal(err)
	}
	if err := index(builderIndexer{builder}); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: clocktesting.NewFakeClock(time.Now().Truncate(time.Second)), client: builder.Build(), events: &fakeRecorder{}}
	w.restart()
	return w
}

// restart gives the world a new process.
func (w *world) restart() {
	w.t.Helper()
	cfg := Config{Resolver: &w.resolved, Recorder: w.events, Clock: w.clock, Metrics: prometheus.NewRegistry(), SettleTime: time.Second}
	if err := cfg.setDefaults(); err != nil {
		w.t.Fatal(err)
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		w.t.Fatal(err)
	}
	w.remover = newRemover(w.client, w.client, cfg, m)
}

type builderIndexer struct{ b *fake.ClientBuilder }

func (i builderIndexer) IndexField(_ context.Context, o client.Object, field string, f client.IndexerFunc) error {
	i.b.WithIndex(o, field, f)
	return nil
}

// look runs one reconcile of a claim and returns how long it wants to wait.
func (w *world) look(claim string) time.Duration {
	w.t.Helper()
	result, err := w.remover.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: claim}})
	if err != nil {
		w.t.Fatalf("reconcile %s: %v", claim, err)
	}
	return result.RequeueAfter
}

// lookAfter lets time pass, and then looks.
func (w *world) lookAfter(d time.Duration, claim string) time.Duration {
	w.t.Helper()
	w.clock.Step(d)
	return w.look(claim)
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := w.client.Create(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) delete(o client.Object) {
	w.t.Helper()
	if err := w.client.Delete(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) update(o client.Object) {
	w.t.Helper()
	if err := w.client.Update(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

func get[T client.Object](t *testing.T, c client.Reader, o T) T {
	t.Helper()
	err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o)
	if apierrors.IsNotFound(err) {
		var none T
		return none
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// state renders a claim and its node as "True NoPods tainted deleted".
func (w *world) state(claim string) string {
	w.t.Helper()
	return stateOf(w.t, w.client, claim)
}

func stateOf(t *testing.T, c client.Reader, name string) string {
	t.Helper()
	claim := get(t, c, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if claim == nil {
		return "gone"
	}
	state := "occupied"
	if e := emptyCondition(claim); e != nil {
		state = string(e.Status) + " " + e.Reason
	}
	node := get(t, c, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + name}})
	if node != nil && hasDisruptedTaint(node) {
		state += " tainted"
	}
	if claim.DeletionTimestamp != nil {
		state += " deleted"
	}
	return state
}

func hasDisruptedTaint(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Spec.Taints, isDisrupted)
}

func newPool(change func(*v1alpha1.NodePool)) *v1alpha1.NodePool {
	pool := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	pool.Spec.Disruption = v1alpha1.Disruption{
		ConsolidationPolicy: v1alpha1.ConsolidateWhenEmpty, ConsolidateAfter: "30s", Budgets: []v1alpha1.Budget{{Nodes: "100%"}},
	}
	if change != nil {
		change(pool)
	}
	return pool
}

// nodeOf makes an initialized claim and its node.
func nodeOf(name string) []client.Object {
	providerID := "aws:///us-east-1a/i-" + name
	conditions := []metav1.Condition{}
	for _, kind := range []string{v1alpha1.ConditionLaunched, v1alpha1.ConditionRegistered, v1alpha1.ConditionInitialized} {
		conditions = append(conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: kind, LastTransitionTime: metav1.Now()})
	}
	return []client.Object{
		&v1alpha1.NodeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Finalizers: []string{v1alpha1.TerminationFinalizer}},
			Spec:       v1alpha1.NodeClaimSpec{NodePool: "default", Pods: []v1alpha1.ReservedPod{{UID: "uid-reserved", Namespace: "default", Name: "reserved"}}},
			Status:     v1alpha1.NodeClaimStatus{ProviderID: providerID, NodeName: "node-" + name, Conditions: conditions},
		},
		&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "node-" + name, UID: types.UID("uid-node-" + name), Annotations: map[string]string{}},
			Spec:       corev1.NodeSpec{ProviderID: providerID},
		},
	}
}

func newPod(name, node string, change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	if change != nil {
		change(pod)
	}
	return pod
}

// fakeRecorder keeps the reasons of events.
type fakeRecorder struct {
	mu     sync.Mutex
	events []string
}

func (r *fakeRecorder) Eventf(regarding, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf("%T %s", regarding, reason))
}

func (r *fakeRecorder) count(event string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if e == event {
			n++
		}
	}
	return n
}
