package rule

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestGramsAgainstSearch compares the index with a look at each text.
func TestGramsAgainstSearch(t *testing.T) {
	letters := rapid.SampledFrom([]byte("abAB/-\xc3 "))
	text := func(min, max int) *rapid.Generator[string] {
		return rapid.Map(rapid.SliceOfN(letters, min, max), func(b []byte) string { return string(b) })
	}
	rapid.Check(t, func(rt *rapid.T) {
		for _, size := range []int{gramMin, longGram} {
			var entries []gramEntry
			for i := range rapid.IntRange(1, 12).Draw(rt, "texts") {
				p := part{text: text(size, size+4).Draw(rt, "text"), where: where(rapid.IntRange(0, 3).Draw(rt, "where")), fold: rapid.Bool().Draw(rt, "fold")}
				if p.fold {
					p.text = lowered(p.text)
				}
				entries = append(entries, gramEntry{part: p, rules: []uint32{uint32(i)}})
			}
			g := newGramIndex(size, slices.Clone(entries))
			for range 8 {
				s := text(0, 14).Draw(rt, "value")
				got := g.find(s, nil)
				slices.Sort(got)
				got = slices.Compact(got)
				var want []uint32
				for i, e := range entries {
					for off := range len(s) {
						if e.isAt(s, off) {
							want = append(want, uint32(i))
							break
						}
					}
				}
				if !slices.Equal(got, want) {
					rt.Fatalf("in %q the index finds %v, a search %v of %+v", s, got, want, entries)
				}
			}
		}
	})
}

// TestPartIsWhereItHasToBe pins what the search above goes by.
func TestPartIsWhereItHasToBe(t *testing.T) {
	for _, c := range []struct {
		p    part
		s    string
		off  int
		want bool
	}{
		{part{"bin", within, false}, "/bin/x", 1, true},
		{part{"bin", within, false}, "/BIN/x", 1, false},
		{part{"bin", within, true}, "/BIN/x", 1, true},
		{part{"bin", atStart, false}, "/bin/x", 1, false},
		{part{"/bin", atStart, false}, "/bin/x", 0, true},
		{part{"/x", atEnd, false}, "/bin/x", 4, true},
		{part{"/bi", atEnd, false}, "/bin/x", 0, false},
		{part{"/bin/x", whole, true}, "/Bin/X", 0, true},
		{part{"/bin", whole, true}, "/bin/x", 0, false},
		{part{"bin", within, false}, "/bi", 1, false},
		{part{"bin", within, false}, "bin", -1, false},
	} {
		if got := c.p.isAt(c.s, c.off); got != c.want {
			t.Errorf("%+v at %d of %q: %v, want %v", c.p, c.off, c.s, got, c.want)
		}
	}
}

// TestProgramsAreForgotten checks that what is remembered of programs is bounded,
// and is that of the program as it is called now.
func TestProgramsAreForgotten(t *testing.T) {
	set := mustLoad(t, ruleFile("a", "evt.type = execve and proc.name = nc")+ruleFile("b", "evt.type = execve and proc.name = other"))
	e := NewEngine(set, MatchAll)
	ev := execEvent()
	hits := func() (got []string) {
		e.Match(ev, func(r *Rule) { got = append(got, r.Info().Name) })
		return got
	}
	if got := hits(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("matched %v, want a", got)
	}
	ev.Proc.Comm = "other" // the same image under another name
	if got := hits(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("after a change of name matched %v, want b", got)
	}
	for i := range 3 * programsKept {
		ev.Proc = proc(uint32(i+1000), "nc", fmt.Sprintf("/usr/bin/nc%d", i), nil, "nc")
		if got := hits(); !slices.Equal(got, []string{"a"}) {
			t.Fatalf("program %d matched %v, want a", i, got)
		}
	}
	if n := len(e.programs.young) + len(e.programs.old); n > programsKept {
		t.Errorf("%d programs are remembered, want at most %d", n, programsKept)
	}
}
