package nodes

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/table"
)

// column is one of the table's. Where the terminal is narrow, those with the greatest drop
// are left out first; those with 0 never.
type column struct {
	title string
	right bool
	drop  int
	cell  func(Node) string
}

// layouts are tried in turn until the table is narrow enough: the length of the bars, and the
// drop from which on columns are left out.
func layouts() []struct{ bar, drop int } {
	return []struct{ bar, drop int }{{table.BarLength, 6}, {5, 6}, {5, 5}, {5, 4}, {0, 4}, {0, 3}, {0, 2}, {0, 1}}
}

func columns(now time.Time, bar int) []column {
	share := func(u Use) string {
		switch {
		case u.Allocatable == 0:
			return "-"
		case bar > 0:
			return table.Bar(u.Share(), bar)
		default:
			return fmt.Sprintf("%.0f%%", u.Share()*100)
		}
	}
	return []column{
		{"NODE", false, 0, Node.title},
		{"TYPE", false, 1, func(n Node) string { return known(n.InstanceType) }},
		{"ZONE", false, 4, func(n Node) string { return known(n.Zone) }},
		{"CAPACITY", false, 3, func(n Node) string { return known(n.CapacityType) }},
		{"NODEPOOL", false, 5, func(n Node) string { return known(n.NodePool) }},
		{"$/HOUR", true, 0, func(n Node) string { return price(n.PricePerHour) }},
		{"CPU", bar == 0, 0, func(n Node) string { return share(n.CPU) }},
		{"MEMORY", bar == 0, 0, func(n Node) string { return share(n.Memory) }},
		{"PODS", true, 0, Node.pods},
		{"AGE", true, 2, func(n Node) string { return duration.HumanDuration(now.Sub(n.CreatedAt)) }},
		{"STATE", false, 0, func(n Node) string { return n.State }},
	}
}

// title is the node's name, or its claim's.
func (n Node) title() string {
	if n.Name == "" {
		return "nodeclaim/" + n.NodeClaim
	}
	return n.Name
}

// pods is "12/29", and "+3" that are to come; "12" where the room is not known.
func (n Node) pods() string {
	s := fmt.Sprintf("%.0f", n.Pods.Requested)
	if n.Pods.Allocatable > 0 {
		s += fmt.Sprintf("/%.0f", n.Pods.Allocatable)
	}
	if n.ReservedPods > 0 && !n.Absent {
		s += fmt.Sprintf("+%d", n.ReservedPods)
	}
	return s
}

func known(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func price(dollars float64) string {
	if dollars == 0 {
		return "-"
	}
	return fmt.Sprintf("%.4f", dollars)
}

// Text writes the whole view for people, in lines of at most the width.
func (v *View) Text(w io.Writer, now time.Time, width int) error {
	lines := v.totals(width)
	if len(v.Nodes) > 0 {
		lines = append(append(lines, ""), v.rows(now, width)...)
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// Frame is the view on a screen: the totals, as many nodes as there is room for, from the
// skipped on, and the footer. It returns how many nodes were skipped: fewer than asked for
// where the last ones would leave room.
func (v *View) Frame(now time.Time, width, height, skip int, footer string) (lines []string, skipped int) {
	lines = append(v.totals(width), "")
	rows := v.rows(now, width)
	room := max(height-len(lines)-2, 0) // but for the heading and the footer
	skip = max(min(skip, len(v.Nodes)-room), 0)
	shown := min(room, len(v.Nodes)-skip)
	if len(v.Nodes) > 0 && room > 0 {
		lines = append(append(lines, rows[0]), rows[1+skip:1+skip+shown]...)
	}
	if hidden := len(v.Nodes) - shown; hidden > 0 {
		footer = fmt.Sprintf("%d of %d shown  %s", shown, len(v.Nodes), footer)
	}
	lines = append(lines[:min(len(lines), max(height-1, 0))], cut(footer, width))
	return lines, skip
}

// totals are the lines above the table.
func (v *View) totals(width int) []string {
	t := &v.Totals
	first := table.Count(t.Nodes, "node")
	if t.OnTheWay > 0 {
		first += fmt.Sprintf(", %d on the way", t.OnTheWay)
	}
	first += fmt.Sprintf("   $%.4f per hour, $%s per month", t.PricePerHour, table.Dollars(t.PricePerMonth))
	first += "   " + table.Count(int(t.Pods.Requested), "pod")
	if t.WaitingPods > 0 {
		first += fmt.Sprintf(", %d wait", t.WaitingPods)
	}
	const gib = 1 << 30
	second := ""
	for _, part := range []string{
		fmt.Sprintf("cpu %s of %.0f", table.Bar(t.CPU.Share(), table.BarLength), t.CPU.Allocatable),
		fmt.Sprintf("memory %s of %.0f GiB", table.Bar(t.Memory.Share(), table.BarLength), t.Memory.Allocatable/gib),
		fmt.Sprintf("pods %s of %.0f", table.Bar(t.Pods.Share(), table.BarLength), t.Pods.Allocatable),
	} {
		if more := strings.TrimPrefix(second+"   "+part, "   "); second == "" || utf8.RuneCountInString(more) <= width {
			second = more
		}
	}
	return []string{cut(first, width), cut(second, width)}
}

// rows draws the heading and a line a node. Where they are too wide, bars are shortened and
// columns left out, and in the end the names of nodes are cut, and the lines.
func (v *View) rows(now time.Time, width int) []string {
	var cols []column
	var widths []int
	for _, layout := range layouts() {
		cols = slices.DeleteFunc(columns(now, layout.bar), func(c column) bool { return c.drop >= layout.drop })
		if widths = v.widths(cols); sum(widths) <= width {
			break
		}
	}
	const leastName = 12
	widths[0] = max(min(widths[0], leastName), widths[0]-max(sum(widths)-width, 0))
	lines := make([]string, 0, len(v.Nodes)+1)
	row := func(cell func(column) string) {
		var line strings.Builder
		for i, c := range cols {
			text := cut(cell(c), widths[i])
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if c.right {
				line.WriteString(pad + text + "  ")
			} else {
				line.WriteString(text + pad + "  ")
			}
		}
		lines = append(lines, cut(strings.TrimRight(line.String(), " "), width))
	}
	row(func(c column) string { return c.title })
	for _, n := range v.Nodes {
		row(func(c column) string { return c.cell(n) })
	}
	return lines
}

func (v *View) widths(cols []column) []int {
	widths := make([]int, len(cols))
	for i, c := range cols {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, n := range v.Nodes {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.cell(n)))
		}
	}
	return widths
}

// sum is the width of a line: the columns' and two spaces between.
func sum(widths []int) int {
	total := 2 * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	return total
}

// cut shortens a line to the width.
func cut(line string, width int) string {
	runes := []rune(line)
	switch {
	case len(runes) <= width:
		return line
	case width < 1:
		return ""
	default:
		return string(runes[:width-1]) + "…"
	}
}
