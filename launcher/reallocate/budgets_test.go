package reallocate

import (
	"errors"
	"testing"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func TestAllowed(t *testing.T) {
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
		{name: "scheduled", budgets: []v1alpha1.Budget{{Nodes: "1", Schedule: new("@daily")}}, err: ErrBudget},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := allowed(tt.budgets, v1alpha1.ReasonEmpty, tt.total)
			if !errors.Is(err, tt.err) || got.nodes != tt.want {
				t.Errorf("got %d, %v; want %d, %v", got.nodes, err, tt.want, tt.err)
			}
		})
	}
}
