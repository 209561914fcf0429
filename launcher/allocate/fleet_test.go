package allocate

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func TestFormFleets(t *testing.T) {
	alike := func(change func(*v1alpha1.NodeClaim)) *v1alpha1.NodeClaim {
		c := &v1alpha1.NodeClaim{}
		c.Spec = v1alpha1.NodeClaimSpec{
			NodePool:  "p",
			Offerings: v1alpha1.GroupOfferings(v1alpha1.AcceptedOffering{InstanceType: "m5.large", Zone: "a", CapacityType: "spot"}),
		}
		change(c)
		return c
	}
	claims := []*v1alpha1.NodeClaim{
		alike(func(c *v1alpha1.NodeClaim) { c.Spec.Pods = []v1alpha1.ReservedPod{{Name: "one"}} }),
		alike(func(c *v1alpha1.NodeClaim) { c.Spec.NodePool = "q" }),
		alike(func(c *v1alpha1.NodeClaim) { c.Spec.ExpectedPods = 3 }),
		alike(func(c *v1alpha1.NodeClaim) { c.Spec.Taints = []corev1.Taint{{Key: "k", Effect: "NoSchedule"}} }),
		alike(func(c *v1alpha1.NodeClaim) { c.Spec.Requests = corev1.ResourceList{"cpu": resource.MustParse("1")} }),
		alike(func(c *v1alpha1.NodeClaim) { c.Spec.Taints = []corev1.Taint{{Key: "k", Effect: "NoSchedule"}} }),
	}
	for range v1alpha1.MaxFleet + 1 {
		claims = append(claims, alike(func(c *v1alpha1.NodeClaim) { c.Spec.NodePool = "large" }))
	}
	for i, c := range claims {
		c.Name = fmt.Sprint(i)
	}
	formFleets(claims, map[string]string{"3": "gang", "5": "gang"})
	names := map[types.UID]string{}
	var got []string
	for _, c := range claims[:6] {
		if c.Spec.Fleet == nil {
			got = append(got, "alone")
			continue
		}
		if names[c.Spec.Fleet.ID] == "" {
			names[c.Spec.Fleet.ID] = string(rune('A' + len(names)))
		}
		line := fmt.Sprintf("%s of %d", names[c.Spec.Fleet.ID], c.Spec.Fleet.Size)
		if c.Spec.Fleet.Whole {
			line += " or none"
		}
		got = append(got, line)
	}
	if diff := cmp.Diff([]string{"A of 3", "alone", "A of 3", "B of 2 or none", "A of 3", "B of 2 or none"}, got); diff != "" {
		t.Errorf("fleets (-want +got):\n%s", diff)
	}
	last := claims[len(claims)-1].Spec.Fleet
	if first := claims[6].Spec.Fleet; first == nil || first.Size != v1alpha1.MaxFleet || last != nil {
		t.Errorf("of %d alike the first has fleet %v, the last %v", v1alpha1.MaxFleet+1, first, last)
	}
}
