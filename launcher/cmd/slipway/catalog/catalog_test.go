package catalog

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
)

// facts is a table of the same kind from other sources, beside the repository.
var facts = filepath.Join("..", "..", "..", "..", "..", "shared", "data", "ec2-us-east-1.csv")

func TestBuiltinFigures(t *testing.T) {
	file, err := os.Open(facts)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the figures are not checked: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	published, err := ReadCSV(facts, file)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]ec2.Listed{}
	for _, e := range published {
		byName[e.Name] = e
	}
	ours, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range ours {
		want, ok := byName[e.Name]
		if !ok {
			t.Errorf("%s is not published", e.Name)
			continue
		}
		if diff := cmp.Diff(want.Hardware, e.Hardware); diff != "" || want.NoSpot != e.NoSpot {
			t.Errorf("%s, no spot: published %t, built in %t (-published +built in):\n%s", e.Name, want.NoSpot, e.NoSpot, diff)
		}
		if off := math.Abs(e.Price/want.Price - 1); off > 0.005 {
			t.Errorf("%s costs %v, published %v", e.Name, e.Price, want.Price)
		}
	}
}

const header = "type,arch,vcpu,memory_mib,enis,ipv4_per_eni,gpus,gpu,local_gb,hypervisor,burstable,current,usage,on_demand_usd_per_hour\n"

func TestReadCSV(t *testing.T) {
	got, err := ReadCSV("types.csv", strings.NewReader(header+
		"m5.large,x86_64,2,8192,3,10,0,,0,nitro,0,0,on-demand+spot,0.096\n"+
		"p9.large,x86_64,2,8192,3,10,0,,0,nitro,0,1,capacity-block,9\n"+
		"g5.metal,i386/x86_64,96,8192,3,10,8,NVIDIA RTX PRO,100,metal,0,1,on-demand,7.5\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Catalog{
		{Hardware: ec2.Hardware{Name: "m5.large", Arch: "amd64", VCPUs: 2, MemoryMiB: 8192, ENIs: 3, IPv4PerENI: 10, Hypervisor: "nitro"}, Price: 0.096},
		{Hardware: ec2.Hardware{Name: "g5.metal", Arch: "amd64", VCPUs: 96, MemoryMiB: 8192, ENIs: 3, IPv4PerENI: 10,
			GPUs: 8, GPUMaker: "NVIDIA", GPUName: "RTX PRO", LocalGB: 100, Current: true}, Price: 7.5, NoSpot: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("catalogue (-want +got):\n%s", diff)
	}
}

func TestReadCSVErrors(t *testing.T) {
	const good = "m5.large,x86_64,2,8192,3,10,0,,0,nitro,0,0,on-demand+spot,0.096\n"
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "types.csv:1: no header: EOF"},
		{"a column is missing", "type,arch\n", `types.csv:1: the header has no column "vcpu"`},
		{"no types", header, "types.csv:1: there is no instance type"},
		{"too few fields", header + good + "m5.xlarge,x86_64\n", "types.csv:3: wrong number of fields"},
		{"a quote is left open", header + "\"m5.large,x86_64\n", `types.csv:2: extraneous or missing " in quoted-field`},
		{"no number", header + strings.Replace(good, "8192", "8GiB", 1), `types.csv:2: memory_mib: "8GiB" is not a number of at least 1`},
		{"negative", header + strings.Replace(good, "m5.large,x86_64,2", "m5.large,x86_64,-2", 1), `types.csv:2: vcpu: "-2" is not a number of at least 1`},
		{"free", header + strings.Replace(good, "0.096", "0", 1), `types.csv:2: on_demand_usd_per_hour: "0" is not a price in US dollars`},
		{"not a price", header + strings.Replace(good, "0.096", "NaN", 1), `types.csv:2: on_demand_usd_per_hour: "NaN" is not a price in US dollars`},
		{"architecture", header + strings.Replace(good, "x86_64", "i386", 1), `types.csv:2: arch: "i386" is neither x86_64 nor arm64`},
		{"name", header + strings.Replace(good, "m5.large", "m5", 1), `types.csv:2: type: "m5" is not FAMILY.SIZE`},
		{"twice", header + good + good, "types.csv:3: m5.large is given twice, first in line 2"},
		{"two things wrong", header + "m5.large,x86_64,2,x,3,10,0,,0,nitro,0,0,on-demand,y\n", `types.csv:2: memory_mib: "x" is not a number of at least 1; on_demand`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadCSV("types.csv", strings.NewReader(tt.text))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || !errors.Is(err, input.ErrWrong) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTypes(t *testing.T) {
	c := Catalog{
		{Hardware: ec2.Hardware{Name: "m5.large", Arch: "amd64", VCPUs: 2, MemoryMiB: 8192, ENIs: 3, IPv4PerENI: 10, Hypervisor: "nitro"}, Price: 0.096},
		{Hardware: ec2.Hardware{Name: "m4.large", Arch: "amd64", VCPUs: 2, MemoryMiB: 8192, ENIs: 2, IPv4PerENI: 10, Hypervisor: "xen"}, Price: 0.1},
	}
	types, err := c.Types(t.Context(), nil)
	if err != nil || len(types) != 1 || len(types[0].Offerings) != 3 {
		t.Fatalf("%v, types %+v", err, types)
	}
	m5 := types[0]
	if m5.Name != "m5.large" || m5.Allocatable.Cpu().String() != "1930m" || m5.Labels[corev1.LabelArchStable] != "amd64" || m5.Current {
		t.Errorf("m5.large is %+v", m5)
	}
}
