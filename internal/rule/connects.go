package rule

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// Bounds of the work to find which connects rules can be about. Beyond them a rule
// counts as one that can be about any address, or any port.
const (
	maxConnectKinds = 4096    // networks that differ in which checks hold for them
	maxConnectWork  = 1 << 17 // kinds times ranges of ports times rules
	maxConnectPorts = 1024    // of a network that are wanted otherwise than most
)

// connectRule is a live rule's condition for the type Connect.
type connectRule struct {
	rule *Rule
	root *node
}

// Connects returns which connects live rules can match, by where these go. What only
// asks what a shell leads to is left out: who follows shells knows what that takes.
func (s *Set) Connects() *event.ConnectFilter {
	b := newConnectBuilder(s)
	f := &event.ConnectFilter{Other: b.other(), Nets: map[netip.Prefix]*event.ConnectPorts{}}
	kinds := map[string]*event.ConnectPorts{}
	for p := range b.nets {
		kind := b.kind(p)
		if kinds[kind] == nil && len(kinds) < maxConnectKinds {
			kinds[kind] = b.ports(p)
		}
		if f.Nets[p] = kinds[kind]; f.Nets[p] == nil {
			f.Nets[p] = &event.ConnectPorts{Else: event.ConnectAll}
		}
	}
	prune(f)
	return f
}

// prune leaves out networks that say what the one around them does, and gives each
// that is left ports of its own.
func prune(f *event.ConnectFilter) {
	keep := map[netip.Prefix]*event.ConnectPorts{}
	for p, ports := range f.Nets {
		var around *event.ConnectPorts
		for bits := p.Bits() - 1; bits >= 0 && around == nil; bits-- {
			wider, _ := p.Addr().Prefix(bits)
			around = f.Nets[wider]
		}
		if around != ports {
			own := &event.ConnectPorts{Else: ports.Else, Ports: map[uint16]event.ConnectWant{}}
			for port, w := range ports.Ports {
				own.Ports[port] = w
			}
			keep[p] = own
		}
	}
	f.Nets = keep
}

// connectBuilder evaluates conditions for networks and ports.
type connectBuilder struct {
	rules []connectRule
	once  []bool // of a rule: repeats tell it nothing
	// addrs are the checks of the other end's address, ports those of its port.
	addrs map[*ast.Check]*addrSet
	order []*ast.Check // of addrs
	tests map[*ast.Check]func(int64) bool
	nets  map[netip.Prefix]bool
	// bounds begin the ranges of ports in which no check changes.
	bounds []int
}

func newConnectBuilder(s *Set) *connectBuilder {
	b := &connectBuilder{rules: s.connects, addrs: map[*ast.Check]*addrSet{}, tests: map[*ast.Check]func(int64) bool{},
		nets: map[netip.Prefix]bool{netip.PrefixFrom(netip.IPv4Unspecified(), 0): true, netip.PrefixFrom(netip.IPv6Unspecified(), 0): true}}
	seen := map[*node]bool{}
	starts := map[int]bool{1: true}
	for _, r := range b.rules {
		b.once = append(b.once, s.onlyCounts(r.rule))
		b.collect(r.root, seen, starts)
	}
	for p := range starts {
		b.bounds = append(b.bounds, p)
	}
	slices.Sort(b.bounds)
	if len(b.bounds)*max(1, len(b.rules))*min(len(b.nets), maxConnectKinds) > maxConnectWork {
		b.bounds, b.tests = []int{1}, nil
	}
	if len(b.nets)*max(1, len(b.rules)) > maxConnectWork*16 {
		b.addrs, b.order = nil, nil
	}
	return b
}

// collect notes the checks of a condition that the other end decides.
func (b *connectBuilder) collect(n *node, seen map[*node]bool, starts map[int]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	for _, kid := range n.kids {
		b.collect(kid, seen, starts)
	}
	if n.kind != kindCheck || len(n.check.Values) == 0 {
		return
	}
	switch c := n.check; endField(c) {
	case "ip":
		set := newAddrSet(c.Values)
		b.addrs[c], b.order = set, append(b.order, c)
		for a := range set.addrs {
			b.nets[netip.PrefixFrom(a, a.BitLen())] = true
		}
		for p := range set.nets {
			b.nets[p] = true
		}
	case "port":
		b.tests[c] = numTest(c.Op, c.Values)
		for _, v := range c.Values {
			if v.Num >= 0 && v.Num <= math.MaxUint16 {
				starts[max(1, int(v.Num))], starts[int(v.Num)+1] = true, true
			}
		}
	}
}

// endField says of a check what it looks at of the other end: "ip", "port", or
// nothing. Of a connect the other end is the server.
func endField(c *ast.Check) string {
	if c.Left.Ref == nil || c.Right != nil || c.Left.Func != ast.NoFunc || c.Quant != ast.NoQuant {
		return ""
	}
	switch c.Left.Ref.Name() {
	case "fd.rip", "fd.rnet", "fd.sip", "fd.snet":
		return "ip"
	case "fd.rport", "fd.sport":
		return "port"
	}
	return ""
}

// covers reports whether a set holds all of a network.
func (s *addrSet) covers(p netip.Prefix) bool {
	if _, ok := s.addrs[p.Addr()]; ok && p.IsSingleIP() {
		return true
	}
	bits := s.bits6
	if p.Addr().Is4() {
		bits = s.bits4
	}
	for _, n := range bits {
		if n > p.Bits() {
			continue
		}
		if wider, err := p.Addr().Prefix(n); err == nil {
			if _, ok := s.nets[wider]; ok {
				return true
			}
		}
	}
	return false
}

// kind is the same for networks of which the same checks hold.
func (b *connectBuilder) kind(p netip.Prefix) string {
	k := make([]byte, 0, len(b.order)+1)
	k = append(k, byte(p.Addr().BitLen()))
	for _, c := range b.order {
		if b.addrs[c].covers(p) {
			k = append(k, 1)
		} else {
			k = append(k, 0)
		}
	}
	return string(k)
}

// ports evaluates the rules for the addresses of which a network is the longest that
// any check names: a check holds for all of them or for none.
func (b *connectBuilder) ports(p netip.Prefix) *event.ConnectPorts {
	wants := make([]event.ConnectWant, len(b.bounds))
	wide := map[event.ConnectWant]int{}
	width := func(i int) int {
		if i+1 < len(b.bounds) {
			return b.bounds[i+1] - b.bounds[i]
		}
		return math.MaxUint16 + 1 - b.bounds[i]
	}
	for i, port := range b.bounds {
		wants[i] = b.want(func(c *ast.Check) truth { return b.decide(c, p, port) })
		wide[wants[i]] += width(i)
	}
	out := &event.ConnectPorts{Ports: map[uint16]event.ConnectWant{}}
	for w, n := range wide {
		if n > wide[out.Else] || n == wide[out.Else] && w > out.Else {
			out.Else = w
		}
	}
	if math.MaxUint16-wide[out.Else] > maxConnectPorts {
		out.Else = slices.Max(wants)
		return out
	}
	for i, w := range wants {
		for n := 0; w != out.Else && n < width(i); n++ {
			out.Ports[uint16(b.bounds[i]+n)] = w
		}
	}
	return out
}

// decide evaluates a check for addresses of a network and a port.
func (b *connectBuilder) decide(c *ast.Check, p netip.Prefix, port int) truth {
	if c.Op == ast.OpExists && endField(c) != "" {
		return yes
	}
	if set := b.addrs[c]; set != nil {
		return known(set.covers(p) != (c.Op == ast.OpNe))
	}
	if test := b.tests[c]; test != nil {
		return known(test(int64(port)))
	}
	return shellAbsent(c)
}

// other evaluates the rules for sockets of other families, which have neither
// addresses nor ports.
func (b *connectBuilder) other() event.ConnectWant {
	w := b.want(func(c *ast.Check) truth {
		out := shellAbsent(c)
		c.Operands(func(o *ast.Operand) {
			if o.Ref == nil {
				return
			}
			switch name := o.Ref.Name(); {
			case o.Type == event.FieldIP, o.Type == event.FieldNet, name == "fd.l4proto",
				strings.HasPrefix(name, "fd.") && strings.HasSuffix(name, "port"):
				out = no
			}
		})
		return out
	})
	if w != event.ConnectNone {
		return event.ConnectAll
	}
	return w
}

// want returns the most that a rule wants which can be true.
func (b *connectBuilder) want(check func(*ast.Check) truth) event.ConnectWant {
	out, seen := event.ConnectNone, map[*node]truth{}
	for i, r := range b.rules {
		w := event.ConnectAll
		if b.once[i] {
			w = event.ConnectOnce
		}
		if w > out && possible(r.root, check, seen) != no {
			out = w
		}
	}
	return out
}

// steady are fields that are the same in all connects of a process to one end.
var steady = []string{
	"fd.rip", "fd.rnet", "fd.sip", "fd.snet", "fd.rport", "fd.sport", "fd.l4proto", "container.id", "proc.pid", "proc.sid", "proc.exepath", "proc.name",
	"user.uid", "user.name", "user.loginuid", "user.loginname",
}

// onlyCounts reports whether a rule's matches serve only to count different values,
// of which a process's repeated connects to one end bring no new one.
func (s *Set) onlyCounts(r *Rule) bool {
	if !s.silent[r.index] {
		return false
	}
	for _, f := range s.feeds[r.index] {
		if !s.correlations[f.correlation].countsValues() {
			return false
		}
	}
	return true
}

// countsValues reports whether a correlation counts values that repeated connects do
// not change, up to a least number.
func (c *correlation) countsValues() bool {
	if c.spec.Kind != ast.ValueCount {
		return false
	}
	for _, l := range c.spec.Limits {
		if l.Op != ast.OpGe && l.Op != ast.OpGt {
			return false
		}
	}
	for _, m := range c.members {
		for _, ref := range append(slices.Clone(m.group), m.field) {
			if ref.Field() == nil || !slices.Contains(steady, ref.Name()) {
				return false
			}
		}
	}
	return true
}

// slack is what a correlation's time is longer by, because repeats may have been left
// out: the last time of a value may be known that much too early.
func (c *correlation) slack() (out time.Duration) {
	if !c.countsValues() {
		return 0
	}
	for _, m := range c.members {
		if !m.rule.types.And(event.TypesOf(event.Connect)).IsZero() {
			out = event.ConnectRepeat
		}
	}
	return out
}
