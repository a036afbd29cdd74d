package top

import (
	"cmp"
	"fmt"
	"slices"
)

// column is one of a table. With a number, rows are sorted by it, the largest first, and
// by the text otherwise.
type column[R any] struct {
	name   string
	text   func(*R) string
	number func(*R) float64
}

// table is how the rows of a view are shown.
type table[R any] struct {
	columns []column[R]
	// id orders rows that are equal in the column that they are sorted by.
	id func(*R) uint64
}

// tabler is a table of whatever rows.
type tabler interface {
	names() []string
}

// names of the columns, with the first that is a number in front.
func (t *table[R]) names() []string {
	var out []string
	first := 0
	for i, c := range t.columns {
		out = append(out, c.name)
		if c.number != nil && first == 0 {
			first = i
		}
	}
	return append([]string{out[first]}, slices.Delete(slices.Clone(out), first, first+1)...)
}

// fill puts rows into a frame, sorted by a column.
func (t *table[R]) fill(f *Frame, rows []R, by string) {
	f.Cells = [][]string{}
	for _, c := range t.columns {
		f.Columns = append(f.Columns, c.name)
		if c.name != by {
			continue
		}
		slices.SortStableFunc(rows, func(a, b R) int {
			if c.number != nil {
				return cmp.Or(cmp.Compare(c.number(&b), c.number(&a)), cmp.Compare(t.id(&a), t.id(&b)))
			}
			return cmp.Or(cmp.Compare(c.text(&a), c.text(&b)), cmp.Compare(t.id(&a), t.id(&b)))
		})
	}
	for i := range rows {
		var cells []string
		for _, c := range t.columns {
			cells = append(cells, c.text(&rows[i]))
		}
		f.Cells = append(f.Cells, cells)
	}
	f.Rows = rows
}

// rate writes how often a second.
func rate(x float64) string {
	if x > 0 && x < 10 {
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// duration writes nanoseconds in the unit in which they read best.
func duration(ns uint64) string {
	switch {
	case ns == 0:
		return "-"
	case ns < 1000:
		return fmt.Sprintf("%dns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.3gµs", float64(ns)/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.3gms", float64(ns)/1e6)
	}
	return fmt.Sprintf("%.3gs", float64(ns)/1e9)
}

// size writes bytes in the unit in which they read best.
func size(n uint64) string {
	if n == 0 {
		return "-"
	}
	x, unit := float64(n), 0
	for x >= 1000 && unit < len(sizeUnits)-1 {
		x, unit = x/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d", n)
	}
	return fmt.Sprintf("%.3g%c", x, sizeUnits[unit])
}

const sizeUnits = " KMGTP"

// change writes how bytes have changed.
func change(n int64) string {
	switch {
	case n > 0:
		return "+" + size(uint64(n))
	case n < 0:
		return "-" + size(uint64(-n))
	}
	return "0"
}
