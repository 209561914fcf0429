package simkubelet

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	corev1 "k8s.io/api/core/v1"
)

// bottlerocketSettings are a Bottlerocket machine's settings, as far as they
// are simulated; any other is refused.
// https://bottlerocket.dev/en/os/latest/api/settings/
type bottlerocketSettings struct {
	Settings struct {
		Kubernetes struct {
			ClusterName        string              `toml:"cluster-name"`
			APIServer          string              `toml:"api-server"`
			ClusterCertificate string              `toml:"cluster-certificate"`
			ClusterDNSIP       []string            `toml:"cluster-dns-ip"`
			HostnameSource     string              `toml:"hostname-override-source"`
			NodeLabels         map[string]string   `toml:"node-labels"`
			NodeTaints         map[string][]string `toml:"node-taints"`
			MaxPods            int64               `toml:"max-pods"`
			KubeReserved       map[string]string   `toml:"kube-reserved"`
			SystemReserved     map[string]string   `toml:"system-reserved"`
			EvictionHard       map[string]string   `toml:"eviction-hard"`
			EvictionSoft       map[string]string   `toml:"eviction-soft"`
			SoftGracePeriod    map[string]string   `toml:"eviction-soft-grace-period"`
			MaxPodGracePeriod  int32               `toml:"eviction-max-pod-grace-period"`
			ImageGCHigh        percentage          `toml:"image-gc-high-threshold-percent"`
			ImageGCLow         percentage          `toml:"image-gc-low-threshold-percent"`
			CPUCFSQuota        *bool               `toml:"cpu-cfs-quota-enforced"`
		} `toml:"kubernetes"`
		BootstrapCommands map[string]struct {
			Commands  [][]string `toml:"commands"`
			Mode      string     `toml:"mode"`
			Essential bool       `toml:"essential"`
		} `toml:"bootstrap-commands"`
	} `toml:"settings"`
}

// percentage is a whole number that is written as text.
type percentage string

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *percentage) UnmarshalText(text []byte) error {
	if n, err := strconv.Atoi(string(text)); err != nil || n < 0 || n > 100 {
		return fmt.Errorf("%q is no percentage", text)
	}
	*p = percentage(text)
	return nil
}

// parseSettings reads what a Bottlerocket instance was started with, and says
// it in nodeadm's words.
func parseSettings(encoded string) (*nodeConfig, error) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUserData, err)
	}
	var in bottlerocketSettings
	meta, err := toml.Decode(string(raw), &in)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUserData, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("%w: the setting %s is not simulated", errUserData, unknown[0])
	}
	k := in.Settings.Kubernetes
	authority, err := base64.StdEncoding.DecodeString(k.ClusterCertificate)
	if err != nil {
		return nil, fmt.Errorf("%w: cluster-certificate: %w", errUserData, err)
	}
	cfg := &nodeConfig{}
	cfg.Spec.Cluster = clusterDetails{
		Name: k.ClusterName, APIServerEndpoint: k.APIServer, CertificateAuthority: authority,
		CIDR: "not needed", // Bottlerocket asks the API for it
	}
	switch k.HostnameSource {
	case "", "private-dns-name":
	case "instance-id":
		cfg.Spec.FeatureGates = map[string]bool{instanceIDNodeName: true}
	default:
		return nil, fmt.Errorf("%w: hostname-override-source %s", errUserData, k.HostnameSource)
	}
	cfg.Spec.Kubelet.Config = kubeletConfig{
		MaxPods: k.MaxPods, KubeReserved: k.KubeReserved, SystemReserved: k.SystemReserved, EvictionHard: k.EvictionHard,
	}
	cfg.Spec.Kubelet.Flags = labelFlags(k.NodeLabels)
	if cfg.Spec.Kubelet.Config.RegisterWithTaints, err = taintsOf(k.NodeTaints); err != nil {
		return nil, err
	}
	for name, b := range in.Settings.BootstrapCommands {
		for _, c := range b.Commands {
			if len(c) < 3 || c[0] != "apiclient" || c[1] != "ephemeral-storage" {
				return nil, fmt.Errorf("%w: bootstrap command %s: %v is not simulated", errUserData, name, c)
			}
			if c[2] == "bind" && slices.Contains(c, "/var/lib/kubelet") {
				cfg.Spec.Instance.LocalStorage.Strategy = "RAID0"
			}
		}
	}
	return cfg, cfg.validate()
}

func labelFlags(labels map[string]string) []string {
	if len(labels) == 0 {
		return nil
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+labels[key])
	}
	return []string{"--node-labels=" + strings.Join(pairs, ",")}
}

func taintsOf(table map[string][]string) ([]corev1.Taint, error) {
	var all []corev1.Taint
	for _, key := range slices.Sorted(maps.Keys(table)) {
		for _, text := range table[key] {
			taints, err := parseTaints(key + "=" + text)
			if err != nil {
				return nil, fmt.Errorf("%w: node-taints: %w", errUserData, err)
			}
			all = append(all, taints...)
		}
	}
	return all, nil
}
