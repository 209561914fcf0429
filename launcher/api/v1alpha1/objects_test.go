package v1alpha1_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func testDefaults(t *testing.T, c client.Client) {
	t.Run("NodePool", func(t *testing.T) {
		np := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "defaults"}}
		np.Spec.Template.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Name: "a"}
		if err := c.Create(testContext(t), np, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		want := v1alpha1.NodePoolSpec{
			Template: v1alpha1.NodeTemplate{Spec: v1alpha1.NodeTemplateSpec{
				NodeClassRef: &v1alpha1.NodeClassReference{Group: "slipway.dev", Kind: "EC2NodeClass", Name: "a"},
				ExpireAfter:  "Never",
			}},
			Disruption: v1alpha1.Disruption{
				ConsolidationPolicy: v1alpha1.ConsolidateWhenEmpty,
				ConsolidateAfter:    v1alpha1.DefaultConsolidateAfter.String(),
				Budgets:             []v1alpha1.Budget{{Nodes: "10%"}},
			},
		}
		if diff := cmp.Diff(want, np.Spec); diff != "" {
			t.Errorf("spec (-want +got):\n%s", diff)
		}
	})
	t.Run("EC2NodeClass", func(t *testing.T) {
		class := &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "defaults"}}
		if err := c.Create(testContext(t), class, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		hops := int64(1)
		want := v1alpha1.EC2NodeClassSpec{
			AMISelectorTerms: []v1alpha1.AMISelectorTerm{{Alias: "al2023@latest"}},
			MetadataOptions: &v1alpha1.MetadataOptions{
				HTTPEndpoint: "enabled", HTTPProtocolIPv6: "disabled",
				HTTPPutResponseHopLimit: &hops, HTTPTokens: "required",
			},
		}
		if diff := cmp.Diff(want, class.Spec); diff != "" {
			t.Errorf("spec (-want +got):\n%s", diff)
		}
	})
}

func newClaim(name string) *v1alpha1.NodeClaim {
	return &v1alpha1.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.NodeClaimSpec{
			NodePool:     "pool-of-" + name,
			NodeClassRef: &v1alpha1.NodeClassReference{Group: v1alpha1.Group, Kind: "EC2NodeClass", Name: "a"},
			Requirements: []v1alpha1.Requirement{{Key: "team", Operator: v1alpha1.OpIn, Values: []string{"a"}}},
			Offerings: v1alpha1.GroupOfferings(v1alpha1.AcceptedOffering{
				InstanceType: "t3.medium", Zone: "us-east-1a", CapacityType: "spot", Price: resource.MustParse("0.0416"),
			}),
			Pods:     []v1alpha1.ReservedPod{{UID: "u1", Namespace: "default", Name: "p"}, {UID: "u2", Namespace: "default", Name: "q"}},
			Requests: corev1.ResourceList{"cpu": resource.MustParse("1500m"), "memory": resource.MustParse("3Gi")},
			Labels:   map[string]string{"team": "a"},
			Taints:   []corev1.Taint{{Key: "a", Value: "b", Effect: corev1.TaintEffectNoSchedule}},
		},
	}
}

func testImmutable(t *testing.T, c client.Client) {
	ctx := testContext(t)
	for name, change := range map[string]func(*v1alpha1.NodeClaimSpec){
		"pool":      func(s *v1alpha1.NodeClaimSpec) { s.NodePool = "other" },
		"offerings": func(s *v1alpha1.NodeClaimSpec) { s.Offerings[0].Zones[0] = "us-east-1b" },
		"more pods": func(s *v1alpha1.NodeClaimSpec) {
			s.Pods = append(s.Pods, v1alpha1.ReservedPod{UID: "u3", Namespace: "default", Name: "r"})
		},
		"no requests": func(s *v1alpha1.NodeClaimSpec) { s.Requests = nil },
	} {
		t.Run(name, func(t *testing.T) {
			claim := newClaim("immutable-" + strings.ReplaceAll(name, " ", "-"))
			if err := c.Create(ctx, claim); err != nil {
				t.Fatal(err)
			}
			change(&claim.Spec)
			checkRefusal(t, c.Update(ctx, claim), []string{"spec is immutable"})
		})
	}
	t.Run("metadata may change", func(t *testing.T) {
		claim := newClaim("immutable-not")
		if err := c.Create(ctx, claim); err != nil {
			t.Fatal(err)
		}
		claim.Labels = map[string]string{"a": "b"}
		if err := c.Update(ctx, claim); err != nil {
			t.Error(err)
		}
	})
}

// testRoundTrip checks that the API server keeps every field, so that none is missing in the schema.
func testRoundTrip(t *testing.T, c client.Client) {
	ctx := testContext(t)
	claim := newClaim("round-trip")
	wantSpec := claim.Spec.DeepCopy()
	if err := c.Create(ctx, claim); err != nil {
		t.Fatal(err)
	}
	price := resource.MustParse("0.0416")
	claim.Status = v1alpha1.NodeClaimStatus{
		ProviderID: "aws:///us-east-1a/i-0", InstanceID: "i-0", NodeName: "n", ImageID: "ami-0",
		InstanceType: "t3.medium", Zone: "us-east-1a", CapacityType: "spot", Price: &price,
		Allocatable: corev1.ResourceList{"cpu": resource.MustParse("1930m")},
		Released:    []types.UID{"u1"},
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionInitialized, Status: metav1.ConditionTrue, Reason: "Ready",
			LastTransitionTime: metav1.Now().Rfc3339Copy(),
		}},
	}
	claim.SyncColumns()
	wantStatus := claim.Status.DeepCopy()
	if err := c.Status().Update(ctx, claim); err != nil {
		t.Fatal(err)
	}
	got := &v1alpha1.NodeClaim{}
	if err := c.Get(ctx, client.ObjectKeyFromObject(claim), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*wantSpec, got.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(*wantStatus, got.Status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func testSelectable(t *testing.T, c client.Client) {
	ctx := testContext(t)
	for _, name := range []string{"selectable-a", "selectable-b"} {
		if err := c.Create(ctx, newClaim(name)); err != nil {
			t.Fatal(err)
		}
	}
	var list v1alpha1.NodeClaimList
	if err := c.List(ctx, &list, client.MatchingFields{"spec.nodePool": "pool-of-selectable-a"}); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].Name != "selectable-a" {
		t.Errorf("got %d claims, want selectable-a alone", len(list.Items))
	}
}

// testKnownKeys keeps the list in the CEL rule equal to WellKnownRequirementKeys.
func testKnownKeys(t *testing.T, c client.Client) {
	for _, key := range v1alpha1.WellKnownRequirementKeys() {
		spec := "template: {spec: {requirements: [{operator: Exists, key: " + key + "}]}}"
		if err := dryRun(t, c, object(t, "NodePool", "known", spec)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	crd, err := os.ReadFile(filepath.Join(crdDir, "slipway.dev_nodepools.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rule, _, found := strings.Cut(string(crd[bytes.Index(crd, []byte("self in ['kubernetes.io")):]), "]")
	if !found {
		t.Fatal("no list of keys in the CRD")
	}
	if got, want := strings.Count(rule, ","), len(v1alpha1.WellKnownRequirementKeys())-1; got != want {
		t.Errorf("the rule lists %d keys, WellKnownRequirementKeys %d", got+1, want+1)
	}
}

func testExamples(t *testing.T, c client.Client) {
	files, err := filepath.Glob("../../../manifests/examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for dec := utilyaml.NewYAMLOrJSONDecoder(f, 4096); ; {
				u := &unstructured.Unstructured{}
				if err := dec.Decode(u); errors.Is(err, io.EOF) {
					return
				} else if err != nil {
					t.Fatal(err)
				}
				if u.GroupVersionKind().Group != v1alpha1.Group && u.GetNamespace() == "" {
					u.SetNamespace("default")
				}
				if err := dryRun(t, c, u); err != nil {
					t.Errorf("%s %s: %v", u.GetKind(), u.GetName(), err)
				}
			}
		})
	}
}
