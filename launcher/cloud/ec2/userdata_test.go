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
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
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
	for _, tt := range []struct {
		golden  string
		kubelet *v1alpha1.KubeletConfiguration
	}{
		{"userdata.golden", nil},
		{"userdata-kubelet.golden", everyKubeletSetting()},
	} {
		t.Run(tt.golden, func(t *testing.T) {
			got, err := userData(testCluster, v1alpha1.EC2NodeClassSpec{Kubelet: tt.kubelet}, nodeLabels(claim, fleet{capacityType: v1alpha1.CapacityTypeSpot}), taints)
			if err != nil {
				t.Fatal(err)
			}
			golden := "testdata/" + tt.golden
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
		})
	}
}

func everyKubeletSetting() *v1alpha1.KubeletConfiguration {
	return &v1alpha1.KubeletConfiguration{
		ClusterDNS:                  []string{"10.100.0.10"},
		MaxPods:                     new(int32(20)),
		PodsPerCore:                 new(int32(0)),
		SystemReserved:              map[string]v1alpha1.ReservedAmount{"cpu": "100m", "memory": "100Mi"},
		KubeReserved:                map[string]v1alpha1.ReservedAmount{"memory": "1Gi"},
		EvictionHard:                map[string]v1alpha1.EvictionThreshold{"memory.available": "5%"},
		EvictionSoft:                map[string]v1alpha1.EvictionThreshold{"memory.available": "10%"},
		EvictionSoftGracePeriod:     map[string]v1alpha1.GracePeriod{"memory.available": "1m30s"},
		EvictionMaxPodGracePeriod:   new(int32(60)),
		ImageGCHighThresholdPercent: new(int32(75)),
		ImageGCLowThresholdPercent:  new(int32(70)),
		CPUCFSQuota:                 new(false),
	}
}

// TestKubeletSettingsAreTheKubelets decodes what goes to the node as the kubelet does, strictly.
func TestKubeletSettingsAreTheKubelets(t *testing.T) {
	content, err := yaml.Marshal(everyKubeletSetting())
	if err != nil {
		t.Fatal(err)
	}
	var got kubeletconfig.KubeletConfiguration
	if err := yaml.UnmarshalStrict(content, &got); err != nil {
		t.Fatal(err)
	}
	want := kubeletconfig.KubeletConfiguration{
		ClusterDNS:                  []string{"10.100.0.10"},
		MaxPods:                     20,
		SystemReserved:              map[string]string{"cpu": "100m", "memory": "100Mi"},
		KubeReserved:                map[string]string{"memory": "1Gi"},
		EvictionHard:                map[string]string{"memory.available": "5%"},
		EvictionSoft:                map[string]string{"memory.available": "10%"},
		EvictionSoftGracePeriod:     map[string]string{"memory.available": "1m30s"},
		EvictionMaxPodGracePeriod:   60,
		ImageGCHighThresholdPercent: new(int32(75)),
		ImageGCLowThresholdPercent:  new(int32(70)),
		CPUCFSQuota:                 new(false),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the kubelet reads (-want +got):\n%s", diff)
	}
}

// TestUserDataParses reads the document as cloud-init and nodeadm do.
func TestUserDataParses(t *testing.T) {
	document, err := userData(testCluster, v1alpha1.EC2NodeClassSpec{}, map[string]string{"a": "b"}, nil)
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
	_, err := userData(testCluster, v1alpha1.EC2NodeClassSpec{}, map[string]string{"a": strings.Repeat("x", maxUserData)}, nil)
	if !errors.Is(err, cloud.ErrInvalid) {
		t.Errorf("err = %v, want invalid", err)
	}
}
