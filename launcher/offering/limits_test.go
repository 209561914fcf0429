package offering

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func TestBudget(t *testing.T) {
	capacity := func(cpu string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
	limited, free := pool("limited"), pool("free")
	limited.Spec.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8"), resourceNodes: resource.MustParse("3")}
	offer := func(p *v1alpha1.NodePool, cpu string) Offer {
		return Offer{Pool: p, Node: &corev1.Node{Status: corev1.NodeStatus{Capacity: capacity(cpu)}}}
	}
	b := Budget{
		Limits: NewLimits([]v1alpha1.NodePool{*limited, *free}),
		Offers: []Offer{offer(limited, "2"), offer(limited, "4"), offer(limited, "2"), offer(free, "96"), offer(free, "2")},
	}
	b.Limits.Count("limited", capacity("4"))
	b.Limits.Count("free", capacity("400"))
	for _, step := range []struct {
		name string
		take int
		give bool
		want string
	}{
		{name: "6 of 8 cpu", take: 0},
		{name: "10 of 8 cpu", take: 1, want: "its limit of 8 cpu is reached"},
		{name: "8 of 8 cpu, three nodes", take: 2},
		{name: "a fourth node", take: 2, want: "its limit of 8 cpu is reached"},
		{name: "one goes", take: 2, give: true},
		{name: "another comes", take: 0},
		{name: "no limit", take: 3},
	} {
		if step.give {
			b.Give(step.take)
			continue
		}
		got := ""
		if err := b.Take(step.take); err != nil {
			got = err.Error()
		}
		if got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	if diff := cmp.Diff([]int{0, 2}, b.Within([]int{0, 1, 2})); diff != "" {
		t.Errorf("alternatives (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{4, 3}, b.Within([]int{4, 3})); diff != "" {
		t.Errorf("alternatives without limits (-want +got):\n%s", diff)
	}
}
