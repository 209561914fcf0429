package nodeclaim

import (
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

func TestMain(m *testing.M) {
	sink := io.Discard
	if os.Getenv("SLIPWAY_TEST_LOG") != "" {
		sink = os.Stderr
	}
	log.SetLogger(zap.New(zap.WriteTo(sink)))
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

// world is everything the reconcilers touch, in memory.
type world struct {
	t       *testing.T
	clock   *clocktesting.FakeClock
	client  client.WithWatch
	hooks   *hooks
	cloud   *fakeCloud
	catalog *fakeCatalog
	events  *fakeRecorder

	launch  *launcher
	join    *joiner
	end     *terminator
	nodeDel *nodeDeleter
	collect *collector

	interrupt *interrupter
}

// hooks make single calls to the API server fail.
type hooks struct {
	statusPatch func(client.Object) error
	evict       func(pod string) error
	graces      map[string]int64 // of pods that were deleted, not evicted
}

func newWorld(t *testing.T, objs ...client.Object) *world {
	t.Helper()
	clk := clocktesting.NewFakeClock(time.Now().Truncate(time.Second))
	h := &hooks{graces: map[string]int64{}}
	builder := fake.NewClientBuilder().WithScheme(testScheme()).WithStatusSubresource(&v1alpha1.NodeClaim{}).
		WithObjects(objs...).WithInterceptorFuncs(interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if h.statusPatch != nil {
				if err := h.statusPatch(obj); err != nil {
					return err
				}
			}
			return c.SubResource(sub).Patch(ctx, obj, p, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			if grace := new(client.DeleteOptions).ApplyOptions(opts).GracePeriodSeconds; grace != nil {
				h.graces[obj.GetName()] = *grace
			}
			return c.Delete(ctx, obj, opts...)
		},
		SubResourceCreate: func(ctx context.Context, c client.Client, sub string, obj, body client.Object, opts ...client.SubResourceCreateOption) error {
			if h.evict != nil {
				if err := h.evict(obj.GetName()); err != nil {
					return err
				}
			}
			return c.SubResource(sub).Create(ctx, obj, body, opts...)
		},
	})
	if err := cluster.Index(t.Context(), builderIndexer{builder}); err != nil {
		t.Fatal(err)
	}
	w := &world{
		t:       t,
		clock:   clk,
		client:  builder.Build(),
		hooks:   h,
		cloud:   &fakeCloud{clock: clk},
		catalog: &fakeCatalog{},
		events:  &fakeRecorder{},
	}
	cfg := Config{Provider: w.cloud, Catalog: w.catalog, Recorder: w.events, Clock: clk, Metrics: prometheus.NewRegistry()}
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	m, err := newMetrics(cfg.Metrics, w.client)
	if err != nil {
		t.Fatal(err)
	}
	s := store{client: w.client, direct: w.client, clock: clk}
	w.launch, w.join, w.end, w.nodeDel = newLauncher(s, cfg, m), newJoiner(s, cfg, m), newTerminator(s, cfg, m), &nodeDeleter{s}
	w.interrupt = newInterrupter(s, cfg)
	w.collect = newCollector(s, cfg, m, log.Log)
	return w
}

type builderIndexer struct{ b *fake.ClientBuilder }

func (i builderIndexer) IndexField(_ context.Context, o client.Object, field string, f client.IndexerFunc) error {
	i.b.WithIndex(o, field, f)
	return nil
}

// reconcile runs one reconcile that must not fail.
func (w *world) reconcile(r reconcile.Reconciler, name string) reconcile.Result {
	w.t.Helper()
	result, err := r.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: name}})
	if err != nil {
		w.t.Fatalf("reconcile %s: %v", name, err)
	}
	return result
}

// claim reads the claim "a"; nil when it is gone.
func (w *world) claim() *v1alpha1.NodeClaim {
	w.t.Helper()
	return get(w.t, w.client, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
}

// node reads a Node; nil when it is gone.
func (w *world) node(name string) *corev1.Node {
	w.t.Helper()
	return get(w.t, w.client, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

func (w *world) create(objs ...client.Object) {
	w.t.Helper()
	for _, o := range objs {
		if err := w.client.Create(w.t.Context(), o); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) delete(o client.Object) {
	w.t.Helper()
	if err := w.client.Delete(w.t.Context(), o); err != nil {
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

// condition renders a condition of a claim as "True Launched".
func condition(claim *v1alpha1.NodeClaim, kind string) string {
	c := meta.FindStatusCondition(claim.Status.Conditions, kind)
	if c == nil {
		return ""
	}
	return string(c.Status) + " " + c.Reason
}

func newClaim(w func(*v1alpha1.NodeClaim)) *v1alpha1.NodeClaim {
	claim := &v1alpha1.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name: "a", UID: "uid-a", Finalizers: []string{v1alpha1.TerminationFinalizer},
			CreationTimestamp: metav1.NewTime(time.Now().Truncate(time.Second)),
		},
		Spec: v1alpha1.NodeClaimSpec{
			NodePool: "default",
			Offerings: v1alpha1.GroupOfferings(
				v1alpha1.AcceptedOffering{InstanceType: "m5.large", Zone: "us-east-1a", CapacityType: "on-demand", Price: resource.MustParse("0.096")},
				v1alpha1.AcceptedOffering{InstanceType: "m5.xlarge", Zone: "us-east-1b", CapacityType: "spot", Price: resource.MustParse("0.1")},
			),
			Requests: corev1.ResourceList{"cpu": resource.MustParse("1")},
			Labels:   map[string]string{"team": "a"},
			Taints:   []corev1.Taint{{Key: "dedicated", Value: "a", Effect: corev1.TaintEffectNoSchedule}},
		},
	}
	if w != nil {
		w(claim)
	}
	return claim
}

// launched makes a claim one that was launched, as instance i-a, an hour ago.
func launched(c *v1alpha1.NodeClaim) {
	long := metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second))
	c.CreationTimestamp = long
	c.Status = v1alpha1.NodeClaimStatus{
		InstanceID: "i-a", ProviderID: "aws:///us-east-1a/i-a", NodeName: "node-a", ImageID: "ami-1",
		InstanceType: "m5.large", Zone: "us-east-1a", CapacityType: "on-demand",
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionTrue, Reason: "Launched", LastTransitionTime: long}},
	}
}

func newNode(change func(*corev1.Node)) *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-a", UID: "uid-node-a"},
		Spec:       corev1.NodeSpec{ProviderID: "aws:///us-east-1a/i-a"},
		Status: corev1.NodeStatus{
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			Allocatable: corev1.ResourceList{"cpu": resource.MustParse("1900m"), "memory": resource.MustParse("7Gi")},
		},
	}
	if change != nil {
		change(node)
	}
	return node
}

func newPod(name string, change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Spec:       corev1.PodSpec{NodeName: "node-a", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	if change != nil {
		change(pod)
	}
	return pod
}
