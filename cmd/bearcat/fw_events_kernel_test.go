package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/firewall/xdp/xdptest"
)

const fwEventRules = `
- rule: Banned
  desc: a guard has banned a source
  condition: evt.type = firewall and bc.firewall.kind = ban and bc.firewall.strikes = 0
  output: "banned %bc.firewall.source by %bc.firewall.rule for %bc.firewall.for"
  priority: NOTICE
- rule: Flood
  desc: much is dropped
  condition: evt.type = firewall and bc.firewall.kind = flood and bc.firewall.rate >= 1000
  output: "flood for %bc.firewall.reason by %bc.firewall.rule"
  priority: WARNING
- rule: Scan
  desc: one source tries many ports
  condition: evt.type = firewall and bc.firewall.kind = scan
  output: "scan by %bc.firewall.source, the last for %bc.firewall.reason by %bc.firewall.rule"
  priority: WARNING
  response: {block: {remote: 10m}}
`

// TestFwEvents has a guard ban one client before there is an agent and another while it
// runs, beside an open log, and a rule drop a flood, and wants an alert for each.
func TestFwEvents(t *testing.T) {
	n := newFwNet(t)
	n.ip("-n", n.client, "addr", "add", "10.77.0.3/24", "dev", "fwc")
	n.ip("-n", n.client, "addr", "add", "10.77.0.5/24", "dev", "fwc")
	n.listen(2222)
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	n.apply(guardPolicy + "rules: [{name: telnet, match: {protocol: tcp, dport: 23}, action: drop}, {name: closed, match: {protocol: tcp, dport: 3000-3999}, action: drop}]\n")
	n.attempts("10.77.0.3", "10.77.0.1:2222", 8, 0)
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(fwEventRules), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	a := start(t, runOptions{rules: rules, args: []string{"--scope", s.scope(), "--output", "json"},
		config: fmt.Sprintf("response:\n  pins: %q\n  state: %q\n", n.flags[1], n.flags[3])})
	told := func(output string) bool {
		for _, l := range a.lines() {
			if strings.Contains(l.text, output) {
				return true
			}
		}
		return false
	}
	a.until("the ban from before is told", func() bool { return told("banned 10.77.0.3 by logins connections for ") })
	log := n.command("log", "--for", "20s")
	if err := log.Start(); err != nil {
		t.Fatal(err)
	}
	n.attempts("10.77.0.2", "10.77.0.1:2222", 8, 0)
	a.until("the ban is told", func() bool { return told("banned 10.77.0.2 by logins connections for ") })
	if err := log.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = log.Wait() // killed
	a.until("a scan that a rule drops is told", func() bool {
		n.scan("10.77.0.4", 3000, 30)
		return told("scan by 10.77.0.4, the last for rule by closed")
	})
	if xdptest.TellsRefused() {
		a.until("a scan that the kernel refuses is told", func() bool {
			for port := 4000; port < 4030; port++ { // real ones: the kernel looks at checksums first
				n.attempts("10.77.0.5", fmt.Sprintf("10.77.0.1:%d", port), 1, 0)
			}
			return told("scan by 10.77.0.5, the last for refused by ")
		})
	}
	a.until("the scan's source is banned", func() bool { return n.bansOf()["10.77.0.4/32"] != nil })
	if cause, _ := n.bansOf()["10.77.0.4/32"]["alert"].(map[string]any); cause["rule"] != "Scan" || cause["chain"] != nil {
		t.Errorf("the ban of who scanned has the alert %v", cause)
	}
	for _, x := range alertsSeen(a) { // that the guard's ban raised names that ban
		if x.Rule != "Banned" {
			continue
		}
		if text, err := command(t, "bearcat", "alerts", "show", x.ID, "--socket", a.socket).Output(); err != nil || !strings.Contains(string(text), " by logins connections holds for ") {
			t.Errorf("alerts show: %v\n%s", err, text)
		}
	}
	n.flood("10.77.9.8", 3000, 200) // many packets to one port are no scan
	a.until("the flood is told", func() bool {
		n.flood("10.77.9.9", 23, 2000)
		return told("flood for rule by telnet")
	})
	if told("scan by 10.77.9.8") {
		t.Error("packets to one port are told as a scan")
	}
}

// scan sends an opening to each of some ports.
func (n *fwNet) scan(source string, first, count int) {
	n.Helper()
	for port := first; port < first+count; port++ {
		n.flood(source, port, 1)
	}
}
