package v1alpha1_test

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// validationCase is an object's spec, and what the API server says of it: nothing
// when want is empty, else a refusal that holds every string of want.
type validationCase struct {
	name string
	spec string // YAML
	want []string
}

func testValidation(t *testing.T, c client.Client) {
	for kind, cases := range map[string][]validationCase{
		"NodePool":     nodePoolCases(),
		"EC2NodeClass": nodeClassCases(),
		"NodeClaim":    nodeClaimCases(),
	} {
		for _, tt := range cases {
			t.Run(kind+"/"+tt.name, func(t *testing.T) {
				err := dryRun(t, c, object(t, kind, "test", tt.spec))
				checkRefusal(t, err, tt.want)
			})
		}
	}
	t.Run("NodePool/name too long for a label", func(t *testing.T) {
		err := dryRun(t, c, object(t, "NodePool", strings.Repeat("n", 64), "{}"))
		checkRefusal(t, err, []string{"metadata.name is the value of the label slipway.dev/nodepool"})
	})
}

func object(t *testing.T, kind, name, spec string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	u.SetName(name)
	content := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(spec), &content); err != nil {
		t.Fatalf("spec: %v\n%s", err, spec)
	}
	u.Object["spec"] = content
	return u
}

func dryRun(t *testing.T, c client.Client, u *unstructured.Unstructured) error {
	t.Helper()
	// Strict: a misspelt field in a case must not pass as valid.
	return c.Create(testContext(t), u, client.DryRunAll, client.FieldValidation("Strict"))
}

func checkRefusal(t *testing.T, err error, want []string) {
	t.Helper()
	switch {
	case len(want) == 0:
		if err != nil {
			t.Errorf("refused: %v", err)
		}
	case err == nil:
		t.Errorf("accepted, want a refusal with %q", want)
	case !apierrors.IsInvalid(err):
		t.Errorf("got %v, want Invalid", err)
	default:
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("got %v\nwant it to say %q", err, w)
			}
		}
	}
}
