package host

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// parseSocketQueues reads /proc/net/tcp and its like. Lines that are not understood
// are left out.
func parseSocketQueues(protocol, text string) []SocketQueue {
	var out []SocketQueue
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		if len(f) < 10 || !strings.HasSuffix(f[0], ":") {
			continue
		}
		local, ok1 := parseAddress(f[1])
		remote, ok2 := parseAddress(f[2])
		send, receive, ok3 := strings.Cut(f[4], ":")
		if !ok1 || !ok2 || !ok3 {
			continue
		}
		s := SocketQueue{Protocol: protocol, Local: local, Remote: remote}
		s.Send, _ = strconv.ParseUint(send, 16, 64)
		s.Receive, _ = strconv.ParseUint(receive, 16, 64)
		s.Inode, _ = strconv.ParseUint(f[9], 10, 64)
		if !strings.HasPrefix(protocol, "tcp") && len(f) > 12 {
			s.Drops, _ = strconv.ParseUint(f[12], 10, 64)
		}
		const listen = "0A"
		s.listens = strings.HasPrefix(protocol, "tcp") && f[3] == listen
		out = append(out, s)
	}
	return out
}

// parseAddress reads ADDRESS:PORT in hexadecimal, where an address is a row of
// 32-bit words in the processor's own byte order.
func parseAddress(s string) (string, bool) {
	a, p, ok := strings.Cut(s, ":")
	b, err := hex.DecodeString(a)
	port, err2 := strconv.ParseUint(p, 16, 16)
	if !ok || err != nil || err2 != nil || len(b) != 4 && len(b) != 16 {
		return "", false
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr, uint16(port)).String(), ok
}
