package offering

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// manyTypes makes n types, each in three zones.
func manyTypes(n int) []Type {
	var all []Type
	for i := range n {
		t := Type{Name: fmt.Sprintf("c%d.large", i), Labels: map[string]string{
			corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux", v1alpha1.LabelInstanceCPU: "2", v1alpha1.LabelInstanceCategory: "c",
		}}
		for _, zone := range []string{"a", "b", "c"} {
			t.Offerings = append(t.Offerings, Offering{Zone: zone, CapacityType: "on-demand", Price: 0.1, Available: true})
		}
		all = append(all, t)
	}
	return all
}

func pool(name string, requirements ...v1alpha1.Requirement) *v1alpha1.NodePool {
	p := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "1", Generation: 1}}
	p.Spec.Template.Spec.Requirements = requirements
	return p
}

func TestOf(t *testing.T) {
	types := manyTypes(2)
	types[0].Offerings[1].Available = false
	types[0].Offerings[2].Price = 0
	types[1].Offerings[0].CapacityType = "spot"
	inZone := func(zones ...string) v1alpha1.Requirement {
		return v1alpha1.Requirement{Key: corev1.LabelTopologyZone, Operator: v1alpha1.OpIn, Values: zones}
	}
	for _, tt := range []struct {
		name    string
		pool    *v1alpha1.NodePool
		want    []string
		soldOut int
	}{
		{"defaults: on-demand, with a price, available", pool("p"), []string{"c0.large/a", "c1.large/b", "c1.large/c"}, 1},
		{"requirements", pool("p", inZone("b")), []string{"c1.large/b"}, 1},
		{"another arch", pool("p", v1alpha1.Requirement{Key: corev1.LabelArchStable, Operator: v1alpha1.OpIn, Values: []string{"arm64"}}), nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			offers, err := Of(tt.pool, types)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range offers.Available {
				got = append(got, o.Type+"/"+o.Zone)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || offers.SoldOut != tt.soldOut {
				t.Errorf("%d sold out, want %d; available (-want +got):\n%s", offers.SoldOut, tt.soldOut, diff)
			}
		})
	}
	if _, err := Of(pool("p", v1alpha1.Requirement{Key: "k", Operator: "Near"}), types); !errors.Is(err, v1alpha1.ErrInvalidRequirement) {
		t.Errorf("error %v, want ErrInvalidRequirement", err)
	}
}

func TestOfferNode(t *testing.T) {
	p := pool("p")
	p.Spec.Template.Metadata.Labels = map[string]string{"team": "ml"}
	p.Spec.Template.Metadata.Annotations = map[string]string{"note": "x"}
	p.Spec.Template.Spec.Taints = []corev1.Taint{{Key: "ml", Effect: corev1.TaintEffectNoSchedule}}
	p.Spec.Template.Spec.StartupTaints = []corev1.Taint{{Key: "cni", Effect: corev1.TaintEffectNoSchedule}}
	types := manyTypes(1)
	types[0].Capacity = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
	types[0].Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1930m")}
	offers, err := Of(p, types)
	if err != nil {
		t.Fatal(err)
	}
	want := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{
				"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "slipway.dev/instance-cpu": "2", "slipway.dev/instance-category": "c",
				"team": "ml", "topology.kubernetes.io/zone": "a", "slipway.dev/capacity-type": "on-demand", "slipway.dev/nodepool": "p",
			},
			Annotations: map[string]string{"note": "x"},
		},
		Spec:   corev1.NodeSpec{Taints: p.Spec.Template.Spec.Taints},
		Status: corev1.NodeStatus{Capacity: types[0].Capacity, Allocatable: types[0].Allocatable},
	}
	if diff := cmp.Diff(want, offers.Available[0].Node); diff != "" {
		t.Errorf("node (-want +got):\n%s", diff)
	}
	accepted := v1alpha1.AcceptedOffering{InstanceType: "c0.large", Zone: "a", CapacityType: "on-demand", Price: resource.MustParse("100m")}
	if diff := cmp.Diff(accepted, offers.Available[0].Accepted()); diff != "" {
		t.Errorf("accepted offering (-want +got):\n%s", diff)
	}
}

func TestOfferCache(t *testing.T) {
	types, others := manyTypes(3), manyTypes(3)
	changed := func(change func(*v1alpha1.NodePool)) *v1alpha1.NodePool {
		p := pool("p")
		change(p)
		return p
	}
	for _, tt := range []struct {
		name  string
		pool  *v1alpha1.NodePool
		types []Type
		kept  bool
	}{
		{"nothing changed", pool("p"), types, true},
		{"status changed", changed(func(p *v1alpha1.NodePool) { p.ResourceVersion = "2" }), types, true},
		{"spec changed", changed(func(p *v1alpha1.NodePool) { p.Generation = 2 }), types, false},
		{"another pool of that name", changed(func(p *v1alpha1.NodePool) { p.UID = "2" }), types, false},
		{"another list", pool("p"), others, false},
		{"part of the list", pool("p"), types[:2], false},
		{"another pool", pool("q"), types, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c OfferCache
			first, err := c.Of(pool("p"), types)
			if err != nil {
				t.Fatal(err)
			}
			second, err := c.Of(tt.pool, tt.types)
			if err != nil {
				t.Fatal(err)
			}
			if kept := &first.Available[0] == &second.Available[0]; kept != tt.kept {
				t.Errorf("remembered: %v, want %v", kept, tt.kept)
			}
		})
	}
}

func BenchmarkOf(b *testing.B) {
	types := manyTypes(800)
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			if o, err := Of(pool("p"), types); err != nil || len(o.Available) != 2400 {
				b.Fatal(err, len(o.Available))
			}
		}
	})
	b.Run("remembered", func(b *testing.B) {
		var c OfferCache
		for b.Loop() {
			if _, err := c.Of(pool("p"), types); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestAliases: nodes are known to have labels under other keys as well, but for those that
// their pool defines.
func TestAliases(t *testing.T) {
	const capacity, family, gpu, ours = "peer/capacity-type", "peer/family", "peer/gpu", "peer/pool"
	types := manyTypes(1)
	types[0].Labels[v1alpha1.LabelInstanceFamily] = "c0"
	types[0].Aliases = map[string]string{
		capacity: v1alpha1.LabelCapacityType, family: v1alpha1.LabelInstanceFamily, gpu: v1alpha1.LabelInstanceGPUName, ours: v1alpha1.LabelNodePool,
	}
	p := pool("p")
	p.Spec.Template.Metadata.Labels = map[string]string{ours: "mine"}
	offers, err := Of(p, types)
	if err != nil {
		t.Fatal(err)
	}
	claim := accepting([3]string{"c0.large", "a", "on-demand"}, [3]string{"c0.large", "a", "spot"})
	claim.Spec.Labels[ours] = "mine"
	inFlight, guessed := InFlight(claim, map[string]Type{"c0.large": types[0]})
	for name, labels := range map[string]map[string]string{"offer": offers.Available[0].Node.Labels, "in flight": inFlight.Labels} {
		got := map[string]string{}
		for alias := range types[0].Aliases {
			if value, ok := labels[alias]; ok {
				got[alias] = value
			}
		}
		want := map[string]string{capacity: "on-demand", family: "c0", ours: "mine"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if !guessed(capacity) || guessed(family) {
		t.Errorf("guessed: capacity type %t, family %t; want the former", guessed(capacity), guessed(family))
	}
}
