package ec2

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

var update = flag.Bool("update", false, "write the golden files anew")

var testCluster = Cluster{
	Name: "prod", Endpoint: "https://example.eks.amazonaws.com", CABundle: []byte("-----BEGIN CERTIFICATE-----\n"),
	ServiceCIDR: "10.100.0.0/16", KubeVersion: "1.36",
}

func TestUserDataGolden(t *testing.T) {
	claim := &v1alpha1.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "general-1"},
		Spec: v1alpha1.NodeClaimSpec{
			NodePool: "general",
			Labels: map[string]string{
				"team":                         "blue",
				"example.com/tier":             "front",
				"node.kubernetes.io/lifecycle": "spot",
				"kubernetes.io/not-known":      "x", // the kubelet would refuse to start
				"storage.k8s.io/not-known":     "x",
			},
			Taints: []corev1.Taint{{Key: "dedicated", Value: "blue", Effect: corev1.TaintEffectNoSchedule}},
		},
	}
	taints := append(claim.Spec.Taints, corev1.Taint{Key: "node.cilium.io/agent-not-ready", Effect: corev1.TaintEffectNoExecute})
	got, err := userData(testCluster, nodeLabels(claim, v1alpha1.CapacityTypeSpot), taints)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/userdata.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("user data (-want +got), run with -update to accept:\n%s", diff)
	}
}

// TestUserDataParses reads the document as cloud-init and nodeadm do.
func TestUserDataParses(t *testing.T) {
	document, err := userData(testCluster, map[string]string{"a": "b"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	message, err := mail.ReadMessage(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	part, err := multipart.NewReader(message.Body, params["boundary"]).NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if got := part.Header.Get("Content-Type"); got != "application/node.eks.aws" {
		t.Errorf("content type %q", got)
	}
	body, err := io.ReadAll(part)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON(body)
	if err != nil {
		t.Fatal(err)
	}
	var config nodeConfig
	if err := json.Unmarshal(asJSON, &config); err != nil {
		t.Fatal(err)
	}
	want := nodeConfig{
		APIVersion: "node.eks.aws/v1alpha1", Kind: "NodeConfig",
		Spec: nodeConfigSpec{
			Cluster: nodeConfigCluster{
				Name: "prod", APIServerEndpoint: "https://example.eks.amazonaws.com",
				CertificateAuthority: "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==", CIDR: "10.100.0.0/16",
			},
			FeatureGates: map[string]bool{"InstanceIdNodeName": true},
			Kubelet:      nodeConfigKubelet{Flags: []string{"--node-labels=a=b"}},
		},
	}
	if diff := cmp.Diff(want, config); diff != "" {
		t.Errorf("node config (-want +got):\n%s", diff)
	}
}

func TestUserDataTooLong(t *testing.T) {
	_, err := userData(testCluster, map[string]string{"a": strings.Repeat("x", maxUserData)}, nil)
	if !errors.Is(err, cloud.ErrInvalid) {
		t.Errorf("err = %v, want invalid", err)
	}
}
