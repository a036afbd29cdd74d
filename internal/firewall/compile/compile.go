// Package compile turns the rules of a policy into tables in which the kernel
// program looks up each dimension of a frame once, whatever the number of rules.
// A checked policy goes in; rows of bits and the tables that lead to them come
// out, for firewall/xdp to put into maps. It touches no kernel.
//
// A row has one bit for each rule, set where the rule accepts a value of one
// dimension: source, destination, source port, destination port or protocol.
// Values that the same rules accept share a row.
package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/firewall"
)

// Bounds of what a policy may take in the kernel.
const (
	MaxRows   = 131072 // of 1,280 bytes
	MaxBlocks = 65536  // of 1,024 bytes
	MaxDirect = 31     // bits that an entry of the trie has room for
)

// Block is 256 entries of the trie of IPv4 addresses, by their third or fourth byte: a row, or with the highest
// bit set the number of the block for the next byte.
type Block [256]uint32

const pointer = 1 << 31

// Tables is a compiled policy. Indices are into Rows; those with two elements are
// of source and destination.
type Tables struct {
	Rules []firewall.Rule // the active ones
	Words int             // of each row that are in use
	// Direct is set for up to MaxDirect rules: in place of the number of a row stand
	// its bits, so that nothing needs to be looked up.
	Direct     bool
	Rows       [][]uint64
	Any4, Any6 [2]uint32        // addresses that no prefix covers
	Flat       [2][65536]uint32 // by the first 16 bits of an IPv4 address: a row, or a block of the trie
	Trie       []Block
	V6         [2]map[netip.Prefix]uint32
	Named4     [2]bool // some rule names IPv4 prefixes
	Ports      [2][65536]uint32
	NoPort     [2]uint32 // frames without ports
	NamedPorts [2]bool
	Named      uint32         // which of source, destination and the two ports some rule is about, as bits
	Protocols  [2][256]uint32 // of what comes in and of what goes out, without the rules of the other
}

type compiler struct {
	*Tables
	index map[string]uint32
}

// Compile makes the tables of p.
func Compile(p *firewall.Policy) (*Tables, error) {
	t := &Tables{Rules: p.Active()}
	if len(t.Rules) > firewall.MaxRules {
		return nil, fmt.Errorf("%d rules are more than %d", len(t.Rules), firewall.MaxRules)
	}
	t.Words = (len(t.Rules) + 63) / 64
	t.Direct = len(t.Rules) > 0 && len(t.Rules) <= MaxDirect
	for i, field := range []firewall.Field{firewall.Src, firewall.Dst, firewall.SrcPort, firewall.DstPort} {
		if slices.ContainsFunc(t.Rules, func(r firewall.Rule) bool { return r.Match.Has&field != 0 }) {
			t.Named |= 1 << i
		}
	}
	c := compiler{t, map[string]uint32{}}
	for dim, field := range []firewall.Field{firewall.Src, firewall.Dst} {
		if err := c.addresses(dim, field); err != nil {
			return nil, err
		}
	}
	for dim, field := range []firewall.Field{firewall.SrcPort, firewall.DstPort} {
		c.ports(dim, field)
	}
	c.protocols()
	if len(t.Rows) > MaxRows {
		return nil, fmt.Errorf("the rules need %d rows, more than %d: use fewer different ports and prefixes", len(t.Rows), MaxRows)
	}
	return t, nil
}

// row gives the number of the row with these bits, which it copies, or of few rules
// the bits themselves.
func (c *compiler) row(bits []uint64) uint32 {
	if c.Direct {
		return uint32(bits[0])
	}
	var key string
	if len(bits) > 0 {
		key = unsafe.String((*byte)(unsafe.Pointer(&bits[0])), len(bits)*8)
	}
	if n, ok := c.index[key]; ok {
		return n
	}
	bits = slices.Clone(bits)
	if len(bits) > 0 { // the map must not hold bits that change
		key = unsafe.String((*byte)(unsafe.Pointer(&bits[0])), len(bits)*8)
	}
	n := uint32(len(c.Rows))
	c.index[key] = n
	c.Rows = append(c.Rows, bits)
	return n
}

// fields gives which rules have a field, and which of them negate it.
func (c *compiler) fields(f firewall.Field) (has, not []uint64) {
	has, not = make([]uint64, c.Words), make([]uint64, c.Words)
	for i, r := range c.Rules {
		if r.Match.Has&f != 0 {
			set(has, i)
		}
		if r.Match.Not&f != 0 {
			set(not, i)
		}
	}
	return has, not
}

func set(bits []uint64, i int)    { bits[i/64] |= 1 << (i % 64) }
func clear1(bits []uint64, i int) { bits[i/64] &^= 1 << (i % 64) }

// accepting gives the row of the rules that accept a value which is in the lists
// of those in covered.
func (c *compiler) accepting(covered, has, not []uint64) uint32 {
	return c.row(c.accepts(covered, has, not))
}

func (c *compiler) accepts(covered, has, not []uint64) []uint64 {
	bits := make([]uint64, c.Words)
	for w := range bits {
		bits[w] = (covered[w] ^ not[w]) | ^has[w]
	}
	if n := len(c.Rules) % 64; n != 0 {
		bits[c.Words-1] &= 1<<n - 1
	}
	return bits
}

func (c *compiler) protocols() {
	has, not := c.fields(firewall.Protocol)
	var by [256][]int
	for i, r := range c.Rules {
		for _, p := range r.Match.Protocols {
			by[p] = append(by[p], i)
		}
	}
	covered := make([]uint64, c.Words)
	for p := range by {
		clear(covered)
		for _, i := range by[p] {
			set(covered, i)
		}
		bits := c.accepts(covered, has, not)
		for direction := range c.Protocols {
			own := slices.Clone(bits)
			for i := range c.Rules {
				if c.Rules[i].Out != (direction == 1) {
					clear1(own, i)
				}
			}
			c.Protocols[direction][p] = c.row(own)
		}
	}
}

// ports goes along the port numbers, with the rules that begin and end at each.
func (c *compiler) ports(dim int, field firewall.Field) {
	has, not := c.fields(field)
	none := make([]uint64, c.Words)
	for w := range none {
		none[w] = ^has[w]
	}
	if n := len(c.Rules) % 64; n != 0 {
		none[c.Words-1] &= 1<<n - 1
	}
	c.NoPort[dim] = c.row(none)
	var begin, end [65537][]int
	for i := range c.Rules {
		l := c.Rules[i].Match.SrcPort
		if dim == 1 {
			l = c.Rules[i].Match.DstPort
		}
		for _, r := range l {
			c.NamedPorts[dim] = true
			begin[r.Lo] = append(begin[r.Lo], i)
			end[int(r.Hi)+1] = append(end[int(r.Hi)+1], i)
		}
	}
	covered, depth := make([]uint64, c.Words), make([]int, len(c.Rules))
	row := c.accepting(covered, has, not)
	for port := range 65536 {
		for _, i := range begin[port] {
			depth[i]++
			set(covered, i)
		}
		for _, i := range end[port] {
			if depth[i]--; depth[i] == 0 {
				clear1(covered, i)
			}
		}
		if len(begin[port])+len(end[port]) > 0 {
			row = c.accepting(covered, has, not)
		}
		c.Ports[dim][port] = row
	}
}
