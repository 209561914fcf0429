package convert

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// provisioner converts a Provisioner: v1alpha3 with its lists of instanceTypes and zones,
// v1alpha4 and v1alpha5 with requirements. Settings for AWS that it holds itself become an
// EC2NodeClass of the same name.
func provisioner(c *conversion) []map[string]any {
	spec := map[string]any{}
	for _, list := range []struct{ field, label string }{
		{"instanceTypes", corev1.LabelInstanceTypeStable},
		{"zones", corev1.LabelTopologyZone},
		{"architectures", corev1.LabelArchStable},
		{"operatingSystems", corev1.LabelOSStable},
	} {
		if values, _ := take(c.source, "spec", list.field).([]any); len(values) > 0 {
			c.require(spec, list.label, "In", values...)
		}
	}
	for field, label := range map[string]string{"architecture": corev1.LabelArchStable, "operatingSystem": corev1.LabelOSStable} {
		if value := take(c.source, "spec", field); value != nil {
			c.require(spec, label, "In", value)
		}
	}
	c.requirements(take(c.source, "spec", "requirements"), "spec.requirements", spec)
	c.labels(take(c.source, "spec", "labels"), "spec.labels", spec)
	put(spec, nonEmpty(c.keys(take(c.source, "spec", "annotations"))), "template", "metadata", "annotations")
	put(spec, take(c.source, "spec", "taints"), "template", "spec", "taints")
	put(spec, take(c.source, "spec", "startupTaints"), "template", "spec", "startupTaints")
	put(spec, take(c.source, "spec", "limits", "resources"), "limits")
	put(spec, take(c.source, "spec", "weight"), "weight")
	put(spec, seconds(take(c.source, "spec", "ttlSecondsUntilExpired")), "template", "spec", "expireAfter")
	c.disruption(spec)
	if take(c.source, "spec", "cluster") != nil {
		c.remark("spec.cluster", "belongs in the launcher's configuration, as cluster")
	}
	var all []map[string]any
	if class := c.ownClass(); class != nil {
		put(spec, classRef(get(c.source, "metadata", "name")), "template", "spec", "nodeClassRef")
		all = append(all, class)
	}
	if name := take(c.source, "spec", "providerRef", "name"); name != nil {
		put(spec, classRef(name), "template", "spec", "nodeClassRef")
		take(c.source, "spec", "providerRef", "apiVersion")
		take(c.source, "spec", "providerRef", "kind")
	}
	return append(all, c.made("NodePool", spec))
}

// disruption carries over when nodes go. Without any setting they stayed.
func (c *conversion) disruption(spec map[string]any) {
	policy, after := v1alpha1.ConsolidateWhenEmpty, seconds(take(c.source, "spec", "ttlSecondsAfterEmpty"))
	if take(c.source, "spec", "consolidation", "enabled") == true {
		policy, after = v1alpha1.ConsolidateWhenEmptyOrUnderutilized, "0s"
	}
	if after == nil {
		after = v1alpha1.Never
	}
	put(spec, string(policy), "disruption", "consolidationPolicy")
	put(spec, after, "disruption", "consolidateAfter")
}

// ownClass returns the class that a Provisioner's own settings make; nil without any.
func (c *conversion) ownClass() map[string]any {
	settings, _ := take(c.source, "spec", "provider").(map[string]any)
	take(settings, "apiVersion")
	take(settings, "kind")
	kubelet := take(c.source, "spec", "kubeletConfiguration")
	if len(settings) == 0 {
		if kubelet != nil {
			c.remark("spec.kubeletConfiguration", "belongs in the EC2NodeClass, as spec.kubelet")
		}
		return nil
	}
	class := map[string]any{}
	put(class, kubelet, "kubelet")
	c.aws(settings, "spec.provider", class)
	put(c.source, nonEmpty(settings), "spec", "provider") // to be remarked upon
	return c.made("EC2NodeClass", class)
}
