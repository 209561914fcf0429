package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/launcher/config"
)

const valid = `
cluster: {name: c, serviceCIDR: 10.100.0.0/16}
grpc: {certFile: a, keyFile: b, clientCAFile: c}
schedulerConfigFile: s.yaml
`

func load(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(file)
}

func TestLoadDefaults(t *testing.T) {
	c, err := load(t, valid)
	if err != nil {
		t.Fatal(err)
	}
	if c.Batch.Idle.Duration != 100*time.Millisecond || c.Batch.Longest.Duration != time.Second || c.GRPC.Address != ":9443" ||
		c.NodeClaims.LaunchTimeout.Duration != 5*time.Minute || c.Repair.Toleration.Duration != 30*time.Minute || c.LeaderElection.Name != "slipway-launcher" {
		t.Errorf("defaults: %+v", c)
	}
}

func TestShippedConfigLoads(t *testing.T) {
	for _, values := range []string{"default", "full"} {
		if _, err := config.Load(filepath.Join("..", "..", "manifests", "rendered", values, "launcher.yaml")); err != nil {
			t.Error(err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "cluster.name: Required value"},
		{"no certificates", "cluster: {name: c}", "grpc.certFile: Required value"},
		{"an unknown field", valid + "batchh: {}", `unknown field "batchh"`},
		{"a network that is none", strings.Replace(valid, "10.100.0.0/16", "10.100", 1), "cluster.serviceCIDR: Invalid value"},
		{"idle longer than longest", valid + "batch: {idle: 2s}", "batch.idle: Invalid value"},
		{"a negative duration", valid + "unavailableFor: -1s", "unavailableFor: Invalid value"},
		{"a negative toleration", valid + "repair: {toleration: -1s}", "repair.toleration: Invalid value"},
		{"not a duration", valid + "unavailableFor: soon", "soon"},
		{"an address without a port", valid + "metricsAddress: localhost", "metricsAddress: Invalid value"},
		{"a lease shorter than its renewal", valid + "leaderElection: {leaseDuration: 1s}", "leaderElection: Invalid value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
