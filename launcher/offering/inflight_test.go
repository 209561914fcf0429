package offering

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func amounts(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

// accepting is a claim for the offerings, each of a type, a zone and a capacity type.
func accepting(offerings ...[3]string) *v1alpha1.NodeClaim {
	c := &v1alpha1.NodeClaim{}
	c.Spec.Labels = map[string]string{"team": "a"}
	var accepted []v1alpha1.AcceptedOffering
	for i, o := range offerings {
		accepted = append(accepted, v1alpha1.AcceptedOffering{
			InstanceType: o[0], Zone: o[1], CapacityType: o[2], Price: *resource.NewMilliQuantity(int64(100+i), resource.DecimalSI),
		})
	}
	c.Spec.Offerings = v1alpha1.GroupOfferings(accepted...)
	return c
}

func launchedAs(c *v1alpha1.NodeClaim, name, zone string, allocatable corev1.ResourceList) *v1alpha1.NodeClaim {
	c.Status.InstanceType, c.Status.Zone, c.Status.CapacityType, c.Status.Allocatable = name, zone, "on-demand", allocatable
	return c
}

var inFlightTypes = map[string]Type{
	"c": {Capacity: amounts("4", "8Gi"), Allocatable: amounts("3", "7Gi"), Labels: map[string]string{corev1.LabelArchStable: "amd64", "size": "large"}},
	"r": {Capacity: amounts("2", "16Gi"), Allocatable: amounts("1", "15Gi"), Labels: map[string]string{corev1.LabelArchStable: "amd64", "size": "small", "gpu": "x"}},
}

func TestInFlight(t *testing.T) {
	keys := []string{corev1.LabelTopologyZone, v1alpha1.LabelCapacityType, corev1.LabelInstanceTypeStable, corev1.LabelArchStable, "size", "gpu", "team", "unknown"}
	for _, tt := range []struct {
		name    string
		claim   *v1alpha1.NodeClaim
		zone    string
		guessed []string
	}{
		{"one offering", accepting([3]string{"c", "a", "spot"}), "a", nil},
		{"several zones", accepting([3]string{"c", "b", "spot"}, [3]string{"c", "a", "spot"}), "b", []string{corev1.LabelTopologyZone}},
		{"several types", accepting([3]string{"c", "a", "spot"}, [3]string{"r", "a", "spot"}), "a", []string{corev1.LabelInstanceTypeStable, "size", "gpu"}},
		{"several capacity types", accepting([3]string{"c", "a", "spot"}, [3]string{"c", "a", "on-demand"}), "a", []string{v1alpha1.LabelCapacityType}},
		{"launched", launchedAs(accepting([3]string{"c", "a", "spot"}, [3]string{"r", "b", "spot"}), "r", "b", nil), "b", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			node, isGuessed := InFlight(tt.claim, inFlightTypes)
			if got := node.Labels[corev1.LabelTopologyZone]; got != tt.zone || node.Labels["team"] != "a" {
				t.Errorf("labels are %v, want zone %s", node.Labels, tt.zone)
			}
			var guessed []string
			for _, key := range keys {
				if isGuessed != nil && isGuessed(key) {
					guessed = append(guessed, key)
				}
			}
			if diff := cmp.Diff(tt.guessed, guessed); diff != "" {
				t.Errorf("guessed labels (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLeastAndMost: what is to be bought is at least and at most what any accepted type has.
func TestLeastAndMost(t *testing.T) {
	both := [][3]string{{"c", "a", "spot"}, {"r", "a", "spot"}}
	for _, tt := range []struct {
		name        string
		claim       *v1alpha1.NodeClaim
		least, most corev1.ResourceList
	}{
		{"not launched", accepting(both...), amounts("1", "7Gi"), amounts("4", "16Gi")},
		{"not launched, a type is no longer known", accepting([3]string{"gone", "a", "spot"}, both[0]), corev1.ResourceList{}, amounts("4", "8Gi")},
		{"launched", launchedAs(accepting(both...), "r", "a", amounts("900m", "14Gi")), amounts("900m", "14Gi"), amounts("2", "16Gi")},
		{"launched as a type that is no longer known", launchedAs(accepting(both...), "gone", "a", amounts("1", "1Gi")), amounts("1", "1Gi"), amounts("1", "1Gi")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.least, Least(tt.claim, inFlightTypes)); diff != "" {
				t.Errorf("least (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.most, Most(tt.claim, inFlightTypes)); diff != "" {
				t.Errorf("most (-want +got):\n%s", diff)
			}
		})
	}
}
