package nodeclaim

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// TestAPIServer runs what needs a real API server: evictions, finalizers, garbage
// between two lives of the launcher.
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
	cfg.QPS, cfg.Burst = -1, 0
	c, err := client.New(cfg, client.Options{Scheme: testScheme()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		test func(*testing.T, *lab)
	}{
		{"life", testLife},
		{"drain heeds budgets", testDrainHeedsBudgets},
		{"node deleted by hand", testNodeDeletedByHand},
		{"crash before the purchase is recorded", testCrashAfterBuying},
		{"crash before anything is bought", testCrashBeforeBuying},
		{"crash while terminating", testCrashWhileTerminating},
		{"claim deleted while its launch hangs", testDeletedDuringLaunch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.test(t, &lab{t: t, cfg: cfg, client: c, cloud: &fakeCloud{clock: clock.RealClock{}}})
		})
	}
}

// lab is a launcher that can be killed, its cloud, and an API server.
type lab struct {
	t      *testing.T
	cfg    *rest.Config
	client client.Client
	cloud  *fakeCloud
}

// start runs a launcher until the returned function is called.
func (l *lab) start(provider cloud.Provider) (stop func()) {
	l.t.Helper()
	mgr, err := ctrl.NewManager(l.cfg, ctrl.Options{
		Scheme:     testScheme(),
		Metrics:    server.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := cluster.Index(ctx, mgr.GetFieldIndexer()); err != nil {
		l.t.Fatal(err)
	}
	err = SetupWithManager(mgr, Config{
		Provider: provider, Catalog: &fakeCatalog{}, Recorder: &fakeRecorder{}, Clock: clock.RealClock{},
		Metrics: prometheus.NewRegistry(), SettleTime: 2 * time.Second, OrphanAge: 2 * time.Second, CollectEvery: 2 * time.Second,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			l.t.Errorf("manager: %v", err)
		}
	}
	l.t.Cleanup(stop)
	return stop
}

// claim creates a NodeClaim and returns a function that reads it; nil when it is gone.
func (l *lab) claim() func() *v1alpha1.NodeClaim {
	l.t.Helper()
	claim := newClaim(func(c *v1alpha1.NodeClaim) {
		c.ObjectMeta = metav1.ObjectMeta{GenerateName: "c-", Finalizers: c.Finalizers}
	})
	l.create(claim)
	return func() *v1alpha1.NodeClaim { return get(l.t, l.client, claim.DeepCopy()) }
}

func (l *lab) create(o client.Object) {
	l.t.Helper()
	if err := l.client.Create(l.t.Context(), o); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) delete(o client.Object) {
	l.t.Helper()
	if err := l.client.Delete(l.t.Context(), o); client.IgnoreNotFound(err) != nil {
		l.t.Fatal(err)
	}
}

// boot registers the claim's node as a kubelet would, and makes it ready.
func (l *lab) boot(claim *v1alpha1.NodeClaim) *corev1.Node {
	l.t.Helper()
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: claim.Status.NodeName},
		Spec:       corev1.NodeSpec{ProviderID: claim.Status.ProviderID, Taints: claim.Spec.Taints},
	}
	l.create(node)
	eventually(l.t, func() bool {
		n := get(l.t, l.client, node.DeepCopy())
		n.Status.Allocatable = corev1.ResourceList{"cpu": resource.MustParse("1900m")}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		if l.client.Status().Update(l.t.Context(), n) != nil {
			return false
		}
		// The node lifecycle controller's part.
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeNotReady })
		return l.client.Update(l.t.Context(), n) == nil
	})
	return node
}

func (l *lab) pod(node string) *corev1.Pod {
	l.t.Helper()
	pod := newPod("web-"+node, func(p *corev1.Pod) {
		p.UID, p.Spec.NodeName, p.Labels = "", node, map[string]string{"app": node}
		p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0) // there is no kubelet to end it
	})
	l.create(pod)
	pod.Status.Phase = corev1.PodRunning // budgets do not guard pending pods
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := l.client.Status().Update(l.t.Context(), pod); err != nil {
		l.t.Fatal(err)
	}
	return pod
}

// initialized brings up a claim with its node.
func (l *lab) initialized() (claim func() *v1alpha1.NodeClaim, node *corev1.Node) {
	l.t.Helper()
	claim = l.claim()
	eventually(l.t, func() bool { return isTrue(claim(), v1alpha1.ConditionLaunched) })
	node = l.boot(claim())
	eventually(l.t, func() bool { return isTrue(claim(), v1alpha1.ConditionInitialized) })
	return claim, node
}

// nothingLeft waits until claim, node and instances are gone.
func (l *lab) nothingLeft(claim func() *v1alpha1.NodeClaim, node *corev1.Node) {
	l.t.Helper()
	eventually(l.t, func() bool {
		return claim() == nil && len(l.cloud.ids()) == 0 && (node == nil || get(l.t, l.client, node.DeepCopy()) == nil)
	})
}

func testLife(t *testing.T, l *lab) {
	l.start(l.cloud)
	claim, node := l.initialized()
	if n := get(t, l.client, node.DeepCopy()); n.OwnerReferences[0].UID != claim().UID {
		t.Errorf("owner references %v", n.OwnerReferences)
	}
	l.delete(claim())
	l.nothingLeft(claim, node)
	if n := l.cloud.count("Launch"); n != 1 {
		t.Errorf("launched %d times", n)
	}
}

func testDrainHeedsBudgets(t *testing.T, l *lab) {
	l.start(l.cloud)
	claim, node := l.initialized()
	pod := l.pod(node.Name)
	pdb := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: node.Name},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(1)),
			Selector:     &metav1.LabelSelector{MatchLabels: pod.Labels},
		},
	}
	l.create(pdb)
	allow := func(n int32) {
		pdb.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: pdb.Generation, DisruptionsAllowed: n, ExpectedPods: 1, CurrentHealthy: 1}
		if err := l.client.Status().Update(t.Context(), pdb); err != nil {
			t.Fatal(err)
		}
	}
	allow(0)
	l.delete(claim())
	eventually(t, func() bool { return condition(claim(), v1alpha1.ConditionDraining) == "True Draining" })
	if n := get(t, l.client, node.DeepCopy()); !hasTaint(n, &disruptedTaint) {
		t.Error("node not cordoned")
	}
	if get(t, l.client, pod.DeepCopy()) == nil || l.cloud.count("Terminate") > 0 {
		t.Fatal("pod evicted against its budget")
	}
	allow(1)
	l.nothingLeft(claim, node)
}

func testNodeDeletedByHand(t *testing.T, l *lab) {
	l.start(l.cloud)
	claim, node := l.initialized()
	pod := l.pod(node.Name)
	l.delete(node)
	l.nothingLeft(claim, node)
	if get(t, l.client, pod) != nil {
		t.Error("node removed before its pod")
	}
}

var errDead = errors.New("the process is dead")

// dying is a cloud whose answers a launcher that dies never sees.
type dying struct {
	cloud.Provider
	launch func(context.Context, *v1alpha1.NodeClaim, *v1alpha1.EC2NodeClass) (cloud.Instance, error)
}

func (d dying) Launch(ctx context.Context, claim *v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass) (cloud.Instance, error) {
	return d.launch(ctx, claim, class)
}

func testCrashAfterBuying(t *testing.T, l *lab) {
	bought := make(chan struct{}, 100)
	stop := l.start(dying{l.cloud, func(ctx context.Context, claim *v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass) (cloud.Instance, error) {
		if _, err := l.cloud.Launch(ctx, claim, class); err != nil {
			return cloud.Instance{}, err
		}
		bought <- struct{}{}
		<-ctx.Done()
		return cloud.Instance{}, errDead
	}})
	claim := l.claim()
	<-bought
	stop()
	if isTrue(claim(), v1alpha1.ConditionLaunched) {
		t.Fatal("purchase recorded before the crash")
	}
	l.start(l.cloud)
	eventually(t, func() bool { return isTrue(claim(), v1alpha1.ConditionLaunched) })
	if ids := l.cloud.ids(); len(ids) != 1 || ids[0] != claim().Status.InstanceID {
		t.Errorf("instances %v, claim has %s", ids, claim().Status.InstanceID)
	}
	l.delete(claim())
	l.nothingLeft(claim, nil)
}

func testCrashBeforeBuying(t *testing.T, l *lab) {
	called := make(chan struct{}, 100)
	stop := l.start(dying{l.cloud, func(ctx context.Context, _ *v1alpha1.NodeClaim, _ *v1alpha1.EC2NodeClass) (cloud.Instance, error) {
		called <- struct{}{}
		<-ctx.Done()
		return cloud.Instance{}, errDead
	}})
	claim := l.claim()
	<-called
	stop()
	l.start(l.cloud)
	eventually(t, func() bool { return isTrue(claim(), v1alpha1.ConditionLaunched) })
	l.delete(claim())
	l.nothingLeft(claim, nil)
}

// testDeletedDuringLaunch deletes a claim whose launch bought an instance without
// anybody getting to know, and kills the launcher.
func testDeletedDuringLaunch(t *testing.T, l *lab) {
	bought := make(chan struct{}, 100)
	stop := l.start(dying{l.cloud, func(ctx context.Context, claim *v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass) (cloud.Instance, error) {
		if _, err := l.cloud.Launch(ctx, claim, class); err != nil {
			return cloud.Instance{}, err
		}
		bought <- struct{}{}
		<-ctx.Done()
		return cloud.Instance{}, errDead
	}})
	claim := l.claim()
	<-bought
	l.delete(claim())
	stop()
	if claim() == nil {
		t.Fatal("claim gone while its instance runs")
	}
	l.start(l.cloud)
	l.nothingLeft(claim, nil)
	if n := l.cloud.count("Launch"); n != 1 {
		t.Errorf("launched %d times", n)
	}
}

func testCrashWhileTerminating(t *testing.T, l *lab) {
	stop := l.start(l.cloud)
	claim, node := l.initialized()
	l.cloud.set(func(f *fakeCloud) { f.lingers = true })
	l.delete(claim())
	eventually(t, func() bool { return condition(claim(), v1alpha1.ConditionInstanceTerminated) == "False Terminating" })
	stop()
	l.cloud.set(func(f *fakeCloud) { f.instances = nil })
	l.start(l.cloud)
	l.nothingLeft(claim, node)
}
