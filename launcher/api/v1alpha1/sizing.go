package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
)

// Sizing identifies the settings of a class that decide what a node of a given type and
// image has for pods: the kubelet's, the disks and the addresses. Classes of one sizing predict the
// same. It is empty for a class that leaves all out, as for a nil one.
func (c *EC2NodeClass) Sizing() string {
	if c == nil {
		return ""
	}
	settings := struct {
		Kubelet *KubeletConfiguration `json:"kubelet,omitempty"`
		Disks   []BlockDeviceMapping  `json:"disks,omitempty"`
		Local   string                `json:"local,omitempty"`
		Prefix  bool                  `json:"prefix,omitempty"`
		EFAs    int                   `json:"efas,omitempty"`
	}{c.Spec.Kubelet, c.Spec.BlockDeviceMappings, c.Spec.InstanceStorePolicy, c.Spec.DelegatesPrefixes(), c.Spec.EFAs()}
	if equality.Semantic.DeepEqual(settings.Kubelet, &KubeletConfiguration{}) {
		settings.Kubelet = nil
	}
	if settings.Kubelet == nil && len(settings.Disks) == 0 && settings.Local == "" && !settings.Prefix && settings.EFAs == 0 {
		return ""
	}
	content, err := json.Marshal(settings) // maps are marshalled in order
	if err != nil {
		panic(fmt.Sprintf("class %s: settings do not marshal: %v", c.Name, err)) // numbers, strings and quantities do
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}

// EFAs counts the Elastic Fabric Adapters that instances are launched with.
func (s *EC2NodeClassSpec) EFAs() int {
	n := 0
	for _, i := range s.NetworkInterfaces {
		if i.InterfaceType == InterfaceTypeEFAOnly {
			n++
		}
	}
	return n
}

// DelegatesPrefixes says that pods have their addresses from prefixes delegated to the node.
func (s *EC2NodeClassSpec) DelegatesPrefixes() bool {
	return s.IPPrefixCount != nil && *s.IPPrefixCount > 0
}
