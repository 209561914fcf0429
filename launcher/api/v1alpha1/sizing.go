package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
)

// Sizing identifies the settings of a class that decide what a node of a given type and
// image has for pods: the kubelet's and the disks. Classes of one sizing predict the
// same. It is empty for a class that leaves both out, as for a nil one.
func (c *EC2NodeClass) Sizing() string {
	if c == nil {
		return ""
	}
	settings := struct {
		Kubelet *KubeletConfiguration `json:"kubelet,omitempty"`
		Disks   []BlockDeviceMapping  `json:"disks,omitempty"`
	}{c.Spec.Kubelet, c.Spec.BlockDeviceMappings}
	if equality.Semantic.DeepEqual(settings.Kubelet, &KubeletConfiguration{}) {
		settings.Kubelet = nil
	}
	if settings.Kubelet == nil && len(settings.Disks) == 0 {
		return ""
	}
	content, err := json.Marshal(settings) // maps are marshalled in order
	if err != nil {
		panic(fmt.Sprintf("class %s: settings do not marshal: %v", c.Name, err)) // numbers, strings and quantities do
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}
