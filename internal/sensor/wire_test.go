package sensor

import (
	"encoding/binary"
	"path"
	"strconv"
	"testing"
)

func TestStringsAreBounded(t *testing.T) {
	i := NewStrings()
	for n := range internMax * 3 {
		s := string(binary.BigEndian.AppendUint32(nil, uint32(n)))
		if got := i.Get([]byte(s)); got != s {
			t.Fatalf("%q comes back as %q", s, got)
		}
	}
	if len(i.seen) > internMax {
		t.Errorf("%d strings are kept", len(i.seen))
	}
}

func TestPath(t *testing.T) {
	s := NewStrings()
	for _, c := range []struct {
		raw         string
		rootAt      uint32
		flags       uint32
		path, root  string
		unreachable bool
	}{
		{"/passwd/etc", 11, PathAtRoot, "/etc/passwd", "", false},
		{"/f/b/jail", 4, PathAtRoot, "/jail/b/f", "/b/f", false},
		{"", 0, PathAtRoot, "/", "", false},
		{"/f/b", 0, 0, "/b/f", "", true},
		{"/f/b", 0, PathCut, ".../b/f", "", false},
		{"/memfd:x", 0, PathPseudo, "memfd:x", "", false},
	} {
		path, root, unreachable := s.Path([]byte(c.raw), c.rootAt, c.flags)
		if path != c.path || root != c.root || unreachable != c.unreachable {
			t.Errorf("%q: %q, %q, %v", c.raw, path, root, unreachable)
		}
	}
}

// TestJoin compares with path.Join, on names that the fast way takes and others.
func TestJoin(t *testing.T) {
	s := NewStrings()
	for _, dir := range []string{"/", "/a", "/a/b", "", ".../b", "/a/"} {
		for _, name := range []string{"x", "x/y", ".", "..", "../x", "x/..", "x//y", "x/", "./x", "x/./y", ".x", "..x", "/x", "\xff\n"} {
			if got, want := s.Join(dir, name), path.Join(dir, name); got != want {
				t.Errorf("%q and %q: %q, want %q", dir, name, got, want)
			}
		}
	}
}

// TestStringsOfOnePlace: texts that share a place in what is remembered stay apart.
func TestStringsOfOnePlace(t *testing.T) {
	s := NewStrings()
	for range 2 {
		for n := range 5000 {
			text := strconv.Itoa(n * 977)
			if got := s.Get([]byte(text)); got != text {
				t.Fatalf("%q for %q", got, text)
			}
			if got, _, _ := s.Path([]byte("/"+text+"/d"), 0, 0); got != "/d/"+text {
				t.Fatalf("%q for %q", got, text)
			}
		}
	}
}
