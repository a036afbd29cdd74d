package table

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bearcat-hids/bearcat/internal/sink/termtext"
)

type object struct{ Name string }

// cities is a table with its objects, in no order.
func cities() (*[]object, Table) {
	of := &[]object{{"b"}, {"c"}, {"a"}, {"d"}}
	return of, Table{Columns: []string{"NAME", "MAX MEMORY", "RUN TIME", "HELD BY", "NOTE"}, More: 1, Of: of, Rows: [][]string{
		{"b", "4.1 MiB", "1m2.5s", List([]string{"x[1]", "y[2]", "z[3]", "w[4]"}), "n1"},
		{"c", "512 B", "412µs", List([]string{"x[1]"}), "n2"},
		{"a", None, "0s", List(nil), None},
		{"d", "1.0 GiB", "1.2 s", List([]string{"y[2]"})},
	}}
}

func names(t Table) string {
	var out []string
	for _, r := range t.Rows {
		out = append(out, r[0])
	}
	return strings.Join(out, "")
}

func TestSort(t *testing.T) {
	for column, want := range map[string]string{
		"name": "abcd", "-NAME": "dcba", "max_memory": "cbda", "-MAX MEMORY": "dbca", "run_time": "acdb", "-run_time": "bdca", "note": "bcad",
	} {
		of, in := cities()
		v := View{Sort: column}
		got, err := v.Apply([]Table{in})
		if err != nil || names(got[0]) != want {
			t.Errorf("by %s: %s (%v), want %s", column, names(got[0]), err, want)
		}
		if o := slices.Collect(func(yield func(string) bool) {
			for _, x := range *of {
				yield(x.Name)
			}
		}); strings.Join(o, "") != want {
			t.Errorf("by %s: the objects are %s, want %s", column, o, want)
		}
	}
	_, in := cities()
	in.Exact = map[string][]float64{"NAME": {4, 3, 2, 1}}
	if got, err := (&View{Sort: "name"}).Apply([]Table{in}); err != nil || names(got[0]) != "dacb" {
		t.Errorf("by exact numbers: %v, %v", got, err)
	}
	_, in = cities()
	_, err := (&View{Sort: "-max_memry"}).Apply([]Table{in})
	if want := "there is no column max_memry to sort by: did you mean max_memory? The columns are name, max_memory, run_time, held_by, note"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err := (&View{Sort: "x"}).Apply([]Table{{Rows: [][]string{{"a", "b"}}}}); err == nil || !strings.Contains(err.Error(), "this page has none") {
		t.Errorf("sorting a page: %v", err)
	}
	(*in.Of.(*[]object)) = nil
	if _, err := (&View{Sort: "name"}).Apply([]Table{in}); err == nil {
		t.Error("rows without their objects were sorted")
	}
}

func TestNatural(t *testing.T) {
	in := []string{"*:8080", "*:22", "eth10", "eth9", "eth", "eth09a", "", "10.0.0.12", "10.0.0.2"}
	slices.SortFunc(in, natural)
	if d := cmp.Diff([]string{"", "*:22", "*:8080", "10.0.0.2", "10.0.0.12", "eth", "eth9", "eth09a", "eth10"}, in); d != "" {
		t.Error(d)
	}
}

func TestWhere(t *testing.T) {
	for text, want := range map[string]string{
		"":                                        "bcad",
		"name = a":                                "a",
		"name != a":                               "bcd",
		"name in (a, b)":                          "ba",
		"max_memory > 1MiB":                       "bd",
		"max_memory <= '4.1 MiB'":                 "bc",
		"max_memory >= 512":                       "bcd",
		"max_memory > 1s":                         "",
		"run_time < 1ms":                          "ca",
		"run_time = 62.5s":                        "b",
		"MAX_MEMORY exists":                       "bcd",
		"not max_memory exists":                   "a",
		"held_by contains w":                      "b",
		"held_by = 'x[1]'":                        "bc",
		"held_by != 'x[1]'":                       "d",
		"held_by contains allof (x, w)":           "b",
		"held_by contains oneof (x, y)":           "cd",
		"held_by contains anyof (y, q)":           "bd",
		"name regex '[b-c]'":                      "bc",
		"name glob '[!a]' and not note exists":    "d",
		"name iglob A or name icontains B":        "ba",
		"note startswith n and note endswith 2":   "c",
		"(name = a or name = b) and run_time > 1": "b",
	} {
		c, err := ParseCondition("--where", text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		of, in := cities()
		got, err := (&View{Where: c}).Apply([]Table{in})
		if err != nil || names(got[0]) != want || len(*of) != len(want) {
			t.Errorf("%s: %v, %v with %v, want %s", text, err, got, *of, want)
		}
	}
}

func TestWhereMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"nmae = x":               "--where:1:1: error: there is no column nmae: did you mean name? The columns are name, max_memory, run_time, held_by, note\n    nmae = x\n    ^^^^",
		"proc.name = x":          "there is no column proc.name: the columns are name,",
		"name =":                 "the condition ends where",
		"name":                   "an operator behind name",
		"name = a or":            "the condition ends where",
		"(name = a":              "this parenthesis is not closed",
		"run_time > soon":        `> compares numbers, which "soon" is not`,
		"name regex '('":         `the regular expression "(" is not understood`,
		"name glob '?(a'":        `the pattern "?(a" is not understood`,
		"name pmatch (/a)":       "pmatch is for the fields of rules: columns have =",
		"tolower(name) = a":      "functions are for the fields of rules",
		"name = tolower(name)":   "functions are for the fields of rules",
		"name = a\nor name = b":  "a condition stands on one line",
		"name = a and maxmemory": "an operator behind maxmemory",
	} {
		c, err := ParseCondition("--where", text)
		if err == nil {
			_, in := cities()
			_, err = (&View{Where: c}).Apply([]Table{in})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestTablesWithoutTheColumn are left out, with what they are of; pages stay.
func TestTablesWithoutTheColumn(t *testing.T) {
	c, err := ParseCondition("--where", "name = a")
	if err != nil {
		t.Fatal(err)
	}
	of, in := cities()
	other := &[]object{{"o"}}
	got, err := (&View{Where: c}).Apply([]Table{{Columns: []string{"X"}, Rows: [][]string{{"1"}}, Of: other}, in, {Rows: [][]string{{"about", "it"}}}})
	if err != nil || len(got) != 2 || names(got[0]) != "a" || len(got[1].Rows) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if len(*of) != 1 || len(*other) != 0 {
		t.Errorf("left are %v and %v", *of, *other)
	}
	fields, columns := c.Names()
	if fields || !columns {
		t.Errorf("fields %v, columns %v", fields, columns)
	}
	mixed, err := ParseCondition("--where", "proc.name = a and tolower(fd.name) = b and name = c")
	if fields, columns = mixed.Names(); err != nil || !fields || !columns {
		t.Errorf("fields %v, columns %v, %v", fields, columns, err)
	}
	if v := (View{Where: c, Sort: "-run_time"}); !v.Uses("NAME") || !v.Uses("X", "RUN TIME") || v.Uses("HELD BY") {
		t.Error("the columns that the view uses are not known")
	}
}

func TestWrite(t *testing.T) {
	_, in := cities()
	page := Table{Title: "pa\x1bge", Rows: [][]string{{"name", "a\nb"}, {"longer name", "c"}}}
	var b strings.Builder
	if err := (&View{}).Write(&b, []Table{in, page}); err != nil {
		t.Fatal(err)
	}
	want := `NAME  MAX MEMORY  RUN TIME  HELD BY
b     4.1 MiB     1m2.5s    x[1], y[2], z[3] and 1 more
c     512 B       412µs     x[1]
a     -           0s        -
d     1.0 GiB     1.2 s     y[2]

pa\x1bge
name         a\x0ab
longer name  c
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	b.Reset()
	if err := (&View{Wide: true, Width: 10}).Write(&b, []Table{in}); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(b.String(), "\n"); lines[1] != "b     4.1 MiB     1m2.5s    x[1], y[2], z[3], w[4]  n1" || lines[4] != "d     1.0 GiB     1.2 s     y[2]                    -" {
		t.Errorf("wide: %q", lines)
	}
	b.Reset()
	if err := (&View{Width: 22}).Write(&b, []Table{in}); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(b.String(), "\n"); lines[0] != "NAME  MAX MEM…  RUN T…" || lines[2] != "c     512 B     412µs…" || lines[3] != "a     -         0s   …" {
		t.Errorf("narrow: %q", lines)
	}
}

func TestQuantity(t *testing.T) {
	micro, milli := 1e-6, 1e-3 // not constants, which are exact
	for in, want := range map[string]value{
		"12": {number: 12}, "-3": {number: -3}, "4.5 KiB": {number: 4608, unit: bytes}, "4MiB": {number: 4 << 20, unit: bytes},
		"1m2.5s": {number: 62.5, unit: time}, "2h": {number: 7200, unit: time}, "5µs": {number: 5 * micro, unit: time}, "1.200 ms": {number: 1.2 * milli, unit: time},
	} {
		n, u, ok := quantity(in)
		if !ok || n != want.number || u != want.unit {
			t.Errorf("%s: %v %v %v, want %+v", in, n, u, ok, want)
		}
	}
	for _, bad := range []string{"", "-", "x", "1x", "1 2", "1:2", "1.2.3", "1 KiB 2", "1KiB2B", "1m2", "NaN", "1e", ".5", "uid 0", "3f9a", "1  s"} {
		if n, u, ok := quantity(bad); ok {
			t.Errorf("%q: %v %v", bad, n, u)
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add("name = 'a' and not max_memory > 4KiB", "-run_time", "1m2.5s", uint8(7))
	f.Add("held_by regex '.*' or note in (1, 2)", "held_by", "\x1f\x1f", uint8(0))
	f.Fuzz(func(t *testing.T, condition, column, cell string, width uint8) {
		of, in := cities()
		in.Rows[0][2], in.Rows[1][3] = cell, cell
		c, err := ParseCondition("--where", condition)
		if err != nil {
			return
		}
		v := View{Where: c, Sort: column, Width: int(width)}
		got, err := v.Apply([]Table{in})
		if err != nil {
			return
		}
		if len(got) != 1 || len(got[0].Rows) != len(*of) {
			t.Fatalf("%d tables, %d objects", len(got), len(*of))
		}
		var b strings.Builder
		if err := v.Write(&b, got); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.String(), "\n"); n != len(*of)+1 {
			t.Errorf("%d lines for %d rows", n, len(*of))
		}
		n, u, ok := quantity(cell)
		if ok && u > time || n != n {
			t.Errorf("%q is %v %v", cell, n, u)
		}
	})
}

// On a narrow terminal minor columns leave first, then the widest cells are clipped.
func TestNarrow(t *testing.T) {
	in := []Table{{
		Columns: []string{"PID", "TTY", "PATH", "NOTE"}, Minor: []string{"TTY"},
		Rows: [][]string{{"1", "pts0", strings.Repeat("/long", 10), "written and executable"}, {"22", "-", "/日本/日本/日本/日本/日本/日本", "-"}},
	}}
	for width, want := range map[int]string{
		0: "PID  TTY   PATH",
		40: "PID  PATH                     NOTE\n" +
			"1    /long/long/long/long/l…  written a…\n" +
			"22   /日本/日本/日本/日本/…   -\n",
		12: "PID  PATH  …",
	} {
		v := View{Width: width}
		var b strings.Builder
		if err := v.Write(&b, in); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(b.String(), want) {
			t.Errorf("at %d columns:\n%s", width, b.String())
		}
		for line := range strings.Lines(b.String()) {
			if n := termtext.Width(strings.TrimSuffix(line, "\n")); width > 0 && n > width {
				t.Errorf("a line of %d columns where there are %d: %s", n, width, line)
			}
		}
		if got := strings.Join(v.Narrow(), " "); got != map[bool]string{true: "tty"}[width > 0] {
			t.Errorf("at %d columns these are left out: %q", width, got)
		}
	}
}
