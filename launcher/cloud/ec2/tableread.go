package ec2

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tableFormat says at the head of a table how to read it. A family's types differ in size only,
// and most figures are in proportion to it: that is all the compression there is.
const tableFormat = `# EC2 instance types that run AL2023, with their on-demand list prices.
# "date DAY" says of when they are. Every other line is a family, or those of it that are alike:
#   FAMILY ARCH GiB-per-vCPU USD-per-vCPU-and-hour [OPTION...] SIZE...
# A SIZE is NAME:vCPUs:ENIs x IPv4-addresses-per-ENI; "=FAMILY" takes the sizes of another line.
# Options, lists being in the order of the sizes:
#   gib=, usd=       where memory or prices are not in proportion to the vCPUs
#   usd:SIZE=        likewise, for one size
#   disk=            GB on local disks
#   gpu=MAKER_NAME:  GPUs of each size
#   neuron=          Neuron devices of each size
#   previous         AWS does not call the family a current generation
#   xen              virtual machines run on Xen, not on Nitro
#   nospot           sold on demand only
`

// tableSize is one size of a family.
type tableSize struct {
	name       string
	vcpus      int64
	enis, ipv4 int64
	gib, usd   float64 // 0: in proportion to the vCPUs
	disk       int64
	gpus       int64
	neurons    int64
}

// ParseTable reads the format that Table.String writes; an error names the line.
func ParseTable(text string) (Table, error) {
	var t Table
	sizesOf := map[string][]tableSize{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		var err error
		if fields[0] == "date" && len(fields) == 2 {
			t.Date, err = time.Parse(time.DateOnly, fields[1])
		} else {
			var family []Listed
			family, err = parseFamily(fields, sizesOf)
			t.Types = append(t.Types, family...)
		}
		if err != nil {
			return Table{}, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if t.Date.IsZero() {
		return Table{}, errors.New("it has no date")
	}
	slices.SortFunc(t.Types, func(a, b Listed) int { return cmp.Compare(a.Name, b.Name) })
	return t, nil
}

func parseFamily(fields []string, sizesOf map[string][]tableSize) ([]Listed, error) {
	if len(fields) < 5 {
		return nil, errors.New("a family has at least five fields")
	}
	family := fields[0]
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
	common := Listed{Hardware: Hardware{Arch: fields[1], Current: true, Hypervisor: "nitro"}}
	for _, o := range options {
		if err := applyOption(o, &common, sizes); err != nil {
			return nil, fmt.Errorf("%s: %w", o, err)
		}
	}
	var types []Listed
	for _, s := range sizes {
		types = append(types, s.of(family, common, gib, usd))
	}
	return types, nil
}

// of puts the size together with what it shares with the others.
func (s tableSize) of(family string, common Listed, gibPerCPU, usdPerCPU float64) Listed {
	t := common
	t.Name, t.VCPUs, t.ENIs, t.IPv4PerENI = family+"."+s.name, s.vcpus, s.enis, s.ipv4
	t.LocalGB, t.GPUs, t.Neurons = s.disk, s.gpus, s.neurons
	t.MemoryMiB = mebibytes(cmp.Or(s.gib, gibPerCPU*float64(s.vcpus)))
	if isMetal(s.name) {
		t.Hypervisor = ""
	}
	t.Price = cmp.Or(s.usd, usdPerCPU*float64(s.vcpus))
	return t
}

func mebibytes(gib float64) int64 { return int64(math.Round(gib * 1024)) }

func isMetal(size string) bool { return strings.HasPrefix(size, "metal") }

// parseSizes tells sizes from options.
func parseSizes(fields []string, sizesOf map[string][]tableSize) (sizes []tableSize, options []string, err error) {
	for _, f := range fields {
		if family, same := strings.CutPrefix(f, "="); same {
			if sizes = slices.Clone(sizesOf[family]); sizes == nil {
				return nil, nil, fmt.Errorf("%s: no such family above", f)
			}
			continue
		}
		var s tableSize
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

// applyOption sets what an option says.
func applyOption(option string, common *Listed, sizes []tableSize) error {
	name, value, _ := strings.Cut(option, "=")
	name, one, _ := strings.Cut(name, ":")
	switch {
	case option == "previous":
		common.Current = false
		return nil
	case option == "xen":
		common.Hypervisor = "xen"
		return nil
	case option == "nospot":
		common.NoSpot = true
		return nil
	case name == "usd" && one != "":
		i := slices.IndexFunc(sizes, func(s tableSize) bool { return s.name == one })
		if i < 0 {
			return errors.New("no such size")
		}
		return setNumbers(value, sizes[i:i+1], func(s *tableSize, n float64) { s.usd = n })
	case name == "usd":
		return setNumbers(value, sizes, func(s *tableSize, n float64) { s.usd = n })
	case name == "gib":
		return setNumbers(value, sizes, func(s *tableSize, n float64) { s.gib = n })
	case name == "disk":
		return setNumbers(value, sizes, func(s *tableSize, n float64) { s.disk = int64(n) })
	case name == "neuron":
		return setNumbers(value, sizes, func(s *tableSize, n float64) { s.neurons = int64(n) })
	case name == "gpu":
		model, counts, _ := strings.Cut(value, ":")
		common.GPUMaker, common.GPUName, _ = strings.Cut(strings.ReplaceAll(model, "_", " "), " ")
		return setNumbers(counts, sizes, func(s *tableSize, n float64) { s.gpus = int64(n) })
	}
	return errors.New("no such option")
}

// setNumbers sets one number of a list on each size.
func setNumbers(list string, sizes []tableSize, set func(*tableSize, float64)) error {
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
