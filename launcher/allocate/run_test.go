package allocate_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/slipway-dev/slipway/launcher/allocate"
	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

func TestMain(m *testing.M) {
	// The scheduler framework's recorder looks at its context once a second.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("k8s.io/kubernetes/pkg/scheduler/metrics.(*MetricAsyncRecorder).run"))
}

// oneType is a catalogue of one instance type in one zone.
type oneType struct{ changed chan struct{} }

func (c oneType) Changed() <-chan struct{} { return c.changed }

func (oneType) Types(context.Context, *v1alpha1.EC2NodeClass) ([]offering.Type, error) {
	list := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"), corev1.ResourcePods: resource.MustParse("17"),
	}
	return []offering.Type{{
		Name:     "t3.medium",
		Labels:   map[string]string{corev1.LabelInstanceTypeStable: "t3.medium", corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux"},
		Capacity: list, Allocatable: list,
		Offerings: []offering.Offering{{Zone: "a", CapacityType: v1alpha1.CapacityTypeOnDemand, Price: 0.0416, Available: true}},
	}}, nil
}

type indexer struct{ *fake.ClientBuilder }

func (i indexer) IndexField(_ context.Context, o client.Object, field string, f client.IndexerFunc) error {
	i.WithIndex(o, field, f)
	return nil
}

// newAllocator is an Allocator over a fake API server with one NodePool and oneType.
func newAllocator(ctx context.Context, t *testing.T, objects ...client.Object) (*allocate.Allocator, client.Client) {
	t.Helper()
	pool := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	return newAllocatorOf(ctx, t, oneType{make(chan struct{})}, append(objects, pool)...)
}

// newAllocatorOf is an Allocator over a fake API server and a catalogue.
func newAllocatorOf(ctx context.Context, t *testing.T, catalog allocate.Catalog, objects ...client.Object) (*allocate.Allocator, client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...)
	if err := cluster.Index(ctx, indexer{builder}); err != nil {
		t.Fatal(err)
	}
	c := builder.Build()
	cfg, err := options.LoadConfigFromFile(klog.Background(), filepath.Join("..", "..", "manifests", "rendered", "default", "scheduler.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	kube := kubefake.NewClientset()
	factory := informers.NewSharedInformerFactory(kube, 0)
	engine, err := fit.NewEngine(ctx, fit.Config{Profile: &cfg.Profiles[0], Client: kube, Informers: factory, OutOfTree: []string{"Slipway"}})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	t.Cleanup(factory.Shutdown)
	a, err := allocate.New(allocate.Config{
		Client: c, Live: c, Cache: &informertest.FakeInformers{Scheme: scheme}, Catalog: catalog,
		Engines: map[string]*fit.Engine{"slipway-scheduler": engine}, Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

func pod(name, cpu string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec: corev1.PodSpec{SchedulerName: "slipway-scheduler", Containers: []corev1.Container{{
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}},
		}}},
	}
}

// TestRun hands pods over, sees a claim written for one and the other refused with a
// reason, and the loop end with its context, with its watchers.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	small, huge := pod("small", "1"), pod("huge", "64")
	a, c := newAllocator(ctx, t, small, huge)
	early, stop := context.WithTimeout(ctx, 10*time.Millisecond)
	if _, err := a.Reserve(early, []*corev1.Pod{small}); err == nil {
		t.Error("a call was answered before the loop runs")
	}
	stop()
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	<-a.Running()
	_, changes, err := a.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err := a.Reserve(ctx, []*corev1.Pod{small, huge})
	if err != nil || len(verdicts) != 2 || verdicts[0].Code != allocate.Accepted {
		t.Fatalf("verdicts %v, %v", verdicts, err)
	}
	latest := map[types.UID]allocate.Reservation{}
	for latest["small"].Phase != allocate.Planned || latest["huge"].Phase != allocate.Unlaunchable {
		select {
		case batch := <-changes:
			for _, r := range batch {
				latest[r.UID] = r
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("still %v", latest)
		}
	}
	if want := "nodepool default: needs 64 cpu, the largest allowed type t3.medium gives 2"; latest["huge"].Reason != want {
		t.Errorf("reason %q, want %q", latest["huge"].Reason, want)
	}
	var claims v1alpha1.NodeClaimList
	if err := c.List(ctx, &claims); err != nil {
		t.Fatal(err)
	}
	if len(claims.Items) != 1 || claims.Items[0].Name != latest["small"].Claim || len(claims.Items[0].Spec.Pods) != 1 {
		t.Errorf("claims: %v", claims.Items)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for range changes { // until it is closed
	}
}
