package rule

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// addrSet holds addresses and networks. Networks are found by their masked
// address, one look for each length that there is, so that a list of thousands
// costs no more than one of each length.
type addrSet struct {
	addrs        map[netip.Addr]struct{}
	nets         map[netip.Prefix]struct{}
	bits4, bits6 []int
}

// newAddrSet reads the literals of a check, which have been found to be right
// before. IPv4 addresses that are written as IPv6 ones count as IPv4.
func newAddrSet(values []*ast.Literal) *addrSet {
	s := &addrSet{addrs: map[netip.Addr]struct{}{}, nets: map[netip.Prefix]struct{}{}}
	for _, v := range values {
		if a, err := netip.ParseAddr(v.Text); err == nil {
			s.addrs[a.Unmap()] = struct{}{}
			continue
		}
		p, err := netip.ParsePrefix(v.Text)
		if err != nil {
			continue
		}
		s.add(p)
	}
	return s
}

func (s *addrSet) add(p netip.Prefix) {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	s.nets[p.Masked()] = struct{}{}
	bits := &s.bits6
	if p.Addr().Is4() {
		bits = &s.bits4
	}
	if !slices.Contains(*bits, p.Bits()) {
		*bits = append(*bits, p.Bits())
	}
}

func (s *addrSet) has(a netip.Addr) bool {
	if _, ok := s.addrs[a]; ok {
		return true
	}
	bits := s.bits6
	if a.Is4() {
		bits = s.bits4
	}
	for _, n := range bits {
		if p, err := a.Prefix(n); err == nil {
			if _, ok := s.nets[p]; ok {
				return true
			}
		}
	}
	return false
}

// addrCheck compiles a check of addresses. A field that stands for both ends of
// a connection has two: one has to fit, and for inequality none may.
func (s *slots) addrCheck(c *ast.Check) pred {
	left := s.addrs(c.Left)
	if left == nil {
		return constant(false)
	}
	if c.Op == ast.OpExists {
		return func(c *matchCtx) bool { return len(left(c)) > 0 }
	}
	differs := c.Op == ast.OpNe
	if c.Right != nil {
		right := s.addrs(c.Right)
		if right == nil {
			return constant(false)
		}
		return func(c *matchCtx) bool {
			ls, rs := left(c), right(c)
			both := func(a netip.Addr) bool { return slices.Contains(rs, a) }
			return len(ls) > 0 && len(rs) > 0 && slices.ContainsFunc(ls, both) != differs
		}
	}
	set := newAddrSet(c.Values)
	return func(c *matchCtx) bool {
		all := left(c)
		return len(all) > 0 && slices.ContainsFunc(all, set.has) != differs
	}
}

type addrsFunc func(*matchCtx) []netip.Addr

// addrs compiles an operand to its addresses, read once an event: a field of
// networks and that of the same end's addresses share them. It is nil for
// operands that have none.
func (s *slots) addrs(o *ast.Operand) addrsFunc {
	for o.Func == ast.FuncVal {
		o = o.Args[0]
	}
	ref := o.Ref
	if ref == nil || o.Type != event.FieldIP && o.Type != event.FieldNet {
		return nil
	}
	slot := number(s.ips, strings.Replace(ref.Name(), "net", "ip", 1))
	return func(c *matchCtx) []netip.Addr {
		a := &c.addrs[slot]
		if a.gen != c.gen {
			a.addrs, a.gen = ref.AppendAddrs(c.ev, a.addrs[:0]), c.gen
		}
		return a.addrs
	}
}
