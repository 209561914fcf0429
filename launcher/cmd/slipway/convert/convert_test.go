package convert_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/convert"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/manifest"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden: testdata/*.yaml and what they come to, with everything there is to say.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			got := converted(t, file)
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func converted(t *testing.T, file string) []byte {
	t.Helper()
	objects, err := manifest.Scan([]string{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := convert.Objects(objects)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, o := range result.Objects {
		raw, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "---\n%s", raw)
	}
	for _, r := range result.Remarks {
		fmt.Fprintln(&out, "# left out:", r)
	}
	for _, i := range result.Invalid {
		fmt.Fprintln(&out, "# not valid:", i)
	}
	for kind, n := range result.Ignored {
		fmt.Fprintln(&out, "# ignored:", n, kind)
	}
	return out.Bytes()
}

// FuzzObjects: no input makes a conversion panic, and each of Karpenter's objects is either
// converted or remarked upon.
func FuzzObjects(f *testing.F) {
	for _, kind := range []string{"karpenter.sh/v1 NodePool", "karpenter.k8s.aws/v1 EC2NodeClass", "karpenter.sh/v1alpha5 Provisioner", "karpenter.k8s.aws/v1alpha1 AWSNodeTemplate"} {
		version, name, _ := strings.Cut(kind, " ")
		for _, spec := range []string{
			"null", "7", "[]", `{"template": [1]}`, `{"template": {"spec": {"requirements": {"a": 1}}}}`, `{"requirements": [7, {"key": 1}], "limits": 3, "provider": "x"}`,
			`{"provider": {"subnetSelector": {"a": 1}}, "labels": ["x"]}`, `{"subnetSelector": "x", "amiSelector": {"aws::name": "a,b"}}`,
		} {
			f.Add(fmt.Sprintf(`{"apiVersion": %q, "kind": %q, "metadata": {"name": "a"}, "spec": %s}`, version, name, spec))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		objects, err := manifest.Scan([]string{"-"}, strings.NewReader(text))
		if err != nil {
			return
		}
		result, err := convert.Objects(objects)
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Objects)+len(result.Ignored) == 0 && len(objects) > 0 {
			t.Errorf("%d objects came to nothing", len(objects))
		}
	})
}
