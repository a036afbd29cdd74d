// Package filter compiles tcpdump's language (pcap-filter(7)) into the programs of what
// follows packets and connections.
//
// In comes an expression; out come instructions that take the place of the function match
// of bpf/include/filter.h, or an error that shows where the expression is wrong.
package filter

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/asm"
)

// Filter says which packets are taken: an expression over a packet's network and
// transport headers.
type Filter struct {
	text string
	root node
}

// SyntaxError is a filter that does not compile. Its message shows where.
type SyntaxError struct {
	Text string
	// At is the place in the text, in bytes.
	At  int
	Why string
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("the filter does not compile: %s\n  %s\n  %s^", e.Why, e.Text, strings.Repeat(" ", e.At))
}

// node is a part of an expression.
type node interface{ match(header []byte) bool }

type and struct{ l, r node }
type or struct{ l, r node }
type not struct{ x node }

// compare compares some bytes of struct header, all of it that a filter can ask.
type compare struct {
	offset, size int
	network      bool // in network byte order
	mask         uint32
	op           operator
	value        uint32
}

type operator uint8

const (
	equal operator = iota
	unequal
	greater
	less
	greaterEqual
	lessEqual
)

func (n and) match(h []byte) bool { return n.l.match(h) && n.r.match(h) }
func (n or) match(h []byte) bool  { return n.l.match(h) || n.r.match(h) }
func (n not) match(h []byte) bool { return !n.x.match(h) }

func (n compare) match(h []byte) bool {
	var order binary.ByteOrder = binary.LittleEndian
	if n.network {
		order = binary.BigEndian
	}
	var v uint32
	switch n.size {
	case 1:
		v = uint32(h[n.offset])
	case 2:
		v = uint32(order.Uint16(h[n.offset:]))
	default:
		v = order.Uint32(h[n.offset:])
	}
	v &= n.mask
	switch n.op {
	case equal:
		return v == n.value
	case unequal:
		return v != n.value
	case greater:
		return v > n.value
	case less:
		return v < n.value
	case greaterEqual:
		return v >= n.value
	default:
		return v <= n.value
	}
}

// Header is struct header of filter.h: what a filter looks at.
type Header struct {
	// L3 and L4 begin with the network and the transport header; what is not there
	// is 0. L4Has is how much of L4 is there, 0 for later fragments.
	L3, L4 [headerKept]byte
	// Length is from the network header on; Family the Ethernet protocol; Proto that
	// of IP; Sent is 1 for what this host sends.
	Length, Family, Proto, L4Has, Sent uint32
	// Linear and Base are the programs' own.
	Linear uint32
	Base   uint64
}

// Where struct header of filter.h has its parts, and how much of each header is kept.
const (
	headerL3     = 0
	headerL4     = 40
	headerLength = 80
	headerFamily = 84
	headerProto  = 88
	headerL4Has  = 92
	headerSent   = 96
	headerKept   = 40
)

// The protocols that a filter knows by name.
const (
	familyIPv4 = 0x0800
	familyIPv6 = 0x86dd
	familyARP  = 0x0806
	protoICMP  = 1
	protoTCP   = 6
	protoUDP   = 17
	protoICMP6 = 58
	protoSCTP  = 132
)

func field(offset int, value uint32) node {
	return compare{offset, 4, false, 0xffffffff, equal, value}
}

func family(f uint32) node { return field(headerFamily, f) }
func proto(p uint32) node  { return field(headerProto, p) }

func isIP() node { return or{family(familyIPv4), family(familyIPv6)} }

// transport is a protocol over either IP.
func transport(p uint32) node { return and{isIP(), proto(p)} }

// hasL4 is whether so many bytes of the transport header are there.
func hasL4(n int) node {
	return compare{headerL4Has, 4, false, 0xffffffff, greaterEqual, uint32(n)}
}

// ordered is a comparison in network byte order of size bytes.
func ordered(offset, size int, mask, value uint32) node {
	return compare{offset, size, true, mask, equal, value & mask}
}

// all joins with and; there is at least one.
func all(nodes ...node) node {
	n := nodes[0]
	for _, x := range nodes[1:] {
		n = and{n, x}
	}
	return n
}

// any2 joins by a direction: src, dst, both or either.
func any2(dir string, src, dst node) node {
	switch dir {
	case "src":
		return src
	case "dst":
		return dst
	case "src and dst":
		return and{src, dst}
	}
	return or{src, dst}
}

// String is the text that it was made from.
func (f *Filter) String() string { return f.text }

// Match is what the compiled filter gives for a struct header of filter.h.
func (f *Filter) Match(header []byte) bool { return f.root == nil || f.root.match(header) }

// Compile returns the instructions of match: r1 is the header, r0 becomes 1 or 0. There
// are none for a filter that takes all.
func (f *Filter) Compile() asm.Instructions {
	if f.root == nil {
		return nil
	}
	return f.compile()
}

// Directed is whether the filter asks for the direction: then it may take a packet that
// comes in though it did not when that was sent.
func (f *Filter) Directed() bool { return directed(f.root) }

func directed(n node) bool {
	switch n := n.(type) {
	case and:
		return directed(n.l) || directed(n.r)
	case or:
		return directed(n.l) || directed(n.r)
	case not:
		return directed(n.x)
	case compare:
		return n.offset == headerSent
	}
	return false
}
