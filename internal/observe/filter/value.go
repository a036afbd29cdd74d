package filter

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// value reads a value of a kind.
func (p *parser) value(q qualifiers, t token) (node, error) {
	p.next++
	if q.kind == "" {
		q.kind = "host"
	}
	p.last = q
	var n node
	var err error
	switch q.kind {
	case "port", "portrange":
		n, err = p.port(q, t)
	case "proto":
		return p.proto(q, t)
	default:
		n, err = p.address(q, t)
	}
	if err == nil && q.proto != "" {
		n = and{protocols[q.proto](), n}
	}
	return n, err
}

// ports that have a name of their own here: those that people type at 3 a.m.
var ports = map[string]uint32{"ssh": 22, "domain": 53, "http": 80, "https": 443, "ntp": 123, "smtp": 25}

func portNumber(s string) uint32 { return ports[s] }

func (p *parser) port(q qualifiers, t token) (node, error) {
	low, high, ranged := strings.Cut(t.text, "-")
	if !ranged {
		high = low
	}
	if ranged != (q.kind == "portrange") {
		return nil, p.fail(t.at, "port takes one number, and portrange two as in 6000-6008")
	}
	a, err := p.onePort(low, t.at)
	if err != nil {
		return nil, err
	}
	b, err := p.onePort(high, t.at)
	if err != nil {
		return nil, err
	}
	if a > b {
		return nil, p.fail(t.at, "the range ends before it begins")
	}
	if q.proto != "" && !slices.Contains([]string{"tcp", "udp", "sctp", "ip", "ip6"}, q.proto) {
		return nil, p.fail(t.at, q.proto+" has no ports")
	}
	side := func(offset int) node {
		if a == b {
			return ordered(offset, 2, 0xffff, a)
		}
		return and{compare{offset, 2, true, 0xffff, greaterEqual, a}, compare{offset, 2, true, 0xffff, lessEqual, b}}
	}
	withPorts := or{or{proto(protoTCP), proto(protoUDP)}, proto(protoSCTP)}
	return all(isIP(), withPorts, hasL4(4), any2(q.dir, side(headerL4), side(headerL4+2))), nil
}

func (p *parser) onePort(s string, at int) (uint32, error) {
	if n := portNumber(s); n != 0 {
		return n, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, p.fail(at, fmt.Sprintf("%q is no port: a number up to 65535 is, or ssh, domain, http, https, ntp, smtp", s))
	}
	return uint32(n), nil
}

func knownProto(s string) uint32 {
	return map[string]uint32{`\tcp`: protoTCP, `\udp`: protoUDP, `\icmp`: protoICMP, `\icmp6`: protoICMP6, `\sctp`: protoSCTP}[s]
}

func (p *parser) proto(q qualifiers, t token) (node, error) {
	n := knownProto(t.text)
	if n == 0 {
		v, err := strconv.ParseUint(t.text, 10, 8)
		if err != nil {
			return nil, p.fail(t.at, fmt.Sprintf(`%q is no protocol of IP: a number up to 255 is, or \tcp, \udp, \icmp, \icmp6, \sctp`, t.text))
		}
		n = uint32(v)
	}
	switch q.proto {
	case "":
		return transport(n), nil
	case "ip", "ip6":
		return and{protocols[q.proto](), proto(n)}, nil
	}
	return nil, p.fail(t.at, q.proto+" carries no other protocol: ip proto and ip6 proto do")
}

// address reads a host or a network of either family.
func (p *parser) address(q qualifiers, t token) (node, error) {
	prefix, err := parsePrefix(q.kind, t.text)
	if err != nil {
		return nil, p.fail(t.at, err.Error())
	}
	if q.kind == "net" && p.is("mask") {
		m, _ := p.peek()
		mask, err := netip.ParseAddr(m.text)
		if err != nil || !mask.Is4() || !prefix.Addr().Is4() {
			return nil, p.fail(m.at, "a mask as 255.255.255.0 is expected here")
		}
		p.next++
		b := mask.As4()
		bits := 0
		for bits < 32 && b[bits/8]&(0x80>>(bits%8)) != 0 {
			bits++
		}
		prefix = netip.PrefixFrom(prefix.Addr(), bits)
		if want := netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), bits).Masked().Addr(); want != mask {
			return nil, p.fail(m.at, "the mask has a hole")
		}
	}
	if prefix != prefix.Masked() {
		return nil, p.fail(t.at, fmt.Sprintf("%s has bits behind its length: did you mean %s?", prefix, prefix.Masked()))
	}
	if prefix.Addr().Is4() {
		n := and{family(familyIPv4), any2(q.dir, at4(headerL3+12, prefix), at4(headerL3+16, prefix))}
		if q.proto == "" || q.proto == "arp" {
			return or{n, and{family(familyARP), any2(q.dir, at4(headerL3+14, prefix), at4(headerL3+24, prefix))}}, nil
		}
		return n, nil
	}
	return and{family(familyIPv6), any2(q.dir, at6(headerL3+8, prefix), at6(headerL3+24, prefix))}, nil
}

func parsePrefix(kind, text string) (netip.Prefix, error) {
	if kind == "host" {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is no address, and names are not looked up; networks are written net 10.0.0.0/8", text)
		}
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix, nil
	}
	addr, length, cut := strings.Cut(text, "/")
	parts := strings.Split(addr, ".")
	bits := len(parts) * 8 // net 10.1 is 10.1.0.0/16
	for len(parts) < 4 {
		parts = append(parts, "0")
	}
	a, err := netip.ParseAddr(strings.Join(parts, "."))
	if strings.Contains(text, ":") && !cut {
		a, err = netip.ParseAddr(text)
		bits = 128
	}
	if cut && err == nil {
		bits, err = strconv.Atoi(length)
	}
	if prefix := netip.PrefixFrom(a, bits); err == nil && prefix.IsValid() && a.Zone() == "" {
		return prefix, nil
	}
	return netip.Prefix{}, fmt.Errorf("%q is no network: 10.0.0.0/8 and 2001:db8::/32 are", text)
}

func at4(offset int, prefix netip.Prefix) node {
	b := prefix.Addr().As4()
	return ordered(offset, 4, maskOf(prefix.Bits()), word(b[:]))
}

func at6(offset int, prefix netip.Prefix) node {
	b := prefix.Addr().As16()
	var parts []node
	for i := 0; i < 4 && (i == 0 || prefix.Bits() > i*32); i++ {
		parts = append(parts, ordered(offset+i*4, 4, maskOf(min(prefix.Bits()-i*32, 32)), word(b[i*4:])))
	}
	return all(parts...)
}

func maskOf(bits int) uint32 { return uint32(uint64(0xffffffff) << (32 - bits)) }

func word(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// named are offsets and values that have names.
var named = map[string]uint32{
	"tcpflags": 13, "tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128,
	"icmptype": 0, "icmpcode": 1, "icmp6type": 0, "icmp6code": 1,
	"icmp-echoreply": 0, "icmp-unreach": 3, "icmp-redirect": 5, "icmp-echo": 8, "icmp-timxceed": 11,
	"icmp6-echo": 128, "icmp6-echoreply": 129,
}

// bytes reads as in tcp[13] & 2 != 0.
func (p *parser) bytes(of string, t token) (node, error) {
	b, _ := p.peek()
	p.next++
	place, size, sized := strings.Cut(strings.Trim(b.text, "[] "), ":")
	offset, err := constant(strings.TrimSpace(place))
	n := uint32(1)
	if sized && err == nil {
		n, err = constant(strings.TrimSpace(size))
	}
	if err != nil || n != 1 && n != 2 && n != 4 {
		return nil, p.fail(b.at, "in the brackets stands an offset, and after : how many bytes: 1, 2 or 4")
	}
	if uint64(offset)+uint64(n) > headerKept {
		return nil, p.fail(b.at, fmt.Sprintf("only the first %d bytes of a header are looked at", headerKept))
	}
	c := compare{headerL3 + int(offset), int(n), true, uint32(uint64(1)<<(8*n) - 1), equal, 0}
	if p.is("&") {
		mask, err := p.constants()
		if err != nil {
			return nil, err
		}
		c.mask &= mask
	}
	if c.op, err = p.operator(); err != nil {
		return nil, err
	}
	if c.value, err = p.constants(); err != nil {
		return nil, err
	}
	has := compare{headerLength, 4, false, 0xffffffff, greaterEqual, offset + n}
	if of != "ip" && of != "ip6" && of != "arp" {
		c.offset += headerL4
		return all(protocols[of](), hasL4(int(offset+n)), c), nil
	}
	return all(protocols[of](), has, c), nil
}

// constants reads one, or several in brackets that are joined by |.
func (p *parser) constants() (uint32, error) {
	open := p.is("(")
	var sum uint32
	for {
		t, ok := p.peek()
		v, err := constant(t.text)
		if !ok || err != nil {
			return 0, p.fail(t.at, "a number is expected here, or a name as tcp-syn")
		}
		p.next++
		sum |= v
		if !open || !p.is("|") {
			break
		}
	}
	if open && !p.is(")") {
		t, _ := p.peek()
		return 0, p.fail(t.at, "a ) is missing")
	}
	return sum, nil
}

func constant(s string) (uint32, error) {
	if v, ok := named[s]; ok {
		return v, nil
	}
	v, err := strconv.ParseUint(s, 0, 32)
	return uint32(v), err
}
