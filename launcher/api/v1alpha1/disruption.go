package v1alpha1

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConsolidationPolicy says which nodes may be removed to save money.
//
// +kubebuilder:validation:Enum=WhenEmpty;WhenEmptyOrUnderutilized
type ConsolidationPolicy string

// The consolidation policies.
const (
	ConsolidateWhenEmpty                ConsolidationPolicy = "WhenEmpty"
	ConsolidateWhenEmptyOrUnderutilized ConsolidationPolicy = "WhenEmptyOrUnderutilized"
)

// DisruptionReason is why the launcher removes a node of its own will.
//
// +kubebuilder:validation:Enum=Empty;Drifted;Expired;Underutilized;Unhealthy;Surplus
type DisruptionReason string

// The reasons of voluntary disruption. Unhealthy nodes go whatever asks not to disrupt them.
// Surplus is what a pool has beyond its replicas.
const (
	ReasonEmpty         DisruptionReason = "Empty"
	ReasonDrifted       DisruptionReason = "Drifted"
	ReasonExpired       DisruptionReason = "Expired"
	ReasonUnderutilized DisruptionReason = "Underutilized"
	ReasonUnhealthy     DisruptionReason = "Unhealthy"
	ReasonSurplus       DisruptionReason = "Surplus"
)

// Disruption says when and how fast the pool's nodes may be removed.
type Disruption struct {
	// ConsolidationPolicy says which nodes may be removed to save money. WhenEmpty: those
	// without pods. WhenEmptyOrUnderutilized: also those whose pods have room elsewhere, or on
	// fewer or cheaper nodes that are bought for them first.
	//
	// +kubebuilder:default=WhenEmpty
	ConsolidationPolicy ConsolidationPolicy `json:"consolidationPolicy,omitempty"`
	// ConsolidateAfter is how long a node must have been empty, or "Never". Of one with pods it
	// is how long none must have come or gone until it may be removed for being underutilized.
	//
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:MaxLength=18
	// +kubebuilder:validation:XValidation:rule="self.matches('^(([0-9]{1,5}[smh])+|Never)$')",message="consolidateAfter must be a duration in hours, minutes and seconds (such as 30s or 1h30m), or Never"
	ConsolidateAfter string `json:"consolidateAfter,omitempty"`
	// Budgets bound how many nodes may be on their way out at once; the smallest one that applies wins.
	//
	// +kubebuilder:default={{nodes: "10%"}}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=60
	Budgets []Budget `json:"budgets,omitempty"`
}

// Budget bounds the nodes of a pool that are disrupted at the same time.
//
// +kubebuilder:validation:XValidation:rule="has(self.schedule) == has(self.duration)",message="schedule and duration belong together: a budget has both or neither"
type Budget struct {
	// Nodes is a number ("5") or a share of the pool's nodes ("10%", rounded up).
	//
	// +kubebuilder:default="10%"
	// +kubebuilder:validation:MaxLength=9
	// +kubebuilder:validation:XValidation:rule="self.matches('^((100|[0-9]{1,2})%|[0-9]+)$')",message="nodes must be a number of nodes (such as 5) or a share of the pool's nodes (such as 10%)"
	Nodes string `json:"nodes"`
	// Reasons the budget holds for; all when empty.
	//
	// +kubebuilder:validation:MaxItems=5
	// +listType=set
	Reasons []DisruptionReason `json:"reasons,omitempty"`
	// Schedule says when the budget begins to hold, in UTC, as cron does ("0 9 * * mon-fri"), or
	// is @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually. A budget
	// without a schedule always holds.
	//
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^(@(annually|yearly|monthly|weekly|daily|midnight|hourly)|[0-9A-Za-z*?/,-]+( +[0-9A-Za-z*?/,-]+){4})$')",message="schedule must be cron's five fields: minute, hour, day of the month, month and day of the week (such as 0 9 * * mon-fri), or one of @hourly, @daily, @weekly, @monthly and @yearly"
	Schedule *string `json:"schedule,omitempty"`
	// Duration for which it then holds, at least 1m.
	//
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=18
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}[smh])+$') && duration(self) >= duration('1m')",message="duration must be at least a minute, in hours and minutes (such as 8h or 1h30m)"
	Duration *metav1.Duration `json:"duration,omitempty"`
}

// Never as a duration means what it says.
const Never = "Never"

// EmptyFor returns how long a node of the pool must have been empty, or without a pod that
// comes or goes, before it may be removed; never is true when it may not be.
func (d Disruption) EmptyFor() (after time.Duration, never bool, err error) {
	if d.ConsolidateAfter == "" { // written by a client that bypassed the schema's defaults
		return DefaultConsolidateAfter, false, nil
	}
	return durationOrNever("consolidateAfter", d.ConsolidateAfter)
}

// Lifetime returns how old a node of the pool may get; never is true when there is no end to it.
func (s *NodeTemplateSpec) Lifetime() (after time.Duration, never bool, err error) {
	if s.ExpireAfter == "" {
		return 0, true, nil
	}
	return durationOrNever("expireAfter", s.ExpireAfter)
}

// durationOrNever reads a field; one that cannot be read means Never.
func durationOrNever(field, value string) (after time.Duration, never bool, err error) {
	if value == Never {
		return 0, true, nil
	}
	after, err = time.ParseDuration(value)
	if err != nil {
		return 0, true, fmt.Errorf("%s: %w", field, err)
	}
	return after, false, nil
}

// DefaultConsolidateAfter is the default of consolidateAfter in the schema.
const DefaultConsolidateAfter = 30 * time.Second
