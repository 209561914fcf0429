package ec2

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// table is one of TOML.
type table = map[string]any

// bottlerocketUserData returns the settings a Bottlerocket instance boots with: the class's own
// user data, and over it what the launcher says.
// https://bottlerocket.dev/en/os/latest/api/settings/kubernetes/
func bottlerocketUserData(c Cluster, spec v1alpha1.EC2NodeClassSpec, labels map[string]string, taints []corev1.Taint) (string, error) {
	document := table{}
	if spec.UserData != nil {
		if _, err := toml.Decode(*spec.UserData, &document); err != nil {
			return "", fmt.Errorf("%w: not TOML: %w", errUserData, err)
		}
	}
	own := kubeletTable(spec.Kubelet)
	own["cluster-name"], own["api-server"] = c.Name, c.Endpoint
	own["cluster-certificate"] = base64.StdEncoding.EncodeToString(c.CABundle)
	own["hostname-override-source"] = "instance-id" // the node's name is known at once
	if len(labels) > 0 {
		own["node-labels"] = stringTable(labels)
	}
	if len(taints) > 0 {
		own["node-taints"] = taintTable(taints)
	}
	settings := table{"kubernetes": own}
	if spec.InstanceStorePolicy == v1alpha1.InstanceStoreRAID0 {
		settings["bootstrap-commands"] = table{"000-slipway-local-disks": table{
			"commands": [][]string{
				{"apiclient", "ephemeral-storage", "init"},
				{"apiclient", "ephemeral-storage", "bind", "--dirs", "/var/lib/containerd", "/var/lib/kubelet", "/var/log/pods"},
			},
			"mode": "always", "essential": true,
		}}
	}
	if err := overlay(document, table{"settings": settings}, ""); err != nil {
		return "", err
	}
	var out strings.Builder
	if err := toml.NewEncoder(&out).Encode(document); err != nil { // sorts tables
		return "", fmt.Errorf("%w: %w", errUserData, err)
	}
	return out.String(), nil
}

// kubeletTable translates the class's settings of the kubelet. Bottlerocket has no podsPerCore.
func kubeletTable(k *v1alpha1.KubeletConfiguration) table {
	t := table{}
	if k == nil {
		return t
	}
	if len(k.ClusterDNS) > 0 {
		t["cluster-dns-ip"] = k.ClusterDNS
	}
	if k.MaxPods != nil {
		t["max-pods"] = *k.MaxPods
	}
	if k.EvictionMaxPodGracePeriod != nil {
		t["eviction-max-pod-grace-period"] = *k.EvictionMaxPodGracePeriod
	}
	if k.CPUCFSQuota != nil {
		t["cpu-cfs-quota-enforced"] = *k.CPUCFSQuota
	}
	for key, percent := range map[string]*int32{
		"image-gc-high-threshold-percent": k.ImageGCHighThresholdPercent,
		"image-gc-low-threshold-percent":  k.ImageGCLowThresholdPercent,
	} {
		if percent != nil {
			t[key] = strconv.Itoa(int(*percent))
		}
	}
	for key, values := range map[string]table{
		"kube-reserved":              stringTable(k.KubeReserved),
		"system-reserved":            stringTable(k.SystemReserved),
		"eviction-hard":              stringTable(k.EvictionHard),
		"eviction-soft":              stringTable(k.EvictionSoft),
		"eviction-soft-grace-period": stringTable(k.EvictionSoftGracePeriod),
	} {
		if len(values) > 0 {
			t[key] = values
		}
	}
	return t
}

func stringTable[S ~string](values map[string]S) table {
	t := table{}
	for key, value := range values {
		t[key] = string(value)
	}
	return t
}

// taintTable lists value:effect by key.
func taintTable(taints []corev1.Taint) table {
	t := table{}
	for _, taint := range taints {
		list, _ := t[taint.Key].([]string)
		list = append(list, fmt.Sprintf("%s:%s", taint.Value, taint.Effect))
		slices.Sort(list)
		t[taint.Key] = slices.Compact(list)
	}
	return t
}

// overlay lays a table over another, key by key.
func overlay(base, over table, path string) error {
	for key, value := range over {
		upper, isTable := value.(table)
		switch lower, known := base[key]; {
		case !isTable || !known:
			base[key] = value
		default:
			below, ok := lower.(table)
			if !ok {
				return fmt.Errorf("%w: %s%s must be a table", errUserData, path, key)
			}
			if err := overlay(below, upper, path+key+"."); err != nil {
				return err
			}
		}
	}
	return nil
}
