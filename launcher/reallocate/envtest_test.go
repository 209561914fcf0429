package reallocate

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// TestAPIServer runs emptiness against a real API server.
func TestAPIServer(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS names no directory with etcd and kube-apiserver")
	}
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../../manifests/crd"}, ErrorIfCRDPathMissing: true}
	t.Cleanup(func() { // also after a failed start, which leaves processes behind
		if err := env.Stop(); err != nil {
			t.Errorf("stop API server: %v", err)
		}
	})
	cfg, err := env.Start()
	if err != nil {
		t.Fatalf("start API server: %v", err)
	}
	cfg.QPS = -1
	c, err := client.New(cfg, client.Options{Scheme: testScheme()})
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:     testScheme(),
		Metrics:    server.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := cluster.Index(ctx, mgr.GetFieldIndexer()); err != nil {
		t.Fatal(err)
	}
	err = SetupWithManager(mgr, Config{
		Resolver: &fakeResolver{}, Recorder: &fakeRecorder{}, Clock: clock.RealClock{}, Metrics: prometheus.NewRegistry(), SettleTime: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("manager: %v", err)
		}
	})
	for _, tt := range []struct {
		name string
		test func(*testing.T, client.Client)
	}{
		{"pod lands in between", testPodLandsInBetween},
		{"budget of one", testBudgetOfOne},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, c) })
	}
}

// createNode creates an initialized claim with its node, of a pool of its own.
func createNode(t *testing.T, c client.Client, name, pool string) {
	t.Helper()
	objs := nodeOf(name)
	claim := objs[0].(*v1alpha1.NodeClaim)
	status := claim.Status
	claim.UID, claim.Spec.NodePool, claim.Spec.Pods = "", pool, nil
	claim.Spec.Offerings = v1alpha1.GroupOfferings(v1alpha1.AcceptedOffering{InstanceType: "m5.large", Zone: "us-east-1a", CapacityType: "on-demand"})
	objs[1].SetUID("")
	for _, o := range objs {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	claim.Status = status
	if err := c.Status().Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
}

func createPool(t *testing.T, c client.Client, name, budget string) {
	t.Helper()
	pool := newPool(func(p *v1alpha1.NodePool) {
		p.Name, p.Spec.Disruption.ConsolidateAfter, p.Spec.Disruption.Budgets = name, "1s", []v1alpha1.Budget{{Nodes: budget}}
	})
	if err := c.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
}

func testPodLandsInBetween(t *testing.T, c client.Client) {
	createPool(t, c, "between", "100%")
	createNode(t, c, "between", "between")
	eventually(t, func() bool { return stateOf(t, c, "between") == "True Disrupting tainted" })
	pod := newPod("p", "node-between", func(p *corev1.Pod) { p.UID, p.Spec.TerminationGracePeriodSeconds = "", ptr.To[int64](0) })
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return stateOf(t, c, "between") == "False PodsPresent" })
	if err := c.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return stateOf(t, c, "between") == "True Disrupting tainted deleted" })
}

// testBudgetOfOne plays termination's part and watches that never two go at once.
func testBudgetOfOne(t *testing.T, c client.Client) {
	const nodes = 3
	createPool(t, c, "one", "1")
	for i := range nodes {
		createNode(t, c, fmt.Sprintf("one-%d", i), "one")
	}
	gone := 0
	eventually(t, func() bool {
		leaving := []string{}
		for i := range nodes {
			name := fmt.Sprintf("one-%d", i)
			switch stateOf(t, c, name) {
			case "True Disrupting", "True Disrupting tainted", "True Disrupting tainted deleted":
				leaving = append(leaving, name)
			}
		}
		if len(leaving) > 1 {
			t.Fatalf("%v leave at once", leaving)
		}
		for _, name := range leaving {
			claim := get(t, c, &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}})
			if claim.DeletionTimestamp == nil {
				continue
			}
			claim.Finalizers = nil
			if err := c.Update(t.Context(), claim); err != nil {
				t.Fatal(err)
			}
			gone++
		}
		return gone == nodes
	})
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, met func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(40 * time.Second)
	for !met() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("condition not met in 40 s")
		}
	}
}
