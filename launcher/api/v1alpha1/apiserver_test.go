package v1alpha1_test

import (
	"context"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

const crdDir = "../../../manifests/crd"

// TestAPIServer runs all that needs a real API server against one.
func TestAPIServer(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS names no directory with etcd and kube-apiserver")
	}
	env := &envtest.Environment{CRDDirectoryPaths: []string{crdDir}, ErrorIfCRDPathMissing: true}
	t.Cleanup(func() { // also after a failed start, which leaves processes behind
		if err := env.Stop(); err != nil {
			t.Errorf("stop API server: %v", err)
		}
	})
	cfg, err := env.Start()
	if err != nil {
		t.Fatalf("start API server: %v", err)
	}
	c, err := client.New(cfg, client.Options{Scheme: testScheme(t)})
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	for name, test := range map[string]func(*testing.T, client.Client){
		"validation": testValidation,
		"defaults":   testDefaults,
		"immutable":  testImmutable,
		"round trip": testRoundTrip,
		"selectable": testSelectable,
		"known keys": testKnownKeys,
		"examples":   testExamples,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

func testScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
