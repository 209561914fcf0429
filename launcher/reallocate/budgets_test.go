package reallocate

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func TestAllowed(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	from := func(schedule, nodes string, reasons ...v1alpha1.DisruptionReason) v1alpha1.Budget {
		return v1alpha1.Budget{Nodes: nodes, Reasons: reasons, Schedule: &schedule, Duration: &metav1.Duration{Duration: 8 * time.Hour}}
	}
	drifted := []v1alpha1.DisruptionReason{v1alpha1.ReasonDrifted}
	for _, tt := range []struct {
		name    string
		budgets []v1alpha1.Budget
		total   int
		want    int
		err     error
	}{
		{name: "none", total: 10, want: unlimited},
		{name: "number", budgets: []v1alpha1.Budget{{Nodes: "5"}}, total: 10, want: 5},
		{name: "share", budgets: []v1alpha1.Budget{{Nodes: "10%"}}, total: 100, want: 10},
		{name: "share rounded up", budgets: []v1alpha1.Budget{{Nodes: "10%"}}, total: 11, want: 2},
		{name: "share of one node", budgets: []v1alpha1.Budget{{Nodes: "10%"}}, total: 1, want: 1},
		{name: "zero", budgets: []v1alpha1.Budget{{Nodes: "0"}}, total: 10, want: 0},
		{name: "zero share", budgets: []v1alpha1.Budget{{Nodes: "0%"}}, total: 10, want: 0},
		{name: "all", budgets: []v1alpha1.Budget{{Nodes: "100%"}}, total: 7, want: 7},
		{name: "smallest wins", budgets: []v1alpha1.Budget{{Nodes: "5"}, {Nodes: "20%"}, {Nodes: "50%"}}, total: 10, want: 2},
		{name: "of another reason", budgets: []v1alpha1.Budget{{Nodes: "0", Reasons: drifted}, {Nodes: "3"}}, total: 10, want: 3},
		{name: "of this reason", budgets: []v1alpha1.Budget{{Nodes: "1", Reasons: append(drifted, v1alpha1.ReasonEmpty)}, {Nodes: "3"}}, total: 10, want: 1},
		{name: "not a number", budgets: []v1alpha1.Budget{{Nodes: "few"}}, err: ErrBudget},
		{name: "negative", budgets: []v1alpha1.Budget{{Nodes: "-1"}}, err: ErrBudget},
		{name: "more than all", budgets: []v1alpha1.Budget{{Nodes: "101%"}}, err: ErrBudget},
		{name: "at this time", budgets: []v1alpha1.Budget{{Nodes: "50%"}, from("0 9 * * *", "0")}, total: 10, want: 0},
		{name: "at another time", budgets: []v1alpha1.Budget{{Nodes: "50%"}, from("0 13 * * *", "0")}, total: 10, want: 5},
		{name: "of this reason at this time", budgets: []v1alpha1.Budget{from("0 9 * * *", "2", v1alpha1.ReasonEmpty)}, total: 10, want: 2},
		{name: "of another reason at this time", budgets: []v1alpha1.Budget{from("0 9 * * *", "2", drifted...)}, total: 10, want: unlimited},
		{name: "at no time there is", budgets: []v1alpha1.Budget{from("0 24 * * *", "2")}, err: ErrBudget},
		{name: "at no time there is, of another reason", budgets: []v1alpha1.Budget{from("0 24 * * *", "2", drifted...)}, err: ErrBudget},
		{name: "of no size, at another time", budgets: []v1alpha1.Budget{from("0 13 * * *", "few")}, err: ErrBudget},
		{name: "rounded up from a fraction of a node", budgets: []v1alpha1.Budget{{Nodes: "1%"}}, total: 3, want: 1},
		{name: "of no node", budgets: []v1alpha1.Budget{{Nodes: "10%"}}, want: 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := allowed(tt.budgets, v1alpha1.ReasonEmpty, tt.total, now)
			if !errors.Is(err, tt.err) || got.nodes != tt.want {
				t.Errorf("got %d, %v; want %d, %v", got.nodes, err, tt.want, tt.err)
			}
		})
	}
}
