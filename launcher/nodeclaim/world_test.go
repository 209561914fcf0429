package nodeclaim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
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
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/offering"
)

func TestMain(m *testing.M) {
	var sink io.Writer = io.Discard
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
}

// hooks make single calls to the API server fail.
type hooks struct {
	statusPatch func(client.Object) error
	evict       func(pod string) error
}

func newWorld(t *testing.T, objs ...client.Object) *world {
	t.Helper()
	clk := clocktesting.NewFakeClock(time.Now().Truncate(time.Second))
	h := &hooks{}
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

// claim reads a claim; nil when it is gone.
func (w *world) claim(name string) *v1alpha1.NodeClaim {
	w.t.Helper()
	return get(w.t, w.client, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}})
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
			Offerings: []v1alpha1.AcceptedOffering{
				{InstanceType: "m5.large", Zone: "us-east-1a", CapacityType: "on-demand", Price: resource.MustParse("0.096")},
				{InstanceType: "m5.xlarge", Zone: "us-east-1b", CapacityType: "spot", Price: resource.MustParse("0.1")},
			},
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

// fakeCloud is a cloud with behaviour: it keeps instances, buys one a claim, and takes
// its time to end them.
type fakeCloud struct {
	clock clock.PassiveClock

	mu          sync.Mutex
	instances   map[string]cloud.Instance
	calls       []string
	beforeBuy   error          // answered instead of buying
	afterBuy    error          // answered although bought: the answer was lost
	during      func()         // runs while a launch is under way
	unavailable []offering.Key // in answers to launches
	hidden      bool           // reads lag: they know of no instance
	lingers     bool           // instances that end keep shutting down
}

func (f *fakeCloud) add(in cloud.Instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.instances == nil {
		f.instances = map[string]cloud.Instance{}
	}
	f.instances[in.ID] = in
}

// ids lists the instances that exist.
func (f *fakeCloud) ids() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id := range f.instances {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// count tells how often a method was called.
func (f *fakeCloud) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c == method {
			n++
		}
	}
	return n
}

func (f *fakeCloud) called(method string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, method)
}

func (f *fakeCloud) set(change func(*fakeCloud)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeCloud) Resolve(context.Context, *v1alpha1.EC2NodeClass) (v1alpha1.EC2NodeClassStatus, error) {
	return v1alpha1.EC2NodeClassStatus{}, errors.ErrUnsupported
}

func (f *fakeCloud) Types(context.Context, *v1alpha1.EC2NodeClass) ([]offering.Type, error) {
	return nil, errors.ErrUnsupported
}

func (f *fakeCloud) Launch(_ context.Context, claim *v1alpha1.NodeClaim, _ *v1alpha1.EC2NodeClass) (cloud.Instance, error) {
	f.called("Launch")
	f.mu.Lock()
	during, beforeBuy, afterBuy, unavailable := f.during, f.beforeBuy, f.afterBuy, f.unavailable
	f.mu.Unlock()
	if during != nil {
		during()
	}
	if beforeBuy != nil {
		return cloud.Instance{}, beforeBuy
	}
	id := "i-" + claim.Name
	o := claim.Spec.Offerings[0]
	in := cloud.Instance{
		ID: id, ProviderID: "aws:///" + o.Zone + "/" + id, NodeName: "node-" + claim.Name,
		Type: o.InstanceType, Zone: o.Zone, CapacityType: o.CapacityType, ImageID: "ami-1",
		ClaimName: claim.Name, ClaimUID: string(claim.UID), LaunchTime: f.clock.Now(),
	}
	f.add(in)
	in.Unavailable = unavailable
	return in, afterBuy
}

func (f *fakeCloud) Get(_ context.Context, id string) (cloud.Instance, error) {
	f.called("Get")
	f.mu.Lock()
	defer f.mu.Unlock()
	in, ok := f.instances[id]
	if !ok || f.hidden {
		return cloud.Instance{}, fmt.Errorf("instance %s: %w", id, cloud.ErrNotFound)
	}
	return in, nil
}

func (f *fakeCloud) List(context.Context) ([]cloud.Instance, error) {
	f.called("List")
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []cloud.Instance
	for _, in := range f.instances {
		if !f.hidden {
			all = append(all, in)
		}
	}
	return all, nil
}

func (f *fakeCloud) Terminate(_ context.Context, id string) error {
	f.called("Terminate")
	f.mu.Lock()
	defer f.mu.Unlock()
	in, ok := f.instances[id]
	switch {
	case !ok || f.hidden:
		return fmt.Errorf("instance %s: %w", id, cloud.ErrNotFound)
	case f.lingers:
		in.Terminating = true
		f.instances[id] = in
	default:
		delete(f.instances, id)
	}
	return nil
}

// fakeCatalog predicts 2 CPUs for m5.large and remembers what it is told.
type fakeCatalog struct {
	mu          sync.Mutex
	unavailable []offering.Key
	learnt      []string
}

func (c *fakeCatalog) Types(context.Context, *v1alpha1.EC2NodeClass) ([]offering.Type, error) {
	return []offering.Type{{Name: "m5.large", Allocatable: corev1.ResourceList{
		"cpu": resource.MustParse("2"), "nvidia.com/gpu": resource.MustParse("1"),
	}}}, nil
}

func (c *fakeCatalog) MarkUnavailable(keys ...offering.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unavailable = append(c.unavailable, keys...)
}

func (c *fakeCatalog) Learn(typeName, imageID string, predicted, real corev1.ResourceList) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.learnt = append(c.learnt, fmt.Sprintf("%s %s cpu %s→%s, %d resources", typeName, imageID,
		predicted.Cpu(), real.Cpu(), len(predicted)))
	return true
}

// fakeRecorder keeps the reasons of events.
type fakeRecorder struct {
	mu     sync.Mutex
	events []string
}

func (r *fakeRecorder) Eventf(regarding, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf("%s %s", strings.TrimPrefix(fmt.Sprintf("%T", regarding), "*v1alpha1."), reason))
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
