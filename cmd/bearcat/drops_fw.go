package main

import (
	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
)

// counts reads the firewall's counters; nil where there is no firewall.
func (p *fwPlaces) counts() (s *xdp.Stats, err error) {
	if !xdp.Loaded(p.pins) {
		return nil, nil
	}
	err = p.open(func(fw *xdp.Firewall) error {
		s, err = fw.Stats()
		return err
	})
	return s, err
}

// addDrops adds what the firewall dropped since it had the counts before.
func (p *fwPlaces) addDrops(r *drop.Result, before *xdp.Stats) error {
	now, err := p.counts()
	if err != nil || now == nil {
		return err
	}
	if before == nil { // it came meanwhile, and its counters from 0
		before = &xdp.Stats{}
	}
	policy, err := p.inUse()
	if err != nil {
		policy = nil // then it is known that a rule dropped, and not which
	}
	for _, d := range firewallDrops(before, now, policy) {
		r.AddFirewall(d.Name, d.Packets, d.Bytes)
	}
	return nil
}

// firewallDrops says by which rules and lists the firewall dropped. What the rules do
// not account for, or more than they may, is under "rules".
func firewallDrops(before, now *xdp.Stats, policy *firewall.Policy) []xdp.Counts {
	type key struct{ name, verdict string }
	was := map[key]xdp.Counts{}
	for _, c := range append(append([]xdp.Counts{}, before.Reasons...), before.Rules...) {
		was[key{c.Name, c.Verdict}] = c
	}
	since := func(c xdp.Counts) xdp.Counts {
		if w := was[key{c.Name, c.Verdict}]; c.Packets >= w.Packets && c.Over >= w.Over {
			c.Packets, c.Bytes, c.Over = c.Packets-w.Packets, c.Bytes-w.Bytes, c.Over-w.Over
		}
		return c
	}
	out, byRule := []xdp.Counts{}, xdp.Counts{Name: "rules"}
	for _, c := range now.Reasons {
		if c.Verdict != "drop" {
			continue
		}
		c = since(c)
		if c.Name == firewall.ByRule.String() {
			byRule.Packets, byRule.Bytes = c.Packets, c.Bytes
			continue
		}
		out = append(out, xdp.Counts{Name: "by " + c.Name, Packets: c.Packets, Bytes: c.Bytes})
	}
	var rules []xdp.Counts
	sum := uint64(0)
	if policy != nil && !policy.Monitor {
		for _, c := range now.Rules {
			c = since(c)
			for _, rule := range policy.Rules {
				if rule.Name != c.Name || rule.Monitor || rule.Disabled {
					continue
				}
				n := xdp.Counts{Name: "rule " + c.Name}
				switch rule.Action {
				case firewall.Drop:
					n.Packets, n.Bytes = c.Packets, c.Bytes
				case firewall.Limit:
					n.Packets = c.Over
				}
				sum += n.Packets
				rules = append(rules, n)
			}
		}
	}
	// the allow list may have let through what a rule would have dropped: then the
	// rules' own counts are too high
	if sum == 0 || sum > byRule.Packets {
		return append(out, byRule)
	}
	byRule.Packets -= sum
	byRule.Bytes = 0
	return append(append(out, rules...), byRule)
}
