package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/explain"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
)

// nowhere is a kubeconfig of a cluster that does not answer.
func nowhere(t *testing.T) string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"+
		"contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// TestWrongQuestions: what is refused before anything is read.
func TestWrongQuestions(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"explain", "name one pod, node or nodeclaim"},
		{"explain pod", "name one pod, node or nodeclaim"},
		{"explain pod a b", "name one pod, node or nodeclaim"},
		{"explain deployment web", `"deployment" is none of pod, node and nodeclaim`},
		{"explain pod shop/web -n test", "-n test is not the namespace of pod shop/web"},
		{"explain pod shop/", `"shop/" is no name of a pod`},
		{"explain node a/b", `"a/b" is no name of a node`},
		{"explain node a -o yaml", "-o yaml is neither text nor json"},
		{"explain pod a --live", "--live needs --cluster-name"},
		{"explain pod a --fast", "unknown flag: --fast"},
		{"explain pod a --scheduler-config testdata/web.yaml", "--scheduler-config testdata/web.yaml: "},
		{"nodes a", `takes no argument "a"`},
		{"nodes --sort colour", `nodes cannot be ordered by "colour", but by age, `},
		{"nodes -o yaml", "-o yaml is neither text nor json"},
		{"nodes --watch", "--watch needs a terminal"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			code, out, errs := slipway(t, "", strings.Fields(tt.args)...)
			if code != exitInput || out != "" || !strings.Contains(errs, tt.want) {
				t.Errorf("exit code %d, output %q, standard error %q, want %q", code, out, errs, tt.want)
			}
		})
	}
}

func TestSubject(t *testing.T) {
	for _, tt := range []struct{ args, kind, namespace, name string }{
		{"pod web", "pod", "", "web"}, {"po shop/web", "pod", "shop", "web"}, {"pods/web", "pod", "", "web"}, {"Node n", "node", "", "n"}, {"nc/c", "nodeclaim", "", "c"},
	} {
		o := explainOptions{output: "text"}
		kind, name, err := o.subject(strings.Fields(tt.args))
		if err != nil || kind != tt.kind || name != tt.name || o.plan.namespace != tt.namespace {
			t.Errorf("%s: %s %s/%s, %v", tt.args, kind, o.plan.namespace, name, err)
		}
	}
}

func TestQuestionsToNobody(t *testing.T) {
	config := nowhere(t)
	for _, args := range []string{"plan --cluster", "explain pod a", "explain node a", "explain nodeclaim a", "nodes"} {
		code, out, errs := slipway(t, "", append(strings.Fields(args), "--kubeconfig", config)...)
		if code != exitFailed || out != "" || !strings.Contains(errs, "API server http://127.0.0.1:1") {
			t.Errorf("%s: exit code %d, output %q, standard error %q", args, code, out, errs)
		}
	}
}

// TestHelpNamesStates: the help of nodes speaks of every state, that of explain of every field.
func TestHelpNamesStates(t *testing.T) {
	for _, state := range []string{
		nodes.StatePlanned, nodes.StateBooting, nodes.StateJoining, nodes.StateReady, nodes.StateProtected,
		nodes.StateNotReady, nodes.StateCordoned, nodes.StateDraining, nodes.StateEnding, "Removing",
	} {
		if !strings.Contains(nodesHelp, state) {
			t.Errorf("the help does not mention %s", state)
		}
	}
	for _, field := range jsonFields(t, explain.Explanation{}) {
		if !strings.Contains(explainHelp, field) {
			t.Errorf("the help of explain does not mention %s", field)
		}
	}
	for _, field := range append(jsonFields(t, nodes.Node{}), jsonFields(t, nodes.Totals{})...) {
		if !strings.Contains(nodesHelp, field) {
			t.Errorf("the help of nodes does not mention %s", field)
		}
	}
}

// jsonFields are the names of a struct's fields in JSON.
func jsonFields(t *testing.T, of any) []string {
	t.Helper()
	var names []string
	kind := reflect.TypeOf(of)
	for field := range kind.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Fatalf("%s has no fields in JSON", kind)
	}
	return names
}

// TestREADME: what the README shows of the command's output is what comes out.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, golden := range []string{"explain/testdata/pod-booting.txt", "explain/testdata/node-drifted-budget-0.txt", "nodes/testdata/readme.txt"} {
		text, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), string(text)) {
			t.Errorf("the README does not show %s:\n%s", golden, text)
		}
	}
}
