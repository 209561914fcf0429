// Package crd owns the generated CustomResourceDefinitions. It embeds them for programs
// that validate as the API server would, without one.
package crd

import (
	"embed"
	"fmt"
)

//go:embed slipway.dev_*.yaml
var files embed.FS

// Definition returns the CustomResourceDefinition of a resource such as "nodepools", as YAML.
func Definition(plural string) ([]byte, error) {
	raw, err := files.ReadFile("slipway.dev_" + plural + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("definition of %s: %w", plural, err)
	}
	return raw, nil
}
