package rule

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// TestAddrSet compares the set with a look at each network.
func TestAddrSet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	addr := func() netip.Addr {
		b := [16]byte{0x20, 0x01, byte(rnd.IntN(3)), byte(rnd.IntN(3)), 14: byte(rnd.IntN(3)), 15: byte(rnd.IntN(3))}
		if rnd.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, b[2], b[14], b[15]})
		}
		return netip.AddrFrom16(b)
	}
	for range 200 {
		var nets []netip.Prefix
		var values []*ast.Literal
		for range rnd.IntN(12) {
			a := addr()
			p := netip.PrefixFrom(a, rnd.IntN(a.BitLen()+1))
			nets = append(nets, p)
			text := p.String()
			if a.Is4() && rnd.IntN(3) == 0 { // the same, written as IPv6
				text = netip.PrefixFrom(netip.AddrFrom16(a.As16()), p.Bits()+96).String()
			}
			values = append(values, &ast.Literal{Text: text})
		}
		set := newAddrSet(values)
		for range 50 {
			a := addr()
			want := slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(a) })
			if set.has(a) != want {
				t.Fatalf("%s in %v: %v, want %v", a, nets, !want, want)
			}
		}
	}
}
