package main

import (
	"encoding/json"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
)

// TestFwTop has packets that pass, that a rule drops and that come from a blocked
// source while the counters are read, and wants each of them in its row.
func TestFwTop(t *testing.T) {
	n := newFwNet(t)
	n.ip("-n", n.client, "addr", "add", "10.77.0.3/24", "dev", "fwc")
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	n.fw("add", "10.77.0.3")
	n.apply("rules: [{name: telnet, match: {protocol: tcp, dport: 23}, action: drop}]\n")
	n.attempts("10.77.0.3", "10.77.0.1:22", 1, 0) // so that its entry has hits before
	done := make(chan string)
	go func() {
		out, err := n.command("top", "--interval", "3s", "--count", "1", "--json").Output()
		if err != nil {
			t.Errorf("fw top: %v", err)
		}
		done <- string(out)
	}()
	var out string
	for out == "" {
		select {
		case out = <-done:
		default:
			n.attempts("10.77.0.2", "10.77.0.1:22", 1, 0)
			n.attempts("10.77.0.2", "10.77.0.1:23", 1, 0)
			n.attempts("10.77.0.3", "10.77.0.1:22", 1, 0)
		}
	}
	var r xdp.Rates
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	rates := map[string]float64{}
	for _, x := range r.Rows {
		rates[x.Kind+" "+x.Name+" "+x.Note] = x.PacketsPerSecond
	}
	for _, want := range []string{"device fws generic", "drop rule ", "drop block ", "pass default ", "rule telnet ", "source 10.77.0.3 block"} {
		if rates[want] <= 0 {
			t.Errorf("nothing came of %q: %v", want, rates)
		}
	}
	if r.Passed <= 0 || r.Dropped <= 0 || r.Seconds < 3 {
		t.Errorf("%+v", r)
	}
}
