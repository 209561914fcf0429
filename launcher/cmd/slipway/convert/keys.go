package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// renamed returns Karpenter's keys of labels, annotations and taints that Slipway knows under
// another name. Kubernetes' own have the same name in both, but for those that it has
// given up.
func renamed() map[string]string {
	keys := map[string]string{
		"node.k8s.aws/capacity-type":       v1alpha1.LabelCapacityType,
		"karpenter.sh/provisioner-name":    v1alpha1.LabelNodePool,
		"karpenter.sh/do-not-disrupt":      v1alpha1.DoNotDisruptAnnotation,
		"karpenter.sh/do-not-consolidate":  v1alpha1.DoNotDisruptAnnotation,
		"karpenter.sh/do-not-evict":        v1alpha1.DoNotDisruptAnnotation,
		"beta.kubernetes.io/arch":          corev1.LabelArchStable,
		"beta.kubernetes.io/os":            corev1.LabelOSStable,
		"beta.kubernetes.io/instance-type": corev1.LabelInstanceTypeStable,
		corev1.LabelFailureDomainBetaZone:  corev1.LabelTopologyZone,
	}
	maps.Copy(keys, v1alpha1.KarpenterLabels())
	return keys
}

// notes are Karpenter's and kubectl's own, which mean nothing to others.
var notes = []string{
	corev1.LastAppliedConfigAnnotation, "karpenter.sh/nodepool-hash", "karpenter.sh/nodepool-hash-version",
	"karpenter.sh/provisioner-hash", "karpenter.k8s.aws/ec2nodeclass-hash", "karpenter.k8s.aws/ec2nodeclass-hash-version",
	"karpenter.sh/stored-version-migrated",
}

// key returns what Slipway calls a key; "" if it is one of Karpenter's without a counterpart.
func key(karpenters string) string {
	if ours, ok := renamed()[karpenters]; ok {
		return ours
	}
	domain, _, _ := strings.Cut(karpenters, "/")
	if domain == "k8s.aws" || domain == "karpenter.sh" || strings.HasSuffix(domain, ".k8s.aws") || strings.HasSuffix(domain, ".karpenter.sh") {
		return ""
	}
	return karpenters
}

// keys renames the keys of labels or annotations of the object itself; those that mean
// nothing any more are left out.
func (c *conversion) keys(values any) map[string]any {
	kept := map[string]any{}
	m, _ := values.(map[string]any)
	for k, v := range m {
		if ours := key(k); ours != "" && !slices.Contains(notes, k) {
			kept[ours] = v
		}
	}
	return kept
}

// labels puts a template's labels in place. What describes an instance is a requirement
// in Slipway, where it was one in effect.
func (c *conversion) labels(labels any, path string, spec map[string]any) {
	m, _ := labels.(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		switch ours := key(k); {
		case ours == "":
			c.remark(path+"["+k+"]", "Slipway has no such label")
		case describes(ours):
			c.require(spec, ours, "In", m[k])
		default:
			put(spec, m[k], "template", "metadata", "labels", ours)
		}
	}
}

// describes reports whether a label comes from the instance a node runs on.
func describes(label string) bool {
	switch label {
	case corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelInstanceTypeStable, corev1.LabelArchStable, corev1.LabelOSStable:
		return true
	}
	return strings.HasPrefix(label, v1alpha1.Group+"/")
}

// require adds a requirement.
func (c *conversion) require(spec map[string]any, label, operator string, values ...any) {
	all, _ := get(spec, "template", "spec", "requirements").([]any)
	r := map[string]any{"key": label, "operator": operator}
	if len(values) > 0 {
		r["values"] = values
	}
	put(spec, append(all, r), "template", "spec", "requirements")
}

// requirements puts requirements in place, under the names that Slipway has for labels.
func (c *conversion) requirements(requirements any, path string, spec map[string]any) {
	all, _ := requirements.([]any)
	kept, _ := get(spec, "template", "spec", "requirements").([]any)
	for i, item := range all {
		at := fmt.Sprintf("%s[%d]", path, i)
		r, ok := item.(map[string]any)
		if !ok {
			c.remark(at, "is no requirement")
			continue
		}
		label, _ := r["key"].(string)
		ours := key(label)
		if ours == "" {
			c.remark(at, fmt.Sprintf("Slipway has no label %s: nodes are not held to it", label))
			continue
		}
		r["key"] = ours
		kept = append(kept, r)
	}
	if len(kept) > 0 {
		put(spec, kept, "template", "spec", "requirements")
	}
}
