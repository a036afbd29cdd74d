package top

import (
	"cmp"
	"encoding/json"
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
	// who is the process that a row belongs to; nil where rows belong to none.
	who func(*R) (pid uint32, comm string)
	// length gives a row the length of its interval, in seconds; nil where rows have
	// no use for it.
	length func(*R, float64)
}

// tabler is a table of whatever rows.
type tabler interface {
	names() []string
	again(f *Frame, rows json.RawMessage, o Again) error
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

// again fills a frame with rows that were written as JSON.
func (t *table[R]) again(f *Frame, rows json.RawMessage, o Again) error {
	var all []R
	if err := json.Unmarshal(rows, &all); err != nil {
		return fmt.Errorf("the rows of top %s are none of this version: %w", f.View, err)
	}
	if t.who == nil && (o.Pid != 0 || o.Comm != "") {
		return fmt.Errorf("top %s is not about processes: none can be chosen", f.View)
	}
	kept := make([]R, 0, len(all))
	for i := range all {
		if t.who != nil {
			pid, comm := t.who(&all[i])
			if (o.Pid != 0 && pid != o.Pid) || (o.Comm != "" && comm != o.Comm) {
				continue
			}
		}
		if t.length != nil {
			t.length(&all[i], f.Took)
		}
		kept = append(kept, all[i])
	}
	t.fill(f, kept, o.Sort)
	return nil
}

// Rate writes how often a second.
func Rate(x float64) string {
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

// Size writes bytes in the unit in which they read best.
func Size(n uint64) string {
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
		return "+" + Size(uint64(n))
	case n < 0:
		return "-" + Size(uint64(-n))
	}
	return "0"
}
