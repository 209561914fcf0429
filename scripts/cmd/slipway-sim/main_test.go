package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFromEnvironment(t *testing.T) {
	env := map[string]string{"SIM_BOOT_DELAY": "3s", "SIM_CLUSTER_NAME": "from-env", "SIM_SEED": "9"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	var o options
	f := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.bind(f)
	if err := f.Parse([]string{"--cluster-name=from-flag"}); err != nil {
		t.Fatal(err)
	}
	if err := fromEnvironment(f, lookup); err != nil {
		t.Fatal(err)
	}
	if o.bootDelay != 3*time.Second || o.clusterName != "from-flag" || o.seed != 9 {
		t.Errorf("got %+v, want the environment below the command line", o)
	}
	env["SIM_READ_LAG"] = "soon"
	if err := fromEnvironment(f, lookup); err == nil || !strings.Contains(err.Error(), "SIM_READ_LAG") {
		t.Errorf("got %v, want an error that names SIM_READ_LAG", err)
	}
}

func TestServesUntilStopped(t *testing.T) {
	dir := t.TempDir()
	address := filepath.Join(dir, "address")
	capacity := filepath.Join(dir, "capacity.json")
	if err := os.WriteFile(capacity, []byte(`[{"instanceType":"m5.large","instances":1}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := newCommand()
	cmd.SetArgs([]string{"--address-file", address, "--capacity", capacity})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()

	url := waitFor(t, address, done)
	client := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url + "/_sim/instances")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || strings.TrimSpace(string(body)) != "[]" {
		t.Errorf("instances: %q (%v), want none", body, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

// waitFor polls for the address file, for as long as the command runs.
func waitFor(t *testing.T, path string, done <-chan error) string {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if raw, err := os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(raw))
		}
		select {
		case err := <-done:
			t.Fatalf("ended early: %v", err)
		case <-deadline:
			t.Fatal("no address file")
		case <-tick.C:
		}
	}
}

func TestRefusedOptions(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`[{"action":"CreateFleet","cod":"X"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"an address off loopback", []string{"--listen", "0.0.0.0:0"}},
		{"a misspelt fault", []string{"--faults", bad}},
		{"a missing capacity file", []string{"--capacity", bad + ".none"}},
		{"a missing kubeconfig", []string{"--kubeconfig", bad + ".none"}},
		{"a negative delay", []string{"--boot-delay", "-1s"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
			defer stop()
			cmd := newCommand()
			cmd.SetArgs(tc.args)
			if err := cmd.ExecuteContext(ctx); err == nil {
				t.Error("accepted")
			}
		})
	}
}
