package xdp

import "github.com/bearcat-hids/bearcat/internal/firewall"

// DropsSince says by which rules and lists the firewall dropped. What the rules do
// not account for, or more than they may, is under "rules"; so are all without a policy.
func (s *Stats) DropsSince(before *Stats, policy *firewall.Policy) []Counts {
	type key struct{ name, verdict string }
	was := map[key]Counts{}
	for _, c := range append(append([]Counts{}, before.Reasons...), before.Rules...) {
		was[key{c.Name, c.Verdict}] = c
	}
	since := func(c Counts) Counts {
		if w := was[key{c.Name, c.Verdict}]; c.Packets >= w.Packets && c.Over >= w.Over {
			c.Packets, c.Bytes, c.Over = c.Packets-w.Packets, c.Bytes-w.Bytes, c.Over-w.Over
		}
		return c
	}
	out, byRule := []Counts{}, Counts{Name: "rules"}
	for _, c := range s.Reasons {
		if c.Verdict != "drop" {
			continue
		}
		c = since(c)
		if c.Name == firewall.ByRule.String() {
			byRule.Packets, byRule.Bytes = c.Packets, c.Bytes
			continue
		}
		out = append(out, Counts{Name: "by " + c.Name, Packets: c.Packets, Bytes: c.Bytes})
	}
	var rules []Counts
	sum := uint64(0)
	if policy != nil && !policy.Monitor {
		for _, c := range s.Rules {
			c = since(c)
			for _, rule := range policy.Rules {
				if rule.Name != c.Name || rule.Monitor || rule.Disabled {
					continue
				}
				n := Counts{Name: "rule " + c.Name}
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
