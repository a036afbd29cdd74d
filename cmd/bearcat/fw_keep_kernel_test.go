package main

import (
	"strings"
	"testing"
	"time"
)

// TestFwListsComeBack takes all of the firewall away, as a restart of the host does,
// and wants policy, lists, comments and what is left of times back.
func TestFwListsComeBack(t *testing.T) {
	n := newFwNet(t)
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	n.fw("add", "198.51.100.0/24", "2001:db8:bad::/48", "--comment", "scanners of May")
	n.fw("add", "203.0.113.1", "--for", "1h")
	n.fw("add", "203.0.113.2", "203.0.113.3", "--for", "1s")
	n.fw("ban", "203.0.113.4", "--for", "2h", "--comment", "told by the mail server")
	n.fw("allow", "192.0.2.10")
	n.fw("add", "203.0.113.5")
	n.fw("remove", "203.0.113.5")
	n.apply("rules: [{name: keep-me, action: count}]\n")
	time.Sleep(1100 * time.Millisecond)
	n.fw("panic")
	n.refused("no firewall is loaded", "list")
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	list, bans := n.fw("list"), n.fw("bans")
	for _, want := range []string{"198.51.100.0/24", "2001:db8:bad::/48", "scanners of May", "203.0.113.1", "59m", "192.0.2.10"} {
		if !strings.Contains(list, want) {
			t.Errorf("the lists do not hold %q:\n%s", want, list)
		}
	}
	for _, gone := range []string{"203.0.113.2", "203.0.113.3", "203.0.113.5"} {
		if strings.Contains(list, gone) {
			t.Errorf("%s came back:\n%s", gone, list)
		}
	}
	if !strings.Contains(bans, "203.0.113.4") || !strings.Contains(bans, "1h59m") || !strings.Contains(bans, "told by the mail server") {
		t.Errorf("bans:\n%s", bans)
	}
	if rules := n.fw("rule", "list"); !strings.Contains(rules, "keep-me") {
		t.Errorf("rules:\n%s", rules)
	}
	n.fw("flush")
	n.fw("panic")
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	if list := n.fw("list"); strings.Contains(list, "198.51.100.0") || !strings.Contains(list, "192.0.2.10") {
		t.Errorf("after flush:\n%s", list)
	}
}

// TestFwRuleCommands changes single rules and wants traffic to follow.
func TestFwRuleCommands(t *testing.T) {
	n := newFwNet(t)
	n.listen(2222)
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	reach := func(want int, when string) {
		t.Helper()
		if got := n.attempts("10.77.0.2", "10.77.0.1:2222", 1, 0); got != want {
			t.Errorf("%s: %d connections, want %d", when, got, want)
		}
	}
	n.fw("rule", "add", "{name: shut, match: {protocol: tcp, dport: 2222}, action: drop}")
	reach(0, "a rule that drops")
	n.fw("rule", "add", n.file("- {name: client, match: {src: 10.77.0.2}, action: pass}\n"), "--before", "shut")
	reach(1, "one that passes before it")
	n.fw("rule", "move", "client", "--after", "shut")
	reach(0, "moved behind it")
	if says := n.fw("explain", "10.77.0.2"); !strings.Contains(says, "shut: drop, where dport, protocol fit") || !strings.Contains(says, "client: pass") {
		t.Errorf("explain:\n%s", says)
	}
	n.fw("rule", "disable", "shut")
	reach(1, "disabled")
	n.fw("rule", "enable", "shut")
	reach(0, "enabled")
	if text := n.fw("rule", "show", "shut"); !strings.Contains(text, "dport: 2222") {
		t.Errorf("show:\n%s", text)
	}
	n.fw("rule", "delete", "shut", "client")
	reach(1, "deleted")
	n.refused("there is no rule \"shut\"", "rule", "delete", "shut")
	n.refused("action:", "rule", "add", "{name: odd, action: explode}")
	reach(1, "a rule that is refused")
	n.fw("add", "10.77.0.2", "--comment", "as a test")
	if says := n.fw("explain", "10.77.0.2"); !strings.Contains(says, "as a test") || !strings.Contains(says, "drop") {
		t.Errorf("explain:\n%s", says)
	}
	if out := n.fw("stats", "--watch", "200ms", "--count", "2"); strings.Count(out, "packets/s") != 2 {
		t.Errorf("stats --watch:\n%s", out)
	}
}
