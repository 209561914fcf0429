package chart_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/scripts/devcluster"
)

// namespace is not where the chart is rendered for the dev cluster: any will do.
const namespace = "slipway"

// helm runs Helm on the packaged chart, and returns what it printed.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	program := os.Getenv("HELM")
	if program == "" || os.Getenv("CHART") == "" {
		t.Skip("HELM and CHART are not set: no Helm, or no packaged chart to test; `make test` sets them")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for i, arg := range args {
		if arg == "CHART" {
			args[i] = os.Getenv("CHART")
		}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestRefuses: values that make no sense are refused, and the message names them.
func TestRefuses(t *testing.T) {
	values := filepath.Join(manifests, "chart", "ci", "default.yaml")
	for name, tt := range map[string]struct{ set, want string }{
		"unknown":            {"launcher.replica=1", "replica"},
		"required":           {"cluster.name=", "name"},
		"no endpoint":        {"cluster.endpoint=1.2.3.4", "endpoint"},
		"another mode":       {"tls.mode=none", "mode"},
		"not a duration":     {"launcher.config.batch.idle=soon", "idle"},
		"the plugin's own":   {"scheduler.args.launcherAddress=x", "launcherAddress"},
		"not an order":       {"scheduler.args.order=Sideways", "order"},
		"half a digest":      {"launcher.image.digest=sha256:12", "digest"},
		"not a port":         {"networkPolicy.apiServerPort=0", "apiServerPort"},
		"a role without ARN": {"aws.roleARN=slipway", "roleARN"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := helm(t, "template", "slipway", "CHART", "--kube-version", "v1.36.3", "--values", values, "--set", tt.set)
			if err == nil || !strings.Contains(out, tt.want) {
				t.Errorf("--set %s: %v: %s", tt.set, err, out)
			}
		})
	}
}

// installation is a release in an API server.
type installation struct {
	client.Client
	t          *testing.T
	kubeconfig string
}

// run installs or upgrades the release.
func (in installation) run(args ...string) {
	in.t.Helper()
	args = append(args, "--kubeconfig", in.kubeconfig, "--namespace", namespace)
	if out, err := helm(in.t, args...); err != nil {
		in.t.Fatalf("helm %s: %v: %s", args[0], err, out)
	}
}

func (in installation) upgrade(set ...string) {
	in.t.Helper()
	args := []string{"upgrade", "slipway", "CHART", "--install", "--create-namespace", "--values", filepath.Join(manifests, "chart", "ci", "default.yaml")}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	in.run(args...)
}

func (in installation) get(name string, into client.Object) {
	in.t.Helper()
	if err := in.Get(in.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, into); err != nil {
		in.t.Fatal(err)
	}
}

// certificates returns the contents of both Secrets.
func (in installation) certificates() [2]map[string][]byte {
	in.t.Helper()
	var launcher, scheduler corev1.Secret
	in.get("slipway-launcher-tls", &launcher)
	in.get("slipway-scheduler-tls", &scheduler)
	return [2]map[string][]byte{launcher.Data, scheduler.Data}
}

// checksums returns what rolls the pods when it changes.
func (in installation) checksums() (launcher, scheduler string) {
	in.t.Helper()
	var l, s appsv1.Deployment
	in.get("slipway-launcher", &l)
	in.get("slipway-scheduler", &s)
	const key = "checksum/config"
	return l.Spec.Template.Annotations[key], s.Spec.Template.Annotations[key]
}

// TestInstall installs, upgrades and uninstalls the chart in an API server.
func TestInstall(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS is not set: no API server to test against; `make test` sets it")
	}
	if _, err := helm(t, "version"); err != nil {
		t.Fatal(err)
	}
	cluster, err := devcluster.Start(t.Context(), devcluster.Config{Dir: t.TempDir(), WithoutControllerManager: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	in := installation{t: t}
	if in.kubeconfig, err = cluster.Kubeconfig(devcluster.Admin()); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	if in.Client, err = client.New(cluster.RESTConfig(), client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}

	in.upgrade()
	first := in.certificates()
	checkCertificates(t, first)
	in.restricted()
	launcher, scheduler := in.checksums()

	in.upgrade("launcher.config.unavailableFor=5m")
	if diff := cmp.Diff(first, in.certificates()); diff != "" {
		t.Error("an upgrade changes the certificates")
	}
	if l, s := in.checksums(); l == launcher || s != scheduler {
		t.Errorf("the launcher's configuration changed: its pods roll: %t, the scheduler's: %t", l != launcher, s != scheduler)
	}
	in.upgrade("scheduler.args.launchDelay=5s")
	if l, s := in.checksums(); l == launcher || s == scheduler {
		t.Errorf("the scheduler's configuration changed, which both read: the launcher's pods roll: %t, its own: %t", l != launcher, s != scheduler)
	}

	if err := in.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "slipway-scheduler-tls"}}); err != nil {
		t.Fatal(err)
	}
	in.upgrade()
	renewed := in.certificates()
	checkCertificates(t, renewed)
	if bytes.Equal(renewed[0]["tls.crt"], first[0]["tls.crt"]) {
		t.Error("the launcher's certificate is kept, though the scheduler's was deleted")
	}

	in.run("uninstall", "slipway")
	var crds apiextensionsv1.CustomResourceDefinitionList
	if err := in.List(t.Context(), &crds); err != nil || len(crds.Items) != 3 {
		t.Errorf("%d CustomResourceDefinitions are left, want 3: %v", len(crds.Items), err)
	}
}

// checkCertificates checks that the two trust each other, as server and client.
func checkCertificates(t *testing.T, both [2]map[string][]byte) {
	t.Helper()
	for i, use := range []struct {
		name  string
		usage x509.ExtKeyUsage
	}{{"slipway-launcher." + namespace + ".svc", x509.ExtKeyUsageServerAuth}, {"slipway-scheduler", x509.ExtKeyUsageClientAuth}} {
		pair, err := tls.X509KeyPair(both[i]["tls.crt"], both[i]["tls.key"])
		if err != nil {
			t.Fatalf("%s: %v", use.name, err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(both[1-i]["ca.crt"]) { // the other's
			t.Fatalf("%s: nobody trusts it", use.name)
		}
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: use.name, Roots: roots, KeyUsages: []x509.ExtKeyUsage{use.usage}}); err != nil {
			t.Errorf("%s: %v", use.name, err)
		}
	}
}

// restricted checks that the API server takes the daemons' pods where the strictest Pod
// Security Standard is enforced.
func (in installation) restricted() {
	in.t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "restricted", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := in.Create(in.t.Context(), ns); err != nil {
		in.t.Fatal(err)
	}
	for _, daemon := range []string{"slipway-launcher", "slipway-scheduler"} {
		var d appsv1.Deployment
		in.get(daemon, &d)
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: daemon}, Spec: d.Spec.Template.Spec}
		if err := in.Create(in.t.Context(), pod, client.DryRunAll); err != nil {
			in.t.Errorf("pod of %s: %v", daemon, err)
		}
	}
}
