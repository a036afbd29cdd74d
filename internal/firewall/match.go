package firewall

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// match reads the fields of f into m; negated ones are those under "not".
func (r *reader) match(m *Match, f *fileMatch, negated bool) error {
	one := func(to *Range, most uint16) func(list) error {
		return func(l list) (err error) {
			if len(l) != 1 {
				return errors.New("takes one value or one range: write a rule for each")
			}
			*to, err = parseRange(l[0], most)
			return err
		}
	}
	scalar := func(set func(*Match, string) error) func(list) error {
		return func(l list) error {
			if len(l) != 1 {
				return errors.New("takes one value: write a rule for each")
			}
			return set(m, l[0])
		}
	}
	ports := func(to *[]Range) func(list) error {
		return func(l list) error {
			for _, s := range l {
				p, err := parseRange(s, 65535)
				if err != nil {
					return err
				}
				*to = append(*to, p)
			}
			return nil
		}
	}
	for _, x := range []struct {
		key   string
		field Field
		list  list
		read  func(list) error
	}{
		{"src", Src, f.Src, func(l list) (err error) { m.Src, err = r.prefixes(l); return err }},
		{"dst", Dst, f.Dst, func(l list) (err error) { m.Dst, err = r.prefixes(l); return err }},
		{"sport", SrcPort, f.SrcPort, ports(&m.SrcPort)},
		{"dport", DstPort, f.DstPort, ports(&m.DstPort)},
		{"protocol", Protocol, f.Protocol, func(l list) error { return readProtocols(m, l) }},
		{"tcp_flags", TCPFlags, f.TCPFlags, func(l list) error { return readFlags(m, l) }},
		{"icmp_type", ICMPType, f.ICMPType, one(&m.ICMPType, 255)},
		{"icmp_code", ICMPCode, f.ICMPCode, one(&m.ICMPCode, 255)},
		{"length", Length, f.Length, one(&m.Length, 65535)},
		{"ttl", TTL, f.TTL, one(&m.TTL, 255)},
		{"dscp", DSCP, f.DSCP, one(&m.DSCP, 63)},
		{"fragment", Fragment, f.Fragment, func(l list) error { return readFragments(m, l) }},
		{"vlan", VLAN, f.VLAN, one(&m.VLAN, 4095)},
		{"mac", MAC, f.MAC, scalar(setMAC)},
		{"device", Device, f.Device, scalar(r.setDevice)},
		{"established", Established, f.Established, scalar(onlyTrue)},
		{"payload", PayloadBytes, f.Payload.list(), func(list) (err error) { m.Payload, err = f.Payload.read(); return err }},
	} {
		if x.list == nil {
			continue
		}
		if len(x.list) == 0 {
			return fmt.Errorf("%s: an empty list matches nothing: leave the field or the rule out", x.key)
		}
		if m.Has&x.field != 0 {
			return fmt.Errorf("%s: it stands under match and under not: write two rules", x.key)
		}
		if err := x.read(x.list); err != nil {
			return fmt.Errorf("%s: %w", x.key, err)
		}
		m.Has |= x.field
		if negated {
			m.Not |= x.field
		}
	}
	return nil
}

// onlyTrue is for a field that holds or does not.
func onlyTrue(_ *Match, s string) error {
	if s != "true" {
		return fmt.Errorf("%q: it takes true; what it must not be stands under not", s)
	}
	return nil
}

func parseUint(s string, most uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > most {
		return 0, fmt.Errorf("%q is not a number from 0 to %d", s, most)
	}
	return n, nil
}

func parseRange(s string, most uint16) (Range, error) {
	lo, hi, two := strings.Cut(s, "-")
	if !two {
		hi = lo
	}
	a, err := parseUint(lo, uint64(most))
	if err != nil {
		return Range{}, err
	}
	b, err := parseUint(hi, uint64(most))
	if err != nil {
		return Range{}, err
	}
	if a > b {
		return Range{}, fmt.Errorf("%q ends before it begins", s)
	}
	return Range{uint16(a), uint16(b)}, nil
}

func readProtocols(m *Match, l list) error {
	names := map[string]uint8{
		"icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58,
		"ospf": 89, "sctp": 132, "udplite": 136,
	}
	for _, s := range l {
		n, ok := names[s]
		if !ok {
			v, err := parseUint(s, 255)
			if err != nil {
				return fmt.Errorf("%q is neither the name of a protocol nor a number from 0 to 255", s)
			}
			n = uint8(v)
		}
		m.Protocols = append(m.Protocols, n)
	}
	return nil
}

func readFlags(m *Match, l list) error {
	names := map[string]uint8{"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ece": 64, "cwr": 128}
	for _, s := range l {
		name, unset := strings.CutPrefix(s, "!")
		bit, ok := names[name]
		if !ok {
			return fmt.Errorf("%q is none of fin, syn, rst, psh, ack, urg, ece, cwr, with ! in front for one that must not be set", s)
		}
		if unset {
			m.TCPUnset |= bit
		} else {
			m.TCPSet |= bit
		}
	}
	if m.TCPSet&m.TCPUnset != 0 {
		return errors.New("a flag cannot be set and unset at once")
	}
	return nil
}

func readFragments(m *Match, l list) error {
	names := map[string]uint8{"none": Whole, "first": FirstFragment, "later": LaterFragment, "any": FirstFragment | LaterFragment}
	for _, s := range l {
		bits, ok := names[s]
		if !ok {
			return fmt.Errorf("%q is none of any, first, later, none", s)
		}
		m.Fragments |= bits
	}
	return nil
}
