package deps

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the import path that all the project's packages begin with.
const Module = "github.com/slipway-dev/slipway"

const api = "launcher/api/v1alpha1"

// Rules returns, for each package of the project, the packages of the project
// that it may import, tests excepted; all paths are relative to Module. A name
// that ends in /... stands for the package itself and everything below it, as
// for the go command. A package is judged by the longest name that it matches.
func Rules() map[string][]string {
	return map[string][]string{
		"plugin":         {"plugin/ledger", "plugin/courier", "plugin/config", "plugin/memory"},
		"plugin/ledger":  {},
		"plugin/memory":  {},
		"plugin/courier": {"plugin/ledger", "proto/..."},
		"plugin/config":  {},
		// A launcher for tests.
		"plugin/courier/launchertest": {"plugin/courier", "proto/..."},
		"plugin/cmd/...":              {"plugin/...", "proto/..."},

		"launcher":                 {"launcher/allocate", "proto/..."},
		api:                        {},
		"launcher/config":          {api},
		"launcher/offering":        {api},
		"launcher/pack":            {},
		"launcher/fit":             {"launcher/pack", "launcher/offering"},
		"launcher/cluster":         {api},
		"launcher/market":          {"launcher/fit", "launcher/offering", api},
		"launcher/consolidate":     {"launcher/fit", "launcher/cluster", api},
		"launcher/allocate":        {"launcher/market", "launcher/consolidate", "launcher/fit", "launcher/pack", "launcher/cluster", "launcher/offering", api},
		"launcher/nodeclaim":       {"launcher/cloud", "launcher/offering", "launcher/cluster", api},
		"launcher/nodepool":        {"launcher/cloud", "launcher/offering", api},
		"launcher/replicas":        {"launcher/offering", "launcher/cluster", api},
		"launcher/reallocate":      {"launcher/market", "launcher/consolidate", "launcher/fit", "launcher/cluster", "launcher/offering", api},
		"launcher/cloud":           {"launcher/offering", api},
		"launcher/cloud/ec2":       {"launcher/cloud", "launcher/offering", api},
		"launcher/cloud/cloudtest": {"launcher/cloud", "launcher/offering", api},
		"launcher/cmd/...":         {"launcher/...", "proto/..."},
		// The users' command validates manifests by the CRDs, without an API server.
		"launcher/cmd/slipway/...": {"launcher/...", "manifests/crd"},

		"proto/slipway/v1":    {},
		"manifests/crd":       {},
		"manifests/crd/bound": {}, // a command of `make generate`
		"scripts/...":         {"..."},
	}
}

// Check returns what is wrong with a package's imports, nothing where all is
// well. Paths are full import paths; imports from outside Module are not looked at.
func Check(rules map[string][]string, path string, imports []string) []string {
	name := relative(path)
	allowed, ok := rules[match(rules, name)]
	if !ok {
		return []string{fmt.Sprintf("%s: no rule says what it may import; add it to scripts/deps/rules.go", name)}
	}
	var wrong []string
	for _, imported := range imports {
		if !ours(imported) {
			continue
		}
		target := relative(imported)
		if !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, target) }) {
			wrong = append(wrong, fmt.Sprintf("%s must not import %s (allowed: %s)", name, target, list(allowed)))
		}
	}
	return wrong
}

func list(allowed []string) string {
	if len(allowed) == 0 {
		return "nothing of ours"
	}
	return strings.Join(allowed, ", ")
}

// match returns the longest of the rules' names that a package matches, or "".
func match(rules map[string][]string, name string) string {
	best := ""
	for pattern := range rules {
		if matches(pattern, name) && len(pattern) > len(best) {
			best = pattern
		}
	}
	return best
}

func matches(pattern, name string) bool {
	prefix, all := strings.CutSuffix(pattern, "...")
	if !all {
		return pattern == name
	}
	return strings.HasPrefix(name, prefix) || name+"/" == prefix
}

func ours(path string) bool { return path == Module || strings.HasPrefix(path, Module+"/") }

// relative returns a package's path below Module, "." for Module itself.
func relative(path string) string {
	if path == Module {
		return "."
	}
	return strings.TrimPrefix(path, Module+"/")
}
