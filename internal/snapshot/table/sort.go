package table

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// sort orders the numbers of rows by a column. Rows that are equal keep their order, and
// rows without a value come last either way.
func (t *Table) sort(order []int, column string) {
	down := strings.HasPrefix(column, "-")
	at := slices.IndexFunc(t.Columns, func(c string) bool { return Key(c) == Key(column) })
	if at < 0 {
		return
	}
	exact := t.Exact[t.Columns[at]]
	values := make([]value, len(t.Rows))
	for _, i := range order {
		if exact != nil {
			values[i] = value{number: exact[i], unit: plain}
		} else {
			values[i] = valueOf(t.Rows[i], at)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &values[a], &values[b]
		if x.unit == missing || y.unit == missing {
			return cmp.Compare(x.unit, y.unit)
		}
		n := x.compare(y)
		if down {
			n = -n
		}
		return n
	})
}

// unit is what a value counts.
type unit uint8

const (
	plain unit = iota
	bytes
	time
	text
	missing
)

// value is a cell as sorting and comparing have it.
type value struct {
	number float64 // in the unit's base: bytes, seconds
	unit   unit
	text   string
}

func valueOf(row []string, at int) value {
	if at >= len(row) || row[at] == None || row[at] == "" {
		return value{unit: missing}
	}
	if n, u, ok := quantity(row[at]); ok {
		return value{number: n, unit: u}
	}
	return value{unit: text, text: row[at]}
}

// compare orders values: numbers before text, and parts of text that are numbers by
// their size.
func (x *value) compare(y *value) int {
	switch {
	case x.unit == text && y.unit == text:
		return natural(x.text, y.text)
	case x.unit == text || y.unit == text:
		return cmp.Compare(x.unit, y.unit)
	}
	return cmp.Compare(x.number, y.number)
}

// natural compares text, with digits in it as the numbers that they write.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x > 0 && y > 0 {
			m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
			if d := cmp.Or(cmp.Compare(len(m), len(n)), cmp.Compare(m, n)); d != 0 {
				return d
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits counts the digits at the beginning of s.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// units are those that tables have, and those that conditions may have as well.
var units = map[string]struct {
	size float64
	unit unit
}{
	"": {1, plain}, "B": {1, bytes},
	"KiB": {1 << 10, bytes}, "MiB": {1 << 20, bytes}, "GiB": {1 << 30, bytes}, "TiB": {1 << 40, bytes}, "PiB": {1 << 50, bytes}, "EiB": {1 << 60, bytes},
	"ns": {1e-9, time}, "µs": {1e-6, time}, "us": {1e-6, time}, "ms": {1e-3, time}, "s": {1, time}, "m": {60, time}, "h": {3600, time},
}

// quantity reads a number with or without a unit, such as 12, 4.1 MiB, 412µs or 1m2.5s.
func quantity(s string) (n float64, u unit, ok bool) {
	rest := strings.TrimPrefix(s, "-")
	for first := true; first || rest != ""; first = false {
		end := digits(rest)
		if end == 0 {
			return 0, 0, false
		}
		if end < len(rest) && rest[end] == '.' {
			end += 1 + digits(rest[end+1:])
		}
		v, err := strconv.ParseFloat(rest[:end], 64)
		if err != nil {
			return 0, 0, false
		}
		rest = rest[end:]
		if first {
			rest = strings.TrimPrefix(rest, " ")
		}
		end = strings.IndexAny(rest, "0123456789")
		if end < 0 {
			end = len(rest)
		}
		part, known := units[rest[:end]]
		if !known || !first && (u != time || part.unit != time) {
			return 0, 0, false
		}
		n, u, rest = n+v*part.size, part.unit, rest[end:]
	}
	if s[0] == '-' {
		n = -n
	}
	return n, u, true
}
