package nodepool

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// TestControllers runs both controllers against a real API server.
func TestControllers(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS names no directory with etcd and kube-apiserver")
	}
	t.Cleanup(func() { goleak.VerifyNone(t) }) // runs last
	cloud := &fakeCloud{types: []offering.Type{t3Medium()}}
	c := startControllers(t, cloud)
	ctx := t.Context()

	pool := newPool("class")
	pool.Generation = 0
	create(t, c, pool)
	eventually(t, "pool misses its class", func() bool { return reasonOf(t, c, pool) == ReasonNodeClassNotFound })

	cloud.answer(found(), nil)
	class := newClass()
	create(t, c, class)
	eventually(t, "class and then pool are ready", func() bool {
		return reasonOf(t, c, class) == ReasonReady && reasonOf(t, c, pool) == ReasonReady
	})

	calls := cloud.calls("class")
	eventually(t, "class is resolved again by itself", func() bool { return cloud.calls("class") > calls })

	cloud.answer(v1alpha1.EC2NodeClassStatus{}, nil)
	class.Spec.InstanceProfile = "changed"
	if err := c.Update(ctx, class); err != nil {
		t.Fatal(err)
	}
	eventually(t, "pool follows its class", func() bool { return reasonOf(t, c, pool) == ReasonNodeClassNotReady })

	claim := &v1alpha1.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "claim"},
		Spec: v1alpha1.NodeClaimSpec{NodePool: "pool", Offerings: v1alpha1.GroupOfferings(v1alpha1.AcceptedOffering{
			InstanceType: "t3.medium", Zone: "a", CapacityType: "spot", Price: resource.MustParse("1"),
		})},
	}
	nodes := func(want int64) func() bool {
		return func() bool {
			get(t, c, pool)
			q := pool.Status.Resources[resourceNodes]
			return q.Value() == want
		}
	}
	create(t, c, claim)
	eventually(t, "claim is counted", nodes(1))
	if err := c.Delete(ctx, claim); err != nil {
		t.Fatal(err)
	}
	eventually(t, "claim is counted no more", nodes(0))
}

// startControllers returns a client of an API server on which the controllers run.
func startControllers(t *testing.T, cloud *fakeCloud) client.Client {
	env := &envtest.Environment{
		CRDDirectoryPaths: []string{filepath.Join("..", "..", "manifests", "crd")}, ErrorIfCRDPathMissing: true,
	}
	t.Cleanup(func() { // also after a failed start, which leaves processes behind
		if err := env.Stop(); err != nil {
			t.Errorf("stop API server: %v", err)
		}
	})
	rest, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(rest, ctrl.Options{
		Scheme: testScheme(t), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := testConfig(t, cloud)
	cfg.Clock = clock.RealClock{}
	cfg.Recorder = mgr.GetEventRecorder("slipway-launcher")
	cfg.ResolveEvery, cfg.RetryEvery, cfg.CountEvery = 200*time.Millisecond, 100*time.Millisecond, 10*time.Millisecond
	if err := SetupWithManager(mgr, cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("manager: %v", err)
		}
	})
	c, err := client.New(rest, client.Options{Scheme: testScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func create(t *testing.T, c client.Client, o client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, c client.Client, o client.Object) {
	t.Helper()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
}

func reasonOf(t *testing.T, c client.Client, o client.Object) string {
	t.Helper()
	get(t, c, o)
	var conditions []metav1.Condition
	switch o := o.(type) {
	case *v1alpha1.NodePool:
		conditions = o.Status.Conditions
	case *v1alpha1.EC2NodeClass:
		conditions = o.Status.Conditions
	}
	if ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Reason
	}
	return ""
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("never: %s", what)
	}
}
