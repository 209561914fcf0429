package catalog

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
)

// columns that a CSV file must have; their order does not matter. Memory is in MiB, arch
// in EC2's words ("x86_64", "arm64", several separated by "/"), gpu is maker and name,
// hypervisor "metal" stands for none, current is 0 or 1, usage lists the ways to pay
// separated by "+".
func columns() []string {
	return []string{"type", "arch", "vcpu", "memory_mib", "enis", "ipv4_per_eni", "gpus", "gpu", "local_gb",
		"hypervisor", "burstable", "current", "usage", "on_demand_usd_per_hour"}
}

// ReadCSV reads a table of instance types; name is for errors, which wrap input.ErrWrong.
// Types that cannot be bought on demand are left out.
func ReadCSV(name string, r io.Reader) (Catalog, error) {
	reader := csv.NewReader(r)
	at := func(line int, detail string) error { return &input.Error{File: name, Line: line, Detail: detail} }
	header, err := reader.Read()
	if err != nil {
		return nil, at(1, "no header: "+csvDetail(err))
	}
	for _, c := range columns() {
		if !slices.Contains(header, c) {
			return nil, at(1, fmt.Sprintf("the header has no column %q; it must have %s", c, strings.Join(columns(), ",")))
		}
	}
	var all Catalog
	lines := map[string]int{}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, at(errorLine(err), csvDetail(err))
		}
		line, _ := reader.FieldPos(0)
		row := newRow(header, record)
		entry, onDemand := row.entry()
		switch first, twice := lines[entry.Name]; {
		case len(row.wrong) > 0:
			return nil, at(line, strings.Join(row.wrong, "; "))
		case twice:
			return nil, at(line, fmt.Sprintf("%s is given twice, first in line %d", entry.Name, first))
		}
		lines[entry.Name] = line
		if onDemand {
			all = append(all, entry)
		}
	}
	if len(all) == 0 {
		return nil, at(1, "there is no instance type that can be bought on demand")
	}
	return all, nil
}

func errorLine(err error) int {
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return parse.Line
	}
	return 1
}

// csvDetail is the error without the position.
func csvDetail(err error) string {
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return parse.Err.Error()
	}
	return err.Error()
}

// row is a record with what is wrong about it.
type row struct {
	fields map[string]string
	wrong  []string
}

func newRow(header, record []string) *row {
	r := &row{fields: map[string]string{}}
	for i, name := range header {
		r.fields[name] = strings.TrimSpace(record[i])
	}
	return r
}

func (r *row) entry() (entry ec2.Listed, onDemand bool) {
	h := ec2.Hardware{
		Name: r.fields["type"], Arch: r.arch(),
		VCPUs: r.number("vcpu", 1), MemoryMiB: r.number("memory_mib", 1),
		ENIs: r.number("enis", 1), IPv4PerENI: r.number("ipv4_per_eni", 1),
		GPUs: r.number("gpus", 0), LocalGB: r.number("local_gb", 0),
		Current: r.number("current", 0) != 0,
	}
	if family, size, ok := strings.Cut(h.Name, "."); !ok || family == "" || size == "" {
		r.wrong = append(r.wrong, fmt.Sprintf("type: %q is not FAMILY.SIZE", h.Name))
	}
	h.GPUMaker, h.GPUName, _ = strings.Cut(r.fields["gpu"], " ")
	if h.Hypervisor = r.fields["hypervisor"]; h.Hypervisor == "metal" {
		h.Hypervisor = ""
	}
	price, err := strconv.ParseFloat(r.fields["on_demand_usd_per_hour"], 64)
	if err != nil || !(price > 0) || price > 1e6 {
		r.wrong = append(r.wrong, fmt.Sprintf("on_demand_usd_per_hour: %q is not a price in US dollars", r.fields["on_demand_usd_per_hour"]))
	}
	usage := strings.Split(r.fields["usage"], "+")
	return ec2.Listed{Hardware: h, Price: price, NoSpot: !slices.Contains(usage, "spot")}, slices.Contains(usage, "on-demand")
}

// arch is the one of the type's architectures that nodes can have.
func (r *row) arch() string {
	for name := range strings.SplitSeq(r.fields["arch"], "/") {
		switch name {
		case "x86_64":
			return "amd64"
		case "arm64":
			return name
		}
	}
	r.wrong = append(r.wrong, fmt.Sprintf("arch: %q is neither x86_64 nor arm64", r.fields["arch"]))
	return ""
}

func (r *row) number(column string, least int64) int64 {
	n, err := strconv.ParseInt(r.fields[column], 10, 64)
	if err != nil || n < least || n > 1<<40 {
		r.wrong = append(r.wrong, fmt.Sprintf("%s: %q is not a number of at least %d", column, r.fields[column], least))
	}
	return n
}
