package kernel

import "golang.org/x/sys/unix"

// ProtocolName names a protocol of IP by its number, as the kernel's sockets and packets
// have it; "" for those that have no usual name.
func ProtocolName(n uint16) string {
	switch n {
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_TCP, unix.IPPROTO_MPTCP: // multipath TCP is TCP on the wire
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMPV6:
		return "icmpv6"
	case unix.IPPROTO_SCTP:
		return "sctp"
	case unix.IPPROTO_RAW:
		return "raw"
	}
	return ""
}
