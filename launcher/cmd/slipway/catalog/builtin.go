package catalog

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
)

//go:embed builtin.txt
var builtin string

// Builtin returns the table that is built in. Its figures are those of 2026.
func Builtin() (Catalog, error) { return parseTable(builtin) }

// size is one size of a family.
type size struct {
	name       string
	vcpus      int64
	enis, ipv4 int64
	gib, usd   float64 // 0: in proportion to the vCPUs
	disk, gpus int64
}

// parseTable reads the format that builtin.txt describes.
func parseTable(text string) (Catalog, error) {
	sizesOf := map[string][]size{}
	var all Catalog
	number := 0
	for line := range strings.Lines(text) {
		number++
		if strings.HasPrefix(line, "#") {
			continue
		}
		entries, err := parseFamily(strings.Fields(line), sizesOf)
		if err != nil {
			return nil, fmt.Errorf("built-in catalogue, line %d: %w", number, err)
		}
		all = append(all, entries...)
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func parseFamily(fields []string, sizesOf map[string][]size) ([]Entry, error) {
	if len(fields) < 5 {
		return nil, errors.New("a family has at least five fields")
	}
	family, arch := fields[0], fields[1]
	gib, err := strconv.ParseFloat(fields[2], 64)
	if err != nil {
		return nil, err
	}
	usd, err := strconv.ParseFloat(fields[3], 64)
	if err != nil {
		return nil, err
	}
	sizes, options, err := parseSizes(fields[4:], sizesOf)
	if err != nil {
		return nil, err
	}
	sizesOf[family] = slices.Clone(sizes)
	common := ec2.Hardware{Arch: arch, Current: true, Hypervisor: "nitro"}
	for _, o := range options {
		if err := apply(o, &common, sizes); err != nil {
			return nil, fmt.Errorf("%s: %w", o, err)
		}
	}
	var entries []Entry
	for _, s := range sizes {
		h := common
		h.Name, h.VCPUs, h.ENIs, h.IPv4PerENI, h.LocalGB, h.GPUs = family+"."+s.name, s.vcpus, s.enis, s.ipv4, s.disk, s.gpus
		h.MemoryMiB = int64(math.Round(cmp.Or(s.gib, gib*float64(s.vcpus)) * 1024))
		if strings.HasPrefix(s.name, "metal") {
			h.Hypervisor = ""
		}
		entries = append(entries, Entry{h, cmp.Or(s.usd, usd*float64(s.vcpus))})
	}
	return entries, nil
}

// parseSizes tells sizes from options.
func parseSizes(fields []string, sizesOf map[string][]size) (sizes []size, options []string, err error) {
	for _, f := range fields {
		if family, same := strings.CutPrefix(f, "="); same {
			if sizes = slices.Clone(sizesOf[family]); sizes == nil {
				return nil, nil, fmt.Errorf("%s: no such family above", f)
			}
			continue
		}
		var s size
		parts := strings.Split(f, ":")
		if strings.Contains(f, "=") || len(parts) != 3 {
			options = append(options, f)
			continue
		}
		s.name = parts[0]
		if _, err := fmt.Sscanf(parts[1]+" "+parts[2], "%d %dx%d", &s.vcpus, &s.enis, &s.ipv4); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f, err)
		}
		sizes = append(sizes, s)
	}
	return sizes, options, nil
}

// apply sets what an option says.
func apply(option string, common *ec2.Hardware, sizes []size) error {
	name, value, _ := strings.Cut(option, "=")
	name, one, _ := strings.Cut(name, ":")
	switch {
	case option == "previous":
		common.Current = false
		return nil
	case option == "xen":
		common.Hypervisor = "xen"
		return nil
	case name == "usd" && one != "":
		i := slices.IndexFunc(sizes, func(s size) bool { return s.name == one })
		if i < 0 {
			return errors.New("no such size")
		}
		return numbers(value, sizes[i:i+1], func(s *size, n float64) { s.usd = n })
	case name == "usd":
		return numbers(value, sizes, func(s *size, n float64) { s.usd = n })
	case name == "gib":
		return numbers(value, sizes, func(s *size, n float64) { s.gib = n })
	case name == "disk":
		return numbers(value, sizes, func(s *size, n float64) { s.disk = int64(n) })
	case name == "gpu":
		model, counts, _ := strings.Cut(value, ":")
		common.GPUMaker, common.GPUName, _ = strings.Cut(strings.ReplaceAll(model, "_", " "), " ")
		return numbers(counts, sizes, func(s *size, n float64) { s.gpus = int64(n) })
	}
	return errors.New("no such option")
}

// numbers sets one number of a list on each size.
func numbers(list string, sizes []size, set func(*size, float64)) error {
	values := strings.Split(list, ",")
	if len(values) != len(sizes) {
		return fmt.Errorf("%d values for %d sizes", len(values), len(sizes))
	}
	for i, v := range values {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return err
		}
		set(&sizes[i], n)
	}
	return nil
}
