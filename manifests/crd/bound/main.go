// Command bound adds to the generated CRDs the lengths that Go types cannot declare:
// those of a map's values, and of fields of corev1.Taint. Without them the API server
// takes such strings to be megabytes long, and refuses CEL rules that read them as
// too expensive.
//
//	go run ./manifests/crd/bound manifests/crd/slipway.dev_*.yaml
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

// Lengths of label keys and values, and of EC2 tags' values.
const (
	maxLabelKey   = 253 + 1 + 63
	maxLabelValue = 63
	maxTagValue   = 256
	maxEffect     = 32
)

func main() {
	for _, file := range os.Args[1:] {
		if err := bound(file); err != nil {
			fmt.Fprintf(os.Stderr, "bound: %s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

func bound(file string) error {
	in, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var crd map[string]any
	if err := yaml.Unmarshal(in, &crd); err != nil {
		return err
	}
	if crd["kind"] != "CustomResourceDefinition" {
		return nil
	}
	visit(crd)
	out, err := yaml.Marshal(crd)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append([]byte("---\n"), out...), 0o600) // of a file that exists, the mode stays as it is
}

// visit bounds every schema below node. Properties are known by their names, which
// mean the same in all three CRDs.
func visit(node any) {
	switch node := node.(type) {
	case []any:
		for _, n := range node {
			visit(n)
		}
	case map[string]any:
		if properties, ok := node["properties"].(map[string]any); ok {
			for name, p := range properties {
				boundProperty(name, p)
			}
		}
		for _, n := range node {
			visit(n)
		}
	}
}

func boundProperty(name string, schema any) {
	switch name {
	case "labels":
		setMaxLength(maxLabelValue, schema, "additionalProperties")
	case "tags":
		setMaxLength(maxTagValue, schema, "additionalProperties")
	case "taints", "startupTaints":
		setMaxLength(maxLabelKey, schema, "items", "properties", "key")
		setMaxLength(maxLabelValue, schema, "items", "properties", "value")
		setMaxLength(maxEffect, schema, "items", "properties", "effect")
	}
}

// setMaxLength bounds the string schema at the path below schema, if there is one.
func setMaxLength(n int, schema any, path ...string) {
	for _, p := range path {
		m, ok := schema.(map[string]any)
		if !ok {
			return
		}
		schema = m[p]
	}
	if m, ok := schema.(map[string]any); ok && m["type"] == "string" {
		m["maxLength"] = n
	}
}
