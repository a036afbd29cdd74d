// Package model says in plain Go what a policy does to a frame. The kernel program
// of firewall/xdp is held to it by its tests, frame by frame, and bearcat fw test
// asks it what would happen. A policy, the lists of sources and a frame go in; the
// verdict, its reason and the rule come out. It keeps the account of rates itself.
package model

import (
	"net/netip"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
)

// Lists are the sources that commands and rules put on lists.
type Lists struct {
	Allow, Block, Ban []netip.Prefix
}

// Verdict is what happens to a frame.
type Verdict struct {
	Drop   bool
	Reason firewall.Reason
	Rule   string   // the rule that decided
	Would  []string // rules in monitor that would have dropped it
}

// Model judges frames. It is not safe for concurrent use.
type Model struct {
	policy *firewall.Policy
	rules  []firewall.Rule
	lists  Lists
	// Out has frames go out and not come in.
	Out bool
	// Hash gives the account of a frame's source, or flow, with a rule; the kernel shares
	// accounts by a hash, a model without one does not.
	Hash func(f *Frame, rule int) uint64
	// Established says whether a socket of this host expects a frame; without it none
	// does.
	Established func(*Frame) bool
	paid        map[account]time.Duration
	bans        map[netip.Addr]time.Duration // made by rules, with their end
}

// New makes a model with no traffic seen.
func New(p *firewall.Policy, l Lists) *Model {
	return &Model{policy: p, rules: p.Active(), lists: l, paid: map[account]time.Duration{}, bans: map[netip.Addr]time.Duration{}}
}

func covers(l []netip.Prefix, a netip.Addr) bool {
	for _, p := range l {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Judge gives the verdict on a frame that comes in, or goes out, through device at time now.
func (m *Model) Judge(b []byte, device uint32, now time.Duration) Verdict {
	f, reason := Read(b)
	f.Device = device
	f.Established = m.Established != nil && m.Established(&f)
	v := m.judge(&f, reason, now)
	other := f.Src
	if m.Out {
		other = f.Dst
	}
	if v.Drop && other.IsValid() && !v.Reason.Malformed() && covers(m.lists.Allow, other) {
		v.Drop, v.Reason = false, firewall.ByAllow
	}
	if v.Drop && m.policy.Monitor {
		v.Drop, v.Reason = false, firewall.Monitored
	}
	return v
}

func (m *Model) judge(f *Frame, reason firewall.Reason, now time.Duration) Verdict {
	switch {
	case reason == firewall.ARP:
		return Verdict{Reason: reason}
	case reason == firewall.Unparsed:
		return Verdict{Drop: m.policy.Unparsed == firewall.Drop, Reason: reason}
	case !m.Out && f.Src.IsValid() && covers(m.lists.Block, f.Src):
		return Verdict{Drop: true, Reason: firewall.ByBlock}
	case !m.Out && f.Src.IsValid() && (covers(m.lists.Ban, f.Src) || m.bans[f.Src] > now):
		return Verdict{Drop: true, Reason: firewall.ByBan}
	case reason != firewall.ByRule:
		return Verdict{Drop: m.policy.Malformed == firewall.Drop, Reason: reason}
	case f.HasICMP && f.Src.Is6() && f.ICMPType >= 133 && f.ICMPType <= 137 && f.TTL == 255:
		return Verdict{Reason: firewall.ND}
	}
	var v Verdict
	for i := range m.rules {
		r := &m.rules[i]
		if r.Out != m.Out || !Holds(&r.Match, f) {
			continue
		}
		drops := r.Action == firewall.Drop || (r.Action == firewall.Limit && m.over(f, i, now))
		switch {
		case drops && r.Monitor:
			v.Would = append(v.Would, r.Name)
		case drops, r.Action == firewall.Pass && !r.Monitor:
			v.Drop, v.Reason, v.Rule = drops, firewall.ByRule, r.Name
			// without a connection table every connection is unproven
			if drops && r.Ban > 0 && r.Unproven && !m.policy.Monitor && !covers(m.lists.Allow, f.Src) {
				m.bans[f.Src] = now + r.Ban
			}
			return v
		}
	}
	otherwise := m.policy.Default
	if m.Out {
		otherwise = m.policy.DefaultOut
	}
	v.Drop, v.Reason = otherwise == firewall.Drop, firewall.ByDefault
	return v
}

// account is whose packets a limit counts together.
type account struct {
	hash             uint64 // with Hash nothing else is set
	rule             int
	src, dst         netip.Addr
	srcPort, dstPort uint16
	protocol         uint8
}

func (m *Model) account(f *Frame, rule int) account {
	switch {
	case m.Hash != nil:
		return account{hash: m.Hash(f, rule)}
	case m.rules[rule].Flow:
		return account{rule: rule, src: f.Src, dst: f.Dst, srcPort: f.SrcPort, dstPort: f.DstPort, protocol: f.Protocol}
	}
	return account{rule: rule, src: f.Src}
}

// over charges a frame to its source or flow and says whether that is over the rate.
func (m *Model) over(f *Frame, rule int, now time.Duration) bool {
	r := &m.rules[rule]
	cost := r.Cost(f.Length)
	key := m.account(f, rule)
	until := max(m.paid[key], now)
	if until-now+cost > r.BurstTime() {
		return true
	}
	m.paid[key] = until + cost
	return false
}

// Holds says whether every field of a match holds for a frame.
func Holds(m *firewall.Match, f *Frame) bool {
	ports := func(l []firewall.Range, v uint16) bool {
		for _, r := range l {
			if r.Has(v) {
				return true
			}
		}
		return false
	}
	protocol := false
	for _, p := range m.Protocols {
		protocol = protocol || p == f.Protocol
	}
	reached, carried := m.Payload.In(f.Payload)
	for _, x := range []struct {
		field     firewall.Field
		has, hold bool
	}{
		{firewall.Src, true, covers(m.Src, f.Src)},
		{firewall.Dst, true, covers(m.Dst, f.Dst)},
		{firewall.SrcPort, f.HasPorts, ports(m.SrcPort, f.SrcPort)},
		{firewall.DstPort, f.HasPorts, ports(m.DstPort, f.DstPort)},
		{firewall.Protocol, true, protocol},
		{firewall.Length, true, f.Length >= uint32(m.Length.Lo) && f.Length <= uint32(m.Length.Hi)},
		{firewall.TTL, true, m.TTL.Has(uint16(f.TTL))},
		{firewall.DSCP, true, m.DSCP.Has(uint16(f.DSCP))},
		{firewall.TCPFlags, f.HasTCP, f.TCPFlags&m.TCPSet == m.TCPSet && f.TCPFlags&m.TCPUnset == 0},
		{firewall.ICMPType, f.HasICMP, m.ICMPType.Has(uint16(f.ICMPType))},
		{firewall.ICMPCode, f.HasICMP, m.ICMPCode.Has(uint16(f.ICMPCode))},
		{firewall.Fragment, true, m.Fragments&f.Fragment != 0},
		{firewall.VLAN, f.HasVLAN, m.VLAN.Has(f.VLAN)},
		{firewall.MAC, true, f.MAC == m.MAC},
		{firewall.Device, true, f.Device == m.Device},
		{firewall.Established, true, f.Established},
		{firewall.PayloadBytes, reached, carried},
	} {
		if m.Has&x.field != 0 && (!x.has || x.hold == (m.Not&x.field != 0)) {
			return false
		}
	}
	return true
}
