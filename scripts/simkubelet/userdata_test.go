package simkubelet

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// mimeOf wraps documents of the given types as user data does.
func mimeOf(typesAndBodies ...string) string {
	var b strings.Builder
	b.WriteString("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"//\"\n\n")
	for i := 0; i < len(typesAndBodies); i += 2 {
		fmt.Fprintf(&b, "--//\nContent-Type: %s\n\n%s\n", typesAndBodies[i], typesAndBodies[i+1])
	}
	b.WriteString("--//--\n")
	return base64.StdEncoding.EncodeToString([]byte(b.String()))
}

const sampleConfig = `apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  cluster:
    name: slipway-dev
    apiServerEndpoint: https://127.0.0.1:6443
    certificateAuthority: Y2E=
    cidr: 10.96.0.0/16
  kubelet:
    config:
      maxPods: 42
    flags:
    - --node-labels=slipway.dev/nodepool=general,slipway.dev/capacity-type=spot
    - --register-with-taints=team=a:NoSchedule,startup:NoExecute
  featureGates:
    InstanceIdNodeName: true
`

func TestParseUserData(t *testing.T) {
	cfg, err := parseUserData(mimeOf(nodeConfigType, sampleConfig, "text/x-shellscript", "echo hello"))
	if err != nil {
		t.Fatal(err)
	}
	want := clusterDetails{
		Name: "slipway-dev", APIServerEndpoint: "https://127.0.0.1:6443", CertificateAuthority: []byte("ca"), CIDR: "10.96.0.0/16",
	}
	if diff := cmp.Diff(want, cfg.Spec.Cluster); diff != "" {
		t.Errorf("cluster (-want +got):\n%s", diff)
	}
	if cfg.Spec.Kubelet.Config.MaxPods != 42 || !cfg.Spec.FeatureGates[instanceIDNodeName] {
		t.Errorf("unexpected config %+v", cfg.Spec)
	}
	flags, err := parseFlags(cfg.Spec.Kubelet.Flags)
	if err != nil {
		t.Fatal(err)
	}
	wantFlags := kubeletFlags{
		labels: map[string]string{"slipway.dev/nodepool": "general", "slipway.dev/capacity-type": "spot"},
		taints: []corev1.Taint{{Key: "team", Value: "a", Effect: "NoSchedule"}, {Key: "startup", Effect: "NoExecute"}},
	}
	if diff := cmp.Diff(wantFlags, flags, cmp.AllowUnexported(kubeletFlags{})); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
}

func TestParseUserDataMergesParts(t *testing.T) {
	second := `apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  kubelet:
    config:
      maxPods: 7
    flags: ["--node-labels=a=b"]
`
	cfg, err := parseUserData(mimeOf(nodeConfigType, sampleConfig, nodeConfigType, second))
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Spec.Kubelet; got.Config.MaxPods != 7 || len(got.Flags) != 3 {
		t.Errorf("kubelet options %+v: want maxPods of the last part and all flags", got)
	}
}

func TestUserDataRefused(t *testing.T) {
	without := func(line string) string { return strings.Replace(sampleConfig, line, "", 1) }
	with := func(old, replacement string) string { return strings.Replace(sampleConfig, old, replacement, 1) }
	for _, tc := range []struct {
		name, data, says string
	}{
		{"not base64", "%%%", "base64"},
		{"a shell script alone", mimeOf("text/x-shellscript", "true"), nodeConfigType},
		{"another kind", mimeOf(nodeConfigType, with("NodeConfig", "NodeConfigs")), "NodeConfigs"},
		{"another version", mimeOf(nodeConfigType, with("v1alpha1", "v1")), "node.eks.aws/v1"},
		{"an unknown field", mimeOf(nodeConfigType, sampleConfig+"  containerd:\n    config: x\n"), "containerd"},
		{"an unknown kubelet setting", mimeOf(nodeConfigType, with("maxPods", "maxPots")), "maxPots"},
		{"an unknown feature gate", mimeOf(nodeConfigType, with("InstanceIdNodeName", "Fast")), "Fast"},
		{"no service network", mimeOf(nodeConfigType, without("    cidr: 10.96.0.0/16\n")), "cidr"},
		{"no authority", mimeOf(nodeConfigType, without("    certificateAuthority: Y2E=\n")), "certificateAuthority"},
		{"no endpoint", mimeOf(nodeConfigType, without("    apiServerEndpoint: https://127.0.0.1:6443\n")), "apiServerEndpoint"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseUserData(tc.data)
			if !errors.Is(err, errUserData) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want an error of user data that names %q", err, tc.says)
			}
		})
	}
}

func TestFlagsRefused(t *testing.T) {
	for _, tc := range []struct{ name, flag string }{
		{"a flag not simulated", "--v=4"},
		{"a reserved label", "--node-labels=kubernetes.io/role=node"},
		{"a label without value", "--node-labels=a"},
		{"an unknown effect", "--register-with-taints=a=b:Sometimes"},
		{"a taint without effect", "--register-with-taints=a=b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := parseFlags([]string{tc.flag}); !errors.Is(err, errUserData) {
				t.Errorf("got %v, want an error of user data", err)
			}
		})
	}
}
