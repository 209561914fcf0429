package simec2

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// factsFile lies beside the repository where the project is developed; it is
// not part of it.
const factsFile = "../../../shared/data/ec2-us-east-1.csv"

func TestCatalogueSize(t *testing.T) {
	types, err := Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]InstanceType{}
	for _, it := range types {
		if _, dup := byName[it.Name]; dup {
			t.Errorf("%s appears twice", it.Name)
		}
		byName[it.Name] = it
	}
	if len(byName) < 400 {
		t.Errorf("catalogue has %d types, want at least 400", len(byName))
	}
	want := InstanceType{
		Name: "t3.medium", Arch: "x86_64", VCPU: 2, MemoryMiB: 4096, ENIs: 3, IPv4PerENI: 6,
		Hypervisor: "nitro", Burstable: true, CurrentGen: true, OnDemand: 0.0416,
	}
	if diff := cmp.Diff(want, byName["t3.medium"]); diff != "" {
		t.Errorf("t3.medium (-want +got):\n%s", diff)
	}
}

func TestCatalogueFigures(t *testing.T) {
	f, err := os.Open(factsFile)
	if os.IsNotExist(err) {
		t.Skipf("no table to compare with: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	facts := map[string]map[string]string{}
	for _, row := range rows[1:] {
		fact := map[string]string{}
		for i, name := range rows[0] {
			fact[name] = row[i]
		}
		facts[fact["type"]] = fact
	}
	types, err := Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range types {
		fact, ok := facts[it.Name]
		if !ok {
			t.Errorf("%s: no such type in the table", it.Name)
			continue
		}
		price := fact["on_demand_usd_per_hour"]
		delete(fact, "on_demand_usd_per_hour")
		if diff := cmp.Diff(fact, asFact(it, fact["usage"])); diff != "" {
			t.Errorf("%s (-table +catalogue):\n%s", it.Name, diff)
		}
		var usd float64
		if _, err := fmt.Sscan(price, &usd); err != nil {
			t.Fatalf("%s: price %q: %v", it.Name, price, err)
		}
		// Some list prices are rounded to four decimals within their family.
		if math.Abs(it.OnDemand-usd) > usd*1e-3 {
			t.Errorf("%s: price %v, table says %v", it.Name, it.OnDemand, usd)
		}
	}
}

// asFact renders a type as the table does. What the type can be bought as is
// only checked to include both capacity types.
func asFact(it InstanceType, usage string) map[string]string {
	if !strings.Contains(usage, "on-demand+spot") {
		usage = "on-demand+spot"
	}
	bit := func(b bool) string {
		if b {
			return "1"
		}
		return "0"
	}
	hypervisor := it.Hypervisor
	if it.BareMetal {
		hypervisor = "metal"
	}
	return map[string]string{
		"type": it.Name, "arch": it.Arch, "vcpu": fmt.Sprint(it.VCPU), "memory_mib": fmt.Sprint(it.MemoryMiB),
		"enis": fmt.Sprint(it.ENIs), "ipv4_per_eni": fmt.Sprint(it.IPv4PerENI),
		"gpus": fmt.Sprint(it.GPUs), "gpu": it.GPU, "local_gb": fmt.Sprint(it.LocalGB),
		"hypervisor": hypervisor, "burstable": bit(it.Burstable), "current": bit(it.CurrentGen), "usage": usage,
	}
}
