package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
)

// TestFirewallDrops has rules of each kind, with counts before and after.
func TestFirewallDrops(t *testing.T) {
	p := &firewall.Policy{Rules: []firewall.Rule{{Name: "telnet", Action: firewall.Drop}, {Name: "web", Action: firewall.Pass}, {Name: "dns", Action: firewall.Limit}}}
	before := &xdp.Stats{Reasons: []xdp.Counts{{Name: "rule", Verdict: "drop", Packets: 10, Bytes: 600}}, Rules: []xdp.Counts{{Name: "telnet", Packets: 10, Bytes: 600}}}
	now := &xdp.Stats{
		Reasons: []xdp.Counts{{Name: "rule", Verdict: "drop", Packets: 25, Bytes: 1500}, {Name: "rule", Verdict: "pass", Packets: 8}, {Name: "block", Verdict: "drop", Packets: 4, Bytes: 240}},
		Rules:   []xdp.Counts{{Name: "telnet", Packets: 20, Bytes: 1200}, {Name: "web", Packets: 8}, {Name: "dns", Packets: 50, Over: 5}},
	}
	get := func(p *firewall.Policy) map[string]uint64 {
		out := map[string]uint64{}
		for _, c := range firewallDrops(before, now, p) {
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

// TestDropsText wants owners, the firewall and the balance in what is printed.
func TestDropsText(t *testing.T) {
	r := &drop.Result{
		Took: 10, Packets: 83,
		Rows:     []drop.Row{{Packets: 78, Reason: "SOCKET_RCVBUFF", Proto: "udp", Port: 8125, Process: "sta\x1btsd", Pid: 77, Place: "x+0x1"}, {Packets: 5, Reason: "TCP_RESET", Proto: "tcp", Place: "y"}},
		Counters: []drop.Counter{{Name: "Udp.InErrors", Rose: 78, Parts: 78}, {Name: "Udp.RcvbufErrors", Rose: 78, Explained: 78}, {Name: "Ip.OutNoRoutes", Rose: 3}},
		Balance:  drop.Balance{Events: 78, Counters: 81, Unexplained: 3, Uncounted: 5},
	}
	r.AddFirewall("rule telnet", 301, 0)
	var b strings.Builder
	if err := writeDrops(&b, r, 0); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"tsd[77]", "rule telnet", "events 78 < counters 81 (unexplained 3: Ip.OutNoRoutes 3); 5 drops are in no counter\n", "and 301 by the firewall"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if slices.Contains([]byte(text), 0x1b) {
		t.Error("a process's name reaches the terminal as it is")
	}
}
