package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/report"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

func list(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

func pods(names ...string) []*corev1.Pod {
	var all []*corev1.Pod
	for _, n := range names {
		namespace, name, _ := strings.Cut(n, "/")
		all = append(all, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	}
	return all
}

var (
	pool   = &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	offers = []offering.Offer{
		{Offering: offering.Offering{Zone: "us-east-1a", CapacityType: "on-demand", Price: 0.3264}, Pool: pool, Type: "m7g.2xlarge",
			Node: &corev1.Node{Status: corev1.NodeStatus{Allocatable: list("7910m", "29Gi")}}},
		{Offering: offering.Offering{Zone: "us-east-1b", CapacityType: "spot", Price: 0.0123}, Pool: pool, Type: "c7g.large",
			Node: &corev1.Node{Status: corev1.NodeStatus{Allocatable: list("1930m", "3Gi")}}},
	}
	owners = webOwners()
)

func webOwners() map[string]string {
	owners := map[string]string{"shop/db-0": "statefulset/db"}
	for i := range 10 {
		owners[fmt.Sprintf("shop/web-%d", i)] = "deployment/web"
		owners[fmt.Sprintf("test/web-%d", i)] = "deployment/web"
	}
	return owners
}

func situations() map[string]*report.Result {
	mixed := &fit.Plan{
		Nodes: []fit.Planned{
			{Templates: []int{1}, Pods: pods("shop/db-0"), Requests: list("1", "2Gi")},
			{Templates: []int{0}, Pods: pods("shop/web-1", "shop/web-0"), Requests: list("6", "8Gi")},
			{Templates: []int{0}, Pods: pods("shop/web-2", "shop/web-3"), Requests: list("4", "8Gi")},
			{Templates: []int{0, 1}, Pods: pods("shop/web-4", "test/web-4", "shop/lone"), Requests: list("7900m", "29Gi")},
		},
		Reused: []fit.Reused{{Node: "ip-10-0-0-7", Pods: pods("shop/web-5", "shop/web-6")}},
		Unplaced: []fit.Unplaced{
			{Pod: pods("test/web-8")[0], Reasons: []string{"nodepool default: its limit of 100 cpu is reached"}},
			{Pod: pods("test/web-7")[0], Reasons: []string{"nodepool default: its limit of 100 cpu is reached"}},
			{Pod: pods("shop/huge")[0], Reasons: []string{"nodepool default: needs 500 cpu", "nodepool gpu: untolerated taint"}},
		},
		Price: 0.9915, LowerBound: 0.9412345678,
		Took: fit.Took{Fit: 1500 * time.Microsecond, Pack: 2 * time.Millisecond, Verify: 250 * time.Microsecond},
	}
	return map[string]*report.Result{
		"mixed":          report.New(mixed, offers, 13, 12*time.Millisecond),
		"nothing-to-do":  report.New(&fit.Plan{}, offers, 0, time.Millisecond),
		"nothing-to-buy": report.New(&fit.Plan{Reused: mixed.Reused}, offers, 2, time.Millisecond),
		"no-place":       report.New(&fit.Plan{Unplaced: mixed.Unplaced[2:]}, offers, 1, time.Millisecond),
	}
}

// golden compares a text with a file of testdata; with UPDATE set it writes the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestTable(t *testing.T) {
	for name, result := range situations() {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := result.Table(&out, owners, 120); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".table", out.String())
		})
	}
}

func TestNarrowTable(t *testing.T) {
	var out strings.Builder
	if err := situations()["mixed"].Table(&out, owners, 80); err != nil {
		t.Fatal(err)
	}
	golden(t, "narrow.table", out.String())
}

// TestLongTable: nodes that differ in their pods only share a row where there are many.
func TestLongTable(t *testing.T) {
	plan := &fit.Plan{}
	for i := range 60 {
		plan.Nodes = append(plan.Nodes, fit.Planned{Templates: []int{0}, Pods: pods(fmt.Sprintf("shop/single-%d", i)), Requests: list("4", "8Gi")})
	}
	var out strings.Builder
	if err := report.New(plan, offers, 60, 0).Table(&out, owners, 120); err != nil {
		t.Fatal(err)
	}
	if rows := strings.Count(out.String(), "m7g.2xlarge"); rows != 1 || !strings.Contains(out.String(), "60 × m7g.2xlarge") {
		t.Errorf("%d rows:\n%s", rows, out.String())
	}
}

func TestManyOwners(t *testing.T) {
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("shop/single-%d", i))
	}
	plan := &fit.Plan{Nodes: []fit.Planned{{Templates: []int{0}, Pods: pods(names...), Requests: list("4", "8Gi")}}}
	var out strings.Builder
	if err := report.New(plan, offers, 30, 0).Table(&out, owners, 1000); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), " and 23 of 23 others\n") {
		t.Errorf("the table names all owners:\n%s", out.String())
	}
}

func TestJSON(t *testing.T) {
	for name, result := range situations() {
		t.Run(name, func(t *testing.T) {
			var asJSON, asYAML bytes.Buffer
			if err := result.JSON(&asJSON); err != nil {
				t.Fatal(err)
			}
			if err := result.YAML(&asYAML); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", asJSON.String())
			var fromJSON, fromYAML any
			if err := json.Unmarshal(asJSON.Bytes(), &fromJSON); err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal(asYAML.Bytes(), &fromYAML); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fromJSON, fromYAML); diff != "" {
				t.Errorf("YAML says something else (-JSON +YAML):\n%s", diff)
			}
			var schema map[string]any
			if err := json.Unmarshal(report.Schema, &schema); err != nil {
				t.Fatal(err)
			}
			for _, wrong := range conform(schema, schema, fromJSON, "") {
				t.Error(wrong)
			}
		})
	}
}

// conform holds a value against the part of JSON Schema that schema.json uses.
func conform(root, schema map[string]any, value any, at string) (wrong []string) {
	if ref, ok := schema["$ref"].(string); ok {
		schema = root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	kind, ok := "", true
	switch v := value.(type) {
	case map[string]any:
		kind = "object"
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range asList(schema["required"]) {
			if _, ok := v[name.(string)]; !ok {
				wrong = append(wrong, at+": lacks "+name.(string))
			}
		}
		for name, field := range v {
			below, ok := properties[name].(map[string]any)
			if !ok {
				below, ok = schema["additionalProperties"].(map[string]any)
			}
			if !ok {
				wrong = append(wrong, at+": the schema has no "+name)
				continue
			}
			wrong = append(wrong, conform(root, below, field, at+"."+name)...)
		}
	case []any:
		kind = "array"
		for i, item := range v {
			wrong = append(wrong, conform(root, schema["items"].(map[string]any), item, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case string:
		kind = "string"
		if pattern, has := schema["pattern"].(string); has {
			ok = regexp.MustCompile(pattern).MatchString(v)
		}
		if enum := asList(schema["enum"]); enum != nil {
			kind, ok = "", slices.Contains(enum, any(v))
		}
	case float64:
		kind = "number"
		if schema["type"] == "integer" && v == float64(int(v)) {
			kind = "integer"
		}
		if least, has := schema["minimum"].(float64); has {
			ok = v >= least
		}
	}
	if want, _ := schema["type"].(string); want != kind || !ok {
		wrong = append(wrong, fmt.Sprintf("%s: %v is no %q of the schema", at, value, want))
	}
	return wrong
}

func asList(v any) []any {
	all, _ := v.([]any)
	return all
}

func TestConformNotices(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(report.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{`{}`, `[]`, `{"pods":"1"}`} {
		var value any
		if err := json.Unmarshal([]byte(wrong), &value); err != nil {
			t.Fatal(err)
		}
		if len(conform(schema, schema, value, "")) == 0 {
			t.Errorf("%s conforms", wrong)
		}
	}
}
