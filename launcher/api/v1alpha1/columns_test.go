package v1alpha1_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
)

func TestSyncColumns(t *testing.T) {
	for _, tt := range []struct {
		name, price, want string
		released          []types.UID
		pods              int32
	}{
		{name: "before launch", pods: 2},
		{name: "small price", price: "0.0416", want: "$0.0416", pods: 2},
		{name: "large price", price: "113.568", want: "$113.5680", pods: 2},
		{name: "released pod", released: []types.UID{"u1"}, pods: 1},
		{name: "released twice and a stranger", released: []types.UID{"u1", "u1", "u9"}, pods: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claim := newClaim("a")
			claim.Status.Released = tt.released
			if tt.price != "" {
				q := resource.MustParse(tt.price)
				claim.Status.Price = &q
			}
			claim.SyncColumns()
			if got := claim.Status.PricePerHour; got != tt.want {
				t.Errorf("pricePerHour %q, want %q", got, tt.want)
			}
			if got := *claim.Status.ReservedPods; got != tt.pods {
				t.Errorf("reservedPods %d, want %d", got, tt.pods)
			}
			if len(claim.Spec.Pods) != 2 {
				t.Errorf("spec changed: %v", claim.Spec.Pods)
			}
		})
	}
}
