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

// columnsOf names the columns, with the first that is a number in front.
func columnsOf[R any](columns []column[R]) []string {
	var out []string
	first := 0
	for i, c := range columns {
		out = append(out, c.name)
		if c.number != nil && first == 0 {
			first = i
		}
	}
	return append([]string{out[first]}, slices.Delete(slices.Clone(out), first, first+1)...)
}

// fill puts rows into a frame, sorted by a column; equal ones by id.
func fill[R any](f *Frame, rows []R, columns []column[R], by string, id func(*R) uint64) {
	f.Cells = [][]string{}
	for _, c := range columns {
		f.Columns = append(f.Columns, c.name)
		if c.name != by {
			continue
		}
		slices.SortFunc(rows, func(a, b R) int {
			if c.number != nil {
				return cmp.Or(cmp.Compare(c.number(&b), c.number(&a)), cmp.Compare(id(&a), id(&b)))
			}
			return cmp.Or(cmp.Compare(c.text(&a), c.text(&b)), cmp.Compare(id(&a), id(&b)))
		})
	}
	for i := range rows {
		var cells []string
		for _, c := range columns {
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
