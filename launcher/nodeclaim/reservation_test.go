package nodeclaim

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// TestCollectReservations: a node loses what tells of its reservation once EC2 says that its
// instance is in none, and not before.
func TestCollectReservations(t *testing.T) {
	for _, tt := range []struct {
		name     string
		instance string // the reservation that EC2 says it is in
		young    bool
		want     []string // capacity type and reservation of the claim, of the node's labels
	}{
		{"in force", "cr-1", false, []string{"reserved", "cr-1", "reserved", "cr-1"}},
		{"ended", "", false, []string{"on-demand", "", "on-demand", ""}},
		{"launched just now, which reads may not know", "", true, []string{"reserved", "cr-1", "reserved", "cr-1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newClaim(func(c *v1alpha1.NodeClaim) {
				launched(c)
				c.Status.CapacityType, c.Status.ReservationID = v1alpha1.CapacityTypeReserved, "cr-1"
				c.Status.NodeName, c.Status.ProviderID = "node-a", "aws:///us-east-1a/i-a"
				if tt.young {
					for i := range c.Status.Conditions {
						c.Status.Conditions[i].LastTransitionTime = metav1.Now()
					}
				}
			}))
			w.create(&corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: "node-a", Labels: map[string]string{
					v1alpha1.LabelCapacityType: v1alpha1.CapacityTypeReserved, v1alpha1.LabelReservationID: "cr-1",
					"karpenter.sh/capacity-type": v1alpha1.CapacityTypeReserved, "karpenter.k8s.aws/capacity-reservation-id": "cr-1",
				}},
				Spec: corev1.NodeSpec{ProviderID: "aws:///us-east-1a/i-a"},
			})
			in := cloud.Instance{ID: "i-a", ClaimUID: "uid-a", ReservationID: tt.instance, CapacityType: v1alpha1.CapacityTypeOnDemand}
			if tt.instance != "" {
				in.CapacityType = v1alpha1.CapacityTypeReserved
			}
			w.cloud.add(in)
			for range 2 { // the second time there is nothing left to do
				if err := w.collect.collect(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			s, labels := w.claim().Status, w.node("node-a").Labels
			got := []string{s.CapacityType, s.ReservationID, labels[v1alpha1.LabelCapacityType], labels[v1alpha1.LabelReservationID]}
			if labels["karpenter.sh/capacity-type"] != got[2] || labels["karpenter.k8s.aws/capacity-reservation-id"] != got[3] {
				t.Errorf("labels do not agree: %v", labels)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("claim and node (-want +got):\n%s", diff)
			}
			events := 0
			if tt.want[0] == v1alpha1.CapacityTypeOnDemand {
				events = 1
			}
			if n := w.events.count("NodeClaim ReservationEnded"); n != events {
				t.Errorf("%d events, want %d", n, events)
			}
		})
	}
}
