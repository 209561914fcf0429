package simkubelet

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// kubeletFlags is what the simulated command line says about the Node.
type kubeletFlags struct {
	labels map[string]string
	taints []corev1.Taint
}

// parseFlags reads spec.kubelet.flags; a flag that is not simulated is refused.
func parseFlags(flags []string) (kubeletFlags, error) {
	out := kubeletFlags{labels: map[string]string{}}
	for _, f := range flags {
		name, value, _ := strings.Cut(f, "=")
		var err error
		switch name {
		case "--node-labels":
			err = parseLabels(value, out.labels)
		case "--register-with-taints":
			var taints []corev1.Taint
			taints, err = parseTaints(value)
			out.taints = append(out.taints, taints...)
		default:
			err = fmt.Errorf("not simulated")
		}
		if err != nil {
			return out, fmt.Errorf("%w: kubelet flag %s: %w", errUserData, name, err)
		}
	}
	return out, nil
}

func parseLabels(list string, into map[string]string) error {
	for kv := range strings.SplitSeq(list, ",") {
		if kv == "" {
			continue
		}
		key, value, ok := strings.Cut(kv, "=")
		if !ok || key == "" {
			return fmt.Errorf("label %q is not key=value", kv)
		}
		if !mayLabelItself(key) {
			return fmt.Errorf("a kubelet may not set the label %q on its node", key)
		}
		into[key] = value
	}
	return nil
}

// mayLabelItself is the kubelet's own check at startup: below kubernetes.io and
// k8s.io only known labels and two prefixes are allowed.
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
func mayLabelItself(key string) bool {
	namespace, _, ok := strings.Cut(key, "/")
	if !ok {
		return true
	}
	under := func(domain string) bool { return namespace == domain || strings.HasSuffix(namespace, "."+domain) }
	if !under("kubernetes.io") && !under("k8s.io") {
		return true
	}
	if under("kubelet.kubernetes.io") || under("node.kubernetes.io") {
		return true
	}
	return slices.Contains([]string{
		corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion,
		corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
		corev1.LabelInstanceType, corev1.LabelInstanceTypeStable, corev1.LabelOSStable, corev1.LabelArchStable,
		"beta.kubernetes.io/os", "beta.kubernetes.io/arch",
	}, key)
}

// parseTaints reads key=value:Effect or key:Effect, separated by commas.
func parseTaints(list string) ([]corev1.Taint, error) {
	var out []corev1.Taint
	for s := range strings.SplitSeq(list, ",") {
		if s == "" {
			continue
		}
		i := strings.LastIndex(s, ":")
		if i < 0 {
			return nil, fmt.Errorf("taint %q has no effect", s)
		}
		key, value, _ := strings.Cut(s[:i], "=")
		effect := corev1.TaintEffect(s[i+1:])
		switch effect {
		case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		default:
			return nil, fmt.Errorf("taint %q has the unknown effect %q", s, effect)
		}
		if key == "" {
			return nil, fmt.Errorf("taint %q has no key", s)
		}
		out = append(out, corev1.Taint{Key: key, Value: value, Effect: effect})
	}
	return out, nil
}
