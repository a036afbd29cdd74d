package fileio

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

func raw(v any) []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, v)
	return b.Bytes()
}

func newGatherer() *gatherer {
	return &gatherer{open: map[uint64][]progNote{}, copies: newCopies(), origin: time.Unix(1000, 0)}
}

// ended is the end of a read of 4096 bytes that began 50 µs before.
func ended(call uint64) *progEnded {
	e := &progEnded{Begun: 10_000, Wanted: 4096, Result: 4096, Nr: 0, Fd: 3, Tgid: 42, Tid: 43, Pages: 8, Requests: 1}
	e.Note = progNote{At: 60_000, Call: call, What: uint32(progWhatCALL_ENDS)}
	text := []byte("/a file/dir")
	e.PathLength = uint32(copy(e.Path[:], text))
	copy(e.Kind[:], []int8{'e', 'x', 't', '4'})
	copy(e.Comm[:], []int8{'c', 'a', 't'})
	return e
}

func disk(n progNote) progNote {
	copy(n.Name[:], []int8{'v', 'd', 'a'})
	return n
}

func TestCallIsPutTogether(t *testing.T) {
	g := newGatherer()
	for _, n := range []progNote{
		{At: 12_000, What: uint32(progWhatPAGES), A: 8},
		disk(progNote{At: 15_000, What: uint32(progWhatQUEUED), A: 32768, Sector: 77}),
		disk(progNote{At: 40_000, What: uint32(progWhatCOMPLETE), A: 32768, Sector: 77}),
		{At: 20_000, What: uint32(progWhatASLEEP)}, // told late
		{At: 70_000, What: uint32(progWhatISSUED)}, // after the end
	} {
		n.Call = 5
		if c, ok := g.take(raw(n)); !ok || c != nil {
			t.Fatalf("%+v: %v, %v", n, c, ok)
		}
	}
	c, ok := g.take(raw(ended(5)))
	if !ok || c == nil {
		t.Fatal("the end of a call gives none")
	}
	var names []string
	for _, s := range c.Stages {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, ", "); got != "call, pages, queued, asleep, complete, done" {
		t.Errorf("stages %s", got)
	}
	if c.Took != 50*time.Microsecond || c.Stages[5].At != c.Took || !c.At.Equal(time.Unix(1000, 10_000)) || c.Path != "/dir/a file" || c.Cache != "miss" {
		t.Errorf("%+v", c)
	}
	if c.Title() != "#1 read fd 3 /dir/a file (ext4) = 4096  cat[42]" {
		t.Errorf("title %q", c.Title())
	}
	var text strings.Builder
	if err := c.WriteText(&text, strings.ToUpper); err != nil || !strings.Contains(text.String(), "READ 32768 BYTES OF VDA AT SECTOR 77") || !strings.Contains(text.String(), "page cache miss, 8 pages added, 1 block I/O") {
		t.Errorf("%v:\n%s", err, text.String())
	}
	if len(g.open) != 0 {
		t.Error("notes are kept")
	}
}

func TestVerdicts(t *testing.T) {
	for want, change := range map[string]func(*progEnded){
		"page cache hit, 0 block I/O":                  func(e *progEnded) { e.Pages, e.Requests = 0, 0 },
		"past the page cache, 1 block I/O":             func(e *progEnded) { e.Pages = 0 },
		"8 pages added to the page cache, 1 block I/O": func(e *progEnded) { e.Nr = 1 },
		"0 block I/O": func(e *progEnded) { e.Nr, e.Pages, e.Requests = 1, 0, 0 },
		"page cache miss, 8 pages added, 1 block I/O": func(*progEnded) {},
	} {
		e := ended(1)
		change(e)
		if got := newGatherer().end(e).verdict(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	e := ended(1)
	e.Result = -2
	if c := newGatherer().end(e); c.Error != "ENOENT" || c.Cache != "" || c.answer() != "= ENOENT" {
		t.Errorf("%+v", c)
	}
	e.Nr = 9999
	if c := newGatherer().end(e); c.Name != "call 9999" {
		t.Errorf("%+v", c)
	}
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		walked string
		flags  uint32
		want   string
	}{{"", 0, ""}, {"/c/b/a", 0, "/a/b/c"}, {"/c/b", 1, ".../b/c"}, {"/memfd:x", 2, "memfd:x"}} {
		if got := path([]byte(c.walked), c.flags); got != c.want {
			t.Errorf("%q is %q, want %q", c.walked, got, c.want)
		}
	}
}

// TestNotesWithoutEndAreBounded has calls whose end is never told.
func TestNotesWithoutEndAreBounded(t *testing.T) {
	g := newGatherer()
	for i := range uint64(3 * pending) {
		g.take(raw(progNote{At: i, Call: i, What: uint32(progWhatPAGES)}))
	}
	if len(g.open) > pending || g.open[3*pending-1] == nil {
		t.Errorf("%d calls are kept", len(g.open))
	}
	for range 2 * mostNotes {
		g.take(raw(progNote{Call: 1, At: 1 << 40}))
	}
	if len(g.open[1]) != mostNotes {
		t.Errorf("%d notes of one call are kept", len(g.open[1]))
	}
}

func FuzzTake(f *testing.F) {
	f.Add(raw(progNote{Call: 1, What: uint32(progWhatISSUED)}), raw(ended(1)))
	f.Fuzz(func(_ *testing.T, a, b []byte) {
		g := newGatherer()
		for _, r := range [][]byte{a, b} {
			if c, _ := g.take(r); c != nil {
				_ = c.WriteText(&bytes.Buffer{}, strings.ToLower)
			}
		}
	})
}
