package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const respondRules = `
- rule: Call home
  desc: a connection to the port of the test
  condition: evt.type = connect and fd.rport = 4444
  output: connects (peer=%fd.rip)
  priority: CRITICAL
  response: {block: {remote: 10m}}
`

// TestAlertsBlock has a program connect to an address that a rule has blocked, and
// wants the firewall to drop what comes from there, with the reason beside the ban.
func TestAlertsBlock(t *testing.T) {
	n := newFwNet(t)
	n.listen(2222)
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(respondRules), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	a := start(t, runOptions{rules: rules, args: []string{"--scope", s.scope(), "--output", "json"},
		config: fmt.Sprintf("response:\n  pins: %q\n  state: %q\n", n.flags[1], n.flags[3])})
	if made := n.attempts("10.77.0.2", "10.77.0.1:2222", 1, 0); made != 1 {
		t.Fatal("the client does not reach the server")
	}
	began := time.Now()
	s.do("nsenter --net=/run/netns/" + n.server + " bash -c 'exec 3<>/dev/tcp/10.77.0.2/4444' 2>/dev/null; true")
	a.until("the peer is banned", func() bool { return n.bansOf()["10.77.0.2/32"] != nil })
	t.Logf("banned %s after the connection was begun", time.Since(began).Round(time.Millisecond))
	if made := n.attempts("10.77.0.2", "10.77.0.1:2222", 1, 0); made != 0 {
		t.Error("the blocked peer still reaches the server")
	}
	alerts := alertsSeen(a)
	if len(alerts) != 1 {
		t.Fatalf("alerts %+v, want one", alerts)
	}
	b := n.bansOf()["10.77.0.2/32"]
	why, _ := b["comment"].(string)
	if cause, _ := b["alert"].(map[string]any); cause["id"] != alerts[0].ID || cause["rule"] != "Call home" || !strings.HasPrefix(fmt.Sprint(cause["process"]), "bash[") {
		t.Errorf("the ban's alert is %v", b["alert"])
	}
	if !strings.Contains(why, alerts[0].ID) || !strings.Contains(why, "Call home: bash[") {
		t.Errorf("the ban says %q, want the alert %s and its process", why, alerts[0].ID)
	}
	shows := func(want string) {
		t.Helper()
		a.until("alerts show says "+want, func() bool { // the ban comes first, and then what was done
			text, err := command(t, "bearcat", "alerts", "show", alerts[0].ID, "--socket", a.socket).Output()
			return err == nil && strings.Contains(string(text), want)
		})
	}
	shows("response  10.77.0.2 is blocked for 10m0s")
	shows("ban       10.77.0.2 holds for 9m")
	if f := a.status().Firewall; f == nil || f.Blocked != 1 || f.Bans != 1 || len(f.Reasons) == 0 || f.Problem != "" {
		t.Errorf("the status says of the firewall %+v", f)
	}
	n.fw("unban", "10.77.0.2")
	shows("ban       10.77.0.2 does not hold any more: it was ended before its time")
	n.fw("panic")
	shows("whether it holds is not known: no firewall is loaded")
	s.do("nsenter --net=/run/netns/" + n.server + " bash -c 'exec 3<>/dev/tcp/10.77.0.2/4444' 2>/dev/null; true")
	a.until("the missing firewall is told of", func() bool { return strings.Contains(a.said(), "no firewall is loaded") })
}
