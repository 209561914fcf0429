package v1alpha1_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func accept(instanceType, zone, capacityType, price string) v1alpha1.AcceptedOffering {
	return v1alpha1.AcceptedOffering{InstanceType: instanceType, Zone: zone, CapacityType: capacityType, Price: resource.MustParse(price)}
}

func TestGroupOfferings(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []v1alpha1.AcceptedOffering
		want []v1alpha1.OfferingGroup
	}{
		{name: "none"},
		{
			name: "one price in all zones is said once",
			in:   []v1alpha1.AcceptedOffering{accept("m5.large", "b", "on-demand", "0.1"), accept("m5.large", "a", "on-demand", "0.10")},
			want: []v1alpha1.OfferingGroup{
				{CapacityType: "on-demand", Zones: []string{"a", "b"}, Types: []string{"m5.large"}, PriceMicros: []int64{100_000}},
			},
		},
		{
			name: "types of the same zones share a group, with a price for every zone where one differs",
			in: []v1alpha1.AcceptedOffering{
				accept("c5.large", "a", "spot", "0.05"), accept("c5.large", "b", "spot", "0.03"),
				accept("m5.large", "a", "spot", "0.04"), accept("m5.large", "b", "spot", "0.04"),
			},
			want: []v1alpha1.OfferingGroup{{
				CapacityType: "spot", Zones: []string{"a", "b"}, Types: []string{"c5.large", "m5.large"},
				PriceMicros: []int64{50_000, 30_000, 40_000, 40_000},
			}},
		},
		{
			name: "a type of fewer zones, and another capacity type, are groups of their own; the cheapest first",
			in: []v1alpha1.AcceptedOffering{
				accept("m5.large", "a", "on-demand", "0.1"), accept("m5.large", "b", "on-demand", "0.1"),
				accept("c5.large", "b", "on-demand", "0.09"), accept("m5.large", "a", "spot", "0.05"),
			},
			want: []v1alpha1.OfferingGroup{
				{CapacityType: "spot", Zones: []string{"a"}, Types: []string{"m5.large"}, PriceMicros: []int64{50_000}},
				{CapacityType: "on-demand", Zones: []string{"b"}, Types: []string{"c5.large"}, PriceMicros: []int64{90_000}},
				{CapacityType: "on-demand", Zones: []string{"a", "b"}, Types: []string{"m5.large"}, PriceMicros: []int64{100_000}},
			},
		},
		{
			name: "given twice: the lower price",
			in:   []v1alpha1.AcceptedOffering{accept("m5.large", "a", "spot", "0.2"), accept("m5.large", "a", "spot", "0.1")},
			want: []v1alpha1.OfferingGroup{{CapacityType: "spot", Zones: []string{"a"}, Types: []string{"m5.large"}, PriceMicros: []int64{100_000}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, v1alpha1.GroupOfferings(tt.in...)); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAccepted: whatever is grouped comes out again, cheapest first.
func TestAccepted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		want := map[string]string{}
		var in []v1alpha1.AcceptedOffering
		for range r.IntN(30) {
			o := accept(fmt.Sprintf("m%d.large", r.IntN(5)), string(rune('a'+r.IntN(3))), []string{"spot", "on-demand"}[r.IntN(2)], fmt.Sprintf("0.%03d", r.IntN(500)))
			if k := o.InstanceType + " " + o.Zone + " " + o.CapacityType; want[k] == "" {
				want[k] = o.Price.String()
				in = append(in, o)
			}
		}
		spec := v1alpha1.NodeClaimSpec{Offerings: v1alpha1.GroupOfferings(in...)}
		accepted, got := spec.Accepted(), map[string]string{}
		for i, o := range accepted {
			got[o.InstanceType+" "+o.Zone+" "+o.CapacityType] = o.Price.String()
			if i > 0 && o.Price.Cmp(accepted[i-1].Price) < 0 {
				t.Errorf("%v comes after %v", o, accepted[i-1])
			}
			if p, ok := spec.PriceOf(o.InstanceType, o.Zone, o.CapacityType); !ok || p.Cmp(o.Price) != 0 {
				t.Errorf("price of %v: %v, %v", o, p, ok)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("accepted (-want +got):\n%s", diff)
		}
		if cheapest := spec.Cheapest(); len(accepted) > 0 && cheapest.Price.Cmp(accepted[0].Price) != 0 {
			t.Errorf("the cheapest is %v, not %v", cheapest, accepted[0])
		}
	}
	if _, ok := (&v1alpha1.NodeClaimSpec{}).PriceOf("m5.large", "a", "spot"); ok {
		t.Error("a claim without offerings has a price")
	}
}

// sixtyTypes are as many offerings as a claim of three zones lists: real names, and
// spot prices that differ everywhere.
func sixtyTypes() (all []v1alpha1.AcceptedOffering) {
	for i, family := range []string{"c6a", "c7gd", "c7i-flex", "m6id", "m7gd", "m8g", "r6idn", "r7iz", "x2gd", "c7gn"} {
		for j, size := range []string{"large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge"} {
			for k, zone := range []string{"us-east-1a", "us-east-1b", "us-east-1c"} {
				price := 0.0817 * float64(int(1)<<j) * (1 + float64(i)/7)
				all = append(all,
					accept(family+"."+size, zone, "on-demand", fmt.Sprintf("%.6f", price)),
					accept(family+"."+size, zone, "spot", fmt.Sprintf("%.6f", price*(0.31+float64(k)/99))))
			}
		}
	}
	return all
}

// TestSizeOfClaim: 60 types in three zones at two capacity types are 360 offerings, which
// take 4.1 KB as JSON, the form in which the API server stores and sends custom resources.
func TestSizeOfClaim(t *testing.T) {
	spec := newClaim("a").Spec
	spec.Offerings = v1alpha1.GroupOfferings(sixtyTypes()...)
	if n := len(spec.Accepted()); n != 360 {
		t.Errorf("%d offerings, want 360", n)
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	const budget = 8 << 10
	if t.Logf("%d bytes", len(raw)); len(raw) > budget {
		t.Errorf("the spec takes %d bytes, more than %d", len(raw), budget)
	}
}
