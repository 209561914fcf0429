package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/report"
)

func TestMain(m *testing.M) {
	// The scheduler framework's recorder looks at its context once a second.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("k8s.io/kubernetes/pkg/scheduler/metrics.(*MetricAsyncRecorder).run"))
}

// slipway runs the command.
func slipway(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("COLUMNS", "120")
	var out, errs strings.Builder
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// planned runs `slipway plan -o json` on manifests from standard input.
func planned(t *testing.T, manifests string, args ...string) report.Result {
	t.Helper()
	code, out, errs := slipway(t, manifests, append([]string{"plan", "-f", "-", "-o", "json"}, args...)...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var r report.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// elapsed differs from run to run.
var elapsed = regexp.MustCompile(`(read|fit|pack|verify)(": |: )[0-9.e-]+`)

// disk is predicted elsewhere.
var disk = regexp.MustCompile(`(ephemeral-storage"?: )[^,\n]+`)

// bound is the packer's business, and gets tighter as it improves.
var bound = regexp.MustCompile(`(lowerBoundPerHour(?:": |: )|lower bound \$|plan is )[0-9.]+`)

func TestGolden(t *testing.T) {
	for _, tt := range []struct {
		golden string
		args   []string
	}{
		{"web.table", []string{"-f", "testdata/web.yaml", "-f", "testdata/pool.yaml", "--catalog", "testdata/types.csv"}},
		{"web.json", []string{"-f", "testdata/web.yaml", "-f", "testdata/pool.yaml", "--catalog", "testdata/types.csv", "-o", "json"}},
		{"web.yaml", []string{"-f", "testdata/web.yaml", "-f", "testdata/pool.yaml", "--catalog", "testdata/types.csv", "-o", "yaml"}},
		{"nothing.table", []string{"-f", "testdata/pool.yaml"}},
		{"shipped-scheduler.table", []string{"-f", "testdata/web.yaml", "-f", "testdata/pool.yaml", "--scheduler-config", "../../../manifests/rendered/default/scheduler.yaml"}},
	} {
		t.Run(tt.golden, func(t *testing.T) {
			code, got, errs := slipway(t, "", append([]string{"plan"}, tt.args...)...)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, errs)
			}
			got = disk.ReplaceAllString(got, `${1}"0"`)
			got = bound.ReplaceAllString(elapsed.ReplaceAllString(got, "${1}${2}0"), "${1}0")
			file := filepath.Join("testdata", "golden", tt.golden)
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
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNotesGoToStandardError(t *testing.T) {
	_, _, errs := slipway(t, "", "plan", "-f", "testdata/web.yaml", "--catalog", "testdata/types.csv")
	if errs != "note: ignored, as they have no bearing on where pods go: 1 ConfigMap\n" {
		t.Errorf("standard error: %q", errs)
	}
}

func pod(name, resources string) string {
	return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec: {containers: [{name: a, image: a, resources: " + resources + "}]}\n"
}

func pool(requirements string) string {
	return "---\napiVersion: slipway.dev/v1alpha1\nkind: NodePool\nmetadata: {name: own}\nspec: {template: {spec: {requirements: [" + requirements +
		", {key: kubernetes.io/arch, operator: In, values: [amd64, arm64]}]}}}\n"
}

// TestWhatMayBeBought: the types of testdata/types.csv that must not be bought are cheaper
// than those that may.
func TestWhatMayBeBought(t *testing.T) {
	small, large := pod("small", "{requests: {cpu: 1}}"), pod("large", "{requests: {cpu: 3}}")
	gpu := pod("gpu", "{limits: {nvidia.com/gpu: 1}}")
	in := func(key, value string) string { return "{key: " + key + ", operator: In, values: [" + value + "]}" }
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"current types of the usual categories", small, []string{"c7g.large"}},
		{"whatever the size", large, []string{"c7g.xlarge"}},
		{"GPU types for pods that ask for GPUs", gpu, []string{"g5g.xlarge"}},
		{"GPU types for no other pods", gpu + small, []string{"c7g.large", "g5g.xlarge"}},
		{"burstable types where a NodePool asks for them", small + pool(in("slipway.dev/instance-category", "t")), []string{"t4g.medium"}},
		{"what AWS no longer calls current where a NodePool asks for it", small + pool(in("slipway.dev/instance-family", "c5")), []string{"c5.large"}},
		{"GPU types for any pod where a NodePool asks for them", small + pool(in("slipway.dev/instance-family", "g5g")), []string{"g5g.xlarge"}},
		{"nothing that AL2023 does not run on", small + pool(in("slipway.dev/instance-family", "m2")), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := planned(t, tt.text, "--catalog", "testdata/types.csv")
			var got []string
			for _, n := range r.Nodes {
				got = append(got, n.InstanceType)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("bought (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBuiltinCatalogue(t *testing.T) {
	r := planned(t, pod("a", "{requests: {cpu: 1, memory: 1Gi}}"))
	if len(r.Nodes) != 1 || r.PricePerHour <= 0 || r.PricePerHour < r.LowerBoundPerHour || r.Nodes[0].CapacityType != "on-demand" {
		t.Errorf("plan is %+v", r)
	}
}

func TestNoOfferingMatches(t *testing.T) {
	r := planned(t, pod("a", "{}")+pool("{key: slipway.dev/instance-family, operator: In, values: [nosuch]}"))
	want := []report.Unplaced{{Pod: "default/a", Reasons: []string{"nodepool own: no offering matches its requirements"}}}
	if diff := cmp.Diff(want, r.Unplaced); diff != "" {
		t.Errorf("unplaced (-want +got):\n%s", diff)
	}
}

func TestPoolThatIsNotReady(t *testing.T) {
	const status = "status: {conditions: [{type: Ready, status: 'False', reason: NoSubnets, message: no subnet found, lastTransitionTime: '2026-01-01T00:00:00Z'}]}\n"
	r := planned(t, pod("a", "{}")+pool("{key: slipway.dev/instance-category, operator: In, values: [c]}")+status)
	want := []report.Unplaced{{Pod: "default/a", Reasons: []string{"nodepool own: not ready: no subnet found"}}}
	if diff := cmp.Diff(want, r.Unplaced); diff != "" {
		t.Errorf("unplaced (-want +got):\n%s", diff)
	}
}

func TestEqualInputEqualPlan(t *testing.T) {
	args := []string{"plan", "-f", "testdata/web.yaml", "-o", "json"}
	_, first, _ := slipway(t, "", args...)
	_, second, _ := slipway(t, "", args...)
	if diff := cmp.Diff(elapsed.ReplaceAllString(first, ""), elapsed.ReplaceAllString(second, "")); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
}

func TestMinValues(t *testing.T) {
	small := pod("small", "{requests: {cpu: 1}}")
	r := planned(t, small+pool("{key: slipway.dev/instance-family, operator: In, values: [c7g, c8g], minValues: 2}"), "--catalog", "testdata/types.csv")
	if len(r.Unplaced) != 1 || !strings.Contains(strings.Join(r.Unplaced[0].Reasons, " "), "minValues") {
		t.Errorf("plan is %+v, want a reason that names minValues", r)
	}
	r = planned(t, small+pool("{key: slipway.dev/instance-family, operator: In, values: [c7g, t4g], minValues: 2}"), "--catalog", "testdata/types.csv")
	if r.Placed != 1 {
		t.Errorf("plan is %+v, want the pod placed", r)
	}
}

func TestNodeClass(t *testing.T) {
	const class = "---\napiVersion: slipway.dev/v1alpha1\nkind: EC2NodeClass\nmetadata: {name: big}\n" +
		"spec: {blockDeviceMappings: [{deviceName: /dev/xvda, rootVolume: true, ebs: {volumeSize: 200Gi}}]}\n"
	pools := "---\napiVersion: slipway.dev/v1alpha1\nkind: NodePool\nmetadata: {name: own}\nspec: {template: {spec: {nodeClassRef: {name: big}}}}\n"
	text := pod("a", "{requests: {ephemeral-storage: 100Gi}}") + pools
	if r := planned(t, text+class); r.Placed != 1 {
		t.Errorf("the class's disk is not counted: %+v", r.Unplaced)
	}
	code, _, errs := slipway(t, text, "plan", "-f", "-")
	if want := "note: EC2NodeClass big of NodePool own is not among the input; the defaults are used\n"; code != 0 || errs != want {
		t.Errorf("exit code %d, standard error %q", code, errs)
	}
}

func TestWrongInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.csv")
	if err := os.WriteFile(file, []byte("type,arch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const good = "testdata/web.yaml"
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing to read", []string{"plan"}, "name manifests with -f"},
		{"unknown flag", []string{"plan", "--fast"}, "unknown flag: --fast"},
		{"unknown command", []string{"plam"}, `unknown command "plam"`},
		{"argument", []string{"plan", good}, `takes no argument "testdata/web.yaml"`},
		{"output", []string{"plan", "-f", good, "-o", "xml"}, "-o xml is none of table, json and yaml"},
		{"two catalogues", []string{"plan", "-f", good, "--live", "--cluster-name", "c", "--catalog", file}, "exclude each other"},
		{"live without a cluster's name", []string{"plan", "-f", good, "--live"}, "--live needs --cluster-name"},
		{"flags without effect", []string{"plan", "-f", good, "-n", "shop"}, "are for --cluster"},
		{"catalogue", []string{"plan", "-f", good, "--catalog", file}, file + `:1: the header has no column "vcpu"`},
		{"missing catalogue", []string{"plan", "-f", good, "--catalog", "nosuch.csv"}, "nosuch.csv: no such file"},
		{"scheduler configuration", []string{"plan", "-f", good, "--scheduler-config", good}, "--scheduler-config testdata/web.yaml: "},
		{"manifest", []string{"plan", "-f", "-"}, "stdin:3: Pod default/a: spec.containers: Required value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := slipway(t, "kind: Pod\napiVersion: v1\nspec: {}\nmetadata: {name: a}\n", tt.args...)
			if code != 2 || out != "" || !strings.Contains(errs, tt.want) {
				t.Errorf("exit code %d, want 2; output %q; standard error %q, want %q", code, out, errs, tt.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"plan", "--help"}, {}, {"version"}} {
		if code, out, errs := slipway(t, "", args...); code != 0 || errs != "" || !strings.Contains(out, "slipway") {
			t.Errorf("%q: exit code %d, %q, %q", args, code, out, errs)
		}
	}
	for _, column := range []string{"on_demand_usd_per_hour", "lowerBoundPerHour", "schema.json"} {
		if !strings.Contains(planHelp, column) {
			t.Errorf("the help does not mention %s", column)
		}
	}
}
