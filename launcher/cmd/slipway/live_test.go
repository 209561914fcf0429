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
	rbacv1 "k8s.io/api/rbac/v1"
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
	t.Run("explained", func(t *testing.T) { askCluster(t, env, kubeconfig) })
	t.Run("followed", func(t *testing.T) { watchCluster(t, c, kubeconfig) })
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

// askCluster explains what is there, also to somebody who has just the rights that the help names.
func askCluster(t *testing.T, env *envtest.Environment, kubeconfig string) {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "scheduler.yaml")
	if err := os.WriteFile(profile, []byte("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles: [{schedulerName: default-scheduler}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, stranger := userOf(t, env, "reader", true), userOf(t, env, "stranger", false)
	for _, tt := range []struct {
		name, args, kubeconfig string
		code                   int
		stdout, stderr         []string
	}{
		{"another scheduler's pod", "explain pod waits", kubeconfig, 0, []string{"pod default/waits waits for scheduler default-scheduler, which is none of Slipway's (slipway-scheduler)"}, nil},
		{"a pod with a plan", "explain pod kube-system/waits --catalog testdata/types.csv --scheduler-config " + profile, kubeconfig, 0,
			[]string{"no scheduler has looked at it", "launch c7g.xlarge in us-east-1a, on-demand", "(NodePool arm)"}, nil},
		{"a pod that runs", "explain pod runs", kubeconfig, 0, []string{"pod default/runs is bound to node full", "Node full:"}, nil},
		{"a node of others", "explain node full", kubeconfig, 0, []string{"node full was not launched by Slipway"}, nil},
		{"no such pod", "explain pod shop/waits", kubeconfig, exitInput, nil, []string{"there is no pod waits in namespace shop of the cluster at https://"}},
		{"no such node", "explain node empty", kubeconfig, exitInput, nil, []string{"there is no node empty"}},
		{"no such claim", "explain nodeclaim empty", kubeconfig, exitInput, nil, []string{"there is no nodeclaim empty"}},
		{"nodes", "nodes", kubeconfig, 0, []string{"1 node   $0.0000 per hour, $0.00 per month   1 pod, 2 wait", "full"}, nil},
		{"nodes of a pool", "nodes --pool arm -o json", kubeconfig, 0, []string{`"nodes": []`}, nil},
		{"with the rights that the help names", "explain node full", reader, 0, []string{"node full was not launched by Slipway"}, []string{"PodDisruptionBudgets are left out", "events are left out"}},
		{"a pod, without those of a plan", "explain pod kube-system/waits --scheduler-config " + profile, reader, 0, []string{"no scheduler has looked at it"}, []string{"plans for the pod are left out"}},
		{"nodes, with the rights that the help names", "nodes", reader, 0, []string{"1 node "}, nil},
		{"without rights", "explain node full", stranger, exitFailed, nil, []string{"forbidden"}},
		{"nodes, without rights", "nodes", stranger, exitFailed, nil, []string{"forbidden"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := slipway(t, "", append(strings.Fields(tt.args), "--kubeconfig", tt.kubeconfig)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for text, wanted := range map[string][]string{out: tt.stdout, errs: tt.stderr} {
				for _, want := range wanted {
					if !strings.Contains(text, want) {
						t.Errorf("%q is not in\n%s", want, text)
					}
				}
			}
		})
	}
}

// userOf makes a user, with the rights that the help of explain and nodes calls necessary or
// with none, and returns the file of their kubeconfig.
func userOf(t *testing.T, env *envtest.Environment, name string, may bool) string {
	t.Helper()
	user, err := env.AddUser(envtest.User{Name: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if !may {
		return file
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(env.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []client.Object{
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{
			{Verbs: []string{"get", "list"}, APIGroups: []string{""}, Resources: []string{"pods", "nodes"}},
			{Verbs: []string{"get"}, APIGroups: []string{v1alpha1.Group}, Resources: []string{"nodepools"}},
			{Verbs: []string{"list"}, APIGroups: []string{v1alpha1.Group}, Resources: []string{"nodeclaims"}},
		}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		},
	} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	return file
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
