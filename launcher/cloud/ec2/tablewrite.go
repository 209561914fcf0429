package ec2

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// priceTolerance is by how much a price may be off that follows from the family's.
const priceTolerance = 1e-4

// kin is what types of one line of a table share. The hypervisor is that of the virtual machines.
type kin struct {
	family, arch, hypervisor string
	current, noSpot          bool
	gpuMaker, gpuName        string
}

// String writes the table as ParseTable reads it. What AL2023 does not run on is left out.
func (t Table) String() string {
	families := map[kin][]Listed{}
	for _, l := range t.Types {
		if l.RunsAL2023() {
			k := t.kinOf(l)
			families[k] = append(families[k], l)
		}
	}
	var out strings.Builder
	out.WriteString(tableFormat)
	fmt.Fprintf(&out, "date %s\n", t.Date.Format(time.DateOnly))
	written := map[string]string{} // families by their sizes
	for _, k := range slices.SortedFunc(maps.Keys(families), compareKin) {
		sizes := families[k]
		slices.SortFunc(sizes, func(a, b Listed) int {
			return cmp.Or(cmp.Compare(a.VCPUs, b.VCPUs), cmp.Compare(a.MemoryMiB, b.MemoryMiB), cmp.Compare(a.Name, b.Name))
		})
		fields := append([]string{k.family, k.arch}, figures(sizes)...)
		fields = append(fields, k.options(sizes)...)
		list := sizeList(sizes)
		if like, ok := written[list]; ok && len(like)+1 < len(list) {
			fields = append(fields, "="+like)
		} else {
			fields = append(fields, list)
		}
		maps.DeleteFunc(written, func(_, family string) bool { return family == k.family }) // its sizes are these now
		written[list] = k.family
		out.WriteString(strings.Join(fields, " ") + "\n")
	}
	return out.String()
}

func compareKin(a, b kin) int {
	return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
}

// kinOf returns what the type shares with others. Bare metal has no hypervisor: it goes with its family.
func (t Table) kinOf(l Listed) kin {
	family, _, _ := strings.Cut(l.Name, ".")
	k := kin{family, l.Arch, l.Hypervisor, l.Current, l.NoSpot, l.GPUMaker, l.GPUName}
	if k.hypervisor == "" {
		k.hypervisor = "nitro"
		for _, other := range t.Types {
			if strings.HasPrefix(other.Name, family+".") && other.Hypervisor != "" {
				k.hypervisor = other.Hypervisor
			}
		}
	}
	return k
}

// figures are memory and price per vCPU, and the options for sizes that have others.
func figures(sizes []Listed) []string {
	gib, others := perVCPU(sizes,
		func(l Listed) float64 { return float64(l.MemoryMiB) / 1024 },
		func(l Listed, gib float64) bool { return mebibytes(gib) == l.MemoryMiB })
	var options []string
	if len(others) > 0 {
		options = append(options, "gib="+join(sizes, func(l Listed) string { return number(float64(l.MemoryMiB) / 1024) }))
	}
	usd, others := perVCPU(sizes,
		func(l Listed) float64 { return l.Price },
		func(l Listed, usd float64) bool { return math.Abs(usd/l.Price-1) < priceTolerance })
	switch {
	case len(others) > 2:
		options = append(options, "usd="+join(sizes, func(l Listed) string { return number(l.Price) }))
	default:
		for _, l := range others {
			_, size, _ := strings.Cut(l.Name, ".")
			options = append(options, "usd:"+size+"="+number(l.Price))
		}
	}
	return append([]string{gib, usd}, options...)
}

// perVCPU returns the figure per vCPU that holds for most sizes, to six digits, and the sizes
// that it does not hold for.
func perVCPU(sizes []Listed, figure func(Listed) float64, holds func(Listed, float64) bool) (best string, others []Listed) {
	for _, candidate := range sizes {
		text := strconv.FormatFloat(figure(candidate)/float64(candidate.VCPUs), 'g', 6, 64)
		per, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue // no number is written that cannot be read
		}
		var off []Listed
		for _, l := range sizes {
			if !holds(l, per*float64(l.VCPUs)) {
				off = append(off, l)
			}
		}
		if best == "" || len(off) < len(others) {
			best, others = text, off
		}
	}
	return best, others
}

// options says what the family has besides.
func (k kin) options(sizes []Listed) []string {
	var options []string
	for _, count := range []struct {
		name   string
		of     func(Listed) int64
		always bool
	}{
		{"disk=", func(l Listed) int64 { return l.LocalGB }, false},
		// Types with a part of a GPU have the model, and none.
		{"gpu=" + strings.ReplaceAll(k.gpuMaker+" "+k.gpuName, " ", "_") + ":", func(l Listed) int64 { return l.GPUs }, k.gpuMaker != ""},
		{"neuron=", func(l Listed) int64 { return l.Neurons }, false},
	} {
		if count.always || slices.ContainsFunc(sizes, func(l Listed) bool { return count.of(l) > 0 }) {
			options = append(options, count.name+join(sizes, func(l Listed) string { return fmt.Sprint(count.of(l)) }))
		}
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{{"previous", !k.current}, {"xen", k.hypervisor == "xen"}, {"nospot", k.noSpot}} {
		if flag.set {
			options = append(options, flag.name)
		}
	}
	return options
}

func sizeList(sizes []Listed) string {
	var list []string
	for _, l := range sizes {
		_, size, _ := strings.Cut(l.Name, ".")
		list = append(list, fmt.Sprintf("%s:%d:%dx%d", size, l.VCPUs, l.ENIs, l.IPv4PerENI))
	}
	return strings.Join(list, " ")
}

func join(sizes []Listed, text func(Listed) string) string {
	var all []string
	for _, l := range sizes {
		all = append(all, text(l))
	}
	return strings.Join(all, ",")
}

// number writes a figure with as many digits as it has, at most ten.
func number(n float64) string { return strconv.FormatFloat(n, 'g', 10, 64) }
