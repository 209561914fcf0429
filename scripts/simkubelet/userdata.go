package simkubelet

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// errUserData is wrapped by every complaint about an instance's user data; the
// instance never registers.
var errUserData = errors.New("user data")

const nodeConfigType = "application/node.eks.aws"

// nodeConfig is the NodeConfig of node.eks.aws/v1alpha1, as far as it is
// simulated; any other field is refused.
// https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/api/
type nodeConfig struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata,omitempty"`
	Spec       struct {
		Cluster      clusterDetails  `json:"cluster"`
		Kubelet      kubeletOptions  `json:"kubelet"`
		Instance     instanceOptions `json:"instance"`
		FeatureGates map[string]bool `json:"featureGates"`
	} `json:"spec"`
}

type clusterDetails struct {
	Name                 string `json:"name"`
	APIServerEndpoint    string `json:"apiServerEndpoint"`
	CertificateAuthority []byte `json:"certificateAuthority"` // base64 in the document
	CIDR                 string `json:"cidr"`
}

type kubeletOptions struct {
	Config kubeletConfig `json:"config"`
	Flags  []string      `json:"flags"`

	MaxPodsExpression string `json:"maxPodsExpression"`
}

type instanceOptions struct {
	LocalStorage struct {
		Strategy string `json:"strategy"`
	} `json:"localStorage"`
}

// kubeletConfig is the part of KubeletConfiguration that changes a Node, and
// the settings that are known not to.
type kubeletConfig struct {
	APIVersion         string            `json:"apiVersion,omitempty"`
	Kind               string            `json:"kind,omitempty"`
	MaxPods            int64             `json:"maxPods,omitempty"`
	PodsPerCore        int64             `json:"podsPerCore,omitempty"`
	KubeReserved       map[string]string `json:"kubeReserved,omitempty"`
	SystemReserved     map[string]string `json:"systemReserved,omitempty"`
	EvictionHard       map[string]string `json:"evictionHard,omitempty"`
	RegisterWithTaints []corev1.Taint    `json:"registerWithTaints,omitempty"`

	ClusterDNS                  []string          `json:"clusterDNS,omitempty"`
	CPUCFSQuota                 *bool             `json:"cpuCFSQuota,omitempty"`
	EvictionSoft                map[string]string `json:"evictionSoft,omitempty"`
	EvictionSoftGracePeriod     map[string]string `json:"evictionSoftGracePeriod,omitempty"`
	EvictionMaxPodGracePeriod   *int32            `json:"evictionMaxPodGracePeriod,omitempty"`
	ImageGCHighThresholdPercent *int32            `json:"imageGCHighThresholdPercent,omitempty"`
	ImageGCLowThresholdPercent  *int32            `json:"imageGCLowThresholdPercent,omitempty"`
	FeatureGates                map[string]bool   `json:"featureGates,omitempty"`
	ServerTLSBootstrap          *bool             `json:"serverTLSBootstrap,omitempty"`
}

// instanceIDNodeName is nodeadm's gate for naming nodes by instance id.
const instanceIDNodeName = "InstanceIdNodeName"

// parseUserData reads what an instance was started with: base64 of either a
// MIME multipart document or a bare NodeConfig. Several NodeConfig parts are
// merged in order; parts of other types are for other programs, and skipped.
func parseUserData(encoded string) (*nodeConfig, error) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUserData, err)
	}
	documents, err := nodeConfigParts(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUserData, err)
	}
	if len(documents) == 0 {
		return nil, fmt.Errorf("%w: no part of type %s", errUserData, nodeConfigType)
	}
	merged := map[string]any{}
	for i, doc := range documents {
		var tree map[string]any
		if err := yaml.UnmarshalStrict(doc, &tree); err != nil {
			return nil, fmt.Errorf("%w: NodeConfig %d: %w", errUserData, i, err)
		}
		if tree["apiVersion"] != "node.eks.aws/v1alpha1" || tree["kind"] != "NodeConfig" {
			return nil, fmt.Errorf("%w: NodeConfig %d is a %v of %v", errUserData, i, tree["kind"], tree["apiVersion"])
		}
		merge(merged, tree)
	}
	doc, err := yaml.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUserData, err)
	}
	var cfg nodeConfig
	if err := yaml.UnmarshalStrict(doc, &cfg); err != nil {
		return nil, fmt.Errorf("%w: %w", errUserData, err)
	}
	return &cfg, cfg.validate()
}

func (c *nodeConfig) validate() error {
	switch cl := c.Spec.Cluster; {
	case cl.Name == "":
		return fmt.Errorf("%w: spec.cluster.name is missing", errUserData)
	case cl.APIServerEndpoint == "":
		return fmt.Errorf("%w: spec.cluster.apiServerEndpoint is missing", errUserData)
	case len(cl.CertificateAuthority) == 0:
		return fmt.Errorf("%w: spec.cluster.certificateAuthority is missing", errUserData)
	case cl.CIDR == "":
		return fmt.Errorf("%w: spec.cluster.cidr is missing", errUserData)
	}
	for gate := range c.Spec.FeatureGates {
		if gate != instanceIDNodeName {
			return fmt.Errorf("%w: feature gate %s is not simulated", errUserData, gate)
		}
	}
	switch s := c.Spec.Instance.LocalStorage.Strategy; s {
	case "", "RAID0", "Mount":
		return nil
	default:
		return fmt.Errorf("%w: local storage strategy %s is not simulated", errUserData, s)
	}
}

// nodeConfigParts cuts the NodeConfig documents out of user data.
func nodeConfigParts(raw []byte) ([][]byte, error) {
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("apiVersion:")) {
		return [][]byte{raw}, nil
	}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("neither MIME nor a NodeConfig: %w", err)
	}
	kind, attrs, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		return nil, fmt.Errorf("content type %q is not multipart/mixed", msg.Header.Get("Content-Type"))
	}
	var out [][]byte
	parts := multipart.NewReader(msg.Body, attrs["boundary"])
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			return nil, fmt.Errorf("part of type %q: %w", part.Header.Get("Content-Type"), err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		if kind == nodeConfigType {
			out = append(out, body)
		}
	}
}

// merge lays over onto base: maps key by key, lists one after the other, other
// values replaced.
func merge(base, over map[string]any) {
	for key, v := range over {
		switch v := v.(type) {
		case map[string]any:
			if sub, ok := base[key].(map[string]any); ok {
				merge(sub, v)
				continue
			}
		case []any:
			if list, ok := base[key].([]any); ok {
				base[key] = append(list, v...)
				continue
			}
		}
		base[key] = v
	}
}
