package convert

import "github.com/slipway-dev/slipway/launcher/api/v1alpha1"

// nodePool converts a NodePool of v1 or v1beta1. The two differ in where expireAfter is
// and in the name of a policy; the rest is Slipway's as well.
func nodePool(c *conversion) []map[string]any {
	spec := c.takeSpec()
	template, _ := get(spec, "template", "spec").(map[string]any)
	if template == nil {
		template = map[string]any{}
	}
	c.labels(take(spec, "template", "metadata", "labels"), "spec.template.metadata.labels", spec)
	put(spec, nonEmpty(c.keys(take(spec, "template", "metadata", "annotations"))), "template", "metadata", "annotations")
	c.requirements(take(template, "requirements"), "spec.template.spec.requirements", spec)
	if name := get(template, "nodeClassRef", "name"); name != nil {
		template["nodeClassRef"] = classRef(name)
	}
	if kubelet := take(template, "kubelet"); kubelet != nil {
		c.remark("spec.template.spec.kubelet", "belongs in the EC2NodeClass, as spec.kubelet")
	}
	put(spec, take(spec, "disruption", "expireAfter"), "template", "spec", "expireAfter")
	if get(spec, "disruption", "consolidationPolicy") == "WhenUnderutilized" {
		put(spec, string(v1alpha1.ConsolidateWhenEmptyOrUnderutilized), "disruption", "consolidationPolicy")
	}
	return []map[string]any{c.made("NodePool", spec)}
}

func classRef(name any) map[string]any {
	return map[string]any{"group": v1alpha1.Group, "kind": "EC2NodeClass", "name": name}
}

func nonEmpty(m map[string]any) any {
	if len(m) == 0 {
		return nil
	}
	return m
}

// nodeClass converts an EC2NodeClass: its fields are Slipway's as well.
func nodeClass(c *conversion) []map[string]any {
	return []map[string]any{c.made("EC2NodeClass", c.takeSpec())}
}
