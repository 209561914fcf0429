package deps

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestImportDirections holds every package of the module against the rules.
func TestImportDirections(t *testing.T) {
	rules := Rules()
	packages := listPackages(t)
	if len(packages) == 0 {
		t.Fatal("go list found no packages")
	}
	for _, p := range packages {
		for _, wrong := range Check(rules, p.ImportPath, p.Imports) {
			t.Error(wrong)
		}
	}
}

// TestPackIsPure checks the one package whose third-party imports are part of
// what it promises: packing knows arithmetic only.
func TestPackIsPure(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.ImportPath != Module+"/launcher/pack" {
			continue
		}
		for _, imported := range p.Imports {
			host, _, _ := strings.Cut(imported, "/")
			if strings.Contains(host, ".") && host != "gonum.org" {
				t.Errorf("launcher/pack must not import %s (allowed: the standard library, gonum)", imported)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	rules := map[string][]string{
		"app":         {"app/core"},
		"app/core":    {},
		"app/cmd/...": {"app/..."},
		"scripts/...": {"..."},
	}
	tests := []struct {
		name    string
		path    string
		imports []string
		want    []string
	}{
		{name: "allowed", path: "app", imports: []string{"app/core"}},
		{name: "third parties", path: "app/core", imports: []string{"!fmt", "!k8s.io/api/core/v1", "!" + Module + "-other"}},
		{name: "itself and everything below", path: "app/cmd/tool", imports: []string{"app", "app/core", "app/other"}},
		{name: "scripts import anything", path: "scripts/demo", imports: []string{"app", "app/core", "."}},
		{
			name: "against the direction", path: "app/core", imports: []string{"app"},
			want: []string{"app/core must not import app (allowed: nothing of ours)"},
		},
		{
			name: "below an allowed package", path: "app", imports: []string{"app/core/deep"},
			want: []string{"app must not import app/core/deep (allowed: app/core)"},
		},
		{
			name: "product imports scripts", path: "app/cmd/tool", imports: []string{"scripts/demo"},
			want: []string{"app/cmd/tool must not import scripts/demo (allowed: app/...)"},
		},
		{
			name: "no rule", path: "util",
			want: []string{"util: no rule says what it may import; add it to scripts/deps/rules.go"},
		},
		{
			name: "the module's root", path: ".",
			want: []string{".: no rule says what it may import; add it to scripts/deps/rules.go"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var imports []string
			for _, name := range tt.imports {
				imports = append(imports, absolute(name))
			}
			got := Check(rules, absolute(tt.path), imports)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// absolute turns a path below Module into an import path; a leading ! keeps it.
func absolute(name string) string {
	if outside, ok := strings.CutPrefix(name, "!"); ok {
		return outside
	}
	if name == "." {
		return Module
	}
	return Module + "/" + name
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

// listPackages asks go list for all packages of the module; their tests'
// imports are not in the answer. Packages that do not compile are listed too:
// their authors learn it elsewhere.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports", Module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list's answer: %v", err)
		}
		packages = append(packages, p)
	}
}
