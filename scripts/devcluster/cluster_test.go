package devcluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/slipway-dev/slipway/scripts/devcluster/assets"
)

func TestStartRefuses(t *testing.T) {
	used := t.TempDir()
	if err := os.Mkdir(filepath.Join(used, "etcd"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		config Config
		want   error
	}{
		{name: "no directory", config: Config{}, want: ErrInvalidConfig},
		{name: "directory of an earlier cluster", config: Config{Dir: used}, want: ErrInvalidConfig},
		{name: "no binaries", config: Config{Dir: t.TempDir(), Assets: t.TempDir()}, want: os.ErrNotExist},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Start(t.Context(), tt.config); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestStartNamesLogOfFailedComponent(t *testing.T) {
	requireAssets(t)
	dir := t.TempDir()
	_, err := Start(t.Context(), Config{
		Dir: dir, WithoutControllerManager: true, APIServerArgs: []string{"--no-such-flag"},
	})
	if !errors.Is(err, ErrExited) {
		t.Fatalf("error = %v, want %v", err, ErrExited)
	}
	for _, words := range []string{filepath.Join(dir, "logs", "kube-apiserver.log"), "no-such-flag"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("error %q does not say %q", err, words)
		}
	}
}

// TestCluster shares one control plane between its parts, in order.
func TestCluster(t *testing.T) {
	requireAssets(t)
	crds := t.TempDir()
	if err := os.WriteFile(filepath.Join(crds, "boats.yaml"), []byte(boats), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster, err := Start(t.Context(), Config{Dir: t.TempDir(), CRDs: []string{crds}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	}()
	t.Run("versions", func(t *testing.T) { testVersion(t, cluster) })
	t.Run("custom resources", func(t *testing.T) { testCustomResources(t, cluster) })
	t.Run("access", func(t *testing.T) { testAccess(t, cluster) })
	t.Run("controllers", func(t *testing.T) { testControllers(t, cluster) })
	t.Run("restart", func(t *testing.T) { testRestart(t, cluster) })
}

func testVersion(t *testing.T, cluster *Cluster) {
	version, err := adminClient(t, cluster).Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.GitVersion != "v1.36.3" {
		t.Errorf("API server is %s, want v1.36.3", version.GitVersion)
	}
}

func testCustomResources(t *testing.T, cluster *Cluster) {
	resources, err := adminClient(t, cluster).Discovery().ServerResourcesForGroupVersion("slipway.dev/v1test")
	if err != nil {
		t.Fatal(err)
	}
	if len(resources.APIResources) != 1 || resources.APIResources[0].Kind != "Boat" {
		t.Errorf("resources = %v, want Boat", resources.APIResources)
	}
}

// testAccess checks that RBAC decides, each user by its own name.
func testAccess(t *testing.T, cluster *Cluster) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "access"}}
	tests := []struct {
		name    string
		user    User
		allowed bool
	}{
		{name: "kubelets create nodes", user: Kubelets(), allowed: true},
		{name: "admin creates nodes", user: Admin(), allowed: true},
		{name: "scheduler has no rights of its own", user: Scheduler()},
		{name: "launcher has no rights of its own", user: Launcher()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, err := cluster.Kubeconfig(tt.user)
			if err != nil {
				t.Fatal(err)
			}
			config, err := clientcmd.BuildConfigFromFlags("", path)
			if err != nil {
				t.Fatal(err)
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if apierrors.IsForbidden(err) == tt.allowed || err != nil && !apierrors.IsForbidden(err) {
				t.Errorf("error = %v, want allowed %v", err, tt.allowed)
			}
			if err != nil && !strings.Contains(err.Error(), tt.user.Name) {
				t.Errorf("error %q does not name the user %s", err, tt.user.Name)
			}
		})
	}
	if _, err := cluster.Kubeconfig(User{Name: "nobody", File: "../nobody"}); !errors.Is(err, ErrInvalidConfig) {
		t.Errorf("file outside the directory: error = %v, want %v", err, ErrInvalidConfig)
	}
}

func testControllers(t *testing.T, cluster *Cluster) {
	client := adminClient(t, cluster)
	replicas := int32(50)
	labels := map[string]string{"app": "web"}
	begin := time.Now()
	_, err := client.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the deployment's pods", func() bool {
		pods, err := client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
		return err == nil && len(pods.Items) == int(replicas)
	})
	t.Logf("%d replicas after %s", replicas, time.Since(begin).Round(time.Millisecond))
}

func testRestart(t *testing.T, cluster *Cluster) {
	client := adminClient(t, cluster)
	if err := cluster.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Discovery().ServerVersion(); err == nil {
		t.Error("the API server answers while it is stopped")
	}
	if err := cluster.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

func adminClient(t *testing.T, cluster *Cluster) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(cluster.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func requireAssets(t *testing.T) {
	t.Helper()
	if _, err := assets.Find(); err != nil {
		t.Fatal(err)
	}
}

const boats = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: boats.slipway.dev
spec:
  group: slipway.dev
  names: {kind: Boat, listKind: BoatList, plural: boats, singular: boat}
  scope: Cluster
  versions:
  - name: v1test
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object}
`
