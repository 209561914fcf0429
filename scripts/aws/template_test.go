package aws

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/slipway-dev/slipway/scripts/simkubelet"
)

// template is a CloudFormation template, with its functions as maps: {"Fn::Sub": …}.
type template struct {
	Parameters map[string]any      `yaml:"Parameters"`
	Conditions map[string]any      `yaml:"Conditions"`
	Resources  map[string]resource `yaml:"Resources"`
	Outputs    map[string]any      `yaml:"Outputs"`
}

type resource struct {
	Type       string         `yaml:"Type"`
	Condition  string         `yaml:"Condition"`
	Properties map[string]any `yaml:"Properties"`
}

func readTemplate(t *testing.T) template {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "manifests", "aws", "cloudformation.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	spellOut(&root)
	var tmpl template
	if err := root.Decode(&tmpl); err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// spellOut replaces the short forms of functions, such as !Ref x, by their long ones.
func spellOut(n *yaml.Node) {
	for _, below := range n.Content {
		spellOut(below)
	}
	if !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!") {
		return
	}
	name := strings.TrimPrefix(n.Tag, "!")
	if name != "Ref" {
		name = "Fn::" + name
	}
	argument := *n
	argument.Tag = ""
	*n = yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: name}, &argument}}
}

// visit calls what for every function of the template.
func visit(value any, what func(function, argument string)) {
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			if text, ok := below.(string); ok && (key == "Ref" || strings.HasPrefix(key, "Fn::")) {
				what(key, text)
			}
			visit(below, what)
		}
	case []any:
		for _, below := range v {
			visit(below, what)
		}
	}
}

// TestReferences: whatever the template refers to is in it.
func TestReferences(t *testing.T) {
	tmpl := readTemplate(t)
	check := func(name string) {
		t.Helper()
		name, _, _ = strings.Cut(name, ".")
		_, parameter := tmpl.Parameters[name]
		if tmpl.Resources[name].Type == "" && !parameter && !strings.HasPrefix(name, "AWS::") {
			t.Errorf("there is no %s", name)
		}
	}
	functions := 0
	look := func(function, argument string) {
		functions++
		if function != "Fn::Sub" {
			check(argument)
			return
		}
		for _, m := range regexp.MustCompile(`\$\{([^}]+)\}`).FindAllStringSubmatch(argument, -1) {
			check(m[1])
		}
	}
	for name, r := range tmpl.Resources {
		visit(r.Properties, look)
		if r.Condition != "" && tmpl.Conditions[r.Condition] == nil {
			t.Errorf("%s: there is no condition %s", name, r.Condition)
		}
	}
	visit(tmpl.Conditions, look)
	visit(tmpl.Outputs, look)
	if functions < 20 {
		t.Errorf("only %d functions were found", functions)
	}
}

// TestClusterIsNotMarked: eksctl puts the tags of a cluster on its public subnets and on security
// groups that are not for nodes; Slipway must not take them for marked by hand.
func TestClusterIsNotMarked(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "manifests", "aws", "cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var cluster struct {
		Metadata struct {
			Name string            `yaml:"name"`
			Tags map[string]string `yaml:"tags"`
		} `yaml:"metadata"`
	}
	if err := yaml.Unmarshal(raw, &cluster); err != nil {
		t.Fatal(err)
	}
	if mark, ok := cluster.Metadata.Tags["slipway.dev/discovery"]; ok || cluster.Metadata.Name == "" {
		t.Errorf("the cluster %q is marked as %q", cluster.Metadata.Name, mark)
	}
}

// TestNodesMayJoin: the cluster lets nodes in by the names that the launcher gives them, as the
// simulated one does (scripts/simkubelet).
func TestNodesMayJoin(t *testing.T) {
	entry := readTemplate(t).Resources["NodeAccess"]
	if got := entry.Properties["Type"]; entry.Type != "AWS::EKS::AccessEntry" || got != string(simkubelet.AccessEC2) {
		t.Errorf("the nodes' access is a %s of type %v, want %s", entry.Type, got, simkubelet.AccessEC2)
	}
	for _, given := range []string{"Username", "KubernetesGroups"} {
		if entry.Properties[given] != nil {
			t.Errorf("%s is EKS's to give to an entry of this type", given)
		}
	}
}

// TestNotices: the queue gets the kinds of events that the launcher reads, and no others.
func TestNotices(t *testing.T) {
	code, err := os.ReadFile(filepath.Join("..", "..", "launcher", "cloud", "ec2", "events.go"))
	if err != nil {
		t.Fatal(err)
	}
	read := map[string][]string{"source": nil, "detail-type": nil}
	for _, m := range regexp.MustCompile(`eventKind\{"([^"]+)", "([^"]+)"\}`).FindAllStringSubmatch(string(code), -1) {
		read["source"], read["detail-type"] = append(read["source"], m[1]), append(read["detail-type"], m[2])
	}
	pattern, _ := readTemplate(t).Resources["Notices"].Properties["EventPattern"].(map[string]any)
	for field, want := range read {
		var sent []string
		for _, value := range pattern[field].([]any) {
			sent = append(sent, value.(string))
		}
		slices.Sort(sent)
		slices.Sort(want)
		if diff := cmp.Diff(slices.Compact(want), sent); diff != "" {
			t.Errorf("%s (-read +sent):\n%s", field, diff)
		}
	}
}
