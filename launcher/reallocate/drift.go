package reallocate

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Reasons of the condition Drifted, while nothing else is in the way: what a new node would
// have otherwise. The message names the field.
const (
	reasonPoolChanged   = "NodePoolChanged"
	reasonRequirements  = "RequirementsNotMet"
	reasonClassChanged  = "NodeClassChanged"
	reasonImageChanged  = "ImageChanged"
	reasonSubnetChanged = "SubnetChanged"
	reasonGroupsChanged = "SecurityGroupsChanged"
	reasonNotDrifted    = "NotDrifted"
	reasonExpired       = "Expired"
	reasonNotReplaced   = "NotReplaced"
	reasonPromised      = "PodsPromised"
)

// Fields of a NodePool that shape its nodes.
const (
	fieldClass         = "spec.template.spec.nodeClassRef"
	fieldLabels        = "spec.template.metadata.labels"
	fieldAnnotations   = "spec.template.metadata.annotations"
	fieldTaints        = "spec.template.spec.taints"
	fieldStartupTaints = "spec.template.spec.startupTaints"
	fieldRequirements  = "spec.template.spec.requirements"
)

// drift is a difference between a node and what its pool and class say now.
type drift struct{ reason, message string }

// blueprint is what a node is held against.
type blueprint struct {
	pool *v1alpha1.NodePool
	// class is nil where the pool names none, or one that is gone.
	class *v1alpha1.EC2NodeClass
	// resolved is what the class stands for; nil while that is not known.
	resolved *v1alpha1.EC2NodeClassStatus
}

// driftOf finds the first difference; nil when there is none. What is not known is taken to
// be as it should.
func driftOf(claim *v1alpha1.NodeClaim, node *corev1.Node, b blueprint) (*drift, error) {
	if d := poolDrift(claim, b.pool); d != nil {
		return d, nil
	}
	d, err := requirementDrift(node, b.pool)
	if err != nil || d != nil {
		return d, err
	}
	if b.class != nil {
		if field := b.class.ChangedField(claim.Status.ClassFields); field != "" {
			return &drift{reasonClassChanged, fmt.Sprintf("spec.%s of EC2NodeClass %s was changed", field, b.class.Name)}, nil
		}
	}
	if b.resolved != nil {
		return resolvedDrift(&claim.Status, b.resolved), nil
	}
	return nil, nil
}

// poolDrift compares what the claim took over from its pool's template.
func poolDrift(claim *v1alpha1.NodeClaim, pool *v1alpha1.NodePool) *drift {
	template := &pool.Spec.Template
	ours := maps.Clone(claim.Spec.Labels)
	delete(ours, v1alpha1.LabelNodePool)
	field := ""
	switch {
	case !equality.Semantic.DeepEqual(claim.Spec.NodeClassRef, template.Spec.NodeClassRef):
		field = fieldClass
	case !maps.Equal(ours, template.Metadata.Labels):
		field = fieldLabels + differing(ours, template.Metadata.Labels)
	case !maps.Equal(claim.Spec.Annotations, template.Metadata.Annotations):
		field = fieldAnnotations + differing(claim.Spec.Annotations, template.Metadata.Annotations)
	case !sameTaints(claim.Spec.Taints, template.Spec.Taints):
		field = fieldTaints
	case !sameTaints(claim.Spec.StartupTaints, template.Spec.StartupTaints):
		field = fieldStartupTaints
	default:
		return nil
	}
	return &drift{reasonPoolChanged, fmt.Sprintf("%s of NodePool %s was changed", field, pool.Name)}
}

// differing names the first key, in order, that two maps that differ do not agree on: "[team]".
func differing(a, b map[string]string) string {
	var keys []string
	for key := range a {
		if value, ok := b[key]; !ok || value != a[key] {
			keys = append(keys, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	return "[" + slices.Min(keys) + "]"
}

// sameTaints compares without regard to order, which means nothing.
func sameTaints(a, b []corev1.Taint) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(t corev1.Taint) bool { return !slices.Contains(b, t) })
}

// requirementDrift holds the node's labels against the pool's requirements. One about a label
// that the node does not have is passed over: a cloud controller may be yet to set it, or it
// may be newer than the node.
func requirementDrift(node *corev1.Node, pool *v1alpha1.NodePool) (*drift, error) {
	for _, r := range pool.EffectiveRequirements() {
		value, known := node.Labels[r.Key]
		if !known {
			continue
		}
		m, err := v1alpha1.CompileRequirements([]v1alpha1.Requirement{r})
		if err != nil {
			return nil, fmt.Errorf("pool %s: %s: %w", pool.Name, fieldRequirements, err)
		}
		if !m.Match(node.Labels) {
			return &drift{reasonRequirements, fmt.Sprintf(
				"%s of NodePool %s does not allow %s=%s", fieldRequirements, pool.Name, r.Key, value,
			)}, nil
		}
	}
	return nil, nil
}

// resolvedDrift compares what the instance was made of with what its class stands for now.
func resolvedDrift(is *v1alpha1.NodeClaimStatus, now *v1alpha1.EC2NodeClassStatus) *drift {
	if is.ImageID != "" && len(now.AMIs) > 0 && !slices.ContainsFunc(now.AMIs, func(a v1alpha1.AMI) bool { return a.ID == is.ImageID }) {
		return &drift{reasonImageChanged, fmt.Sprintf("image %s is not one of the class's any more: status.amis", is.ImageID)}
	}
	if is.SubnetID == "" {
		return nil // EC2 was not asked yet
	}
	if len(now.Subnets) > 0 && !slices.ContainsFunc(now.Subnets, func(s v1alpha1.Subnet) bool { return s.ID == is.SubnetID }) {
		return &drift{reasonSubnetChanged, fmt.Sprintf("subnet %s is not one of the class's any more: status.subnets", is.SubnetID)}
	}
	var groups []string
	for _, g := range now.SecurityGroups {
		groups = append(groups, g.ID)
	}
	slices.Sort(groups)
	if len(groups) > 0 && !slices.Equal(groups, is.SecurityGroups) {
		return &drift{reasonGroupsChanged, fmt.Sprintf("security groups are %v, the class's are %v: status.securityGroups", is.SecurityGroups, groups)}
	}
	return nil
}
