package main

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

const outPolicy = `default_out: drop
rules:
  - {name: answers, direction: out, match: {established: true, protocol: tcp}, action: pass}
  - {name: dns, direction: out, match: {protocol: udp, dport: 5353}, action: pass}
  - {name: tagged, direction: out, match: {vlan: 7}, action: count}
`

// sends has the server send as much as fits into many segments on a connection that the
// client opens, and gives how much of it arrives.
func (n *fwNet) sends(size int) int64 {
	var l net.Listener
	n.within(n.server, func() (err error) {
		l, err = net.Listen("tcp4", "10.77.0.1:9002")
		return err
	})
	defer l.Close() //nolint:errcheck // only a test
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write(make([]byte, size))
			_ = c.Close()
		}
	}()
	var got int64
	n.within(n.client, func() error {
		c, err := net.DialTimeout("tcp4", "10.77.0.1:9002", 5*time.Second)
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // only a test
		_ = c.SetDeadline(time.Now().Add(60 * time.Second))
		got, err = io.Copy(io.Discard, c)
		return err
	})
	return got
}

// tagged sends a datagram through a device whose packets get a tag, which is not in their
// bytes yet where they are seen.
func (n *fwNet) tagged() {
	n.Helper()
	if guest.Name() == "" { // this host may have no such devices
		return
	}
	guest.Modprobe(n.T, "8021q")
	n.ip("-n", n.server, "link", "add", "link", "fws", "name", "fws.7", "type", "vlan", "id", "7")
	n.ip("-n", n.server, "addr", "add", "10.78.0.1/24", "dev", "fws.7")
	n.ip("-n", n.server, "link", "set", "fws.7", "up")
	n.ip("-n", n.server, "neigh", "add", "10.78.0.2", "lladdr", "02:00:00:00:00:02", "dev", "fws.7")
	before := n.passed("tagged")
	_ = n.asks("udp4", "10.78.0.2:53") // nobody answers
	if n.passed("tagged") == before {
		n.Error("no packet was taken for one with the tag of its device")
	}
}

// TestFwEgress drops what goes out by default and wants answers, and nothing else but what a
// rule lets, to leave.
func TestFwEgress(t *testing.T) {
	n := newFwNet(t)
	n.listen(9000)
	n.echo(5353)
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	if out := n.fw("apply", n.file(outPolicy)); !strings.Contains(out, "seen at no device") {
		t.Errorf("apply says %q", out)
	}
	if err := n.answered("tcp4", "10.77.0.2:5353"); err != nil {
		t.Errorf("what goes out is judged though nobody looks at it: %v", err)
	}
	if out := n.fw("attach", "fws", "--egress"); !strings.Contains(out, "egress by tcx") {
		t.Errorf("attach says %q", out)
	}
	if out := n.fw("status"); !strings.Contains(out, "egress by tcx") || !strings.Contains(out, "default of what goes out") {
		t.Errorf("status says %q", out)
	}
	check := func(when string) {
		t.Helper()
		n.want(when+": answers", v4a, true)
		n.want(when+": answers", v6a, true)
		if n.asks("tcp4", "10.77.0.2:5353") == nil {
			t.Errorf("%s: a connection was opened that no rule lets out", when)
		}
		if err := n.answered("udp4", "10.77.0.2:5353"); err != nil {
			t.Errorf("%s: a rule does not let a datagram out: %v", when, err)
		}
	}
	check("attached")
	n.fw("attach", "fws", "--egress") // which puts in the program anew
	check("replaced")
	const size = 2 << 20
	if got := n.sends(size); got != size {
		t.Errorf("%d of %d bytes went out", got, size)
	}
	n.fw("allow", "10.77.0.2")
	if err := n.answered("tcp4", "10.77.0.2:5353"); err != nil {
		t.Errorf("nothing goes out to an allowed address: %v", err)
	}
	n.fw("unallow", "10.77.0.2")
	n.tagged()
	var s xdp.Stats
	if err := json.Unmarshal([]byte(n.fw("stats", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Out {
		if strings.Contains(c.Name, "short") || strings.Contains(c.Name, "bad") {
			t.Errorf("%d packets that went out are taken for malformed: %s", c.Packets, c.Name)
		}
	}
	if len(s.Out) < 3 || !strings.Contains(n.fw("stats"), "out drop") {
		t.Errorf("of what went out is counted %+v", s.Out)
	}
	n.refused("neither in nor out", "apply", n.file(strings.Replace(outPolicy, "direction: out", "direction: up", 1)))
	n.refused("has this host as its source", "apply", n.file("rules: [{name: a, direction: out, action: drop, ban: 10m}]"))
	n.fw("detach", "fws", "--egress")
	if err := n.answered("tcp4", "10.77.0.2:5353"); err != nil {
		t.Errorf("nothing goes out after it was detached: %v", err)
	}
	n.refused("does not look at what goes out", "detach", "fws", "--egress")
	n.fw("attach", "fws", "--egress")
	n.fw("panic")
	if err := n.answered("tcp4", "10.77.0.2:5353"); err != nil {
		t.Errorf("nothing goes out after panic: %v", err)
	}
}
