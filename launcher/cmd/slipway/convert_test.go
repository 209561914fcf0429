package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestConvertExitCodes: what scripts can tell from a conversion.
func TestConvertExitCodes(t *testing.T) {
	const head = "apiVersion: karpenter.k8s.aws/v1\nkind: EC2NodeClass\nmetadata: {name: a}\n"
	for _, tc := range []struct {
		name, input string
		args        []string
		code        int
		stdout      string
		stderr      string
	}{
		{"carried over", head + "spec: {tags: {a: b}}", nil, 0, "apiVersion: slipway.dev/v1alpha1", ""},
		{"in part", head + "spec: {placementGroup: x}", nil, 0, "kind: EC2NodeClass", "left out: stdin:4: EC2NodeClass a: spec.placementGroup: Slipway has no such field"},
		{"not valid", head + "spec: {amiSelectorTerms: [{alias: al2@latest}]}", nil, exitFailed, "al2@latest", "not valid: stdin:4"},
		{"no YAML", "a: [", nil, exitInput, "", "stdin:1"},
		{"nothing of Karpenter's", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}", nil, exitInput, "", "ignored: 1 × Pod of v1"},
		{"an argument", "", []string{"x"}, exitInput, "", "takes no argument"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), append([]string{"convert", "-f", "-"}, tc.args...), strings.NewReader(tc.input), &stdout, &stderr)
			if code != tc.code || !strings.Contains(stdout.String(), tc.stdout) || !strings.Contains(stderr.String(), tc.stderr) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, tc.code, &stdout, &stderr)
			}
		})
	}
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"convert"}, nil, nil, &stderr); code != exitInput || !strings.Contains(stderr.String(), "name manifests with -f") {
		t.Errorf("without files: exit code %d, %s", code, &stderr)
	}
}
