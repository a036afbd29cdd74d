package event

// SocketFilter says which sockets some rules can be about, by the family and the kind
// that are asked for: bit T of an element is set where sockets of that family and of
// kind T, such as SOCK_RAW, are wanted. What it refuses no rule can match. Families and
// kinds beyond it are wanted.
type SocketFilter [SocketFamilies]uint16

// SocketFamilies and SocketKinds are how many numbers a SocketFilter knows.
const (
	SocketFamilies = 64
	SocketKinds    = 16
)

// Wants reports whether socket(2) with these arguments is wanted.
func (f *SocketFilter) Wants(family, kind uint32) bool {
	kind &^= sockFlags
	return family >= SocketFamilies || kind >= SocketKinds || f[family]>>kind&1 != 0
}

// sockFlags are SOCK_NONBLOCK and SOCK_CLOEXEC.
const sockFlags = 0o4000 | 0o2000000
