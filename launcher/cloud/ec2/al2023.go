package ec2

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// nodeConfig is what nodeadm reads on an AL2023 node.
// https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/api/
type nodeConfig struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Spec       nodeConfigSpec `json:"spec"`
}

type nodeConfigSpec struct {
	Cluster      nodeConfigCluster  `json:"cluster"`
	FeatureGates map[string]bool    `json:"featureGates"`
	Kubelet      nodeConfigKubelet  `json:"kubelet"`
	Instance     *nodeConfigMachine `json:"instance,omitempty"`
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
	// MaxPodsExpression is CEL for as many pods as there are addresses.
	MaxPodsExpression string `json:"maxPodsExpression,omitempty"`
}

type nodeConfigMachine struct {
	LocalStorage nodeConfigDisks `json:"localStorage"`
}

type nodeConfigDisks struct {
	Strategy string `json:"strategy"`
}

// podsByPrefixes is addressable with delegated prefixes, in nodeadm's words.
const podsByPrefixes = "default_enis * (ips_per_eni - 1) * 16 + 2 < 110 ? default_enis * (ips_per_eni - 1) * 16 + 2 : 110"

// al2023UserData returns the MIME document an AL2023 instance boots with: the parts of the
// class's own user data, and last, because nodeadm lays each NodeConfig over those before it,
// what the launcher says.
func al2023UserData(c Cluster, spec v1alpha1.EC2NodeClassSpec, labels map[string]string, taints []corev1.Taint) (string, error) {
	parts, err := userParts(spec.UserData)
	if err != nil {
		return "", err
	}
	var flags []string
	if len(labels) > 0 {
		flags = append(flags, "--node-labels="+joinLabels(labels))
	}
	if len(taints) > 0 {
		flags = append(flags, "--register-with-taints="+joinTaints(taints))
	}
	own := nodeConfig{
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
			Kubelet:      nodeConfigKubelet{Config: spec.Kubelet, Flags: flags},
		},
	}
	if spec.DelegatesPrefixes() {
		own.Spec.Kubelet.MaxPodsExpression = podsByPrefixes
	}
	if spec.InstanceStorePolicy != "" {
		own.Spec.Instance = &nodeConfigMachine{nodeConfigDisks{spec.InstanceStorePolicy}}
	}
	config, err := yaml.Marshal(own)
	if err != nil {
		return "", fmt.Errorf("node config: %w", err)
	}
	return joinParts(append(parts, mimePart{header("Content-Type", nodeConfigType), string(config)}))
}

const (
	nodeConfigType = "application/node.eks.aws"
	mimeBoundary   = "slipway"
)

// mimePart is one document of several that cloud-init and nodeadm pick theirs from.
type mimePart struct {
	header textproto.MIMEHeader
	body   string
}

func header(key, value string) textproto.MIMEHeader { return textproto.MIMEHeader{key: {value}} }

// userParts cuts a class's user data into parts.
func userParts(data *string) ([]mimePart, error) {
	if data == nil {
		return nil, nil
	}
	text := strings.TrimLeft(*data, " \t\r\n")
	var kind struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	switch lower := strings.ToLower(text); {
	case strings.HasPrefix(lower, "mime-version:"), strings.HasPrefix(lower, "content-type: multipart/"):
		return mimeParts(text)
	case strings.HasPrefix(text, "#!"):
		return []mimePart{{header("Content-Type", `text/x-shellscript; charset="us-ascii"`), text}}, nil
	case yaml.Unmarshal([]byte(text), &kind) == nil && kind.Kind == "NodeConfig" && strings.HasPrefix(kind.APIVersion, "node.eks.aws/"):
		return []mimePart{{header("Content-Type", nodeConfigType), text}}, nil
	}
	return nil, fmt.Errorf("%w: neither a NodeConfig, nor a script that begins with #!, nor a MIME document", errUserData)
}

func mimeParts(text string) ([]mimePart, error) {
	malformed := func(err error) error { return fmt.Errorf("%w: %w", errUserData, err) }
	message, err := mail.ReadMessage(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		return nil, malformed(err)
	}
	kind, attributes, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		return nil, malformed(err)
	}
	if kind != "multipart/mixed" {
		return nil, malformed(fmt.Errorf("it is %s, not multipart/mixed", kind))
	}
	var parts []mimePart
	document := multipart.NewReader(message.Body, attributes["boundary"])
	for {
		part, err := document.NextRawPart()
		if errors.Is(err, io.EOF) && len(parts) > 0 {
			return parts, nil
		}
		if err != nil {
			return nil, malformed(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			return nil, malformed(err)
		}
		parts = append(parts, mimePart{part.Header, string(body)})
	}
}

// joinParts writes a MIME document. Equal parts make an equal document.
func joinParts(parts []mimePart) (string, error) {
	lines := []string{"MIME-Version: 1.0", `Content-Type: multipart/mixed; boundary="` + mimeBoundary + `"`, ""}
	for _, p := range parts {
		if strings.Contains(p.body, "--"+mimeBoundary) {
			return "", fmt.Errorf("%w: it must not contain --%s", errUserData, mimeBoundary)
		}
		lines = append(lines, "--"+mimeBoundary)
		for _, key := range sortedKeys(p.header) {
			lines = append(lines, key+": "+strings.Join(p.header[key], ", "))
		}
		lines = append(lines, "", p.body)
	}
	return strings.Join(append(lines, "--"+mimeBoundary+"--", ""), "\n"), nil
}
