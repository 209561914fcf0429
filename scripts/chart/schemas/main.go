// Command schemas writes JSON schemas of all kinds in an OpenAPI v2 document, such as that of
// an API server, for kubeconform: DIR/KIND-GROUP-VERSION.json, each complete in itself.
// Unlike the document they refuse fields that do not exist.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: schemas SWAGGER.json DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

type schema = map[string]any

const refPrefix = "#/definitions/"

func run(document, dir string) error {
	raw, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	var api struct{ Definitions map[string]schema }
	if err := json.Unmarshal(raw, &api); err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, d := range api.Definitions {
		strict(d)
	}
	// These take numbers, too, which OpenAPI v2 cannot say.
	for name, types := range map[string][]string{
		"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"string", "integer"},
		"io.k8s.apimachinery.pkg.api.resource.Quantity":   {"string", "number"},
	} {
		if api.Definitions[name] == nil {
			return fmt.Errorf("%s: no definition of %s", document, name)
		}
		api.Definitions[name] = schema{"type": types}
	}
	for name, d := range api.Definitions {
		kinds, _ := d["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // more: options of calls
			continue
		}
		whole := schema{"$ref": refPrefix + name, "definitions": closure(api.Definitions, name)}
		out, err := json.Marshal(whole)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fileName(kinds[0].(schema))), out, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// fileName is what kubeconform calls {{.ResourceKind}}{{.KindSuffix}}.json.
func fileName(kind schema) string {
	parts := []string{kind["kind"].(string)}
	if group, _, _ := strings.Cut(kind["group"].(string), "."); group != "" {
		parts = append(parts, group)
	}
	return strings.ToLower(strings.Join(append(parts, kind["version"].(string)), "-")) + ".json"
}

// strict has every object with known fields refuse others.
func strict(value any) {
	switch v := value.(type) {
	case schema:
		if _, open := v["additionalProperties"]; v["properties"] != nil && !open {
			v["additionalProperties"] = false
		}
		for _, below := range v {
			strict(below)
		}
	case []any:
		for _, below := range v {
			strict(below)
		}
	}
}

// closure returns a definition and all that it refers to.
func closure(all map[string]schema, name string) map[string]schema {
	found := map[string]schema{}
	var visit func(any)
	visit = func(value any) {
		switch v := value.(type) {
		case schema:
			if ref, ok := v["$ref"].(string); ok {
				if name := strings.TrimPrefix(ref, refPrefix); found[name] == nil {
					found[name] = all[name]
					visit(all[name])
				}
			}
			for _, below := range v {
				visit(below)
			}
		case []any:
			for _, below := range v {
				visit(below)
			}
		}
	}
	visit(schema{"$ref": refPrefix + name})
	return found
}
