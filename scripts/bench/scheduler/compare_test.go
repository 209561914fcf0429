package scheduler

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestParseThroughput(t *testing.T) {
	const items = `{"version":"v1","dataItems":[
		{"data":{"Average":9},"labels":{"Metric":"scheduler_pod_scheduling_duration_seconds"}},
		{"data":{"Average":215.5,"Perc50":240},"labels":{"Metric":"SchedulingThroughput"}}]}`
	if got, err := parseThroughput([]byte(items)); err != nil || got != 215.5 {
		t.Errorf("%v, %v", got, err)
	}
	for _, wrong := range []string{`{}`, `{"dataItems":[{"data":{"Average":0},"labels":{"Metric":"SchedulingThroughput"}}]}`} {
		if _, err := parseThroughput([]byte(wrong)); !errors.Is(err, errNoFigure) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestVerdict(t *testing.T) {
	for _, tt := range []struct {
		name         string
		stock, other []float64
		ratio        float64
		verdict      string
	}{
		{"faster", []float64{100, 100, 100}, []float64{90, 110, 120}, 1.1, "met"},
		{"slower in most pairs", []float64{100, 100, 100}, []float64{90, 95, 105}, 0.95, "met within noise"},
		{"slower but for one odd pair", []float64{100, 100, 100, 100, 100}, []float64{90, 92, 95, 96, 200}, 0.95, "MISSED"},
		{"slower in each", []float64{100, 200}, []float64{90, 160}, 0.85, "MISSED"},
	} {
		r := Row{Workload: tt.name, Stock: tt.stock, Other: tt.other}
		r.compare()
		if diff := r.Ratio - tt.ratio; diff > 1e-9 || diff < -1e-9 || r.verdict() != tt.verdict {
			t.Errorf("%s: ratio %v, %s", tt.name, r.Ratio, r.verdict())
		}
		var out bytes.Buffer
		(&Report{Against: Slipway, Rows: []Row{r}}).Print(&out)
		if !strings.Contains(out.String(), tt.verdict) {
			t.Errorf("%s: printed as\n%s", tt.name, out.String())
		}
	}
}

// TestRun: with a harness that tells its arguments and leaves a figure.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	harness := filepath.Join(dir, "harness")
	script := `#!/bin/sh
for a in "$@"; do case $a in -profile=*) profile=${a#*=};; -data-items-dir=*) out=${a#*=};; esac; done
echo $profile >> "` + dir + `/order"
n=100; [ $profile = slipway ] && n=120
echo '{"dataItems":[{"data":{"Average":'$n'},"labels":{"Metric":"SchedulingThroughput"}}]}' > $out/r.json
`
	if err := os.WriteFile(harness, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Binary: harness, Dir: dir, Etcd: dir, Logs: dir, Workloads: []string{"SchedulingBasic"}, Against: Slipway, Pairs: 2, Timeout: time.Minute}
	var out bytes.Buffer
	report, err := Run(t.Context(), cfg, &out)
	if err != nil {
		t.Fatal(err)
	}
	want := []Row{{Workload: "SchedulingBasic", Stock: []float64{100, 100}, Other: []float64{120, 120}, Ratio: 1.2, Low: 1.2, High: 1.2}}
	if diff := cmp.Diff(want, report.Rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	order, err := os.ReadFile(filepath.Join(dir, "order"))
	if err != nil || string(order) != "stock\nslipway\nslipway\nstock\n" {
		t.Errorf("order %q, %v", order, err)
	}
	cfg.Binary = filepath.Join(dir, "missing")
	if _, err := Run(t.Context(), cfg, &out); err == nil {
		t.Error("a harness that is missing measured something")
	}
}

// TestWorkloads: the list is that of the harness's file.
func TestWorkloads(t *testing.T) {
	raw, err := os.ReadFile("perf/testdata/workloads.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name string `json:"name"`
	}
	if err := yaml.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cases {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff(names, Workloads()); diff != "" {
		t.Errorf("(-file +list):\n%s", diff)
	}
}
