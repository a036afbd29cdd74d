package xdpfw

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// filter is one filter while it becomes a rule.
type filter struct {
	*reader
	name string
	line int
	keys map[string]setting // those that are not used yet
	// What becomes of it.
	match []string // lines
	more  []string
}

// take gives a setting that has one of the kinds, once.
func (f *filter) take(name string, kinds ...kind) (setting, bool) {
	s, ok := f.keys[name]
	if !ok {
		return s, false
	}
	delete(f.keys, name)
	var wanted []string
	for _, k := range kinds {
		if s.kind == k {
			return s, true
		}
		wanted = append(wanted, k.String())
	}
	f.wrong(s.line, "%s: it is %s, not %s", s.name, s.kind, strings.Join(wanted, " or "))
	return s, false
}

// integer takes a number within bounds.
func (f *filter) integer(name string, most int64) (setting, bool) {
	s, ok := f.take(name, number)
	if ok && (s.number < 0 || s.number > most) {
		f.wrong(s.line, "%s: %d is not a number from 0 to %d", s.name, s.number, most)
		return s, false
	}
	return s, ok
}

func (f *filter) matches(format string, args ...any) {
	f.match = append(f.match, fmt.Sprintf(format, args...))
}

// says adds a key beside the match.
func (f *filter) says(format string, args ...any) {
	f.more = append(f.more, fmt.Sprintf(format, args...))
}

// filter writes a filter as a rule.
func (r *reader) filter(w io.Writer, n int, v value) {
	if v.kind != group {
		r.wrong(v.line, "filters: %s stands where a group in { } should", v.kind)
		return
	}
	f := &filter{reader: r, name: fmt.Sprintf("filter-%d", n), line: v.line, keys: r.keys(v.group)}
	if s, ok := f.take("enabled", boolean); ok && !s.yes {
		f.says("disabled: true")
	}
	if s, ok := f.take("log", boolean); ok && s.yes {
		r.note(s.line, "log is left out of %s: bearcat fw log shows all that is dropped, and nothing that passes", f.name)
	}
	f.addresses()
	f.header()
	f.protocol()
	f.action()
	for _, s := range v.group {
		name := s.name
		if now, ok := older[name]; ok {
			name = now
		}
		if left, ok := f.keys[name]; ok && left.line == s.line {
			delete(f.keys, name)
			r.wrong(s.line, "%s: no version of XDP-Firewall that is known here has this key in a filter", s.name)
		}
	}
	fmt.Fprintf(w, "  - name: %s\n", f.name)
	if len(f.match) > 0 {
		fmt.Fprintf(w, "    match:\n      %s\n", strings.Join(f.match, "\n      "))
	}
	fmt.Fprintf(w, "    %s\n", strings.Join(f.more, "\n    "))
}

// addresses takes sources and destinations. A filter with both families holds for
// nothing there.
func (f *filter) addresses() {
	family := map[bool]setting{}
	for _, x := range []struct{ key, field string }{{"src_ip", "src"}, {"src_ip6", "src"}, {"dst_ip", "dst"}, {"dst_ip6", "dst"}} {
		s, ok := f.take(x.key, text)
		if !ok {
			continue
		}
		p, ok := f.prefix(s, s.line, s.text)
		if !ok {
			continue
		}
		if p.Addr().IsUnspecified() && p.IsSingleIP() {
			f.note(s.line, "%s is left out of %s: %s means any address there", s.name, f.name, s.text)
			continue
		}
		six := strings.HasSuffix(x.key, "6")
		if p.Addr().Is6() != six {
			f.wrong(s.line, "%s: %s is of the other family", s.name, p)
			continue
		}
		if other, ok := family[!six]; ok {
			f.wrong(s.line, "%s: %s of line %d is of the other family, so the filter holds for no packet: write a filter for each", s.name, other.name, other.line)
			continue
		}
		family[six] = s
		f.matches("%s: %q", x.field, p)
	}
}

// header takes what is of every packet: its time to live, length and service.
func (f *filter) header() {
	for _, x := range []struct {
		field, least, most string
		top                int64
	}{{"ttl", "min_ttl", "max_ttl", 255}, {"length", "min_len", "max_len", 65535}} {
		lo, from := f.integer(x.least, x.top)
		hi, to := f.integer(x.most, x.top)
		switch {
		case !from && !to:
			continue
		case !to:
			hi.number = x.top
		case from && lo.number > hi.number:
			f.wrong(hi.line, "%s: it is below the %s of line %d, so the filter holds for no packet", hi.name, lo.name, lo.line)
			continue
		}
		f.matches("%s: %d-%d", x.field, lo.number, hi.number)
	}
	if s, ok := f.integer("tos", 255); ok {
		if s.number%4 != 0 {
			f.wrong(s.line, "tos: the lower two bits of %d are congestion marks, which no rule can match: use a multiple of four", s.number)
			return
		}
		f.note(s.line, "tos: %s has dscp: %d, whatever the congestion marks are", f.name, s.number/4)
		f.matches("dscp: %d", s.number/4)
	}
}

// protocol takes what is of one protocol.
func (f *filter) protocol() {
	var chosen setting
	protocol := ""
	for _, p := range []string{"tcp", "udp", "icmp"} {
		s, ok := f.take(p+"_enabled", boolean)
		switch {
		case !ok || !s.yes:
		case protocol != "":
			f.wrong(s.line, "%s: %s of line %d holds as well, and there only that counts: write a filter for each", s.name, chosen.name, chosen.line)
		default:
			chosen, protocol = s, p
		}
	}
	if protocol != "" {
		name := protocol
		if protocol == "icmp" && f.six() {
			name = "icmpv6"
		}
		f.matches("protocol: %s", name)
	}
	for _, p := range []string{"tcp", "udp"} {
		for _, port := range []string{"sport", "dport"} {
			s, ok := f.take(p+"_"+port, number, text)
			if !ok || !f.means(s, p, protocol) {
				continue
			}
			if span, ok := f.ports(s); ok {
				f.matches("%s: %s", port, span)
			}
		}
	}
	var flags []string
	for _, name := range []string{"urg", "ack", "rst", "psh", "syn", "fin", "ece", "cwr"} {
		s, ok := f.take("tcp_"+name, boolean)
		if !ok || !f.means(s, "tcp", protocol) {
			continue
		}
		if !s.yes {
			name = "!" + name
		}
		flags = append(flags, strconv.Quote(name))
	}
	if len(flags) > 0 {
		f.matches("tcp_flags: [%s]", strings.Join(flags, ", "))
	}
	for _, name := range []string{"icmp_type", "icmp_code"} {
		if s, ok := f.integer(name, 255); ok && f.means(s, "icmp", protocol) {
			f.matches("%s: %d", name, s.number)
		}
	}
}

// six says whether the filter names addresses of IPv6.
func (f *filter) six() bool {
	return slices.ContainsFunc(f.match, func(m string) bool {
		return (strings.HasPrefix(m, "src") || strings.HasPrefix(m, "dst")) && strings.Count(m, ":") > 1
	})
}

// means says whether a key of a protocol does anything; there it does not without that
// protocol's being enabled.
func (f *filter) means(s setting, of, enabled string) bool {
	if of == enabled {
		return true
	}
	f.note(s.line, "%s is left out of %s: without %s_enabled = true it does nothing there either", s.name, f.name, of)
	return false
}

// ports reads one port, or two with - or : between.
func (f *filter) ports(s setting) (string, bool) {
	if s.kind == number {
		s.text = strconv.FormatInt(s.number, 10)
	}
	lo, hi, two := strings.Cut(strings.Replace(s.text, ":", "-", 1), "-")
	if !two {
		hi = lo
	}
	a, err := strconv.ParseUint(strings.TrimSpace(lo), 10, 16)
	b, err2 := strconv.ParseUint(strings.TrimSpace(hi), 10, 16)
	if err != nil || err2 != nil || a > b {
		f.wrong(s.line, "%s: %q is neither a port nor a range of ports such as 27000-27015", s.name, s.text)
		return "", false
	}
	if a == b {
		return fmt.Sprint(a), true
	}
	return fmt.Sprintf("%d-%d", a, b), true
}
