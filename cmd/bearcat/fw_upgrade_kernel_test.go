package main

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall/xdp/xdptest"
)

// TestFirewallReplaced changes the policy and the program while datagrams flow, also as if
// builds with other tables had loaded it: two ports of what comes in, two of what goes out.
// None that should be dropped arrives, none that should not is lost, and lists, bans and
// counters go on.
func TestFirewallReplaced(t *testing.T) {
	n := newFwNet(t)
	var heard [4]atomic.Int64
	ends := []string{"10.77.0.1:9000", "10.77.0.1:9001", "10.77.0.2:9002", "10.77.0.2:9003"}
	within := func(i int, far bool, f func() error) {
		at := n.server
		if (i < 2) == far {
			at = n.client
		}
		n.within(at, f)
	}
	for i := range heard {
		within(i, false, func() error {
			c, err := net.ListenPacket("udp4", ends[i])
			if err != nil {
				return err
			}
			_ = c.(*net.UDPConn).SetReadBuffer(4 << 20)
			n.Cleanup(func() { _ = c.Close() })
			go func() {
				for b := make([]byte, 64); ; heard[i].Add(1) {
					if _, _, err := c.ReadFrom(b); err != nil {
						return
					}
				}
			}()
			return nil
		})
	}
	n.fw("attach", "fws", "--mode", "native", "--egress")
	n.fw("add", "198.51.100.0/24", "203.0.113.1", "--comment", "scanners")
	n.fw("ban", "203.0.113.4", "--for", "99h30m")
	n.fw("allow", "192.0.2.10")
	// both policies say the same of ports 9001 and 9003, each in its own way
	policies := []string{
		n.file("rules: [{name: a, action: drop, match: {dport: 9001}}, {name: c, direction: out, action: drop, match: {dport: 9003}}]"),
		n.file("default: drop\ndefault_out: drop\nrules: [{name: b, action: pass, match: {dport: 9000}}, {name: arp, action: pass, match: {protocol: icmp}},\n" +
			"  {name: d, direction: out, action: pass, match: {dport: 9002}}]"),
	}
	n.fw("apply", policies[0])
	var conns [4]net.Conn
	for i := range conns {
		within(i, true, func() (err error) {
			conns[i], err = net.Dial("udp4", ends[i])
			return err
		})
	}
	stop, sent := make(chan struct{}), make(chan int64)
	go func() {
		var k int64
		for {
			select {
			case <-stop:
				sent <- k
				return
			default:
			}
			for i := range conns {
				_, _ = conns[i].Write([]byte("x"))
			}
			k++
			time.Sleep(50 * time.Microsecond)
		}
	}()
	for i, x := range []struct {
		age  string // tables that the build before had in another form
		says string
	}{
		{}, {age: "rules"}, {age: "bans block4 blocknet4", says: "those of commands and alerts go on"},
		{age: "control names heads", says: "bans no longer say which rule"}, {age: "active rows near4", says: "bearcat 0.9 is replaced"}, {},
	} {
		if x.age != "" {
			if err := xdptest.Age(n.flags[1], "0.9", strings.Fields(x.age)...); err != nil {
				t.Fatal(err)
			}
		}
		if i == 1 {
			n.refused("has another form", "list")
		}
		var out string
		if i%2 == 0 { // one replaces the program, the other the policy
			out = n.fw("attach", "fws")
			n.fw("apply", policies[(i+1)%2])
		} else {
			out = n.fw("apply", policies[(i+1)%2])
			n.fw("attach", "fws")
		}
		if !strings.Contains(out, x.says) || x.age == "" && strings.Contains(out, "bearcat:") {
			t.Errorf("replacing a firewall with another %q says %q, want %q", x.age, out, x.says)
		}
		list := n.fw("list") + n.fw("bans")
		for _, want := range []string{"198.51.100.0/24", "203.0.113.1", "203.0.113.4", "192.0.2.10", "scanners", "99h"} {
			if !strings.Contains(list, want) {
				t.Errorf("with another %q, %s is lost:\n%s", x.age, want, list)
			}
		}
	}
	close(stop)
	k := <-sent
	time.Sleep(300 * time.Millisecond)
	for i, end := range ends {
		want := k
		if i%2 == 1 {
			want = 0
		}
		if got := heard[i].Load(); got != want {
			t.Errorf("%d of %d datagrams to %s arrived, want %d\n%s", got, k, end, want, n.fw("stats"))
		}
	}
	t.Logf("%d datagrams to each port, over 6 changes of policy and of program", k)
}
