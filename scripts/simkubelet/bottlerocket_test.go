package simkubelet

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/scripts/simec2"
)

const minimalSettings = `
[settings.kubernetes]
cluster-name = "test"
api-server = "https://127.0.0.1:6443"
cluster-certificate = "dGVzdCBDQQo="
`

func TestParseSettings(t *testing.T) {
	cfg, err := parseSettings(base64.StdEncoding.EncodeToString([]byte(minimalSettings + `
hostname-override-source = "instance-id"
max-pods = 7
[settings.kubernetes.node-labels]
team = "blue"
[settings.kubernetes.node-taints]
dedicated = ["blue:NoSchedule", ":NoExecute"]
`)))
	if err != nil {
		t.Fatal(err)
	}
	i := simec2.Instance{ID: "i-1", OS: simec2.OSBottlerocket, Type: simec2.InstanceType{VCPU: 2, ENIs: 3, IPv4PerENI: 10}, MemoryMiB: 7600, VolumeGiB: 20, Zone: "us-east-1a"}
	node, err := newNode(i, cfg, "v1.36.3", time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := []corev1.Taint{{Key: "dedicated", Value: "blue", Effect: "NoSchedule"}, {Key: "dedicated", Effect: "NoExecute"}}
	if diff := cmp.Diff(want, node.Spec.Taints); diff != "" {
		t.Errorf("taints (-want +got):\n%s", diff)
	}
	got := []string{node.Name, node.Labels["team"], node.Status.Allocatable.Pods().String(), node.Status.NodeInfo.OSImage}
	if diff := cmp.Diff([]string{"i-1", "blue", "7", "Bottlerocket OS"}, got); diff != "" {
		t.Errorf("name, label, pods, system (-want +got):\n%s", diff)
	}
}

func TestParseSettingsRefuses(t *testing.T) {
	for _, tt := range []struct{ name, settings, says string }{
		{"no cluster", "[settings.kubernetes]\n", "cluster.name is missing"},
		{"no TOML", "#!/bin/sh\nexit", "toml"},
		{"a setting that is not simulated", minimalSettings + "[settings.ntp]\ntime-servers = []\n", "settings.ntp"},
		{"a percentage", minimalSettings + "image-gc-high-threshold-percent = \"many\"\n", "no percentage"},
		{"a host name", minimalSettings + "hostname-override-source = \"luck\"\n", "luck"},
		{"a taint", minimalSettings + "[settings.kubernetes.node-taints]\na = [\"b\"]\n", "node-taints"},
		{"a command", minimalSettings + "[settings.bootstrap-commands.x]\ncommands = [[\"reboot\"]]\n", "bootstrap command x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseSettings(base64.StdEncoding.EncodeToString([]byte(tt.settings)))
			if !errors.Is(err, errUserData) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("err = %v, want one that says %s", err, tt.says)
			}
		})
	}
}

// TestMaxPodsExpression: as nodeadm has it, and refused where nodeadm would fall back.
func TestMaxPodsExpression(t *testing.T) {
	typ := simec2.InstanceType{ENIs: 3, IPv4PerENI: 10}
	for _, tt := range []struct {
		expression string
		want       int64 // 0: refused
	}{
		{"max_pods", 29}, {"default_enis * (ips_per_eni - 1) * 16 + 2", 434}, {"42", 42},
		{"vcpus", 0}, {"max_pods +", 0}, {"-1", 0}, {"'many'", 0}, {"1 / 0", 0},
	} {
		got, err := podsByExpression(typ, tt.expression)
		if got != tt.want || (err == nil) != (tt.want > 0) || err != nil && !errors.Is(err, errUserData) {
			t.Errorf("%s: %d, %v, want %d", tt.expression, got, err, tt.want)
		}
	}
}
