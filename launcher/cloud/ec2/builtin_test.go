package ec2

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBuiltIn: every table that is built in is plausible, and as it would be written today.
func TestBuiltIn(t *testing.T) {
	files, err := builtIn.ReadDir("builtin")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		region := strings.TrimSuffix(f.Name(), ".txt")
		t.Run(region, func(t *testing.T) {
			table, err := BuiltIn(region)
			if err != nil {
				t.Fatal(err)
			}
			if len(table.Types) < 400 || table.Date.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
				t.Errorf("%d types of %s, want at least 400 of 2026 or later", len(table.Types), table.Date)
			}
			seen := map[string]bool{}
			for _, l := range table.Types {
				if seen[l.Name] {
					t.Errorf("%s is there twice", l.Name)
				}
				seen[l.Name] = true
				if l.VCPUs < 1 || l.MemoryMiB < 512 || l.ENIs < 2 || l.IPv4PerENI < 2 || l.Price < 0.004 || !l.RunsAL2023() {
					t.Errorf("%+v is not plausible", l)
				}
			}
			text, err := builtIn.ReadFile("builtin/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(text), table.String()); diff != "" {
				t.Errorf("written again it differs (-is +would be):\n%s", diff)
			}
		})
	}
}

func TestNotBuiltIn(t *testing.T) {
	if _, err := BuiltIn("xx-nowhere-1"); !errors.Is(err, ErrNotBuiltIn) {
		t.Errorf("err = %v, want ErrNotBuiltIn", err)
	}
}

// TestTable: what is written is what is read, prices to a ten-thousandth.
func TestTable(t *testing.T) {
	nitro := func(name string, vcpus, gib int64, usd float64) Listed {
		return Listed{Price: usd, Hardware: Hardware{
			Name: name, Arch: "amd64", VCPUs: vcpus, MemoryMiB: gib * 1024, ENIs: 3, IPv4PerENI: 10, Hypervisor: "nitro", Current: true,
		}}
	}
	edit := func(l Listed, change func(*Listed)) Listed { change(&l); return l }
	metal := func(l *Listed) { l.Hypervisor = "" }
	table := Table{Date: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Types: []Listed{
		nitro("a9.large", 2, 4, 0.1), nitro("a9.xlarge", 4, 8, 0.2),
		nitro("b9.large", 2, 8, 0.123456789), nitro("b9.xlarge", 4, 16, 0.246913578),
		edit(nitro("c9.large", 2, 4, 0.1), func(l *Listed) { l.Current = false }),
		edit(nitro("c9.metal", 96, 192, 9), metal), // dearer than its vCPUs
		edit(nitro("c9.xlarge", 4, 8, 0.2), func(l *Listed) { l.Current = false }),
		edit(nitro("g9.2xlarge", 8, 32, 1.5), func(l *Listed) { l.GPUs, l.GPUMaker, l.GPUName, l.LocalGB = 1, "NVIDIA", "RTX PRO 9", 450 }),
		edit(nitro("g9.8xlarge", 32, 100, 9.1), func(l *Listed) { l.GPUs, l.GPUMaker, l.GPUName, l.LocalGB = 4, "NVIDIA", "RTX PRO 9", 900 }),
		edit(nitro("g9f.large", 2, 8, 0.2), func(l *Listed) { l.GPUMaker, l.GPUName = "NVIDIA", "L4" }),
		edit(nitro("i9.large", 2, 16, 0.2), func(l *Listed) { l.Hypervisor = "xen" }),
		edit(nitro("i9.metal", 64, 512, 6.4), metal),
		edit(nitro("n9.large", 2, 4, 0.1), func(l *Listed) { l.NoSpot, l.Neurons = true, 2 }),
	}}
	got, err := ParseTable(table.String())
	if err != nil {
		t.Fatal(err, "\n", table.String())
	}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a/b-1) < priceTolerance })
	if diff := cmp.Diff(table, got, near); diff != "" {
		t.Errorf("read again (-want +got):\n%s\n%s", diff, table.String())
	}
	for _, line := range []string{
		"b9 amd64 4 0.0617284 =a9\n",
		"c9 amd64 2 0.09375 metal:96:3x10\n", // another line: AWS calls it a current generation
		"i9 amd64 8 0.1 xen large:2:3x10 metal:64:3x10\n",
		"g9 amd64 4 0.1875 gib=32,100 usd:8xlarge=9.1 disk=450,900 gpu=NVIDIA_RTX_PRO_9:1,4 2xlarge:8:3x10 8xlarge:32:3x10\n",
	} {
		if !strings.Contains(table.String(), line) {
			t.Errorf("no line %q in\n%s", line, table.String())
		}
	}
	table.Types = append(table.Types, edit(nitro("a1.large", 2, 4, 0.1), func(l *Listed) { l.Arch = "arm64" }))
	if text := table.String(); strings.Contains(text, "a1 ") {
		t.Errorf("AL2023 does not run on a1:\n%s", text)
	}
}

func TestParseTableErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no date", "c5 amd64 2 0.04 large:2:3x10\n", "it has no date"},
		{"no such date", "date 2026-13-01\n", "line 1: parsing time"},
		{"too few fields", "c5 amd64 2 0.04", "line 1: a family has at least five fields"},
		{"unknown family", "c5 amd64 2 0.04 =c4", "line 1: =c4: no such family above"},
		{"unknown option", "# c\nc5 amd64 2 0.04 fast large:2:3x10", "line 2: fast: no such option"},
		{"list too short", "c5 amd64 2 0.04 disk=1 large:2:3x10 xlarge:4:4x15", "disk=1: 1 values for 2 sizes"},
		{"bad size", "c5 amd64 2 0.04 large:two:3x10", "large:two:3x10: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseTable(tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
