package top

import (
	"strings"
	"testing"
)

func TestPathOf(t *testing.T) {
	for _, x := range []struct {
		text  string
		flags uint32
		want  string
	}{
		{"/passwd/etc", 0, "/etc/passwd"}, {"/passwd", 0, "/passwd"}, {"", 0, "/"},
		{"/c/b", pathCut, "…/b/c"}, {"/c/b", pathDeleted, "/b/c (deleted)"}, {"/c/b", pathCut | pathDeleted, "…/b/c (deleted)"},
	} {
		if got := pathOf([]byte(x.text), x.flags); got != x.want {
			t.Errorf("%q is %q, want %q", x.text, got, x.want)
		}
	}
}

func FuzzPathOf(f *testing.F) {
	f.Add("/passwd/etc", uint32(0))
	f.Add("a/b/", uint32(3))
	f.Fuzz(func(t *testing.T, text string, flags uint32) {
		got := pathOf([]byte(text), flags)
		if !strings.Contains(got, "/") && strings.Contains(text, "/") || len(got) > len(text)+16 {
			t.Errorf("%q is %q", text, got)
		}
	})
}
