// Package host says which sources a firewall must not shut out on this host, and
// keeps the text of the policy in use. The kernel's tables in /proc and the
// resolver's settings go in; addresses with the reason come out. cmd/bearcat calls
// it before it changes the firewall.
package host

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Protected is an address that stays reachable, and why.
type Protected struct {
	Addr netip.Addr `json:"addr"`
	Why  string     `json:"why"`
	Own  bool       `json:"own,omitempty"` // of this host itself
}

// Find lists the peers of ssh, the default gateways, the resolvers and this host's
// own addresses. root is "/" but in tests.
func Find(root string) ([]Protected, error) {
	var out []Protected
	seen := map[netip.Addr]bool{}
	add := func(a netip.Addr, why string, own bool) {
		a = a.Unmap().WithZone("")
		if a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !seen[a] {
			seen[a] = true
			out = append(out, Protected{a, why, own})
		}
	}
	for _, name := range []string{"tcp", "tcp6"} {
		for _, f := range table(filepath.Join(root, "proc/net", name)) {
			if len(f) > 3 && f[3] == "01" && strings.HasSuffix(f[1], ":0016") { // established, port 22
				a, _, _ := strings.Cut(f[2], ":")
				add(procAddr(a), "an ssh session", false)
			}
		}
	}
	if peer, _, ok := strings.Cut(os.Getenv("SSH_CONNECTION"), " "); ok {
		if a, err := netip.ParseAddr(peer); err == nil {
			add(a, "this ssh session", false)
		}
	}
	for _, f := range table(filepath.Join(root, "proc/net/route")) {
		if len(f) > 2 && f[1] == "00000000" {
			add(procAddr(f[2]), "the default gateway", false)
		}
	}
	for _, f := range table(filepath.Join(root, "proc/net/ipv6_route")) {
		if len(f) > 4 && f[1] == "00" {
			if b, err := hex.DecodeString(f[4]); err == nil && len(b) == 16 {
				add(netip.AddrFrom16([16]byte(b)), "the default gateway", false)
			}
		}
	}
	for _, f := range table(filepath.Join(root, "etc/resolv.conf")) {
		if len(f) > 1 && f[0] == "nameserver" {
			if a, err := netip.ParseAddr(f[1]); err == nil {
				add(a, "a resolver", false)
			}
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("asking for this host's addresses: %w", err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(n.IP); ok {
				add(a, "an address of this host", true)
			}
		}
	}
	return out, nil
}

// table reads the fields of a file's lines; what is not there is empty.
func table(path string) [][]string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var out [][]string
	for line := range strings.SplitSeq(string(b), "\n") {
		out = append(out, strings.Fields(line))
	}
	return out
}

// procAddr reads an address as /proc/net has it: words of 32 bits in the machine's
// order. What is none gives the zero Addr.
func procAddr(s string) netip.Addr {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.Addr{}
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Covered gives what is protected within p.
func Covered(l []Protected, p netip.Prefix) []Protected {
	var out []Protected
	for _, x := range l {
		if p.Contains(x.Addr) {
			out = append(out, x)
		}
	}
	return out
}
