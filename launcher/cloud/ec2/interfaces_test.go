package ec2_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

// TestNetworkInterfaces: instances have the interfaces of their class, types that cannot are left
// out, and nodes have as many EFA devices as there are interfaces of that kind.
func TestNetworkInterfaces(t *testing.T) {
	first := v1alpha1.NetworkInterface{InterfaceType: v1alpha1.InterfaceTypeInterface}
	efa := func(card, device int32) v1alpha1.NetworkInterface {
		return v1alpha1.NetworkInterface{NetworkCardIndex: card, DeviceIndex: device, InterfaceType: v1alpha1.InterfaceTypeEFAOnly}
	}
	s := startEC2(t, simec2.Config{Unthrottled: true})
	for _, tt := range []struct {
		name       string
		interfaces []v1alpha1.NetworkInterface
		types      []string // of three
		efas       int64
	}{
		{"the first, as without", []v1alpha1.NetworkInterface{first}, []string{"m5.large", "p4d.24xlarge", "p5.48xlarge"}, 0},
		{"one EFA", []v1alpha1.NetworkInterface{first, efa(0, 1)}, []string{"p4d.24xlarge", "p5.48xlarge"}, 1},
		{"on four cards", []v1alpha1.NetworkInterface{first, efa(0, 1), efa(1, 0), efa(2, 0), efa(3, 0)}, []string{"p4d.24xlarge", "p5.48xlarge"}, 4},
		{"on a fifth card", []v1alpha1.NetworkInterface{first, efa(4, 0)}, []string{"p5.48xlarge"}, 1},
		{"a third device", []v1alpha1.NetworkInterface{first, efa(0, 2)}, []string{"p4d.24xlarge"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t, s)
			class := newClass(v1alpha1.EC2NodeClassSpec{NetworkInterfaces: tt.interfaces})
			types, err := p.Types(t.Context(), class)
			must(t, err)
			var names []string
			zone := "" // where the last of them is sold
			for _, typ := range types {
				if typ.Name != "m5.large" && typ.Name != "p4d.24xlarge" && typ.Name != "p5.48xlarge" {
					continue
				}
				names, zone = append(names, typ.Name), typ.Offerings[0].Zone
				devices := typ.Allocatable["vpc.amazonaws.com/efa"]
				if devices.Value() != tt.efas {
					t.Errorf("%s has %d EFA devices, want %d", typ.Name, devices.Value(), tt.efas)
				}
			}
			if diff := cmp.Diff(tt.types, names); diff != "" {
				t.Errorf("types (-want +got):\n%s", diff)
			}
			last := tt.types[len(tt.types)-1]
			got, err := p.Launch(t.Context(), newClaim(accepted(last, zone, v1alpha1.CapacityTypeOnDemand, "55")), class)
			must(t, err)
			var want []simec2.Interface
			for _, i := range tt.interfaces {
				want = append(want, simec2.Interface{Card: int(i.NetworkCardIndex), Device: int(i.DeviceIndex), Type: i.InterfaceType})
			}
			for _, in := range s.Instances() {
				if diff := cmp.Diff(want, in.Interfaces); in.ID == got.ID && diff != "" {
					t.Errorf("interfaces (-want +got):\n%s", diff)
				}
			}
		})
	}
}
