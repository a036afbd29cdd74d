package termtext

import (
	"strings"
	"testing"
)

func TestExcerpt(t *testing.T) {
	const line = "    proc.name = nginx and fd.typ = ipv4 and proc.pid > 1"
	mark := func(line, what string, n int) string {
		return strings.Repeat(" ", Width(line[:strings.Index(line, what)])) + strings.Repeat("^", n)
	}
	for _, c := range []struct {
		line, carets string
		columns      int
		text, marks  string
	}{
		{line, mark(line, "fd.typ", 6), 80, line, mark(line, "fd.typ", 6)},
		{line, mark(line, "fd.typ", 6), 5, line, mark(line, "fd.typ", 6)},
		{line, mark(line, "fd.typ", 6), 31, "…nginx and fd.typ = ipv4 and p…", "           ^^^^^^"},
		{line, mark(line, "proc.name", 9), 31, "    proc.name = nginx and fd.t…", "    ^^^^^^^^^"},
		{line, mark(line, "> 1", 1), 31, "…fd.typ = ipv4 and proc.pid > 1", strings.Repeat(" ", 28) + "^"},
		{line, strings.Repeat(" ", len(line)) + "^", 31, "…d.typ = ipv4 and proc.pid > 1", strings.Repeat(" ", 30) + "^"},
		{line, mark(line, "proc.name", 50), 31, "    proc.name = nginx and fd.t…", "    " + strings.Repeat("^", 27)},
		{"名前 = 名前 and 名前 = x and y = z", mark("名前 = 名前 and 名前 = x", "and", 3), 16, "…名前 and 名前 …", "      ^^^"},
	} {
		text, marks := Excerpt(c.line, c.carets, c.columns)
		if text != c.text || marks != c.marks {
			t.Errorf("in %d columns it is\n%s|\n%s|, want\n%s|\n%s|", c.columns, text, marks, c.text, c.marks)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add("proc.name = nginx and fd.typ = ipv4", uint8(22), uint8(6), uint8(31))
	f.Add("名前 = 名前 and e\u0301\u0301\u0301\u0301\u0301\u0301 = \u0301", uint8(30), uint8(9), uint8(12))
	f.Fuzz(func(t *testing.T, line string, at, n, columns uint8) {
		line = String(line)
		carets := strings.Repeat(" ", int(at)) + strings.Repeat("^", int(n))
		text, marks := Excerpt(line, carets, int(columns))
		if text == line && marks == carets {
			return
		}
		if Width(text) > int(columns) || len(marks) > int(columns) || !strings.HasSuffix(marks, "^") {
			t.Errorf("in %d columns %q with %q is %q with %q", columns, line, carets, text, marks)
		}
	})
}
