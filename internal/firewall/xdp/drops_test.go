package xdp

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/firewall"
)

// TestFirewallDrops has rules of each kind, with counts before and after.
func TestFirewallDrops(t *testing.T) {
	p := &firewall.Policy{Rules: []firewall.Rule{{Name: "telnet", Action: firewall.Drop}, {Name: "web", Action: firewall.Pass}, {Name: "dns", Action: firewall.Limit}}}
	before := &Stats{Reasons: []Counts{{Name: "rule", Verdict: "drop", Packets: 10, Bytes: 600}}, Rules: []Counts{{Name: "telnet", Packets: 10, Bytes: 600}}}
	now := &Stats{
		Reasons: []Counts{{Name: "rule", Verdict: "drop", Packets: 25, Bytes: 1500}, {Name: "rule", Verdict: "pass", Packets: 8}, {Name: "block", Verdict: "drop", Packets: 4, Bytes: 240}},
		Rules:   []Counts{{Name: "telnet", Packets: 20, Bytes: 1200}, {Name: "web", Packets: 8}, {Name: "dns", Packets: 50, Over: 5}},
	}
	get := func(p *firewall.Policy) map[string]uint64 {
		out := map[string]uint64{}
		for _, c := range now.DropsSince(before, p) {
			if c.Packets > 0 {
				out[c.Name] = c.Packets
			}
		}
		return out
	}
	if got := get(p); len(got) != 3 || got["rule telnet"] != 10 || got["rule dns"] != 5 || got["by block"] != 4 {
		t.Errorf("with the policy: %v", got)
	}
	if got := get(nil); len(got) != 2 || got["rules"] != 15 {
		t.Errorf("without the policy: %v", got)
	}
	now.Rules[0].Packets = 90 // most of them allowed
	if got := get(p); len(got) != 2 || got["rules"] != 15 {
		t.Errorf("with packets that the allow list let through: %v", got)
	}
}
