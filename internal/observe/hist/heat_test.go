package hist

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
)

func heatRow() Row {
	return Row{Group: "a<\x1b[2J>", Count: 106, Columns: []Column{
		{0, []Bucket{{1024, 2048, 1}}},
		{3, []Bucket{{1024, 2048, 4}, {8192, 16384, 100}}},
		{9, []Bucket{{0, 1, 7}}}, // there was no such interval
		{-1, []Bucket{{0, 1, 7}}},
	}}
}

func TestHeat(t *testing.T) {
	r := heatRow()
	ends := []float64{1, 2, 3, 4}
	h := r.Heat(ends, 0)
	if len(h.Rows) != 4 || h.Rows[0].From != 1024 || h.Rows[3].To != 16384 || len(h.Ends) != 4 || h.Most != 100 {
		t.Fatalf("%+v", h)
	}
	if h.Cells[0][0] != 1 || h.Cells[0][3] != 4 || h.Cells[3][3] != 100 || h.Cells[1][1] != 0 {
		t.Errorf("cells %v", h.Cells)
	}
	if h = r.Heat(ends, 2); len(h.Ends) != 2 || h.Ends[0] != 2 || h.Ends[1] != 4 || h.Cells[0][1] != 4 || h.Cells[0][0] != 1 {
		t.Errorf("in two columns: %+v", h)
	}
	for n, want := range map[uint64]int{0: 0, 1: 1, 4: 1, 5: 2, 21: 2, 22: 3, 99: 3, 100: 4} {
		if got := h.Level(n); got != want {
			t.Errorf("%d of 100 has level %d, want %d", n, got, want)
		}
	}
	r = Row{Columns: []Column{{0, []Bucket{{1 << 63, 0, 1}, {0, 1, 1}}}}}
	if h = r.Heat(ends[:1], 0); len(h.Rows) != 65 || h.Most != 1 || h.Level(1) != Levels {
		t.Errorf("from the shortest to the longest: %d rows, %+v", len(h.Rows), h.Most)
	}
	r = Row{}
	if h = r.Heat(nil, 30); len(h.Rows) != 0 || len(h.Ends) != 0 {
		t.Errorf("of nothing: %+v", h)
	}
}

// rects draws the SVG, reads it back, and counts its rectangles with a title.
func rects(t testing.TB, r *Result) int {
	t.Helper()
	var b strings.Builder
	if err := r.WriteSVG(&b, "hist <x>", 2, func(n uint64) string { return strconv.FormatUint(n, 10) }); err != nil {
		t.Fatal(err)
	}
	n, in := 0, ""
	d := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatalf("%v in %s", err, b.String())
		}
		if e, ok := token.(xml.StartElement); ok {
			if e.Name.Local == "title" && in == "rect" {
				n++
			}
			in = e.Name.Local
		}
	}
}

func TestSVG(t *testing.T) {
	row := heatRow()
	if n := rects(t, &Result{Rows: []Row{row, row, row}, Ends: []float64{1, 2, 3, 4}}); n != 6 {
		t.Errorf("%d cells, want 3 of each of 2 groups", n)
	}
	if n := rects(t, &Result{}); n != 0 {
		t.Errorf("nothing has %d cells", n)
	}
}

// TestIntervals has two readings of the kernel's counts: a column is what came between.
func TestIntervals(t *testing.T) {
	r, err := newReading(Options{By: ByAll})
	if err != nil {
		t.Fatal(err)
	}
	g := &gathered{}
	r.rows["all"] = g
	g.Slot[slotOf(1500)] = 3
	r.interval(0)
	r.interval(1)
	g.Slot[slotOf(1500)] = 5
	g.Slot[slotOf(1100)] = 1
	r.interval(2)
	c := r.finish()[0].Columns
	if len(c) != 2 || c[0].Interval != 0 || c[1].Interval != 2 || c[1].Buckets[0] != (Bucket{1024, 2048, 3}) {
		t.Errorf("%+v", c)
	}
}

func TestFunctionKind(t *testing.T) {
	for _, name := range []string{"", "a b", "a;b", "../x", strings.Repeat("x", 200), "do_exit"} {
		if _, err := FunctionKind(name); err == nil {
			t.Errorf("%q is taken for a function", name)
		}
	}
	k, err := FunctionKind("vfs_read.isra.0")
	if err != nil || k.Name != "func:vfs_read.isra.0" {
		t.Errorf("%+v, %v", k, err)
	}
}
