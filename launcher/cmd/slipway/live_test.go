package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/report"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

// startEC2 starts a simulated region and points the AWS SDK's environment to it.
func startEC2(t *testing.T) {
	t.Helper()
	s, err := simec2.New(simec2.Config{ClusterName: "test", Unthrottled: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.URL(), "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none,
	} {
		t.Setenv(name, value)
	}
}

func TestLive(t *testing.T) {
	startEC2(t)
	r := planned(t, pod("a", "{requests: {cpu: 1, memory: 1Gi}}"), "--live", "--cluster-name", "test")
	if len(r.Nodes) != 1 || r.Nodes[0].CapacityType != v1alpha1.CapacityTypeSpot {
		t.Errorf("plan is %+v, want one node at the spot price", r)
	}
	code, _, errs := slipway(t, pod("a", "{}"), "plan", "-f", "-", "--live", "--cluster-name", "another")
	if code != 1 || !strings.Contains(errs, "another") {
		t.Errorf("exit code %d for a cluster without subnets: %s", code, errs)
	}
}

func TestUnreachableCluster(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"+
		"contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := slipway(t, "", "plan", "--cluster", "--kubeconfig", config)
	if code != 1 || !strings.Contains(errs, "API server http://127.0.0.1:1") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestCluster(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS names no directory with etcd and kube-apiserver")
	}
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../../../manifests/crd"}, ErrorIfCRDPathMissing: true}
	t.Cleanup(func() { // also after a failed start, which leaves processes behind
		if err := env.Stop(); err != nil {
			t.Errorf("stop API server: %v", err)
		}
	})
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, o := range clusterObjects() {
		if err := c.Create(ctx, o); err != nil {
			t.Fatalf("%T %s: %v", o, o.GetName(), err)
		}
	}
	kubeconfig := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(kubeconfig, env.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("what waits there", func(t *testing.T) {
		r := planned(t, "", "--cluster", "--kubeconfig", kubeconfig, "--catalog", "testdata/types.csv")
		if r.Pods != 2 || r.Placed != 2 {
			t.Errorf("plan is %+v, want two pods placed", r)
		}
		for _, n := range r.Nodes {
			if n.NodePool != "arm" || n.InstanceType != "c7g.xlarge" {
				t.Errorf("node %+v, want what the cluster's NodePool allows", n)
			}
		}
	})
	t.Run("of one namespace, beside a manifest", func(t *testing.T) {
		r := planned(t, pod("new", "{requests: {cpu: 1}}"), "--cluster", "--kubeconfig", kubeconfig, "-n", "default", "--catalog", "testdata/types.csv")
		var pods []string
		for _, n := range r.Nodes {
			pods = append(pods, n.Pods...)
		}
		if r.Pods != 2 || r.Placed != 2 || strings.Contains(strings.Join(pods, " "), "kube-system") {
			t.Errorf("plan is %+v, want default/waits and default/new placed", r)
		}
	})
	t.Run("room on a node that is on its way", func(t *testing.T) {
		held := &corev1.Pod{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "waits"}, held); err != nil {
			t.Fatal(err)
		}
		claim := &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "coming"}, Spec: v1alpha1.NodeClaimSpec{
			NodePool: "arm", Pods: []v1alpha1.ReservedPod{{UID: held.UID, Namespace: held.Namespace, Name: held.Name}},
			Offerings: v1alpha1.GroupOfferings(v1alpha1.AcceptedOffering{InstanceType: "c7g.xlarge", Zone: "us-east-1a", CapacityType: "on-demand", Price: resource.MustParse("0.145")}),
		}}
		if err := c.Create(ctx, claim); err != nil {
			t.Fatal(err)
		}
		r := planned(t, pod("new", "{requests: {cpu: 2}}"), "--cluster", "--kubeconfig", kubeconfig, "-n", "default", "--catalog", "testdata/types.csv")
		want := []report.Existing{{Name: "nodeclaim/coming", Pods: []string{"default/new"}}}
		if diff := cmp.Diff(want, r.Existing); diff != "" || len(r.Nodes) != 1 || r.Pods != 2 {
			t.Errorf("existing nodes that take pods (-want +got):\n%s\nplan is %+v, want one node bought for default/waits", diff, r)
		}
	})
}

func clusterObjects() []client.Object {
	newPod := func(namespace, name, node string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		p.Spec.NodeName = node
		p.Spec.Containers = []corev1.Container{{Name: "a", Image: "a", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
		}}}
		return p
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "full"}, Spec: corev1.NodeSpec{Unschedulable: true}}
	pool := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "arm"}}
	pool.Spec.Template.Spec.Requirements = []v1alpha1.Requirement{
		{Key: corev1.LabelArchStable, Operator: v1alpha1.OpIn, Values: []string{"arm64"}},
		{Key: corev1.LabelInstanceTypeStable, Operator: v1alpha1.OpIn, Values: []string{"c7g.xlarge"}},
	}
	return []client.Object{
		node, pool, newPod("default", "waits", ""), newPod("kube-system", "waits", ""), newPod("default", "runs", "full"),
	}
}
