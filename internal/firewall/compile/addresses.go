package compile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bearcat-hids/bearcat/internal/firewall"
)

// addresses makes the tables of one direction.
func (c *compiler) addresses(dim int, field firewall.Field) error {
	has, not := c.fields(field)
	any := c.accepting(make([]uint64, c.Words), has, not)
	c.Any4[dim], c.Any6[dim] = any, any
	c.V6[dim] = map[netip.Prefix]uint32{}
	rules := map[netip.Prefix][]int{}
	for i := range c.Rules {
		l := c.Rules[i].Match.Src
		if dim == 1 {
			l = c.Rules[i].Match.Dst
		}
		for _, p := range l {
			p = p.Masked()
			rules[p] = append(rules[p], i)
		}
	}
	sorted := make([]netip.Prefix, 0, len(rules))
	for p := range rules {
		sorted = append(sorted, p)
	}
	// a prefix comes before what lies in it, IPv4 before IPv6
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits())
	})
	rows := make(map[netip.Prefix]uint32, len(sorted))
	type level struct {
		prefix  netip.Prefix
		covered []uint64
	}
	var stack []level
	for _, p := range sorted {
		for len(stack) > 0 && !stack[len(stack)-1].prefix.Contains(p.Addr()) {
			stack = stack[:len(stack)-1]
		}
		covered := make([]uint64, c.Words)
		if len(stack) > 0 {
			copy(covered, stack[len(stack)-1].covered)
		}
		for _, i := range rules[p] {
			set(covered, i)
		}
		stack = append(stack, level{p, covered})
		rows[p] = c.accepting(covered, has, not)
		if len(c.Rows) > MaxRows {
			return fmt.Errorf("the rules need more than %d rows: use fewer different prefixes", MaxRows)
		}
	}
	return c.tables(dim, rows, sorted)
}

// tables puts prefixes with their rows where the program looks them up.
func (c *compiler) tables(dim int, rows map[netip.Prefix]uint32, prefixes []netip.Prefix) error {
	for i := range c.Flat[dim] {
		c.Flat[dim][i] = c.Any4[dim]
	}
	// short ones first, so that longer ones go over them
	slices.SortStableFunc(prefixes, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	for _, p := range prefixes {
		if !p.Addr().Is4() {
			c.V6[dim][p] = rows[p]
			continue
		}
		c.Named4[dim] = true
		c.insert(dim, p, rows[p])
		if len(c.Trie) > MaxBlocks {
			return fmt.Errorf("the prefixes of the rules need more than %d MiB: put long lists into the block list with bearcat fw add", MaxBlocks/1024)
		}
	}
	return nil
}

// insert puts a prefix into the trie, which has none that is longer.
func (c *compiler) insert(dim int, p netip.Prefix, row uint32) {
	a := p.Addr().As4()
	bits := p.Bits()
	first := int(a[0])<<8 | int(a[1])
	if bits <= 16 {
		for i := range 1 << (16 - bits) {
			c.Flat[dim][first+i] = row
		}
		return
	}
	block := c.below(&c.Flat[dim][first])
	at, left := int(a[2]), 24-bits
	if bits > 24 {
		block = c.below(&c.Trie[block][a[2]])
		at, left = int(a[3]), 32-bits
	}
	for i := range 1 << left {
		c.Trie[block][at+i] = row
	}
}

// below gives the block under an entry, and makes it where there is none.
func (c *compiler) below(entry *uint32) int {
	e := *entry
	if e&pointer != 0 {
		return int(e &^ pointer)
	}
	var b Block
	for i := range b {
		b[i] = e
	}
	n := len(c.Trie)
	*entry = uint32(n) | pointer // before the blocks move
	c.Trie = append(c.Trie, b)
	return n
}
