package replicas

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/offering"
)

func TestMain(m *testing.M) {
	log.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	goleak.VerifyTestMain(m)
}

// fakeCatalog has two types in two zones, or none.
type fakeCatalog struct{ soldOut bool }

func (f *fakeCatalog) Types(context.Context, *v1alpha1.EC2NodeClass) ([]offering.Type, error) {
	sell := func(name, cpu string, price float64) offering.Type {
		t := offering.Type{
			Name: name, Capacity: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)},
			Labels: map[string]string{corev1.LabelInstanceTypeStable: name, corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux"},
		}
		t.Allocatable = t.Capacity
		for _, zone := range []string{"us-east-1a", "us-east-1b"} {
			t.Offerings = append(t.Offerings, offering.Offering{Zone: zone, CapacityType: v1alpha1.CapacityTypeOnDemand, Price: price, Available: !f.soldOut})
		}
		return t
	}
	return []offering.Type{sell("m5.xlarge", "4", 0.192), sell("m5.large", "2", 0.096)}, nil
}

type world struct {
	t       *testing.T
	client  client.Client
	clock   *clocktesting.FakeClock
	catalog *fakeCatalog
	events  *events.FakeRecorder
	leads   error
	r       *reconciler
}

type builderIndexer struct{ b *fake.ClientBuilder }

func (i builderIndexer) IndexField(_ context.Context, o client.Object, field string, f client.IndexerFunc) error {
	i.b.WithIndex(o, field, f)
	return nil
}

func newWorld(t *testing.T, replicas *int64, change func(*v1alpha1.NodePool)) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	pool := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "fixed"}, Spec: v1alpha1.NodePoolSpec{Replicas: replicas}}
	pool.Spec.Template.Metadata.Labels = map[string]string{"team": "a"}
	if change != nil {
		change(pool)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.NodeClaim{}).WithObjects(pool)
	if err := cluster.Index(t.Context(), builderIndexer{builder}); err != nil {
		t.Fatal(err)
	}
	builder.WithIndex(&v1alpha1.NodeClaim{}, fieldPool, func(o client.Object) []string { return []string{o.(*v1alpha1.NodeClaim).Spec.NodePool} })
	w := &world{t: t, client: builder.Build(), clock: clocktesting.NewFakeClock(time.Now()), catalog: &fakeCatalog{}, events: events.NewFakeRecorder(100)}
	cfg := Config{Catalog: w.catalog, Recorder: w.events, Clock: w.clock, Leads: func() error { return w.leads }}
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	w.r = newReconciler(w.client, w.client, cfg)
	return w
}

func (w *world) reconcile() time.Duration {
	w.t.Helper()
	result, err := w.r.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "fixed"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return result.RequeueAfter
}

func (w *world) claims() []v1alpha1.NodeClaim {
	w.t.Helper()
	var list v1alpha1.NodeClaimList
	if err := w.client.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(c v1alpha1.NodeClaim) bool { return c.DeletionTimestamp != nil })
}

func (w *world) wantClaims(n int) []v1alpha1.NodeClaim {
	w.t.Helper()
	claims := w.claims()
	if len(claims) != n {
		w.t.Fatalf("%d claims, want %d", len(claims), n)
	}
	return claims
}

// initialize has the claims' nodes come.
func (w *world) initialize(claims []v1alpha1.NodeClaim) {
	w.t.Helper()
	for i := range claims {
		w.setCondition(&claims[i], v1alpha1.ConditionInitialized, "Initialized")
	}
}

func (w *world) setCondition(c *v1alpha1.NodeClaim, kind, reason string) {
	w.t.Helper()
	meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason})
	if err := w.client.Status().Update(w.t.Context(), c); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) scale(replicas *int64) {
	w.t.Helper()
	pool := &v1alpha1.NodePool{}
	if err := w.client.Get(w.t.Context(), types.NamespacedName{Name: "fixed"}, pool); err != nil {
		w.t.Fatal(err)
	}
	pool.Spec.Replicas = replicas
	if err := w.client.Update(w.t.Context(), pool); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) surplus() int {
	w.t.Helper()
	n := 0
	for _, c := range w.claims() {
		if is(&c, v1alpha1.ConditionSurplus) {
			n++
		}
	}
	return n
}

func TestPoolIsFilledOnce(t *testing.T) {
	w := newWorld(t, new(int64(3)), nil)
	w.reconcile()
	w.reconcile()
	claims := w.wantClaims(3)
	for _, c := range claims {
		if c.Spec.Fleet == nil || c.Spec.Fleet.ID != claims[0].Spec.Fleet.ID || c.Spec.Fleet.Size != 3 {
			t.Errorf("%s is of fleet %v", c.Name, c.Spec.Fleet)
		}
		if o := c.Spec.Cheapest(); o.InstanceType != "m5.large" || len(c.Spec.Accepted()) != 4 {
			t.Errorf("%s accepts %v", c.Name, c.Spec.Accepted())
		}
		want := map[string]string{"team": "a", v1alpha1.LabelNodePool: "fixed"}
		if diff := cmp.Diff(want, c.Spec.Labels); diff != "" || !slices.Contains(c.Finalizers, v1alpha1.TerminationFinalizer) {
			t.Errorf("labels (-want +got):\n%s\nfinalizers %v", diff, c.Finalizers)
		}
	}
}

func TestPoolWithoutReplicasIsLeftAlone(t *testing.T) {
	w := newWorld(t, nil, nil)
	w.reconcile()
	w.wantClaims(0)
}

func TestPoolShrinksAndGrows(t *testing.T) {
	w := newWorld(t, new(int64(3)), nil)
	w.reconcile()
	claims := w.wantClaims(3)
	w.initialize(claims[:2])
	w.scale(new(int64(1)))
	w.reconcile()
	w.wantClaims(2) // the one that had not come is gone
	if n := w.surplus(); n != 1 {
		t.Errorf("%d are surplus", n)
	}
	w.scale(new(int64(2)))
	w.reconcile()
	w.wantClaims(2)
	if n := w.surplus(); n != 0 {
		t.Errorf("%d are surplus", n)
	}
	w.scale(new(int64(0)))
	w.reconcile()
	if n := w.surplus(); n != 2 {
		t.Errorf("%d are surplus", n)
	}
	w.scale(nil) // its nodes are the fast loop's now
	w.reconcile()
	if n := w.surplus(); n != 0 {
		t.Errorf("%d are surplus", n)
	}
}

func TestSubstituteNamesWhatItReplaces(t *testing.T) {
	w := newWorld(t, new(int64(2)), nil)
	w.reconcile()
	claims := w.wantClaims(2)
	w.initialize(claims)
	w.setCondition(&claims[0], v1alpha1.ConditionExpired, v1alpha1.ReasonDisrupting)
	w.reconcile()
	w.reconcile()
	for _, c := range w.wantClaims(3) {
		if !is(&c, v1alpha1.ConditionInitialized) {
			if diff := cmp.Diff([]string{claims[0].Name}, c.Spec.Replaces); diff != "" {
				t.Errorf("replaces (-want +got):\n%s", diff)
			}
		}
	}
}

func TestLimitIsKept(t *testing.T) {
	w := newWorld(t, new(int64(2)), func(p *v1alpha1.NodePool) { p.Spec.Limits = corev1.ResourceList{"nodes": resource.MustParse("3")} })
	w.reconcile()
	claims := w.wantClaims(2)
	w.initialize(claims)
	for i := range claims {
		w.setCondition(&claims[i], v1alpha1.ConditionExpired, v1alpha1.ReasonDisrupting)
	}
	if wait := w.reconcile(); wait != w.r.RetryEvery {
		t.Errorf("tries again in %s", wait)
	}
	w.wantClaims(3)
	if e := <-w.events.Events; e != "Warning TooFewReplicas Not all of the 2 nodes can be launched: its limit of 3 nodes is reached" {
		t.Errorf("event %q", e)
	}
}

func TestSoldOut(t *testing.T) {
	w := newWorld(t, new(int64(2)), nil)
	w.catalog.soldOut = true
	w.reconcile()
	if wait := w.reconcile(); wait != w.r.RetryEvery {
		t.Errorf("tries again in %s", wait)
	}
	w.wantClaims(0)
	if n := len(w.events.Events); n != 1 {
		t.Errorf("%d events, want one", n)
	}
	w.catalog.soldOut = false
	w.reconcile()
	w.wantClaims(2)
}

func TestFailuresAreNotRepeatedAtOnce(t *testing.T) {
	w := newWorld(t, new(int64(1)), nil)
	w.r.failed("fixed")
	w.r.failed("fixed")
	if wait := w.reconcile(); wait != 2*firstPause {
		t.Errorf("waits %s", wait)
	}
	w.wantClaims(0)
	w.clock.Step(2 * firstPause)
	w.reconcile()
	w.wantClaims(1)
}

func TestOnlyTheLeaderLaunches(t *testing.T) {
	w := newWorld(t, new(int64(1)), nil)
	w.leads = errors.New("another may lead")
	if _, err := w.r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "fixed"}}); !errors.Is(err, w.leads) {
		t.Errorf("error %v", err)
	}
	w.wantClaims(0)
}
