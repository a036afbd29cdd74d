package firewall

import (
	"fmt"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	parse := func(rules string) []string {
		t.Helper()
		p, err := Parse("p", []byte("rules:\n"+rules), Host{Device: func(string) (uint32, error) { return 3, nil }})
		if err != nil {
			t.Fatal(err)
		}
		return Warnings(p)
	}
	const web = "  - {name: web, match: {protocol: tcp, dport: [80, 443]}, action: pass}\n"
	for rule, shadowed := range map[string]bool{
		"match: {protocol: tcp, dport: 80}, action: drop":                                true,
		"match: {protocol: tcp, dport: 80, src: 192.0.2.0/24, ttl: 0-4}, action: drop":   true,
		"match: {protocol: tcp, dport: 80-81}, action: drop":                             false,
		"match: {protocol: [tcp, udp], dport: 80}, action: drop":                         false,
		"match: {dport: 80}, action: drop":                                               false,
		"match: {protocol: tcp}, not: {dport: 80}, action: drop":                         false,
		"match: {protocol: tcp, dport: 443}, action: limit, rate: 1/s":                   true,
		"match: {protocol: tcp, dport: 443}, action: drop, disabled: true":               false,
		"match: {protocol: tcp, dport: 443, tcp_flags: [syn, '!ack']}, action: count":    true,
		"match: {protocol: udp, dport: 443}, action: drop":                               false,
		"match: {src: [192.0.2.0/24, 198.51.100.0/24], protocol: tcp}, action: drop":     false,
		"match: {protocol: tcp, dport: 443, payload: {bytes: abc}}, action: drop":        true,
		"match: {protocol: tcp, dport: 443, established: true, vlan: 7}, action: drop":   true,
		"match: {protocol: tcp, dport: [80-80, 443]}, not: {device: eth0}, action: drop": true,
	} {
		l := parse(web + "  - {name: x, " + rule + "}\n")
		if got := len(l) == 1 && l[0] == "rule x never holds: web, before it, passes all that it is about"; got != shadowed || !shadowed && len(l) > 0 {
			t.Errorf("%s: %q, want shadowed %v", rule, l, shadowed)
		}
	}
	for rules, shadowed := range map[[2]string]bool{
		{"not: {src: 192.0.2.0/24}, action: drop", "not: {src: 192.0.0.0/16}, action: pass"}:                    true,
		{"not: {src: 192.0.0.0/16}, action: drop", "not: {src: 192.0.2.0/24}, action: pass"}:                    false,
		{"action: drop, monitor: true", "action: pass"}:                                                         false,
		{"action: drop", "match: {mac: '02:00:00:00:00:01'}, action: pass"}:                                     true,
		{"match: {tcp_flags: syn}, action: drop", "match: {tcp_flags: [syn, '!ack']}, action: pass"}:            true,
		{"match: {tcp_flags: [syn, '!ack']}, action: drop", "match: {tcp_flags: syn}, action: pass"}:            false,
		{"match: {fragment: any}, action: drop", "match: {fragment: later}, action: pass"}:                      true,
		{"match: {length: 0-100}, action: drop", "match: {length: 50-150}, action: pass"}:                       false,
		{"match: {payload: {bytes: a}}, action: drop", "match: {payload: {bytes: b}}, action: pass"}:            false,
		{"match: {device: eth0}, action: drop", "match: {device: eth1}, action: pass"}:                          false,
		{"match: {icmp_type: 8, icmp_code: 0}, action: drop", "match: {icmp_type: 8}, action: pass"}:            false,
		{"match: {sport: 1-9, dscp: 1-9}, action: drop", "match: {sport: [1, 3], dscp: 4}, action: pass"}:       true,
		{"match: {dst: '2001:db8::/32'}, action: drop", "match: {dst: '2001:db8:1::/48'}, action: pass"}:        true,
		{"match: {dst: '2001:db8:1::/48'}, action: drop", "match: {dst: '2001:db8::/32'}, action: pass"}:        false,
		{"direction: out, action: drop", "action: pass"}:                                                        false,
		{"direction: out, action: drop", "direction: out, action: pass"}:                                        true,
		{"match: {established: true}, action: pass", "match: {protocol: tcp}, action: drop"}:                    false,
		{"match: {established: true}, action: pass", "match: {protocol: tcp, established: true}, action: drop"}: true,
	} {
		l := parse("  - {name: a, " + rules[0] + "}\n  - {name: b, " + rules[1] + "}\n")
		if got := len(l) > 0; got != shadowed {
			t.Errorf("%q: %q, want shadowed %v", rules, l, shadowed)
		}
	}
	if l := parse("  - {name: a, match: {src: [192.0.2.7, 192.0.2.0/24, 198.51.100.1]}, action: drop}\n"); len(l) != 1 || l[0] != "rule a: src: 192.0.2.7/32 is within 192.0.2.0/24 already" {
		t.Errorf("%q", l)
	}
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "  - {name: r%d, match: {protocol: tcp, dport: %d}, action: drop}\n", i, i%9888)
	}
	if l := parse(many.String()); len(l) != maxWarnings+1 || l[maxWarnings] != "and 92 more of the kind" {
		t.Errorf("%d: %q", len(l), l[len(l)-1])
	}
}
