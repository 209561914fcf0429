package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"

	"github.com/slipway-dev/slipway/plugin/courier/launchertest"
)

const kubeconfig = `
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: none, context: {cluster: none}}]
current-context: none
`

// TestFlags: the command takes kube-scheduler's flags and no arguments.
func TestFlags(t *testing.T) {
	cmd := newCommand(t.Context())
	for _, name := range []string{"config", "leader-elect", "secure-port", "v", "feature-gates", "version"} {
		if cmd.Flag(name) == nil {
			t.Errorf("no flag %s", name)
		}
	}
	if err := cmd.Args(cmd, []string{"x"}); err == nil {
		t.Error("an argument is accepted")
	}
}

// TestVersion: --version names both versions and starts nothing.
func TestVersion(t *testing.T) {
	var out strings.Builder
	cmd := newCommand(t.Context())
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--version"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "slipway-scheduler unknown (Kubernetes v") {
		t.Errorf("printed %q", got)
	}
}

// TestRefusesToStart: what is wrong with the configuration is said at once.
func TestRefusesToStart(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	files := launchertest.NewAuthority(t).WriteFiles(dir)
	tls := "\n      tls: {certFile: " + files.Cert + ", keyFile: " + files.Key + ", caFile: " + files.CA + "}"
	head := `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: ` + write("kubeconfig", kubeconfig) + `}
leaderElection: {leaderElect: false}
profiles:
- schedulerName: slipway-scheduler
  plugins: {multiPoint: {enabled: [{name: Slipway}]}}
`
	args := head + "  pluginConfig:\n  - name: Slipway\n    args:\n      "
	good := args + "launcherAddress: a:1" + tls + "\n"
	for _, tc := range []struct {
		name, config, want string
	}{
		{"no args", head, "args.launcherAddress: Required value"},
		{"a field that does not exist", args + "launcher: here", `unknown field "launcher"`},
		{"no address", args + "order: LaunchFirst" + tls, "args.launcherAddress: Required value"},
		{"another order", args + "launcherAddress: a:1\n      order: Sideways" + tls, `args.order: Unsupported value: "Sideways"`},
		{"no certificate", args + "launcherAddress: a:1\n      tls: {certFile: " + dir + "/nowhere, keyFile: k, caFile: c}", "nowhere: no such file"},
		{"two profiles with launchers of their own", good + strings.NewReplacer("slipway-scheduler", "another", "a:1", "b:1").
			Replace(good[strings.Index(good, "- schedulerName"):]),
			`profile another: args.launcherAddress: Invalid value: "b:1": must be what it is in the first profile`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := options.NewOptions()
			opts.SecureServing.BindPort = 0
			opts.ConfigFile = write("config.yaml", tc.config)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if _, _, err := setup(ctx, opts); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}
