package fileio

import (
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// copied is a note on the file of a call, which was made at a time since the kernel's
// clock was 0.
func copied(g *gatherer, call uint64, at time.Duration) *progCopied {
	n := &progCopied{Note: progNote{Call: call, What: uint32(progWhatCOPIED_UP)}, Birth: uint64(time.Now().Add(at - time.Duration(kernel.MonotonicNow())).UnixNano()), Bytes: 99, Inode: 7, Layer: 2}
	copy(n.Upper[:], []int8{'/', 'u'})
	copy(n.Lower[:], []int8{'/', 'a', '\\', ':', ':', '/', 'b'})
	return n
}

// TestCopyUp has files of an upper layer that an open has made, and that were there before.
func TestCopyUp(t *testing.T) {
	g := newGatherer()
	g.copies.slack = time.Second
	for i, x := range []struct {
		name  string
		birth time.Duration
		told  bool
	}{
		{"made by the call", 50 * time.Second, true},
		{"the same file again", 50 * time.Second, false},
		{"made long before", 10 * time.Second, false},
		{"written to before it", 51 * time.Second, false},
		{"made after it", 90 * time.Second, false},
	} {
		call := uint64(i + 1)
		n := copied(g, call, x.birth)
		if x.name == "the same file again" {
			for file := range g.copies.told {
				n.Birth = file.birth
			}
		}
		if x.name == "written to before it" {
			n.Mtime = n.Birth + 1
		}
		if c, ok := g.take(raw(n)); c != nil || !ok {
			t.Fatalf("%s: %v, %v", x.name, c, ok)
		}
		e := ended(call)
		e.Nr, e.Begun, e.Note.At = 257, 40e9, 60e9
		c, _ := g.take(raw(e))
		if c == nil || (c.CopyUp != nil) != x.told {
			t.Fatalf("%s: %+v", x.name, c)
		}
		if !x.told {
			continue
		}
		var b strings.Builder
		want := "copy-up: 99 bytes of /dir/a file by cat[42], from lower layer 2 (/b) to /u\n"
		if err := c.WriteText(&b, func(s string) string { return s }); err != nil || strings.Count(b.String(), want) != 1 {
			t.Errorf("%v: %q is not in\n%s", err, want, b.String())
		}
	}
	if len(g.copies.open) != 0 {
		t.Error("copies are kept")
	}
	for range mostCopies + 2 {
		g.copies.take(copied(g, uint64(len(g.copies.open)), 0))
	}
	if len(g.copies.open) > mostCopies {
		t.Errorf("%d copies are kept of calls that never end", len(g.copies.open))
	}
}

func TestLayerAt(t *testing.T) {
	long := strings.Repeat("x", 255)
	for _, x := range []struct {
		all    string
		number int
		want   string
	}{
		{"/a:/b", 1, "/a"}, {"/a:/b", 2, "/b"}, {"/a:/b", 3, ""}, {`/a\:x:/b`, 1, "/a:x"}, {`\`, 1, `\`}, {"", 1, ""}, {"/a:" + long[:252], 2, ""}, {"/a", 0, ""},
	} {
		if got := layerAt(x.all, x.number); got != x.want {
			t.Errorf("layer %d of %q is %q, want %q", x.number, x.all, got, x.want)
		}
	}
}
