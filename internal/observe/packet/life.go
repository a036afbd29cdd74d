package packet

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/drop"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
)

// Life is what happened to one packet, from where it was seen first to its end.
type Life struct {
	// ID counts from 1 in the order in which lives ended.
	ID uint64 `json:"id"`
	// Sent is whether it began with sending on this host.
	Sent bool      `json:"sent"`
	At   time.Time `json:"at"`
	// Took is from the first stage to the last, the sum of all stages.
	Took time.Duration `json:"took_ns"`
	// Proto is "tcp", "udp", "icmp" and so on; addresses are those where it began.
	Proto string     `json:"proto"`
	Src   netip.Addr `json:"src,omitzero"`
	Dst   netip.Addr `json:"dst,omitzero"`
	Sport uint16     `json:"sport,omitempty"`
	Dport uint16     `json:"dport,omitempty"`
	Flags string     `json:"tcp_flags,omitempty"`
	// Length is from the network header on. Segments is of how many packets it
	// is made, or will be made: 0 and 1 for itself.
	Length   uint32 `json:"length"`
	Segments uint16 `json:"segments,omitempty"`
	Device   string `json:"device,omitempty"`
	// Net is the network namespace where it began.
	Net uint32 `json:"netns,omitempty"`
	// Sender and Reader are the processes at its ends, where there are.
	Sender *Process `json:"sender,omitempty"`
	Reader *Process `json:"reader,omitempty"`
	// Stages are named: call, route, neighbour, interrupt, softirq raised, softirq,
	// gro, sending, queue in, queue out, driver, driver back, backlog, protocols,
	// tcp, socket, woken, on cpu, off cpu, copied, call done, done, taken, dropped.
	Stages []waterfall.Stage `json:"stages"`
	// End is how it ended: copied, done, taken, dropped, or open where more was
	// not seen.
	End  string `json:"end"`
	Drop *Drop  `json:"drop,omitempty"`
	// Path are the kernel's functions that it went through to be sent, and
	// Arrival those to its socket, outermost first.
	Path    []string `json:"path,omitempty"`
	Arrival []string `json:"arrival,omitempty"`
	// Again is that TCP sent it once more; Before is the life that it repeats, where
	// that was followed too.
	Again  bool   `json:"again,omitempty"`
	Before uint64 `json:"before,omitempty"`
	// Headers are its first bytes, from the network header on.
	Headers []byte `json:"headers,omitempty"`
	family  uint16
	seq     uint32
}

// Process is at one end of a packet.
type Process struct {
	Pid  uint32 `json:"pid"`
	Comm string `json:"comm"`
}

// Drop is why a packet ended before its time.
type Drop struct {
	// Reason is the kernel's name, "" before 5.17.
	Reason string `json:"reason,omitempty"`
	Place  string `json:"place"`
	Advice string `json:"advice,omitempty"`
}

// Stage returns the first stage of a name.
func (l *Life) Stage(name string) (waterfall.Stage, bool) {
	for _, s := range l.Stages {
		if s.Name == name {
			return s, true
		}
	}
	return waterfall.Stage{}, false
}

// Family is the Ethernet protocol, such as 0x0800 for IPv4.
func (l *Life) Family() uint16 { return l.family }

// Numbers of protocols: of Ethernet, and of IP.
const (
	familyIPv4 = 0x0800
	familyIPv6 = 0x86dd
	familyARP  = 0x0806
	protoTCP   = 6
	protoUDP   = 17
	protoSCTP  = 132
)

// read fills in what the packet's headers say. Headers that are cut short leave fields
// out.
func (l *Life) read(b []byte) {
	l.Headers = b
	l.Proto = "ethernet"
	var rest []byte
	var p byte
	switch {
	case l.family == familyIPv4 && len(b) >= 20:
		l.Src, l.Dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		p = b[9]
		if at := int(b[0]&15) * 4; at >= 20 && at <= len(b) && binary.BigEndian.Uint16(b[6:])&0x1fff == 0 {
			rest = b[at:]
		}
	case l.family == familyIPv6 && len(b) >= 40:
		l.Src, l.Dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		p, rest = behindIPv6(b)
	case l.family == familyARP:
		l.Proto = "arp"
		if len(b) >= 28 {
			l.Src, l.Dst = netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
		}
		return
	default:
		return
	}
	l.Proto = drop.Protocol(l.family, p)
	if (p == protoTCP || p == protoUDP || p == protoSCTP) && len(rest) >= 4 {
		l.Sport, l.Dport = binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
	}
	if p == protoTCP && len(rest) >= 14 {
		l.seq = binary.BigEndian.Uint32(rest[4:])
		for i, name := range []string{"F", "S", "R", "P", "A", "U", "E", "W"} {
			if rest[13]&(1<<i) != 0 {
				l.Flags += name
			}
		}
	}
}

// behindIPv6 goes over the headers between IPv6 and the transport.
func behindIPv6(b []byte) (proto byte, rest []byte) {
	proto, at := b[6], 40
	for range 4 {
		if proto != 0 && proto != 43 && proto != 44 && proto != 60 || at+8 > len(b) {
			break
		}
		next := at + 8
		if proto == 44 {
			if binary.BigEndian.Uint16(b[at+2:])&0xfff8 != 0 {
				return b[at], nil
			}
		} else {
			next += int(b[at+1]) * 8
		}
		proto, at = b[at], next
	}
	if at > len(b) {
		return proto, nil
	}
	return proto, b[at:]
}

// payload is how many bytes of data a datagram or a segment has; -1 where that is not
// known.
func (l *Life) payload() int {
	b := l.Headers
	var rest []byte
	switch {
	case l.family == familyIPv4 && len(b) >= 20 && int(b[0]&15)*4 <= len(b):
		rest = b[int(b[0]&15)*4:]
	case l.family == familyIPv6 && len(b) >= 40:
		_, rest = behindIPv6(b)
	}
	before := len(b) - len(rest)
	switch {
	case l.Proto == "udp" && len(rest) >= 8:
		return int(l.Length) - before - 8
	case l.Proto == "tcp" && len(rest) >= 13:
		return int(l.Length) - before - int(rest[12]>>4)*4
	}
	return -1
}
