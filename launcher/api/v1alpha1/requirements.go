package v1alpha1

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// ErrInvalidRequirement is wrapped by errors about a Requirement that can never be
// evaluated. The CRD's validation refuses the same; objects that are older than a
// rule may still carry one.
var ErrInvalidRequirement = errors.New("invalid requirement")

// WellKnownRequirementKeys lists the labels that every offering has where they apply,
// so that a NodePool's requirements may name them. Besides these, requirements may
// name the labels that the pool's template defines.
func WellKnownRequirementKeys() []string {
	return []string{
		corev1.LabelArchStable, corev1.LabelOSStable,
		corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelInstanceTypeStable,
		LabelCapacityType, LabelReservationID, LabelInstanceCategory, LabelInstanceFamily, LabelInstanceGen,
		LabelInstanceSize, LabelInstanceCPU, LabelInstanceMemory, LabelInstanceGPUName,
		LabelInstanceGPUCount, LabelInstanceLocalGB, LabelHypervisor,
	}
}

// DefaultRequirements hold for the keys that a pool's own requirements do not name.
func DefaultRequirements() []Requirement {
	return []Requirement{
		{Key: corev1.LabelArchStable, Operator: OpIn, Values: []string{"amd64"}},
		{Key: corev1.LabelOSStable, Operator: OpIn, Values: []string{"linux"}},
		{Key: LabelCapacityType, Operator: OpIn, Values: []string{CapacityTypeOnDemand}},
	}
}

// MinValues returns, by label, how many different values the offerings of a claim of the
// pool must have; nil where the pool asks for none.
func (np *NodePool) MinValues() map[string]int {
	var least map[string]int
	for _, r := range np.Spec.Template.Spec.Requirements {
		if r.MinValues == nil {
			continue
		}
		if least == nil {
			least = map[string]int{}
		}
		least[r.Key] = max(least[r.Key], *r.MinValues)
	}
	return least
}

// EffectiveRequirements returns the pool's requirements and, for the keys they do not
// name, the defaults.
func (np *NodePool) EffectiveRequirements() []Requirement {
	own := np.Spec.Template.Spec.Requirements
	all := slices.Clone(own)
	for _, d := range DefaultRequirements() {
		if !slices.ContainsFunc(own, func(r Requirement) bool { return r.Key == d.Key }) {
			all = append(all, d)
		}
	}
	return all
}

// NodeSelectorRequirement returns the requirement in the terms of node affinity,
// which knows Gt and Lt only. It refuses what node affinity could not evaluate, with
// an error that wraps ErrInvalidRequirement.
func (r Requirement) NodeSelectorRequirement() (corev1.NodeSelectorRequirement, error) {
	out := corev1.NodeSelectorRequirement{
		Key: r.Key, Operator: corev1.NodeSelectorOperator(r.Operator), Values: r.Values,
	}
	switch r.Operator {
	case OpIn, OpNotIn, OpExists, OpDoesNotExist:
		return out, nil
	case OpGt, OpLt, OpGte, OpLte:
	default:
		return out, r.invalid(fmt.Sprintf("operator %q is unknown", r.Operator))
	}

	if len(r.Values) != 1 {
		return out, r.invalid(fmt.Sprintf("operator %s needs exactly one value, not %d", r.Operator, len(r.Values)))
	}
	n, err := strconv.ParseInt(r.Values[0], 10, 64)
	if err != nil || n < 0 || n == math.MaxInt64 {
		return out, r.invalid(fmt.Sprintf("value %q is not an integer from 0 to %d", r.Values[0], math.MaxInt64-1))
	}
	switch {
	case r.Operator == OpGte && n == 0:
		// "Gt -1" is no valid term, as -1 is no label's value; no label is less than 0 either.
		out.Operator, n = corev1.NodeSelectorOpLt, math.MaxInt64
	case r.Operator == OpGte:
		out.Operator, n = corev1.NodeSelectorOpGt, n-1
	case r.Operator == OpLte:
		out.Operator, n = corev1.NodeSelectorOpLt, n+1
	}
	out.Values = []string{strconv.FormatInt(n, 10)}
	return out, nil
}

func (r Requirement) invalid(why string) error {
	return fmt.Errorf("%w: key %s: %s", ErrInvalidRequirement, r.Key, why)
}

// Matcher evaluates requirements against label sets. The zero Matcher matches all.
//
// +kubebuilder:object:generate=false
type Matcher struct {
	requirements labels.Requirements
}

// CompileRequirements prepares requirements for evaluation. They are ANDed; none
// match every label set. The error names the first bad requirement and wraps
// ErrInvalidRequirement.
//
// It compiles to what node affinity compiles to (component-helpers
// scheduling/corev1/nodeaffinity), so a pool means what the same terms on a pod mean:
// in particular NotIn also matches where the label is absent, and Gt and Lt do not
// match where it is no integer. nodeaffinity itself is not called since it only takes
// whole Nodes, and there are thousands of offerings to evaluate.
func CompileRequirements(requirements []Requirement) (Matcher, error) {
	m := Matcher{requirements: make(labels.Requirements, 0, len(requirements))}
	for _, r := range requirements {
		nsr, err := r.NodeSelectorRequirement()
		if err != nil {
			return Matcher{}, err
		}
		compiled, err := labels.NewRequirement(nsr.Key, labelOperator(nsr.Operator), nsr.Values)
		if err != nil {
			return Matcher{}, fmt.Errorf("%w: key %s: %w", ErrInvalidRequirement, r.Key, err)
		}
		m.requirements = append(m.requirements, *compiled)
	}
	return m, nil
}

func labelOperator(op corev1.NodeSelectorOperator) selection.Operator {
	switch op {
	case corev1.NodeSelectorOpIn:
		return selection.In
	case corev1.NodeSelectorOpNotIn:
		return selection.NotIn
	case corev1.NodeSelectorOpExists:
		return selection.Exists
	case corev1.NodeSelectorOpDoesNotExist:
		return selection.DoesNotExist
	case corev1.NodeSelectorOpGt:
		return selection.GreaterThan
	default:
		return selection.LessThan
	}
}

// Match says whether a node with these labels satisfies all the requirements.
func (m Matcher) Match(nodeLabels map[string]string) bool {
	for i := range m.requirements {
		if !m.requirements[i].Matches(labels.Set(nodeLabels)) {
			return false
		}
	}
	return true
}
