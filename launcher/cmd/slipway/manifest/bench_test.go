package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/manifest"
)

func BenchmarkRead(b *testing.B) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p-%d, labels: {app: a}}\nspec:\n  containers:\n  - name: a\n    image: a\n    resources: {requests: {cpu: 500m, memory: 1Gi}}\n", i)
	}
	for b.Loop() {
		if _, err := manifest.Read([]string{"-"}, strings.NewReader(text.String())); err != nil {
			b.Fatal(err)
		}
	}
}
