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
	ServiceCIDR: "10.100.0.0/16", KubeVersion: FixedVersion("1.36"),
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
			checkGolden(t, tt.golden, got)
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

const userMIME = `MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="//"

--//
Content-Type: text/x-shellscript; charset="us-ascii"

#!/bin/sh
echo first
--//
Content-Type: application/node.eks.aws

apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec: {containerd: {config: ""}}
--//--
`

func TestUserDataMergedGolden(t *testing.T) {
	taints := []corev1.Taint{{Key: "a", Value: "1", Effect: "NoSchedule"}, {Key: "a", Effect: "NoExecute"}}
	for _, tt := range []struct {
		golden string
		spec   v1alpha1.EC2NodeClassSpec
	}{
		{"merged-mime.golden", v1alpha1.EC2NodeClassSpec{UserData: new(userMIME)}},
		{"merged-script.golden", v1alpha1.EC2NodeClassSpec{UserData: new("#!/bin/sh\necho hello\n")}},
		{"merged-nodeconfig.golden", v1alpha1.EC2NodeClassSpec{
			UserData: new("apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec: {kubelet: {config: {maxPods: 7}}}\n"),
		}},
		{"disks-and-prefixes.golden", v1alpha1.EC2NodeClassSpec{InstanceStorePolicy: "RAID0", IPPrefixCount: new(int32(2))}},
		{"bottlerocket.golden", v1alpha1.EC2NodeClassSpec{AMIFamily: "Bottlerocket", InstanceStorePolicy: "RAID0", Kubelet: everyKubeletSetting()}},
		{"bottlerocket-merged.golden", v1alpha1.EC2NodeClassSpec{AMIFamily: "Bottlerocket", UserData: new(`
[settings.host-containers.admin]
enabled = true
[settings.kubernetes]
cluster-name = "somebody-else"
allowed-unsafe-sysctls = ["net.core.somaxconn"]
[settings.kubernetes.node-labels]
theirs = "kept"
team = "not kept"
`)}},
		{"custom.golden", v1alpha1.EC2NodeClassSpec{AMIFamily: "Custom", UserData: new("anything\n")}},
	} {
		t.Run(tt.golden, func(t *testing.T) {
			got, err := userData(testCluster, tt.spec, map[string]string{"team": "blue"}, taints)
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, tt.golden, got)
		})
	}
}

func TestUserDataRefused(t *testing.T) {
	for _, tt := range []struct{ name, family, data, says string }{
		{"plain text", "AL2023", "hello", "neither a NodeConfig"},
		{"another kind", "AL2023", "apiVersion: v1\nkind: Pod\n", "neither a NodeConfig"},
		{"one part", "AL2023", "MIME-Version: 1.0\nContent-Type: text/plain\n\nhello", "not multipart/mixed"},
		{"no parts", "AL2023", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n", "EOF"},
		{"no boundary", "AL2023", "MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--x\n", "boundary"},
		{"our boundary", "AL2023", "#!/bin/sh\n--slipway\n", "must not contain"},
		{"not TOML", "Bottlerocket", "#!/bin/sh\nexit\n", "not TOML"},
		{"not a table", "Bottlerocket", "[settings]\nkubernetes = 1\n", "settings.kubernetes must be a table"},
		{"another family", "Windows2022", "x", "amiFamily Windows2022 is not supported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := userData(testCluster, v1alpha1.EC2NodeClassSpec{AMIFamily: tt.family, UserData: new(tt.data)}, nil, nil)
			if !errors.Is(err, cloud.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("err = %v, want an invalid one that says %s", err, tt.says)
			}
		})
	}
}

// checkGolden holds user data against a file of testdata.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	golden := "testdata/" + name
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

// TestLabelAliases: kubelets register with the labels' second keys, too.
func TestLabelAliases(t *testing.T) {
	p := &Provider{cfg: Config{LabelAliases: v1alpha1.KarpenterLabels()}}
	labels := p.registeredLabels(&v1alpha1.NodeClaim{Spec: v1alpha1.NodeClaimSpec{NodePool: "general", Labels: map[string]string{"team": "blue"}}},
		fleet{capacityType: v1alpha1.CapacityTypeSpot})
	want := map[string]string{
		"team": "blue", v1alpha1.LabelNodePool: "general", "karpenter.sh/nodepool": "general",
		v1alpha1.LabelCapacityType: "spot", "karpenter.sh/capacity-type": "spot",
	}
	if diff := cmp.Diff(want, labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}
