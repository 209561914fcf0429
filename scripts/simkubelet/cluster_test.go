package simkubelet

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/slipway-dev/slipway/scripts/simec2"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// KWOK v0.8.0 never shuts its event broadcaster and its queues down.
		goleak.IgnoreAnyFunction("sigs.k8s.io/kwok/pkg/utils/queue.(*weightDelayingQueue[...]).loopWorker"),
		goleak.IgnoreAnyFunction("k8s.io/apimachinery/pkg/watch.(*Broadcaster).loop"),
		goleak.IgnoreAnyFunction("k8s.io/client-go/tools/record.(*eventBroadcasterImpl).StartEventWatcher.func1"),
	)
}

// fakeCloud holds instances that the test changes by hand.
type fakeCloud struct {
	mu        sync.Mutex
	changed   chan struct{}
	instances []simec2.Instance
}

func (c *fakeCloud) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *fakeCloud) Instances() []simec2.Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]simec2.Instance{}, c.instances...)
}

func (c *fakeCloud) set(instances ...simec2.Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instances = instances
	close(c.changed)
	c.changed = make(chan struct{})
}

// logLines collects what was logged, a line each.
type logLines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func startCluster(t *testing.T, configure ...func(*envtest.APIServer)) (*rest.Config, kubernetes.Interface) {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS does not name a directory with kube-apiserver and etcd")
	}
	env := &envtest.Environment{}
	for _, c := range configure {
		c(env.ControlPlane.GetAPIServer())
	}
	cfg, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Errorf("stopping the control plane: %v", err)
		}
	})
	return cfg, kubernetes.NewForConfigOrDie(cfg)
}

func userDataFor(cfg *rest.Config, cluster string) string {
	return mimeOf(nodeConfigType, fmt.Sprintf(`apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  cluster:
    name: %s
    apiServerEndpoint: %s
    certificateAuthority: %s
    cidr: 10.96.0.0/16
  kubelet:
    flags:
    - --node-labels=slipway.dev/nodepool=general
    - --register-with-taints=startup=yes:NoSchedule
  featureGates:
    InstanceIdNodeName: true
`, cluster, cfg.Host, base64.StdEncoding.EncodeToString(cfg.CAData)))
}

func instanceWith(id, userData string) simec2.Instance {
	return simec2.Instance{
		ID: id, State: simec2.StateRunning, Zone: "us-east-1a", ZoneID: "use1-az1",
		Type:      simec2.InstanceType{Name: "m5.large", Arch: "x86_64", VCPU: 2, MemoryMiB: 8192, ENIs: 3, IPv4PerENI: 10},
		PrivateIP: "10.0.0.4", PrivateDNS: "ip-10-0-0-4.ec2.internal", MemoryMiB: 7600, VolumeGiB: 20, UserData: userData,
	}
}

func eventually(ctx context.Context, t *testing.T, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 20*time.Second, true, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func ready(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func TestNodeLife(t *testing.T) {
	cfg, client := startCluster(t)
	ctx, cancel := context.WithCancel(context.Background())
	cloud := &fakeCloud{changed: make(chan struct{})}
	logs := &logLines{}
	k, err := New(Config{Cloud: cloud, Credentials: cfg, Logger: slog.New(slog.NewTextHandler(logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})

	good := instanceWith("i-0001", userDataFor(cfg, "slipway-dev"))
	foreign := instanceWith("i-0002", userDataFor(cfg, "another"))
	broken := instanceWith("i-0003", mimeOf(nodeConfigType, "kind: Nothing"))
	cloud.set(good, foreign, broken)

	var node *corev1.Node
	eventually(ctx, t, "node is ready", func(ctx context.Context) (bool, error) {
		node, err = client.CoreV1().Nodes().Get(ctx, "i-0001", metav1.GetOptions{})
		return err == nil && ready(node), nil
	})
	checkNode(t, node)
	eventually(ctx, t, "lease is held", func(ctx context.Context) (bool, error) {
		l, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, "i-0001", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && *l.Spec.HolderIdentity == "i-0001" && len(l.OwnerReferences) == 1, err
	})
	eventually(ctx, t, "both wrong instances are refused", func(context.Context) (bool, error) {
		s := logs.String()
		return strings.Contains(s, "instance=i-0002") && strings.Contains(s, "instance=i-0003"), nil
	})

	runPod(ctx, t, client, "first")
	eventually(ctx, t, "pod runs", podIs(client, "first", corev1.PodRunning))
	if err := client.CoreV1().Pods("default").Delete(ctx, "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, "deleted pod is gone", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Pods("default").Get(ctx, "first", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})

	testSilence(ctx, t, cloud, client, good, logs)
}

// testSilence shuts the instance down: its Node stays as it was, and nothing
// that happens to it is answered any more. A second node proves that KWOK is
// still at work meanwhile.
func testSilence(ctx context.Context, t *testing.T, cloud *fakeCloud, client kubernetes.Interface, gone simec2.Instance, logs *logLines) {
	gone.State = simec2.StateShuttingDown
	other := gone
	other.ID, other.State, other.PrivateIP = "i-0004", simec2.StateRunning, "10.0.0.5"
	cloud.set(gone, other)
	eventually(ctx, t, "kubelet stops", func(context.Context) (bool, error) {
		return strings.Contains(logs.String(), "kubelet stopped"), nil
	})
	node, err := client.CoreV1().Nodes().Get(ctx, "i-0001", metav1.GetOptions{})
	if err != nil {
		t.Fatalf("the node of a stopped kubelet: %v", err)
	}
	eventually(ctx, t, "the other node is ready", func(ctx context.Context) (bool, error) {
		n, err := client.CoreV1().Nodes().Get(ctx, "i-0004", metav1.GetOptions{})
		return err == nil && ready(n), nil
	})
	// As the node lifecycle controller would:
	for i := range node.Status.Conditions {
		node.Status.Conditions[i].Status = corev1.ConditionUnknown
	}
	if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	runPod(ctx, t, client, "late")
	runPodOn(ctx, t, client, "elsewhere", "i-0004")
	eventually(ctx, t, "pod on the other node runs", podIs(client, "elsewhere", corev1.PodRunning))
	if ok, err := podIs(client, "late", corev1.PodPending)(ctx); !ok || err != nil {
		t.Errorf("a pod was started on a node whose kubelet has stopped (%v)", err)
	}
	node, err = client.CoreV1().Nodes().Get(ctx, "i-0001", metav1.GetOptions{})
	if err != nil || ready(node) {
		t.Errorf("node of a stopped kubelet was turned ready again (%v)", err)
	}
}

func checkNode(t *testing.T, node *corev1.Node) {
	t.Helper()
	for key, want := range map[string]string{
		"slipway.dev/nodepool": "general", "kubernetes.io/hostname": "i-0001", "kubernetes.io/arch": "amd64",
		"node.kubernetes.io/instance-type": "m5.large", "topology.kubernetes.io/zone": "us-east-1a", "topology.kubernetes.io/region": "us-east-1",
	} {
		if got := node.Labels[key]; got != want {
			t.Errorf("label %s is %q, want %q", key, got, want)
		}
	}
	want := []corev1.Taint{{Key: "startup", Value: "yes", Effect: "NoSchedule"}}
	var got []corev1.Taint
	for _, taint := range node.Spec.Taints {
		if taint.Key != corev1.TaintNodeNotReady { // the API server's, taken off by a controller not run here
			got = append(got, taint)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("taints (-want +got):\n%s", diff)
	}
	if node.Spec.ProviderID != "aws:///us-east-1a/i-0001" || node.Status.NodeInfo.KubeletVersion != "v1.36.3" {
		t.Errorf("provider id %q, kubelet version %q", node.Spec.ProviderID, node.Status.NodeInfo.KubeletVersion)
	}
	if got := node.Status.Allocatable.Memory().String(); got != "6926Mi" {
		t.Errorf("allocatable memory %s after KWOK, want 6926Mi", got)
	}
}

func runPod(ctx context.Context, t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	runPodOn(ctx, t, client, name, "i-0001")
}

func runPodOn(ctx context.Context, t *testing.T, client kubernetes.Interface, name, node string) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "none"}}},
	}
	// There is no controller to create the default service account's token.
	no := false
	pod.Spec.AutomountServiceAccountToken = &no
	if _, err := client.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func podIs(client kubernetes.Interface, name string, phase corev1.PodPhase) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		pod, err := client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
		return err == nil && pod.Status.Phase == phase, err
	}
}
