package sensor

import (
	"encoding/binary"
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
