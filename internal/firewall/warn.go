package firewall

import (
	"bytes"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
)

// maxWarnings bounds what is said of one policy, maxCompared how many of its rules that
// decide are compared with those behind them.
const (
	maxWarnings = 20
	maxCompared = 1000
)

// Warnings says in sentences what a policy has that does nothing: rules that one before
// them decides for, and prefixes within others of the same list. It may not find all.
func Warnings(p *Policy) []string {
	var out []string
	left := 0
	add := func(format string, args ...any) {
		if len(out) < maxWarnings {
			out = append(out, fmt.Sprintf(format, args...))
		} else {
			left++
		}
	}
	verbs := map[Action]string{Pass: "passes", Drop: "drops"}
	var deciding []*Rule
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Disabled {
			continue
		}
		for _, d := range deciding {
			if d.Out == r.Out && d.Match.covers(&r.Match) {
				add("rule %s never holds: %s, before it, %s all that it is about", r.Name, d.Name, verbs[d.Action])
				break
			}
		}
		if verbs[r.Action] != "" && !r.Monitor && len(deciding) < maxCompared {
			deciding = append(deciding, r)
		}
		for name, l := range map[string][]netip.Prefix{"src": r.Match.Src, "dst": r.Match.Dst} {
			if inner, outer, ok := overlap(l); ok {
				add("rule %s: %s: %s is within %s already", r.Name, name, inner, outer)
			}
		}
	}
	if left > 0 {
		out = append(out, fmt.Sprintf("and %d more of the kind", left))
	}
	return out
}

// overlap finds a prefix that is within another of a list.
func overlap(l []netip.Prefix) (inner, outer netip.Prefix, found bool) {
	sorted := slices.Clone(l)
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits() // the wider one first
	})
	for i := 1; i < len(sorted); i++ {
		// what is within an earlier one is within one of those directly before it, or they
		// overlap themselves
		if sorted[i-1].Overlaps(sorted[i]) {
			return sorted[i], sorted[i-1], true
		}
	}
	return inner, outer, false
}

// covers says whether m holds for every frame that o holds for. Where it is not sure it
// says no.
func (m *Match) covers(o *Match) bool {
	if m.Has&^o.Has != 0 || m.Has&(m.Not^o.Not) != 0 {
		return false
	}
	for has := m.Has; has != 0; {
		f := Field(1) << (bits.Len32(uint32(has)) - 1) // ports and addresses first: most differ there
		has &^= f
		wide, narrow := m, o
		if m.Not&f != 0 { // what is excepted must be less
			wide, narrow = o, m
		}
		if !wide.takes(narrow, f) {
			return false
		}
	}
	return true
}

// takes says whether every value of a field that o names is among m's.
func (m *Match) takes(o *Match, f Field) bool {
	switch f {
	case Src:
		return prefixesWithin(o.Src, m.Src)
	case Dst:
		return prefixesWithin(o.Dst, m.Dst)
	case SrcPort:
		return rangesWithin(o.SrcPort, m.SrcPort)
	case DstPort:
		return rangesWithin(o.DstPort, m.DstPort)
	case Protocol:
		return !slices.ContainsFunc(o.Protocols, func(p uint8) bool { return !slices.Contains(m.Protocols, p) })
	case Length:
		return m.Length.within(o.Length)
	case TTL:
		return m.TTL.within(o.TTL)
	case DSCP:
		return m.DSCP.within(o.DSCP)
	case VLAN:
		return m.VLAN.within(o.VLAN)
	case ICMPType:
		return m.ICMPType.within(o.ICMPType)
	case ICMPCode:
		return m.ICMPCode.within(o.ICMPCode)
	case TCPFlags:
		return m.TCPSet&^o.TCPSet == 0 && m.TCPUnset&^o.TCPUnset == 0
	case Fragment:
		return o.Fragments&^m.Fragments == 0
	case MAC:
		return m.MAC == o.MAC
	case Device:
		return m.DeviceName == o.DeviceName
	case Established:
		return true
	case PayloadBytes:
		return m.Payload.Offset == o.Payload.Offset && bytes.Equal(m.Payload.Bytes, o.Payload.Bytes) && bytes.Equal(m.Payload.Mask, o.Payload.Mask)
	}
	return false
}

// within says whether all of o is in r.
func (r Range) within(o Range) bool { return r.Lo <= o.Lo && o.Hi <= r.Hi }

// maxPairs bounds how much two lists of prefixes are compared; longer ones count as not
// the same.
const maxPairs = 1 << 16

func prefixesWithin(inner, outer []netip.Prefix) bool {
	if len(inner)*len(outer) > maxPairs {
		return false
	}
	return !slices.ContainsFunc(inner, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(outer, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) })
	})
}

func rangesWithin(inner, outer []Range) bool {
	return !slices.ContainsFunc(inner, func(r Range) bool {
		return !slices.ContainsFunc(outer, func(o Range) bool { return o.within(r) })
	})
}
