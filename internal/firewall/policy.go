// Package firewall has the types of a packet filter's policy and reads them from
// YAML. What goes in is a policy file; what comes out is a checked Policy, which
// firewall/compile turns into tables for the kernel program of firewall/xdp and
// firewall/model judges frames by. cmd/bearcat calls it; it does no I/O.
package firewall

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// MaxRules is how many rules a policy may have.
const MaxRules = 10240

// Action is what happens to a frame.
type Action uint8

// The actions. Count goes on to the next rule; Limit drops what is over the
// rate of its source and goes on with the rest.
const (
	Pass Action = iota
	Drop
	Count
	Limit
)

func (a Action) String() string {
	switch a {
	case Pass:
		return "pass"
	case Drop:
		return "drop"
	case Count:
		return "count"
	case Limit:
		return "limit"
	}
	return "unknown"
}

// Field names the parts of a match, as bits.
type Field uint32

// The first twelve have the bits of the program's M_ constants.
const (
	Length Field = 1 << iota
	TTL
	DSCP
	TCPFlags
	ICMPType
	ICMPCode
	Fragment
	VLAN
	MAC
	Device
	Established
	PayloadBytes
	Src
	Dst
	SrcPort
	DstPort
	Protocol
)

// String names the fields as a policy file does, with commas between.
func (f Field) String() string {
	names := []string{
		"length", "ttl", "dscp", "tcp_flags", "icmp_type", "icmp_code", "fragment", "vlan", "mac", "device", "established", "payload",
		"src", "dst", "sport", "dport", "protocol",
	}
	var out []string
	for i, name := range names {
		if f&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

// Range is inclusive at both ends.
type Range struct{ Lo, Hi uint16 }

// Has says whether v is within.
func (r Range) Has(v uint16) bool { return v >= r.Lo && v <= r.Hi }

// Bits of Match.Fragments.
const (
	Whole         uint8 = 1 << iota // not a fragment
	FirstFragment                   // has the ports
	LaterFragment
)

// Match says which frames a rule is about: those for which every field in Has
// holds. A field in Not holds where the value differs. A field that a frame does
// not have, such as the port of a later fragment, holds neither way.
type Match struct {
	Has, Not Field

	Src, Dst           []netip.Prefix
	SrcPort, DstPort   []Range
	Protocols          []uint8
	Length, VLAN       Range
	TTL, DSCP          Range
	ICMPType, ICMPCode Range
	TCPSet, TCPUnset   uint8
	Fragments          uint8
	MAC                [6]byte
	Device             uint32 // index
	DeviceName         string
	Payload            Payload
}

// Bounds of a payload match; the program has room for as many.
const (
	MaxPayload       = 32
	MaxPayloadOffset = 8191
)

// Payload is bytes at a place behind the transport header. Where Mask is not empty, only
// its bits are compared; the others of Bytes are unset.
type Payload struct {
	Offset      uint16
	Bytes, Mask []byte
}

// In says whether a payload has the bytes. A payload that does not reach so far neither
// has them nor others: then known is false.
func (p *Payload) In(b []byte) (known, same bool) {
	end := int(p.Offset) + len(p.Bytes)
	if end > len(b) {
		return false, false
	}
	for i, x := range b[p.Offset:end] {
		if len(p.Mask) > 0 {
			x &= p.Mask[i]
		}
		if x != p.Bytes[i] {
			return true, false
		}
	}
	return true, true
}

// Rule is one line of a policy. The first rule that passes or drops decides.
type Rule struct {
	Name     string
	Comment  string
	Disabled bool
	Match    Match
	Action   Action
	// Of Limit: Packets or Bytes in Per on average, and Burst of them at once. Flow
	// gives each flow an account of its own, and not each source.
	Packets      uint32
	Bytes, Burst uint64
	Per          time.Duration
	Flow         bool
	// Ban blocks the source for this long when the rule drops. Unproven bans
	// also sources without an established connection, whose address may be
	// made up.
	Ban      time.Duration
	Unproven bool
	Grow     bool // each ban of a source is twice as long as the one before
	Monitor  bool // count what would be dropped, and go on
	Out      bool // of what goes out, and not of what comes in
}

// Guard bans a source that opens too many TCP connections to ports of this host.
// Only those count whose handshake was completed, so that nobody can have another's
// address banned; openings that are not completed are limited by HalfOpen.
type Guard struct {
	Name, Comment string
	Ports         []Range
	// Connections in Per are allowed, all at once or spread out.
	Connections uint32
	Per         time.Duration
	Ban         time.Duration
	Grow        bool
	HalfOpen    uint32 // openings a second from one source
	Monitor     bool   // count, ban and drop nothing
}

// Opened is what the counter of a guard's connections is called. Names of rules
// have no blanks, so it is none of theirs.
func (g *Guard) Opened() string { return g.Name + " connections" }

// halfOpen is the rule that limits openings.
func (g *Guard) halfOpen() Rule {
	return Rule{
		Name: g.Name + " half-open", Comment: g.Comment, Action: Limit, Monitor: g.Monitor,
		Packets: g.HalfOpen, Burst: uint64(g.HalfOpen), Per: time.Second,
		Match: Match{Has: Protocol | DstPort | TCPFlags, Protocols: []uint8{6}, DstPort: g.Ports, TCPSet: 2, TCPUnset: 16},
	}
}

// Policy is everything that decides on a frame but for lists that commands keep:
// blocked, allowed and banned sources.
type Policy struct {
	Default    Action // of IP packets that come in and no rule decides
	DefaultOut Action // of those that go out
	Malformed  Action // of frames that contradict themselves
	Unparsed   Action // of what is neither IP nor ARP
	Monitor    bool   // drop nothing, count what would be
	Guards     []Guard
	Rules      []Rule
	Regions    []Region // the countries and autonomous systems that rules name
}

// Empty passes what is well formed.
func Empty() *Policy { return &Policy{Malformed: Drop} }

// FiltersOut says whether the policy can drop what goes out.
func (p *Policy) FiltersOut() bool {
	return p.DefaultOut == Drop || slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.Out && !r.Disabled })
}

// Active gives the rules that are not disabled, in order. Those that guards stand for
// come first.
func (p *Policy) Active() []Rule {
	out := make([]Rule, 0, len(p.Guards)+len(p.Rules))
	for i := range p.Guards {
		out = append(out, p.Guards[i].halfOpen())
	}
	for _, r := range p.Rules {
		if !r.Disabled {
			out = append(out, r)
		}
	}
	return out
}
