package hist

import (
	"fmt"
	"html"
	"io"
	"math"
	"math/bits"
	"strings"
)

// Heat is a histogram over time: how often which times came when.
type Heat struct {
	// Rows are powers of two, from the shortest times on, without a gap.
	Rows []Bucket
	// Cells are by row and column; Most is the largest.
	Cells [][]uint64
	Most  uint64
	// Ends are when the columns end, in seconds.
	Ends []float64
}

// Heat spreads what came over columns, at most so many; 0 for one for each interval.
func (r *Row) Heat(ends []float64, most int) Heat {
	n := len(ends)
	if most > 0 {
		n = min(n, most)
	}
	h := Heat{Ends: make([]float64, n)}
	for i, end := range ends {
		h.Ends[i*n/len(ends)] = end
	}
	first, last := math.MaxInt, -1
	r.each(len(ends), func(_, power int, _ uint64) { first, last = min(first, power), max(last, power) })
	for power := first; power <= last; power++ {
		b := Bucket{To: math.MaxUint64}
		if power > 0 {
			b.From = 1 << (power - 1)
		}
		if power < 64 {
			b.To = 1 << power
		}
		h.Rows, h.Cells = append(h.Rows, b), append(h.Cells, make([]uint64, n))
	}
	r.each(len(ends), func(interval, power int, count uint64) {
		cell := &h.Cells[power-first][interval*n/len(ends)]
		*cell += count
		h.Rows[power-first].N += count
		h.Most = max(h.Most, *cell)
	})
	return h
}

// each gives what came in each interval, by the power of two that it is below. A file may
// hold intervals that there were not.
func (r *Row) each(intervals int, do func(interval, power int, count uint64)) {
	for _, c := range r.Columns {
		if c.Interval < 0 || c.Interval >= intervals {
			continue
		}
		for _, b := range c.Buckets {
			do(c.Interval, bits.Len64(b.From), b.N)
		}
	}
}

// Levels are how dark a cell can be, beside empty.
const Levels = 4

// Level is how dark a cell with a count is: 0 for empty, Levels for the most.
func (h *Heat) Level(n uint64) int {
	for level := Levels; level > 0; level-- {
		if n >= h.Least(level) {
			return level
		}
	}
	return 0
}

// Least is what a cell of a level holds at least: a level is as many times the one before.
func (h *Heat) Least(level int) uint64 {
	if level == Levels {
		return max(h.Most, 1)
	}
	return uint64(max(1, math.Ceil(math.Pow(float64(h.Most), float64(level-1)/(Levels-1)))))
}

// shades are the colours of levels, from the lightest.
var shades = [Levels + 1]string{"", "#fee391", "#fe9929", "#cc4c02", "#662506"}

const (
	svgLeft   = 90
	svgPlot   = 800
	svgLine   = 14
	svgAround = 24
)

// WriteSVG draws the heatmaps of up to so many groups below one another, 0 for all; name
// writes nanoseconds. It holds no script and loads nothing.
func (r *Result) WriteSVG(w io.Writer, title string, groups int, name func(uint64) string) error {
	rows := r.Rows
	if groups > 0 {
		rows = rows[:min(groups, len(rows))]
	}
	var b strings.Builder
	y := 2 * svgAround
	for i := range rows {
		y = rows[i].drawHeat(&b, y, r.Ends, name)
	}
	if len(rows) == 0 {
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\">nothing came in that time</text>\n", svgLeft, y)
		y += svgAround
	}
	_, err := fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="monospace" font-size="11">
<title>%s</title>
<rect width="100%%" height="100%%" fill="#ffffff"/>
<text x="%d" y="%d" font-size="14">%s</text>
%s</svg>
`, svgLeft+svgPlot+svgAround, y, svgLeft+svgPlot+svgAround, y, html.EscapeString(title), svgLeft, svgAround, html.EscapeString(title), b.String())
	if err != nil {
		return fmt.Errorf("writing the heatmap: %w", err)
	}
	return nil
}

// drawHeat draws one group from a height on, and returns where the next begins.
func (r *Row) drawHeat(b *strings.Builder, y int, ends []float64, name func(uint64) string) int {
	h := r.Heat(ends, svgPlot/2)
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s: %d times, p50 %s, p99 %s, longest %s</text>\n", svgLeft, y, html.EscapeString(printable(r.Group)), r.Count, name(r.P50), name(r.P99), name(r.Max))
	y += svgLine / 2
	wide := float64(svgPlot) / float64(max(1, len(h.Ends)))
	for i, row := range h.Rows {
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", svgLeft-6, y+svgLine-3, name(row.From))
		for column, n := range h.Cells[i] {
			if n == 0 {
				continue
			}
			from := 0.0
			if column > 0 {
				from = h.Ends[column-1]
			}
			fmt.Fprintf(b, "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"%s\"><title>%.2f to %.2f s, %s to %s: %d times</title></rect>\n",
				svgLeft+wide*float64(column), y, wide, svgLine, shades[h.Level(n)], from, h.Ends[column], name(row.From), name(row.To), n)
		}
		y += svgLine
	}
	end := 0.0
	if n := len(h.Ends); n > 0 {
		end = h.Ends[n-1]
	}
	fmt.Fprintf(b, "<path d=\"M%d %dh%d\" stroke=\"#888888\"/>\n<text x=\"%d\" y=\"%d\">0 s</text>\n<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.1f s</text>\n",
		svgLeft, y, svgPlot, svgLeft, y+svgLine, svgLeft+svgPlot, y+svgLine, end)
	for level := 1; level <= Levels && h.Most > 0; level++ {
		x := svgLeft + 60 + 110*level
		fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"10\" height=\"10\" fill=\"%s\"/><text x=\"%d\" y=\"%d\">from %d</text>\n", x, y+5, shades[level], x+14, y+svgLine, h.Least(level))
	}
	return y + 2*svgAround
}

// printable leaves out what XML must not hold.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0xfffe || r == 0xffff || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
}
