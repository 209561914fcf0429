package v1alpha1

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

func TestMatcher(t *testing.T) {
	const zone, cpu = corev1.LabelTopologyZone, LabelInstanceCPU
	for _, tt := range []struct {
		name         string
		requirements []Requirement
		labels       map[string]string
		want         bool
	}{
		{"no requirements", nil, nil, true},
		{"In", []Requirement{{Key: zone, Operator: OpIn, Values: []string{"a", "b"}}}, map[string]string{zone: "b"}, true},
		{"not In", []Requirement{{Key: zone, Operator: OpIn, Values: []string{"a", "b"}}}, map[string]string{zone: "c"}, false},
		{"In, absent", []Requirement{{Key: zone, Operator: OpIn, Values: []string{"a"}}}, nil, false},
		{"NotIn", []Requirement{{Key: zone, Operator: OpNotIn, Values: []string{"a"}}}, map[string]string{zone: "b"}, true},
		{"not NotIn", []Requirement{{Key: zone, Operator: OpNotIn, Values: []string{"a"}}}, map[string]string{zone: "a"}, false},
		{"NotIn, absent", []Requirement{{Key: zone, Operator: OpNotIn, Values: []string{"a"}}}, nil, true},
		{"Exists", []Requirement{{Key: zone, Operator: OpExists}}, map[string]string{zone: ""}, true},
		{"not Exists", []Requirement{{Key: zone, Operator: OpExists}}, nil, false},
		{"DoesNotExist", []Requirement{{Key: zone, Operator: OpDoesNotExist}}, nil, true},
		{"not DoesNotExist", []Requirement{{Key: zone, Operator: OpDoesNotExist}}, map[string]string{zone: "a"}, false},
		{"Gt", []Requirement{{Key: cpu, Operator: OpGt, Values: []string{"4"}}}, map[string]string{cpu: "5"}, true},
		{"Gt, equal", []Requirement{{Key: cpu, Operator: OpGt, Values: []string{"4"}}}, map[string]string{cpu: "4"}, false},
		{"Gte, equal", []Requirement{{Key: cpu, Operator: OpGte, Values: []string{"4"}}}, map[string]string{cpu: "4"}, true},
		{"Gte, less", []Requirement{{Key: cpu, Operator: OpGte, Values: []string{"4"}}}, map[string]string{cpu: "3"}, false},
		{"Gte 0", []Requirement{{Key: cpu, Operator: OpGte, Values: []string{"0"}}}, map[string]string{cpu: "0"}, true},
		{"Gte 0, not a number", []Requirement{{Key: cpu, Operator: OpGte, Values: []string{"0"}}}, map[string]string{cpu: "few"}, false},
		{"Lt", []Requirement{{Key: cpu, Operator: OpLt, Values: []string{"10"}}}, map[string]string{cpu: "9"}, true},
		{"Lt, equal", []Requirement{{Key: cpu, Operator: OpLt, Values: []string{"10"}}}, map[string]string{cpu: "10"}, false},
		{"Lte, equal", []Requirement{{Key: cpu, Operator: OpLte, Values: []string{"10"}}}, map[string]string{cpu: "10"}, true},
		{"Lte, more", []Requirement{{Key: cpu, Operator: OpLte, Values: []string{"10"}}}, map[string]string{cpu: "11"}, false},
		{"Lt, absent", []Requirement{{Key: cpu, Operator: OpLt, Values: []string{"10"}}}, nil, false},
		{"Lt, not a number", []Requirement{{Key: cpu, Operator: OpLt, Values: []string{"10"}}}, map[string]string{cpu: "few"}, false},
		{"all of two", []Requirement{
			{Key: zone, Operator: OpIn, Values: []string{"a"}}, {Key: cpu, Operator: OpGt, Values: []string{"1"}},
		}, map[string]string{zone: "a", cpu: "2"}, true},
		{"one of two", []Requirement{
			{Key: zone, Operator: OpIn, Values: []string{"a"}}, {Key: cpu, Operator: OpGt, Values: []string{"1"}},
		}, map[string]string{zone: "a", cpu: "1"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := CompileRequirements(tt.requirements)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Match(tt.labels); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestCompileRequirementsRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    Requirement
	}{
		{"unknown operator", Requirement{Key: "a", Operator: "Like", Values: []string{"b"}}},
		{"In without values", Requirement{Key: "a", Operator: OpIn}},
		{"Exists with values", Requirement{Key: "a", Operator: OpExists, Values: []string{"b"}}},
		{"Gt without value", Requirement{Key: "a", Operator: OpGt}},
		{"Gt with two", Requirement{Key: "a", Operator: OpGt, Values: []string{"1", "2"}}},
		{"Lt a word", Requirement{Key: "a", Operator: OpLt, Values: []string{"b"}}},
		{"Gte below 0", Requirement{Key: "a", Operator: OpGte, Values: []string{"-1"}}},
		{"Lte overflows", Requirement{Key: "a", Operator: OpLte, Values: []string{"9223372036854775807"}}},
		{"bad key", Requirement{Key: "a b", Operator: OpExists}},
		{"bad value", Requirement{Key: "a", Operator: OpIn, Values: []string{"b c"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := CompileRequirements([]Requirement{tt.r}); !errors.Is(err, ErrInvalidRequirement) {
				t.Errorf("got %v, want ErrInvalidRequirement", err)
			}
		})
	}
}

// TestMatcherAgreesWithNodeAffinity checks the claim that a pool's requirements mean
// what a pod's required node affinity means.
func TestMatcherAgreesWithNodeAffinity(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := []string{"a", "b"}
	values := []string{"", "0", "1", "2", "10", "x"}
	ops := []RequirementOperator{OpIn, OpNotIn, OpExists, OpDoesNotExist, OpGt, OpLt, OpGte, OpLte}
	compared := 0
	for range 20_000 {
		r := Requirement{Key: keys[rng.IntN(2)], Operator: ops[rng.IntN(len(ops))]}
		for range rng.IntN(3) {
			r.Values = append(r.Values, values[rng.IntN(len(values))])
		}
		nodeLabels := map[string]string{}
		for _, k := range keys {
			if rng.IntN(3) > 0 {
				nodeLabels[k] = values[rng.IntN(len(values))]
			}
		}
		m, err := CompileRequirements([]Requirement{r})
		nsr, convertErr := r.NodeSelectorRequirement()
		if convertErr != nil {
			if err == nil {
				t.Fatalf("%+v compiles, but has no node affinity: %v", r, convertErr)
			}
			continue
		}
		ns, affinityErr := nodeaffinity.NewNodeSelector(&corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{nsr}}},
		})
		if (err == nil) != (affinityErr == nil) {
			t.Fatalf("%+v: got error %v, node affinity %v", r, err, affinityErr)
		}
		if err != nil {
			continue
		}
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: nodeLabels}}
		if got, want := m.Match(nodeLabels), ns.Match(node); got != want {
			t.Fatalf("%+v on %v: got %t, node affinity %t", r, nodeLabels, got, want)
		}
		compared++
	}
	if compared < 1000 {
		t.Errorf("only %d comparisons", compared)
	}
}

func TestEffectiveRequirements(t *testing.T) {
	amd64 := Requirement{Key: corev1.LabelArchStable, Operator: OpIn, Values: []string{"amd64"}}
	linux := Requirement{Key: corev1.LabelOSStable, Operator: OpIn, Values: []string{"linux"}}
	onDemand := Requirement{Key: LabelCapacityType, Operator: OpIn, Values: []string{CapacityTypeOnDemand}}
	anyArch := Requirement{Key: corev1.LabelArchStable, Operator: OpExists}
	notSpot := Requirement{Key: LabelCapacityType, Operator: OpNotIn, Values: []string{CapacityTypeSpot}}
	for _, tt := range []struct {
		name      string
		own, want []Requirement
	}{
		{"none", nil, []Requirement{amd64, linux, onDemand}},
		{"one of them", []Requirement{anyArch}, []Requirement{anyArch, linux, onDemand}},
		{"all of them", []Requirement{notSpot, linux, amd64}, []Requirement{notSpot, linux, amd64}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			np := &NodePool{}
			np.Spec.Template.Spec.Requirements = tt.own
			if diff := cmp.Diff(tt.want, np.EffectiveRequirements()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.own, np.Spec.Template.Spec.Requirements); diff != "" {
				t.Errorf("the pool itself changed:\n%s", diff)
			}
		})
	}
}

func BenchmarkMatch5000(b *testing.B) {
	np := &NodePool{}
	np.Spec.Template.Spec.Requirements = []Requirement{
		{Key: LabelInstanceCategory, Operator: OpIn, Values: []string{"c", "m", "r"}},
		{Key: LabelInstanceGen, Operator: OpGt, Values: []string{"4"}},
	}
	m, err := CompileRequirements(np.EffectiveRequirements())
	if err != nil {
		b.Fatal(err)
	}
	offerings := make([]map[string]string, 5000)
	for i := range offerings {
		offerings[i] = map[string]string{
			corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux", LabelCapacityType: "on-demand",
			LabelInstanceCategory: "m", LabelInstanceGen: strconv.Itoa(i % 9),
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, o := range offerings {
			m.Match(o)
		}
	}
}
