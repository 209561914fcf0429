package ec2

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kubeletapis "k8s.io/kubelet/pkg/apis"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// maxUserData is EC2's limit, before base64.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
const maxUserData = 16 << 10

// nodeConfig is what nodeadm reads on an AL2023 node.
// https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/api/
type nodeConfig struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Spec       nodeConfigSpec `json:"spec"`
}

type nodeConfigSpec struct {
	Cluster      nodeConfigCluster `json:"cluster"`
	FeatureGates map[string]bool   `json:"featureGates"`
	Kubelet      nodeConfigKubelet `json:"kubelet"`
}

type nodeConfigCluster struct {
	Name                 string `json:"name"`
	APIServerEndpoint    string `json:"apiServerEndpoint"`
	CertificateAuthority string `json:"certificateAuthority"`
	CIDR                 string `json:"cidr"`
}

type nodeConfigKubelet struct {
	// Config is merged over what nodeadm configures.
	Config *v1alpha1.KubeletConfiguration `json:"config,omitempty"`
	Flags  []string                       `json:"flags,omitempty"`
}

// userData returns the MIME document an instance of the claim boots with. It depends
// on the cluster, the kubelet's settings, the labels and the taints only, so that claims
// of one pool share it.
func userData(c Cluster, kubelet *v1alpha1.KubeletConfiguration, labels map[string]string, taints []corev1.Taint) (string, error) {
	var flags []string
	if len(labels) > 0 {
		flags = append(flags, "--node-labels="+joinLabels(labels))
	}
	if len(taints) > 0 {
		flags = append(flags, "--register-with-taints="+joinTaints(taints))
	}
	config, err := yaml.Marshal(nodeConfig{
		APIVersion: "node.eks.aws/v1alpha1",
		Kind:       "NodeConfig",
		Spec: nodeConfigSpec{
			Cluster: nodeConfigCluster{
				Name:                 c.Name,
				APIServerEndpoint:    c.Endpoint,
				CertificateAuthority: base64.StdEncoding.EncodeToString(c.CABundle),
				CIDR:                 c.ServiceCIDR,
			},
			// The node is named after its instance: its name is known at once.
			FeatureGates: map[string]bool{"InstanceIdNodeName": true},
			Kubelet:      nodeConfigKubelet{Config: kubelet, Flags: flags},
		},
	})
	if err != nil {
		return "", fmt.Errorf("node config: %w", err)
	}
	const boundary = "slipway"
	document := strings.Join([]string{
		"MIME-Version: 1.0",
		`Content-Type: multipart/mixed; boundary="` + boundary + `"`,
		"",
		"--" + boundary,
		"Content-Type: application/node.eks.aws",
		"",
		string(config),
		"--" + boundary + "--",
		"",
	}, "\n")
	if len(document) > maxUserData {
		return "", fmt.Errorf("%w: the user data has %d bytes, EC2 takes %d; use fewer labels and taints", cloud.ErrInvalid, len(document), maxUserData)
	}
	return document, nil
}

// nodeLabels are the labels the kubelet registers with: the claim's, its pool, and how
// the node is paid for. The kubelet refuses to start with labels in Kubernetes' own
// namespaces that it does not know; those are left to whoever sees the node register.
func nodeLabels(claim *v1alpha1.NodeClaim, f fleet) map[string]string {
	labels := map[string]string{}
	for key, value := range claim.Spec.Labels {
		if !isKubernetesLabel(key) || kubeletapis.IsKubeletLabel(key) {
			labels[key] = value
		}
	}
	labels[v1alpha1.LabelNodePool] = claim.Spec.NodePool
	labels[v1alpha1.LabelCapacityType] = f.capacityType
	if id := f.reservationID(); id != "" {
		labels[v1alpha1.LabelReservationID] = id
	}
	return labels
}

func isKubernetesLabel(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	if !ok {
		return false
	}
	for _, d := range []string{"kubernetes.io", "k8s.io"} {
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return true
		}
	}
	return false
}

func joinLabels(labels map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+labels[key])
	}
	return strings.Join(pairs, ",")
}

func joinTaints(taints []corev1.Taint) string {
	var all []string
	for _, t := range taints {
		all = append(all, t.ToString())
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}
