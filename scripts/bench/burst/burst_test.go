package burst

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/observe"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// at is so many milliseconds after the beginning.
func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func TestParseLog(t *testing.T) {
	log := strings.Join([]string{
		`I1122 12:00:00.001000   27607 pods.go:38] "pods handed over" logger="allocate" pods=3 new=2`,
		`I1122 12:00:00.002000   27607 pods.go:71] "reservation released" logger="allocate" pod="a/b" reason="batch closed pods=9"`,
		`I1122 12:00:00.003000   27607 batch.go:165] "batch closed" logger="allocate" pods=2 because="all have come" after="2ms"`,
		`I1122 12:00:00.004000   27607 planner.go:156] "planned" logger="allocate" pods=2 nodeclaims=1 types="1×t3a.medium"`,
		"a line that is no log line",
	}, "\n")
	got, err := parseLog(strings.NewReader(log), epoch)
	if err != nil {
		t.Fatal(err)
	}
	want := told{
		handedOver: []time.Time{at(1), at(1)}, batchClosed: []time.Time{at(3), at(3)}, planned: []time.Time{at(4), at(4)}, batches: 1,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(told{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseWrites(t *testing.T) {
	const metrics = `# HELP apiserver_request_total Counter
apiserver_request_total{code="201",resource="pods",subresource="",verb="POST"} 7
apiserver_request_total{code="409",resource="pods",subresource="",verb="POST"} 1
apiserver_request_total{code="200",resource="pods",subresource="status",verb="PATCH"} 1.2e+01
apiserver_request_total{code="200",resource="pods",subresource="",verb="GET"} 99
apiserver_request_other{verb="POST"} 99
`
	got, err := parseWrites([]byte(metrics))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]float64{"POST pods": 8, "PATCH pods/status": 12}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// seen is a burst of three pods on two nodes; the third was not reserved where it is.
func seen() *observe.View {
	v := observe.NewView()
	v.Pods = map[types.UID]*observe.Pod{
		"a": {Node: "n1", Created: at(0), Bound: at(120)},
		"b": {Node: "n1", Created: at(10), Bound: at(160)},
		"c": {Node: "n2", Created: at(20), Bound: at(300)},
	}
	v.Nodes = map[string]*observe.Node{
		"n1": {Registered: at(90), Ready: at(95), Schedulable: at(100)},
		"n2": {Registered: at(200), Ready: at(210), Schedulable: at(220)},
	}
	claim := &v1alpha1.NodeClaim{}
	claim.Name = "claim"
	claim.Spec.Pods = []v1alpha1.ReservedPod{{UID: "a"}, {UID: "b"}}
	claim.Status.NodeName, claim.Status.InstanceID = "n1", "i-1"
	v.Hold(claim, at(40))
	return v
}

func TestMeasure(t *testing.T) {
	calls := []simec2.Call{
		{Action: "CreateFleet", Time: at(45), Error: "RequestLimitExceeded"},
		{Action: "CreateFleet", Time: at(50), InstanceIDs: []string{"i-1"}},
		{Action: "CreateFleet", Time: at(70), InstanceIDs: []string{"i-1"}}, // asked again
		{Action: "DescribeInstances", Time: at(80), InstanceIDs: []string{"i-1"}},
	}
	f := measure(seen(), calls, told{batches: 1})
	f.Stages = nil
	want := Figures{
		Nodes: 2, MostPodsOnOne: 2, BoundElsewhere: 1, Batches: 1, CreateFleetCalls: 2, RefusedCalls: 1,
		CreationSeconds: 0.02, AllBoundSeconds: 0.3, AllBoundAfterLastPodSeconds: 0.28,
		CreatedToCreateFleet: observe.Percentiles{P50: 40, P99: 50},
		ReadyToBound:         observe.Percentiles{P50: 60, P99: 80},
		ReadyToAllBound:      observe.Percentiles{P50: 60, P99: 80},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBudgets(t *testing.T) {
	within := Figures{AllBoundSeconds: 0.3, AllBoundAfterLastPodSeconds: 60, ReadyToAllBound: observe.Percentiles{P99: 50}}
	beyond := Figures{AllBoundSeconds: 7, AllBoundAfterLastPodSeconds: 61, ReadyToAllBound: observe.Percentiles{P99: 51},
		CreatedToCreateFleet: observe.Percentiles{P50: 151, P99: 401}}
	for pods, n := range map[int]int{1: 2, 10: 2, 100: 4, 1000: 2, 10_000: 2, 7: 1} {
		for _, tt := range []struct {
			f   Figures
			met bool
		}{{within, true}, {beyond, false}} {
			all := budgets(pods, tt.f)
			if len(all) != n {
				t.Errorf("%d pods: %d budgets, want %d", pods, len(all), n)
			}
			for _, b := range all {
				if b.Met != tt.met {
					t.Errorf("%d pods: %+v", pods, b)
				}
			}
		}
	}
}

// TestReport: the median is taken of each figure by itself, and a failure is not hidden.
func TestReport(t *testing.T) {
	run := func(nodes int, seconds float64) Figures {
		return Figures{
			Nodes: nodes, AllBoundSeconds: seconds, Stages: []Stage{{Name: "created", P50: seconds}},
			Processes: map[string]Process{"slipway-launcher": {CPUSeconds: seconds}}, WritesPerPod: map[string]float64{"POST pods": seconds},
		}
	}
	r := newReport(Config{Deployments: 1})
	r.add(10, []Figures{run(3, 0.1), run(1, 0.2), run(2, 0.9)}, nil)
	r.add(20, nil, errors.New("1 of 20 pods have no node"))
	m := r.Bursts[0].Median
	if m.Nodes != 2 || m.AllBoundSeconds != 0.2 || m.Stages[0].P50 != 0.2 || m.Processes["slipway-launcher"].CPUSeconds != 0.2 || m.WritesPerPod["POST pods"] != 0.2 {
		t.Errorf("median: %+v", m)
	}
	var out bytes.Buffer
	r.Print(&out)
	for _, want := range []string{"every pod is bound", "FAILED", "met"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
}

func TestConfig(t *testing.T) {
	c := Config{Pods: []int{1}, Runs: 5, Deployments: 1}
	for pods, want := range map[int]int{1: 5, 100: 5, 101: 3, 1000: 3, 1001: 1} {
		if got := c.runs(pods); got != want {
			t.Errorf("%d runs of %d pods, want %d", got, pods, want)
		}
	}
	for name, wrong := range map[string]Config{
		"no bursts": {Runs: 1, Deployments: 1}, "no pods": {Pods: []int{0}, Runs: 1, Deployments: 1},
		"no runs": {Pods: []int{1}, Deployments: 1}, "no Deployments": {Pods: []int{1}, Runs: 1},
	} {
		if wrong.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
