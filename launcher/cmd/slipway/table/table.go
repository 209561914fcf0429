// Package table owns how the command draws for people: aligned columns, bars, wrapped text
// and amounts.
package table

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// HoursPerMonth is what AWS reckons with.
const HoursPerMonth = 730

// BarLength is that of a bar in a table that has the room.
const BarLength = 10

// minLast is the least width of the last column, however narrow the terminal.
const minLast = 24

// Write writes rows, of which the first is the heading, aligned; the last column is wrapped
// to the width at its spaces, on lines of its own where the others leave it no room. Columns
// whose name begins with $ are aligned to the right.
func Write(out *strings.Builder, width int, rows [][]string) {
	last := len(rows[0]) - 1
	widths := make([]int, last)
	indent := 0
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		indent += widths[i] + 2
	}
	room, beside := width-indent, true
	if room < minLast {
		indent, beside = 4, false
		room = max(width-indent, minLast)
	}
	margin := "\n" + strings.Repeat(" ", indent)
	for n, row := range rows {
		var line strings.Builder
		for i, w := range widths {
			pad := strings.Repeat(" ", w-utf8.RuneCountInString(row[i]))
			if strings.HasPrefix(rows[0][i], "$") {
				line.WriteString(pad + row[i] + "  ")
			} else {
				line.WriteString(row[i] + pad + "  ")
			}
		}
		last := strings.Join(Wrap(row[last], room), margin)
		switch {
		case beside:
			line.WriteString(last)
		case n > 0: // no heading for what is below
			out.WriteString(strings.TrimRight(line.String(), " "))
			line.Reset()
			line.WriteString(margin + last)
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// Wrap cuts a text at its spaces; a word that is too long gets a line of its own.
func Wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// Count is "1 node" or "2 nodes".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Dollars writes an amount with two decimals and its thousands set apart: 12,345.60.
func Dollars(amount float64) string {
	text := fmt.Sprintf("%.2f", amount)
	whole, fraction, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return whole + "." + fraction
}

// Bar draws a share: "██████▁▁▁▁  61%".
func Bar(share float64, length int) string {
	full := min(max(int(math.Round(share*float64(length))), 0), length)
	return fmt.Sprintf("%s%s %3.0f%%", strings.Repeat("█", full), strings.Repeat("▁", length-full), share*100)
}
