package day

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// Sizes of the picture, in its own units.
const (
	width, height = 960, 420
	left, right   = 64, 16
	top, bottom   = 44, 40
)

// colours of the curves, in the order in which they are drawn.
var colours = []string{"#9aa0a6", "#c5221f", "#1a73e8", "#188038"}

// curve is one line of the picture.
type curve struct {
	name string
	y    func(Sample) float64
	of   []Sample
}

// Draw writes the picture of price and lower bound over the day.
func (r *Report) Draw(file string) error {
	var svg bytes.Buffer
	if err := r.plot(&svg); err != nil {
		return err
	}
	return os.WriteFile(file, svg.Bytes(), 0o644) //nolint:gosec // for everyone to see
}

// plot draws as SVG.
func (r *Report) plot(out io.Writer) error {
	var curves []curve
	for i, f := range r.Runs {
		if i == 0 {
			curves = append(curves, curve{"lower bound", func(s Sample) float64 { return s.Bound }, f.Samples})
		}
		curves = append(curves, curve{f.Policy, func(s Sample) float64 { return s.Price }, f.Samples})
	}
	most := 0.0
	for _, c := range curves {
		for _, s := range c.of {
			most = max(most, c.y(s))
		}
	}
	grid := math.Pow(10, math.Floor(math.Log10(max(most, 1e-9))))
	if most/grid < 4 {
		grid /= 2
	}
	most = grid * math.Ceil(most/grid)
	x := func(hour float64) float64 { return left + (width-left-right)*hour/max(r.Hours, 1e-9) }
	y := func(dollars float64) float64 { return height - bottom - (height-top-bottom)*dollars/most }

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	for dollars := 0.0; dollars <= most*1.001; dollars += grid {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#e0e0e0"/><text x="%d" y="%.1f" text-anchor="end">$%g</text>`+"\n",
			left, y(dollars), width-right, left-8, y(dollars)+4, math.Round(dollars*100)/100)
	}
	for hour := 0.0; hour <= r.Hours; hour += 3 {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%02.0f:00</text>`+"\n", x(hour), height-bottom+20, hour)
	}
	for i, c := range curves {
		colour := colours[i%len(colours)]
		b.WriteString(`<path fill="none" stroke-width="2" stroke="` + colour + `" d="`)
		for j, s := range c.of {
			fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(j, 1)], x(s.Hour), y(c.y(s)))
		}
		b.WriteString(`"/>` + "\n")
		fmt.Fprintf(&b, `<text x="%d" y="24" fill="%s">%s</text>`+"\n", left+i*260, colour, c.name)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">dollars an hour</text>`+"\n</svg>\n", width-right, 24)
	_, err := io.WriteString(out, b.String())
	return err
}
