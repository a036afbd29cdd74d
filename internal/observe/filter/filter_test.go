package filter

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/asm"
)

// made is a packet for filters.
type made struct {
	src, dst     string
	proto        byte
	sport, dport uint16
	flags        byte
	length       uint32
	sent, later  bool
}

// header writes it as the programs do.
func (m made) header() []byte {
	b := make([]byte, unsafe.Sizeof(Header{}))
	src, dst := netip.MustParseAddr(m.src), netip.MustParseAddr(m.dst)
	family := uint32(familyIPv4)
	if src.Is4() {
		b[0] = 0x45
		b[9] = m.proto
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
	} else {
		family = familyIPv6
		b[6] = m.proto
		copy(b[8:], src.AsSlice())
		copy(b[24:], dst.AsSlice())
	}
	if !m.later {
		binary.BigEndian.PutUint16(b[headerL4:], m.sport)
		binary.BigEndian.PutUint16(b[headerL4+2:], m.dport)
		b[headerL4+13] = m.flags
		binary.LittleEndian.PutUint32(b[headerL4Has:], headerKept)
	}
	if m.length == 0 {
		m.length = 100
	}
	binary.LittleEndian.PutUint32(b[headerLength:], m.length)
	binary.LittleEndian.PutUint32(b[headerFamily:], family)
	binary.LittleEndian.PutUint32(b[headerProto:], uint32(m.proto))
	if m.sent {
		b[headerSent] = 1
	}
	return b
}

var (
	dns     = made{src: "10.0.0.5", dst: "1.1.1.1", proto: 17, sport: 40112, dport: 53, sent: true}
	syn     = made{src: "192.168.7.9", dst: "10.0.0.5", proto: 6, sport: 51544, dport: 443, flags: 2, length: 60}
	synack  = made{src: "10.0.0.5", dst: "192.168.7.9", proto: 6, sport: 443, dport: 51544, flags: 18, length: 60, sent: true}
	six     = made{src: "2001:db8::1", dst: "fd00::2", proto: 6, sport: 22, dport: 6001, flags: 16}
	ping    = made{src: "10.0.0.5", dst: "10.0.0.1", proto: 1, sport: 8 << 8}
	later   = made{src: "10.0.0.5", dst: "1.1.1.1", proto: 17, later: true}
	packets = map[string]made{"dns": dns, "syn": syn, "synack": synack, "six": six, "ping": ping, "later": later}
)

// filters are expressions, and the packets that they take.
var filters = map[string]string{
	"":                                     "dns syn synack six ping later",
	"udp":                                  "dns later",
	"tcp":                                  "syn synack six",
	"ip":                                   "dns syn synack ping later",
	"ip6":                                  "six",
	"icmp":                                 "ping",
	"icmp6 or arp or sctp":                 "",
	"port 53":                              "dns",
	"udp port domain":                      "dns",
	"tcp port 53":                          "",
	"src port 443":                         "synack",
	"dst port 443":                         "syn",
	"tcp dst port 443":                     "syn",
	"port 53 or 443":                       "dns syn synack",
	"tcp port 53 or 443":                   "syn synack",
	"portrange 6000-6008":                  "six",
	"dst portrange 50000-52000":            "synack",
	"host 10.0.0.5":                        "dns syn synack ping later",
	"src host 10.0.0.5":                    "dns synack ping later",
	"dst 10.0.0.5":                         "syn",
	"10.0.0.5 and 1.1.1.1":                 "dns later",
	"src or dst host 1.1.1.1":              "dns later",
	"src and dst net 10.0.0.0/24":          "ping",
	"net 192.168.0.0/16":                   "syn synack",
	"net 192.168":                          "syn synack",
	"src net 192.168.0.0 mask 255.255.0.0": "syn",
	"host 2001:db8::1":                     "six",
	"ip6 net fd00::/8":                     "six",
	"dst net 2001:db8::/32":                "",
	"ip proto 17":                          "dns later",
	`ip proto \tcp`:                        "syn synack",
	"proto 6":                              "syn synack six",
	"not tcp":                              "dns ping later",
	"! (tcp or udp)":                       "ping",
	"tcp and not port 443":                 "six",
	"udp or tcp and port 443":              "syn synack", // from left to right
	"udp or (tcp and port 22)":             "dns six later",
	"less 60":                              "syn synack",
	"greater 61":                           "dns six ping later",
	"len = 60":                             "syn synack",
	"len != 60 && len <= 100":              "dns six ping later",
	"outbound":                             "dns synack",
	"inbound and udp":                      "later",
	"tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn": "syn",
	"tcp[13] & 2 != 0":              "syn synack",
	"tcp[13] = 18":                  "synack",
	"udp[2:2] = 53":                 "dns",
	"icmp[icmptype] = icmp-echo":    "ping",
	"ip[12:4] = 0x0a000005":         "dns synack ping later",
	"ip[0] & 0xf > 4 and ip[9] < 2": "ping",
	"ip[12:4] >= 0xc0a80000":        "syn",
}

func TestFilters(t *testing.T) {
	for text, want := range filters {
		f, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		for name, p := range packets {
			takes := f.root == nil || f.root.match(p.header())
			if wanted := strings.Contains(" "+want+" ", " "+name+" "); takes != wanted {
				t.Errorf("%q takes %s: %v", text, name, takes)
			}
		}
	}
}

// TestHeaderIsAsCompiled holds the offsets of filters beside the struct. Those of the
// programs are held beside it where there are some.
func TestHeaderIsAsCompiled(t *testing.T) {
	var h Header
	for name, is := range map[string][2]uintptr{
		"l3": {headerL3, unsafe.Offsetof(h.L3)}, "l4": {headerL4, unsafe.Offsetof(h.L4)}, "length": {headerLength, unsafe.Offsetof(h.Length)},
		"family": {headerFamily, unsafe.Offsetof(h.Family)}, "proto": {headerProto, unsafe.Offsetof(h.Proto)}, "l4_has": {headerL4Has, unsafe.Offsetof(h.L4Has)},
		"sent": {headerSent, unsafe.Offsetof(h.Sent)}, "kept": {headerKept, unsafe.Sizeof(h.L4)},
	} {
		if is[0] != is[1] {
			t.Errorf("%s is at %d, and compiled for %d", name, is[1], is[0])
		}
	}
}

func TestDirected(t *testing.T) {
	for text, want := range map[string]bool{"": false, "tcp port 80": false, "inbound": true, "tcp and not (outbound or udp)": true} {
		f, err := Parse(text)
		if err != nil || f.Directed() != want {
			t.Errorf("%q: %v, %v", text, f.Directed(), err)
		}
	}
}

func TestFiltersThatDoNotCompile(t *testing.T) {
	for text, want := range map[string]struct {
		at  int
		why string
	}{
		"host example.org":              {5, "names are not looked up"},
		"port":                          {4, "a value is expected"},
		"port 70000":                    {5, "up to 65535"},
		"portrange 9-3":                 {10, "ends before it begins"},
		"port 1-3":                      {5, "portrange two"},
		"tcp and":                       {7, "ends where"},
		"(tcp or udp":                   {11, "a ) is missing"},
		"tcp udp":                       {4, "and, or, or nothing"},
		"vlan 7":                        {0, "does not look at vlan"},
		"tcp[60] = 1":                   {3, "first 40 bytes"},
		"tcp[x] = 1":                    {3, "an offset"},
		"tcp[0:3] = 1":                  {3, "1, 2 or 4"},
		"tcp[0":                         {3, "] is missing"},
		"tcp[0] 5":                      {7, "a comparison"},
		"net 10.0.0.1/8":                {4, "did you mean 10.0.0.0/8"},
		"net 10.0.0.0/99":               {4, "no network"},
		"net 10.0.0.0 mask 255.0.255.0": {18, "a hole"},
		"icmp port 3":                   {10, "no ports"},
		"tcp ; udp":                     {4, "no meaning"},
		"ip proto 300":                  {9, "no protocol"},
		"less big":                      {5, "a length"},
		"tpc":                           {0, "no word"},
	} {
		_, err := Parse(text)
		var s *SyntaxError
		if !errors.As(err, &s) || s.At != want.at || !strings.Contains(s.Why, want.why) {
			t.Errorf("%q: %v, want at %d %q", text, err, want.at, want.why)
		}
	}
	if _, err := Parse(strings.Repeat("(", 200) + "tcp" + strings.Repeat(")", 200)); err == nil {
		t.Error("200 brackets are accepted")
	}
	if _, err := Parse("port 1" + strings.Repeat(" or 2", 500)); err == nil {
		t.Error("a filter of 500 ports is accepted")
	}
}

func FuzzFilter(f *testing.F) {
	for text := range filters {
		f.Add(text, hex.EncodeToString([]byte(text)))
	}
	f.Fuzz(func(t *testing.T, text, bytes string) {
		filter, err := Parse(text)
		if err != nil || filter.root == nil {
			return
		}
		h := make([]byte, unsafe.Sizeof(Header{}))
		copy(h, bytes)
		filter.root.match(h)
		code := filter.compile()
		for i, ins := range code {
			if to := i + 1 + int(ins.Offset); ins.OpCode.JumpOp() != asm.Exit && ins.OpCode.Class().IsJump() && (to <= i || to >= len(code)) {
				t.Fatalf("instruction %d of %d jumps to %d", i, len(code), to)
			}
		}
	})
}
