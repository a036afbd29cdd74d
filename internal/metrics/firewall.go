package metrics

import "github.com/bearcat-hids/bearcat/internal/status"

// firewallMetrics are there where a firewall is loaded on the host.
func firewallMetrics() []metric {
	one := func(value func(*status.Firewall) float64) reader {
		return func(s *status.Status, put func(float64, ...string)) {
			if s.Firewall != nil {
				put(value(s.Firewall))
			}
		}
	}
	packets := func(of func(*status.Firewall) []status.Packets, value func(*status.Packets) uint64, verdict bool) reader {
		return func(s *status.Status, put func(float64, ...string)) {
			if s.Firewall == nil {
				return
			}
			l := of(s.Firewall)
			for i := range l {
				labels := []string{l[i].Name}
				if verdict {
					labels = append(labels, l[i].Verdict)
				}
				put(float64(value(&l[i])), labels...)
			}
		}
	}
	reasons := func(f *status.Firewall) []status.Packets { return f.Reasons }
	rules := func(f *status.Firewall) []status.Packets { return f.Rules }
	count := func(p *status.Packets) uint64 { return p.Packets }
	bytes := func(p *status.Packets) uint64 { return p.Bytes }
	return []metric{
		counter("firewall_packets_total", "Packets by reason and verdict.", []string{"reason", "verdict"}, packets(reasons, count, true)),
		counter("firewall_bytes_total", "Bytes by reason and verdict.", []string{"reason", "verdict"}, packets(reasons, bytes, true)),
		counter("firewall_rule_packets_total", "Packets that met a rule or a guard.", []string{"rule"}, packets(rules, count, false)),
		counter("firewall_rule_over_total", "Packets over a rule's limit, or that it would have dropped.", []string{"rule"},
			packets(rules, func(p *status.Packets) uint64 { return p.Over }, false)),
		gauge("firewall_devices", "Devices that the firewall is in front of.", nil, one(func(f *status.Firewall) float64 { return float64(len(f.Devices)) })),
		gauge("firewall_bans", "Sources that are banned.", nil, one(func(f *status.Firewall) float64 { return float64(f.Bans) })),
		counter("firewall_blocked_total", "Sources that alerts have had banned.", nil, one(func(f *status.Firewall) float64 { return float64(f.Blocked) })),
		counter("firewall_refused_total", "What alerts asked for and did not get.", nil, one(func(f *status.Firewall) float64 { return float64(f.Refused) })),
	}
}
