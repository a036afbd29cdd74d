package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/observe/drop"
)

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
