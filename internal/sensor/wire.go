package sensor

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"path"
	"strconv"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Flags of a path in a record (enum bc_path_flags).
const (
	PathCut      = 1
	PathPseudo   = 2
	PathAtRoot   = 4
	PathUnlinked = 8
)

// Numbers of file systems and the type bits of modes, as in <linux/magic.h> and
// <linux/stat.h>.
const (
	ModeType = 0o170000

	TmpfsMagic     = 0x01021994
	HugetlbfsMagic = 0x958458f6
	OverlayMagic   = 0x794c7630
	PipefsMagic    = 0x50495045
	AnonInodeMagic = 0x09041934
)

// Fixed copies the fixed part of a record; false where raw is too short. The
// copy keeps alignment out of the question.
func Fixed[T any](raw []byte, to *T) bool {
	size := int(unsafe.Sizeof(*to))
	return len(raw) >= size && kernel.Decode(raw[:size], to)
}

// Strings keeps one copy of strings that come again and again, and turns paths
// round. It belongs to one goroutine.
type Strings struct {
	seen    map[string]string
	scratch []byte
	// recent and walks have what came last, each in a place that its bytes give:
	// a look there costs a fraction of one into the map.
	recent *[recentStrings]string
	walks  *[recentWalks]walk
}

const (
	internMax     = 8192
	internLongest = 512
	recentStrings = 512
	recentWalks   = 256
)

// walk is a path as a record has it, and what Path made of it.
type walk struct {
	known         bool
	raw           []byte
	rootAt, flags uint32
	path, root    string
	unreachable   bool
}

// NewStrings returns an empty one.
func NewStrings() Strings {
	return Strings{seen: make(map[string]string), recent: new([recentStrings]string), walks: new([recentWalks]walk)}
}

// place mixes the length and both ends of b into a number.
func place(b []byte) uint64 {
	const mix = 0x9e3779b97f4a7c15
	h := uint64(len(b))
	if len(b) < 8 {
		for _, c := range b {
			h = h<<8 | uint64(c)
		}
	} else {
		h ^= binary.LittleEndian.Uint64(b) * mix
		h ^= binary.LittleEndian.Uint64(b[len(b)-8:])
	}
	return h * mix >> 32
}

// Get returns b as a string.
func (i *Strings) Get(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	last := &i.recent[place(b)%recentStrings]
	if *last == string(b) {
		return *last
	}
	s, ok := i.seen[string(b)]
	if !ok {
		if len(i.seen) >= internMax {
			clear(i.seen)
		}
		s = string(b)
		if len(s) > internLongest {
			return s
		}
		i.seen[s] = s
	}
	*last = s
	return s
}

// Join is path.Join of a directory and a name.
func (i *Strings) Join(dir, name string) string {
	if !plain(name) || dir == "" || dir[0] != '/' {
		return path.Join(dir, name)
	}
	b := append(i.scratch[:0], dir...)
	if b[len(b)-1] != '/' {
		b = append(b, '/')
	}
	b = append(b, name...)
	i.scratch = b
	return i.Get(b)
}

// plain reports whether path.Clean leaves a name as it is, and it is relative.
func plain(name string) bool {
	start := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		switch name[start:i] {
		case "", ".", "..":
			return false
		}
		start = i + 1
	}
	return true
}

// Path turns a walk's "/leaf/parent/..." round. root is the path as seen from
// the process's root where that differs.
func (i *Strings) Path(b []byte, rootAt, flags uint32) (path, root string, unreachable bool) {
	w := &i.walks[place(b)%recentWalks]
	if w.known && w.rootAt == rootAt && w.flags == flags && bytes.Equal(w.raw, b) {
		return w.path, w.root, w.unreachable
	}
	path, root, unreachable = i.turn(b, rootAt, flags)
	if len(b) <= internLongest {
		*w = walk{true, append(w.raw[:0], b...), rootAt, flags, path, root, unreachable}
	}
	return path, root, unreachable
}

func (i *Strings) turn(b []byte, rootAt, flags uint32) (path, root string, unreachable bool) {
	if flags&PathPseudo != 0 {
		b = bytes.TrimPrefix(b, []byte("/"))
		return i.Get(b), "", false
	}
	path = i.Get(i.Reverse(b, flags&PathCut != 0))
	switch {
	case flags&PathAtRoot == 0:
		return path, "", flags&PathCut == 0
	case int(rootAt) < len(b):
		root = i.Get(i.Reverse(b[:rootAt], false))
	}
	return path, root, false
}

// Reverse writes the components in root-first order into a buffer that the next
// call uses again.
func (i *Strings) Reverse(b []byte, cut bool) []byte {
	if len(b) == 0 {
		return []byte("/")
	}
	out := i.scratch[:0]
	if cut {
		out = append(out, "..."...)
	}
	for end := len(b); end > 0; {
		start := bytes.LastIndexByte(b[:end], '/')
		if start < 0 {
			start = 0
			out = append(out, '/')
		}
		out = append(out, b[start:end]...)
		end = start
	}
	i.scratch = out
	return out
}

// CharKind tells terminals and the null device from other devices, by the
// numbers of Documentation/admin-guide/devices.txt.
func CharKind(major, minor uint32) event.StdioKind {
	switch {
	case major == 1 && minor == 3:
		return event.StdioNull
	case major >= 136 && major <= 143:
		return event.StdioPty
	case major == 4, major == 5, major == 229, major == 204:
		return event.StdioTty
	}
	return event.StdioChar
}

// Addr4 is an IPv4 address as text, "" for 0.0.0.0.
func (i *Strings) Addr4(b [16]uint8) string { return i.addr(netip.AddrFrom4([4]byte(b[:4]))) }

// Addr6 is an IPv6 address as text, "" for ::.
func (i *Strings) Addr6(b [16]uint8) string { return i.addr(netip.AddrFrom16(b)) }

func (i *Strings) addr(a netip.Addr) string {
	if a.IsUnspecified() {
		return ""
	}
	i.scratch = a.AppendTo(i.scratch[:0])
	return i.Get(i.scratch)
}

// UnixName shows an abstract name, which starts with a NUL byte, with an '@'.
func (i *Strings) UnixName(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if b[0] == 0 {
		i.scratch = append(append(i.scratch[:0], '@'), b[1:]...)
		return i.Get(i.scratch)
	}
	return i.Get(UntilNul(b))
}

// SockFamily names an address family.
func SockFamily(f uint16) string {
	switch f {
	case 1:
		return "unix"
	case 2:
		return "ipv4"
	case 10:
		return "ipv6"
	case 16:
		return "netlink"
	case 17:
		return "packet"
	case 40:
		return "vsock"
	}
	return strconv.Itoa(int(f))
}

// SockType names a socket's type.
func SockType(t uint16) string {
	switch t {
	case 1:
		return "stream"
	case 2:
		return "dgram"
	case 3:
		return "raw"
	case 5:
		return "seqpacket"
	}
	return strconv.Itoa(int(t))
}

// SockProto names a protocol.
func SockProto(p uint16) string {
	if name := kernel.ProtocolName(p); name != "" {
		return name
	}
	return strconv.Itoa(int(p))
}

// TCPState names a state of TCP.
func TCPState(s uint16) string {
	names := [...]string{1: "established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2", "time_wait", "close",
		"close_wait", "last_ack", "listen", "closing", "new_syn_recv"}
	if s > 0 && int(s) < len(names) {
		return names[s]
	}
	return strconv.Itoa(int(s))
}

// UntilNul is b up to its first NUL byte.
func UntilNul(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}
