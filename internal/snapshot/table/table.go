// Package table is how snapshots are looked at: rows of cells, sorted by a column,
// filtered by a condition in the rule language over the columns, and written for people.
//
// In come tables of cells with text as the kernel gave it, which is not safe for a
// terminal; out goes text that is. Every noun of `bearcat show` gives its answer as such
// tables, so that sorting, filtering and width are the same for all, and are here.
package table

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
)

// None is the cell of a value that there is not.
const None = "-"

// separator stands between the parts of a cell that List made.
const separator = "\x1f"

// Table is one part of an answer: a row of cells for each object.
type Table struct {
	Title   string
	Columns []string // none for a page of names and values
	// Rows may be shorter than Columns: what is missing is None.
	Rows [][]string
	// More is how many columns, the last ones, are written only where all are wanted.
	More int
	// Minor are columns that are left out where a terminal is too narrow, in that order.
	Minor []string
	// Of points to the slice that the rows are of, in their order, where there is such a
	// one: it is sorted and filtered with them.
	Of any
	// Exact has numbers, one for each row, that a column is sorted by in place of its cells.
	Exact map[string][]float64
}

// List makes a cell of several parts. Conditions look at each of them, and only the
// first few are written where the table is not to be wide.
func List(parts []string) string {
	if len(parts) == 0 {
		return None
	}
	return strings.Join(parts, separator)
}

// Key is a column's name in conditions: "MAX ENTRIES" is max_entries.
func Key(column string) string {
	words := strings.FieldsFunc(strings.ToLower(column), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "_")
}

// View says what to make of tables.
type View struct {
	// Where keeps the rows that satisfy it, Sort names a column to sort by, with a minus
	// in front for the largest first. Both may be empty.
	Where *Condition
	Sort  string
	// Wide has all columns written, and whole lines; else they end at Width characters
	// where that is not 0.
	Wide   bool
	Width  int
	narrow []string // columns that were left out
}

// Uses tells whether the view filters or sorts by one of some columns.
func (v *View) Uses(columns ...string) bool {
	for _, c := range columns {
		if v.Sort != "" && Key(v.Sort) == Key(c) || v.Where.uses(Key(c)) {
			return true
		}
	}
	return false
}

// Apply filters and sorts tables, and what they are of. A table without one of the
// condition's columns loses its rows and is left out. Pages are not touched.
func (v *View) Apply(tables []Table) ([]Table, error) {
	keys := columnKeys(tables)
	if err := v.Where.check(keys); err != nil {
		return nil, err
	}
	if v.Sort != "" && !slices.Contains(keys, Key(v.Sort)) {
		return nil, fmt.Errorf("there is no column %s to sort by: %s", strings.TrimPrefix(v.Sort, "-"), possible(Key(v.Sort), keys))
	}
	var out []Table
	for _, t := range tables {
		if len(t.Columns) == 0 {
			out = append(out, t)
			continue
		}
		fits := v.Where.on(t.Columns)
		var order []int
		for i, row := range t.Rows {
			if fits != nil && fits(row) {
				order = append(order, i)
			}
		}
		if v.Sort != "" {
			t.sort(order, v.Sort)
		}
		if v.Where != nil || v.Sort != "" {
			if err := t.keep(order); err != nil {
				return nil, err
			}
		}
		if fits != nil {
			out = append(out, t)
		}
	}
	return out, nil
}

// keep leaves only some rows, in an order of its own.
func (t *Table) keep(order []int) error {
	rows := make([][]string, len(order))
	for i, from := range order {
		rows[i] = t.Rows[from]
	}
	n := len(t.Rows)
	t.Rows = rows
	if t.Of == nil {
		return nil
	}
	list := reflect.ValueOf(t.Of).Elem()
	if list.Len() != n {
		return fmt.Errorf("this table has %d rows for %d objects, which is a mistake of Bearcat: look at it without a filter and order", n, list.Len())
	}
	kept := reflect.MakeSlice(list.Type(), len(order), len(order))
	for i, from := range order {
		kept.Index(i).Set(list.Index(from))
	}
	list.Set(kept)
	return nil
}

// columnKeys lists the columns of all tables, each once.
func columnKeys(tables []Table) []string {
	var keys []string
	for _, t := range tables {
		for _, c := range t.Columns {
			if !slices.Contains(keys, Key(c)) {
				keys = append(keys, Key(c))
			}
		}
	}
	return keys
}

// possible says which column may have been meant, and which there are.
func possible(key string, keys []string) string {
	if len(keys) == 0 {
		return "this page has none"
	}
	all := "the columns are " + strings.Join(keys, ", ")
	if near := event.Nearest(key, keys); near != "" {
		return "did you mean " + near + "? " + strings.ToUpper(all[:1]) + all[1:]
	}
	return all
}

// Write writes tables one below the other.
func (v *View) Write(w io.Writer, tables []Table) error {
	out := bufio.NewWriterSize(w, 1<<16)
	v.narrow = nil
	for i := range tables {
		if i > 0 {
			out.WriteByte('\n')
		}
		v.write(out, &tables[i])
	}
	return out.Flush()
}

// write writes one table. Errors stay in the writer until it is flushed.
func (v *View) write(out *bufio.Writer, t *Table) {
	if t.Title != "" {
		out.WriteString(termtext.String(t.Title) + "\n")
	}
	rows := t.Rows
	if len(t.Columns) > 0 {
		rows = append([][]string{t.Columns}, rows...)
	}
	var shown []int
	for j := range len(t.Columns) {
		if v.Wide || j < len(t.Columns)-t.More {
			shown = append(shown, j)
		}
	}
	cells := func(row []string) []int {
		for len(t.Columns) == 0 && len(shown) < len(row) {
			shown = append(shown, len(shown))
		}
		if len(t.Columns) == 0 {
			return shown[:len(row)]
		}
		return shown
	}
	var widths []int
	for _, row := range rows {
		for _, j := range cells(row) {
			if j == len(widths) {
				widths = append(widths, 0)
			}
			_, n := v.cell(row, j)
			widths[j] = max(widths[j], n)
		}
	}
	shown = v.fitting(t, shown, widths)
	var line []byte
	for _, row := range rows {
		line = line[:0]
		list := cells(row)
		for i, j := range list {
			text, width := v.cell(row, j)
			if i < len(list)-1 && width > widths[j] {
				text, width = clip(text, widths[j]), widths[j]
			}
			line = append(line, text...)
			for fill := widths[j] + 2 - width; i < len(list)-1 && fill > 0; fill -= len(blanks) {
				line = append(line, blanks[:min(fill, len(blanks))]...)
			}
		}
		out.Write(v.cut(line))
		out.WriteByte('\n')
	}
}

// fitting leaves out minor columns until the others fit, but for the end of the last one.
func (v *View) fitting(t *Table, shown, widths []int) []int {
	const last = 10 // of the last column so much is to be seen
	if v.Wide || v.Width <= 0 || len(t.Columns) == 0 {
		return shown
	}
	over := func() bool {
		sum := 0
		for i, j := range shown {
			if i == len(shown)-1 {
				sum += min(widths[j], last)
			} else {
				sum += widths[j] + 2
			}
		}
		return sum > v.Width
	}
	for _, name := range t.Minor {
		if !over() {
			break
		}
		if i := slices.IndexFunc(shown, func(j int) bool { return t.Columns[j] == name }); i >= 0 {
			shown = slices.Delete(shown, i, i+1)
			if key := Key(name); !slices.Contains(v.narrow, key) {
				v.narrow = append(v.narrow, key)
			}
		}
	}
	const least = 8 // and of one that is too wide for the others
	for over() {
		widest := shown[0]
		for _, j := range shown[:len(shown)-1] {
			if widths[j] > widths[widest] {
				widest = j
			}
		}
		if widths[widest] <= least {
			break
		}
		widths[widest]--
	}
	return shown
}

// Narrow names the columns that were left out since the terminal is too narrow.
func (v *View) Narrow() []string { return v.narrow }

const blanks = "                                "

// cell is the text of a cell, made safe, and how many columns of a terminal it takes.
func (v *View) cell(row []string, j int) (string, int) {
	if j >= len(row) {
		return None, len(None)
	}
	if plainText(row[j]) {
		return row[j], len(row[j])
	}
	text := v.safe(row[j])
	return text, termtext.Width(text)
}

func (v *View) safe(cell string) string {
	if strings.Contains(cell, separator) {
		parts := strings.Split(cell, separator)
		const few = 3
		more := ""
		if !v.Wide && len(parts) > few {
			more = fmt.Sprintf(" and %d more", len(parts)-few)
			parts = parts[:few]
		}
		return termtext.String(strings.Join(parts, ", ")) + more
	}
	return termtext.String(cell)
}

// plainText tells whether s is shown as it is: most cells are, and there may be millions.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

// cut ends a line at the view's width.
func (v *View) cut(line []byte) []byte {
	if v.Wide || v.Width <= 0 || len(line) <= v.Width {
		return line
	}
	if text := string(line); termtext.Width(text) > v.Width {
		return append(line[:0], clip(text, v.Width)...)
	}
	return line
}

// clip is what of a text fits into that many columns of a terminal, filled up.
func clip(text string, width int) string {
	n := 0
	for i, r := range text {
		w := termtext.RuneWidth(r)
		if n+w > width-1 {
			return text[:i] + "…" + blanks[:width-1-n]
		}
		n += w
	}
	return text
}
