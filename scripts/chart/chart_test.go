package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/scripts/stack"
)

var manifests = filepath.Join("..", "..", "manifests")

func rendering(t *testing.T, values string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := stack.Read(filepath.Join(manifests, "rendered", values, "slipway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func name(o *unstructured.Unstructured) string { return o.GetKind() + " " + o.GetName() }

// TestObjects: every object of Kubernetes' own kinds has only fields that its kind has.
func TestObjects(t *testing.T) {
	scheme := clientgoscheme.Scheme
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Strict: true})
	others := map[string][]string{
		"default": nil,
		"full": {
			"Certificate slipway-ca", "Certificate slipway-launcher", "Certificate slipway-scheduler", "Issuer slipway", "Issuer slipway-selfsigned",
			"PrometheusRule slipway", "ServiceMonitor slipway-launcher", "ServiceMonitor slipway-scheduler",
		},
	}
	for values, want := range others {
		var skipped []string
		for _, o := range rendering(t, values) {
			if !scheme.Recognizes(o.GroupVersionKind()) {
				skipped = append(skipped, name(o))
				continue
			}
			raw, err := o.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := decoder.Decode(raw, nil, nil); err != nil {
				t.Errorf("%s: %s: %v", values, name(o), err)
			}
		}
		slices.Sort(skipped)
		if diff := cmp.Diff(want, skipped); diff != "" {
			t.Errorf("%s: objects of others' kinds (-want +got):\n%s", values, diff)
		}
	}
}

// rules is the part of a PrometheusRule that is looked at here.
type rules struct {
	Spec struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
}

// TestRunbook: every alert names its section of the runbook, and no section is about anything else.
func TestRunbook(t *testing.T) {
	const url = "https://runbooks.example/slipway/" // of manifests/chart/ci/full.yaml
	var alerts []string
	for _, o := range rendering(t, "full") {
		if o.GetKind() != "PrometheusRule" {
			continue
		}
		var r rules
		if raw, err := o.MarshalJSON(); err != nil || yaml.Unmarshal(raw, &r) != nil {
			t.Fatal(err)
		}
		for _, a := range r.Spec.Groups[0].Rules {
			alerts = append(alerts, a.Alert)
			if got, want := a.Annotations["runbook_url"], url+strings.ToLower(a.Alert); got != want {
				t.Errorf("%s: runbook_url is %q, want %q", a.Alert, got, want)
			}
			if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
				t.Errorf("%s: no summary or description", a.Alert)
			}
		}
	}
	readme, err := os.ReadFile(filepath.Join(manifests, "chart", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(string(readme), -1) {
		sections = append(sections, m[1])
	}
	if diff := cmp.Diff(alerts, sections); diff != "" {
		t.Errorf("sections of the runbook (-alerts +sections):\n%s", diff)
	}
}

// TestFullSetsEverything: ci/full.yaml gives every value another content than its default.
func TestFullSetsEverything(t *testing.T) {
	read := func(file string) map[string]any {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(manifests, "chart", file))
		if err != nil {
			t.Fatal(err)
		}
		var values map[string]any
		if err := yaml.UnmarshalStrict(raw, &values); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return values
	}
	// The policies are on in both, so that kubeconform sees them.
	alike := []string{".networkPolicy.enabled"}
	var compare func(path string, byDefault, full any)
	compare = func(path string, byDefault, full any) {
		if d, ok := byDefault.(map[string]any); ok && len(d) > 0 {
			f, _ := full.(map[string]any)
			for key, value := range d {
				compare(fmt.Sprintf("%s.%s", path, key), value, f[key])
			}
			return
		}
		if (full == nil || cmp.Equal(byDefault, full)) && !slices.Contains(alike, path) {
			t.Errorf("%s is %v in both", path, byDefault)
		}
	}
	compare("", read("values.yaml"), read(filepath.Join("ci", "full.yaml")))
}
