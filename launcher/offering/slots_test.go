package offering

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func reservedType(total, available int) []Type {
	return []Type{{Name: "m5.large", Offerings: []Offering{
		{Zone: "a", CapacityType: "on-demand", Price: 0.1, Available: true},
		{Zone: "a", CapacityType: "reserved", Price: 0.1, Available: true, Reservation: &Reservation{ID: "cr-1", Total: total, Available: available}},
	}}}
}

func TestSlots(t *testing.T) {
	claim := func(reservation string, launched bool) *v1alpha1.NodeClaim {
		c := &v1alpha1.NodeClaim{}
		o := v1alpha1.AcceptedOffering{InstanceType: "m5.large", Zone: "a", CapacityType: "on-demand", Price: resource.MustParse("0.1")}
		if reservation != "" {
			o.CapacityType, o.ReservationID = "reserved", reservation
		}
		c.Spec.Offerings = v1alpha1.GroupOfferings(o)
		if launched {
			c.Status.InstanceID, c.Status.ReservationID = "i-1", reservation
		}
		return c
	}
	const launched, coming = true, false
	for _, tt := range []struct {
		name             string
		total, available int
		claims           []*v1alpha1.NodeClaim
		want             int
	}{
		{"nobody", 3, 3, nil, 3},
		{"others have some", 3, 1, nil, 1},
		{"claims on their way", 3, 3, []*v1alpha1.NodeClaim{claim("cr-1", coming), claim("cr-1", coming)}, 1},
		{"launched since the count", 3, 3, []*v1alpha1.NodeClaim{claim("cr-1", launched), claim("cr-1", launched)}, 1},
		{"launched before the count", 3, 1, []*v1alpha1.NodeClaim{claim("cr-1", launched), claim("cr-1", launched)}, 1},
		{"shrunk below its use", 1, 0, []*v1alpha1.NodeClaim{claim("cr-1", launched), claim("cr-1", launched)}, 0},
		{"other claims", 3, 3, []*v1alpha1.NodeClaim{claim("cr-2", coming), claim("", coming), claim("", launched)}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(map[string]int{"cr-1": tt.want}, Slots(reservedType(tt.total, tt.available), tt.claims)); diff != "" {
				t.Errorf("slots (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBudgetOfReservations: pools share a reservation, and a claim lists no reservation but
// the one that was counted for it.
func TestBudgetOfReservations(t *testing.T) {
	offer := func(pool, reservation string) Offer {
		o := Offer{Pool: &v1alpha1.NodePool{}, Node: &corev1.Node{}}
		if o.Pool.Name = pool; reservation != "" {
			o.Reservation = &Reservation{ID: reservation}
		}
		return o
	}
	b := Budget{
		Limits: NewLimits(nil), Slots: map[string]int{"cr-1": 1, "cr-2": 1},
		Offers: []Offer{offer("one", "cr-1"), offer("two", "cr-1"), offer("one", "cr-2"), offer("one", "")},
	}
	for _, step := range []struct {
		name  string
		offer int
		want  string
	}{
		{"the last instance", 0, ""},
		{"none for the other pool", 1, "capacity reservation cr-1 has no instance left"},
		{"on-demand", 3, ""},
	} {
		got := ""
		if err := b.Take(step.offer); err != nil {
			got = err.Error()
		}
		if got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	b.Give(0)
	if err := b.Take(1); err != nil {
		t.Errorf("after one was given back: %v", err)
	}
	if diff := cmp.Diff([]int{0, 3}, b.Within([]int{0, 2, 3})); diff != "" {
		t.Errorf("beside a reserved offer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{3}, b.Within([]int{3, 0, 2})); diff != "" {
		t.Errorf("beside an on-demand offer (-want +got):\n%s", diff)
	}
}

func TestReservedOffers(t *testing.T) {
	p := pool("p")
	p.Spec.Template.Spec.Requirements = []v1alpha1.Requirement{{Key: v1alpha1.LabelCapacityType, Operator: v1alpha1.OpIn, Values: []string{"reserved"}}, {Key: corev1.LabelArchStable, Operator: v1alpha1.OpDoesNotExist}, {Key: corev1.LabelOSStable, Operator: v1alpha1.OpDoesNotExist}}
	offers, err := Of(p, reservedType(2, 2))
	if err != nil || len(offers.Available) != 1 {
		t.Fatalf("%v, %v; want the reserved one", offers, err)
	}
	o := offers.Available[0]
	if o.Node.Labels[v1alpha1.LabelReservationID] != "cr-1" || o.Node.Labels[v1alpha1.LabelCapacityType] != "reserved" {
		t.Errorf("labels %v", o.Node.Labels)
	}
	if o.Cost() <= 0 || o.Cost() > o.Price/1e6 {
		t.Errorf("reserved capacity of $%v counts for $%v", o.Price, o.Cost())
	}
	if a := o.Accepted(); a.ReservationID != "cr-1" || a.Price.Cmp(resource.MustParse("0.1")) != 0 {
		t.Errorf("accepted as %+v", a)
	}
	p.Spec.Template.Spec.Requirements = p.Spec.Template.Spec.Requirements[1:]
	if offers, err := Of(p, reservedType(2, 2)); err != nil || len(offers.Available) != 1 || offers.Available[0].CapacityType != "on-demand" {
		t.Errorf("a pool that names no capacity type gets %v, %v", offers, err)
	}
}
