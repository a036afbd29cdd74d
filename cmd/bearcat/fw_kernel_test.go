package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// fwNet is two namespaces with a cable between them, and a firewall's places.
type fwNet struct {
	*testing.T
	server, client string
	flags          []string
}

func newFwNet(t *testing.T) *fwNet {
	t.Helper()
	guest.Once(t)
	if guest.Name() != "" {
		guest.Modprobe(t, "veth")
	}
	n := &fwNet{T: t, server: fmt.Sprintf("bcfws%d", os.Getpid()), client: fmt.Sprintf("bcfwc%d", os.Getpid())}
	pins := filepath.Join(t.TempDir(), "bpf")
	if err := os.Mkdir(pins, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("bpf", pins, "bpf", 0, ""); err != nil {
		t.Fatalf("mounting a BPF file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(pins, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	n.flags = []string{"--pins", pins + "/fw", "--state", filepath.Join(t.TempDir(), "state"), "--kill-switch", filepath.Join(t.TempDir(), "off")}
	for _, ns := range []string{n.server, n.client} {
		n.ip("netns", "add", ns)
		t.Cleanup(func() { n.ip("netns", "del", ns) })
	}
	n.ip("link", "add", "fws", "netns", n.server, "type", "veth", "peer", "name", "fwc", "netns", n.client)
	for i, x := range [][2]string{{n.server, "fws"}, {n.client, "fwc"}} {
		n.ip("-n", x[0], "addr", "add", fmt.Sprintf("10.77.0.%d/24", i+1), "dev", x[1])
		n.ip("-n", x[0], "addr", "add", fmt.Sprintf("fd77::%d/64", i+1), "dev", x[1], "nodad")
		n.ip("-n", x[0], "link", "set", "lo", "up")
		n.ip("-n", x[0], "link", "set", x[1], "up")
	}
	return n
}

func (n *fwNet) ip(args ...string) {
	n.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (n *fwNet) command(args ...string) *exec.Cmd {
	all := append([]string{"netns", "exec", n.server, "bearcat", "fw"}, args...)
	return exec.Command("ip", append(all, n.flags...)...)
}

// fw runs bearcat fw where the server is.
func (n *fwNet) fw(args ...string) string {
	n.Helper()
	out, err := n.command(args...).CombinedOutput()
	if err != nil {
		n.Fatalf("bearcat fw %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// refused runs bearcat fw and wants an error with a text in it.
func (n *fwNet) refused(want string, args ...string) {
	n.Helper()
	out, err := n.command(args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		n.Errorf("bearcat fw %s: %v\n%swant %q", strings.Join(args, " "), err, out, want)
	}
}

// stats is for failures, after which there may be no firewall.
func (n *fwNet) stats() string {
	out, _ := n.command("stats").CombinedOutput()
	return string(out)
}

func (n *fwNet) apply(text string, more ...string) {
	n.Helper()
	n.fw(append([]string{"apply", n.file(text)}, more...)...)
}

func (n *fwNet) file(text string) string {
	f := filepath.Join(n.TempDir(), "policy.yaml")
	if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
		n.Fatal(err)
	}
	return f
}

// within runs f on a thread that is in a namespace; what it opens stays there.
func (n *fwNet) within(ns string, f func() error) {
	n.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never undone: the thread ends with the goroutine
		h, err := os.Open("/run/netns/" + ns)
		if err == nil {
			err = unix.Setns(int(h.Fd()), unix.CLONE_NEWNET)
			_ = h.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		n.Fatal(err)
	}
}

// listen opens TCP and UDP ports of the server, which says back what it hears.
func (n *fwNet) listen(ports ...int) {
	n.within(n.server, func() error {
		for _, port := range ports {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
			if err != nil {
				return err
			}
			n.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_ = c.Close()
				}
			}()
		}
		return nil
	})
}

// reach says whether the client can connect.
func (n *fwNet) reach(addr string) bool {
	n.Helper()
	var ok bool
	n.within(n.client, func() error {
		var dialErr error
		for _, wait := range []time.Duration{200 * time.Millisecond, 2 * time.Second}[:1+boolInt(guest.Name() != "")] {
			var c net.Conn
			if c, dialErr = net.DialTimeout("tcp", addr, wait); dialErr == nil {
				ok = true
				return c.Close()
			}
		}
		return nil
	})
	return ok
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (n *fwNet) want(what string, addr string, reach bool) {
	n.Helper()
	got := n.reach(addr)
	for end := time.Now().Add(time.Minute); reach && !got && time.Now().Before(end); {
		got = n.reach(addr) // kernels end links behind the command's back
	}
	if got != reach {
		n.Errorf("%s: %s is reached: %v, want %v\n%s", what, addr, got, reach, n.stats())
	}
}

const (
	v4a, v4b = "10.77.0.1:9000", "10.77.0.1:9001"
	v6a      = "[fd77::1]:9000"
)

func TestFirewallLists(t *testing.T) {
	n := newFwNet(t)
	n.listen(9000, 9001)
	n.refused("no firewall is loaded", "status")
	for _, mode := range []string{"native", "generic"} {
		if out := n.fw("attach", "fws", "--mode", mode); !strings.Contains(out, mode) {
			t.Errorf("attach says %q", out)
		}
		n.want("no lists", v4a, true)
		n.want("no lists", v6a, true)
		n.fw("add", "10.77.0.2")
		n.want("blocked", v4a, false)
		n.want("blocked v4 only", v6a, true)
		n.fw("allow", "10.77.0.0/24")
		n.want("blocked and allowed", v4a, true)
		n.fw("unallow", "10.77.0.0/24")
		n.want("no longer allowed", v4a, false)
		n.fw("remove", "10.77.0.2")
		n.want("no longer blocked", v4a, true)
		n.fw("add", "fd77::/64", "--override")
		n.want("blocked prefix", v6a, false)
		n.fw("remove", "fd77::/64")
		if mode == "generic" { // a ban ends by the clock, whatever the mode
			n.fw("detach", "fws")
			continue
		}
		banned := 2 * time.Second
		if guest.Name() != "" { // a command takes seconds there
			banned = 20 * time.Second
		}
		n.fw("ban", "10.77.0.2", "--for", banned.String())
		n.want("banned", v4a, false)
		if out := n.fw("bans"); !strings.Contains(out, "10.77.0.2") {
			t.Errorf("bans says %q", out)
		}
		time.Sleep(banned)
		n.want("the ban is over", v4a, true)
		n.fw("detach", "fws")
	}
	n.refused("holds 10.77.0.1", "add", "10.77.0.0/16")
	n.refused("lasts up to 168h", "ban", "10.77.0.2", "--for", "9999h")
	n.refused("did you mean", "add", "10.77.0.2/24")
	n.refused("not on the block list", "remove", "10.9.9.9")
	n.refused("no device", "attach", "nosuch0")
	n.fw("attach", "fws")
	n.refused("bits set beyond /24", "add", "192.0.2.7/24")
	n.fw("add", "192.0.2.7/24", "--mask")
	if out := n.fw("list"); !strings.Contains(out, "192.0.2.0/24") {
		t.Errorf("the list is %q, want the network of 192.0.2.7/24", out)
	}
	n.fw("remove", "192.0.2.7/24", "--mask")
	pins := n.flags[1]
	n.flags[1] += "2" // another firewall's
	n.refused("fws has a program of someone else: fw_entry", "attach", "fws")
	n.fw("panic")
	n.flags[1] = pins
	n.fw("add", "10.77.0.2")
	n.want("blocked", v4a, false)
	n.fw("panic")
	n.want("panic", v4a, true)
	n.refused("no firewall is loaded", "status")
	if err := os.WriteFile(n.flags[5], nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.refused("stays off", "attach", "fws")
	if err := os.Remove(n.flags[5]); err != nil {
		t.Fatal(err)
	}
	n.fw("attach", "fws")
	n.ip("-n", n.server, "link", "del", "fws") // a device that vanishes
	if out := n.fw("status"); !strings.Contains(out, "device   none") && !strings.Contains(out, "none: bearcat fw attach DEV") {
		t.Errorf("without its device the firewall is at\n%s", out)
	}
	n.ip("link", "add", "fws", "netns", n.server, "type", "veth", "peer", "name", "fwc", "netns", n.client)
	n.fw("attach", "fws") // and comes anew
	if out := n.fw("status"); !strings.Contains(out, "fws") {
		t.Errorf("with its device again the firewall is at\n%s", out)
	}
}

func TestFirewallPolicy(t *testing.T) {
	n := newFwNet(t)
	n.listen(9000, 9001)
	n.fw("attach", "fws", "--mode", "native")
	drop := "rules: [{name: a, action: drop, match: {protocol: tcp, dport: 9001, src: 10.77.0.0/24}}]"
	late := strings.Replace(drop, "}]", "}, {name: b, action: pass, match: {protocol: tcp, dport: 9001, src: 10.77.0.2}}]", 1)
	if out, err := n.command("apply", n.file(late)).CombinedOutput(); err != nil || !strings.Contains(string(out), "rule b never holds: a, before it, drops all") {
		t.Errorf("a rule that never holds: %v: %s", err, out)
	}
	n.apply(drop)
	n.want("another port", v4a, true)
	n.want("a dropped port", v4b, false)
	n.want("another family", "[fd77::1]:9001", true)
	if out := n.fw("diff", n.file("default: drop")); !strings.Contains(out, "- rule a") || !strings.Contains(out, "default: drop") {
		t.Errorf("diff says %q", out)
	}
	if out := n.fw("export"); out != drop {
		t.Errorf("export gives %q", out)
	}
	n.apply(strings.Replace(drop, "action: drop", "action: drop, monitor: true", 1))
	n.want("monitor", v4b, true)
	var s struct{ Rules []struct{ Over uint64 } }
	if err := json.Unmarshal([]byte(n.fw("stats", "--json")), &s); err != nil || len(s.Rules) != 1 || s.Rules[0].Over == 0 {
		t.Errorf("stats: %+v, %v", s, err)
	}
	n.apply("rules: [{name: new, action: limit, rate: 2/h, burst: 2, match: {protocol: tcp, tcp_flags: [syn, '!ack'], dport: 9000}}]")
	n.want("limit, first", v4a, true)
	n.want("limit, second", v4a, true)
	n.want("limit, third", v4a, false)
	n.want("limit, another source", v6a, true)

	// a mistake changes nothing
	n.refused("neither pass nor drop", "apply", n.file("default: reject"))
	n.want("after a mistake", v4a, false)

	n.apply("default: pass")
	start := time.Now()
	n.refused("the policy before is back", "apply", n.file("default: drop"), "--confirm", "1s")
	if time.Since(start) < time.Second {
		t.Error("it went back before the time was up")
	}
	n.want("rolled back", v4a, true)
	c := n.command("apply", n.file("default: drop"), "--confirm", "60s")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for n.reach(v4a) && time.Since(start) < 20*time.Second {
	}
	n.want("on trial", v4a, false)
	n.fw("confirm")
	if err := c.Wait(); err != nil {
		t.Errorf("the confirmed trial ends with %v", err)
	}
	n.want("confirmed", v4a, false)
}

// TestFirewallShapes sends frames that no socket would, and wants those that a
// policy drops not to arrive.
func TestFirewallShapes(t *testing.T) {
	n := newFwNet(t)
	n.fw("attach", "fws", "--mode", "native")
	n.apply(`rules:
  - {name: icmp, action: drop, match: {protocol: icmp, icmp_type: 8}}
  - {name: vlan, action: drop, match: {vlan: 7}}
  - {name: later, action: drop, match: {fragment: later, protocol: udp}}
  - {name: port, action: drop, match: {dport: 53}}
`)
	udp := func(port byte) []byte { return []byte{0, 1, 0, port, 0, 8, 0, 0} }
	echo := []byte{8, 0, 0, 0, 0, 0, 0, 0}
	tag := func(id byte, b []byte) []byte { return append([]byte{0, id, 8, 0}, b...) }
	v6 := append([]byte{0x60, 0, 0, 0, 0, 16, 60, 64, 15: 0, 39: 0}, append([]byte{17, 0, 0, 0, 0, 0, 0, 0}, udp(53)...)...)
	sock, hear := n.raw(n.client, "fwc"), n.raw(n.server, "fws")
	for i, x := range []struct {
		name  string
		kind  uint16
		data  []byte
		drops bool
	}{
		{"echo", 0x0800, ipv4(1, 0, echo), true},
		{"an answer to it", 0x0800, ipv4(1, 0, make([]byte, 8)), false},
		{"udp", 0x0800, ipv4(17, 0, udp(80)), false},
		{"udp to 53", 0x0800, ipv4(17, 0, udp(53)), true},
		{"in vlan 7", 0x8100, tag(7, ipv4(17, 0, udp(80))), true},
		{"in vlan 8", 0x8100, tag(8, ipv4(17, 0, udp(80))), false},
		{"in vlan 8, to 53", 0x88a8, tag(8, ipv4(17, 0, udp(53))), true},
		{"first fragment", 0x0800, ipv4(17, 0x2000, udp(80)), false},
		{"first fragment to 53", 0x0800, ipv4(17, 0x2000, udp(53)), true},
		{"later fragment", 0x0800, ipv4(17, 100, udp(80)), true},
		{"v6 with an option, to 53", 0x86dd, v6, true},
		{"arp", 0x0806, make([]byte, 28), false},
		{"cut off", 0x0800, ipv4(17, 0, udp(80))[:24], true},
	} {
		b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0xbe, 0xef, 0, 0, byte(i)}, 0, 0)
		binary.BigEndian.PutUint16(b[12:], x.kind)
		if _, err := unix.Write(sock, append(b, x.data...)); err != nil {
			t.Fatal(err)
		}
		if got := hears(hear, b[6:12]); got == x.drops {
			t.Errorf("%s arrives: %v\n%s", x.name, got, n.fw("stats"))
		}
	}
}

// ipv4 is a packet of the client to the server.
func ipv4(proto byte, fragment uint16, l4 []byte) []byte {
	b := make([]byte, 20)
	b[0], b[8], b[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(l4)))
	binary.BigEndian.PutUint16(b[6:], fragment)
	copy(b[12:], []byte{10, 77, 0, 2, 10, 77, 0, 1})
	return append(b, l4...)
}

// raw opens a socket for whole frames at a device.
func (n *fwNet) raw(ns, dev string) (fd int) {
	n.Helper()
	n.within(ns, func() (err error) {
		d, err := net.InterfaceByName(dev)
		if err != nil {
			return err
		}
		all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, int(all)); err != nil {
			return err
		}
		n.Cleanup(func() { _ = unix.Close(fd) })
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: d.Index})
	})
	return fd
}

// TestFirewallFields sends for each match a packet that it is about and one that it is not.
func TestFirewallFields(t *testing.T) {
	n := newFwNet(t)
	n.fw("attach", "fws", "--mode", "native")
	n.apply(`rules:
  - {name: long, action: drop, match: {length: 1000-1500}}
  - {name: ttl, action: drop, match: {ttl: 1-4}}
  - {name: dscp, action: drop, match: {dscp: 46}}
  - {name: mac, action: drop, match: {mac: "02:be:ef:00:01:00"}}
  - {name: code, action: drop, match: {protocol: icmp, icmp_type: 3, icmp_code: 13}}
  - {name: here, action: drop, match: {device: fws, protocol: udp, dport: 82}}
  - {name: elsewhere, action: drop, match: {device: lo, protocol: udp, dport: 83}}
  - {name: flags, action: drop, match: {protocol: tcp, tcp_flags: [fin, "!ack"]}}
  - {name: ends, action: drop, match: {src: 10.77.0.2, dst: 10.77.0.0/24, protocol: udp, sport: 7, dport: "90-99"}}
  - {name: except, action: drop, match: {protocol: udp, dport: "100-109"}, not: {sport: 7}}
`)
	udp := func(from, to byte) []byte { return ipv4(17, 0, []byte{0, from, 0, to, 0, 8, 0, 0}) }
	tcp := func(flags byte) []byte {
		return ipv4(6, 0, []byte{0, 1, 0, 80, 12: 5 << 4, 13: flags, 19: 0})
	}
	with := func(at int, v byte) []byte {
		b := udp(1, 80)
		b[at] = v
		return b
	}
	own, other := []byte{2, 0xbe, 0xef, 0, 1, 0}, []byte{2, 0xbe, 0xef, 0, 2, 0}
	sock, hear := n.raw(n.client, "fwc"), n.raw(n.server, "fws")
	for i, x := range []struct {
		name  string
		mac   []byte
		data  []byte
		drops bool
	}{
		{"a long one", nil, ipv4(17, 0, append([]byte{0, 1, 0, 80, 0x04, 0xb8, 0, 0}, make([]byte, 1200)...)), true},
		{"a short one", nil, udp(1, 80), false},
		{"time to live 4", nil, with(8, 4), true}, {"time to live 5", nil, with(8, 5), false},
		{"class 46", nil, with(1, 46<<2), true}, {"class 45", nil, with(1, 45<<2), false},
		{"that card", own, udp(1, 80), true}, {"another card", other, udp(1, 80), false},
		{"unreachable, forbidden", nil, ipv4(1, 0, []byte{3, 13, 7: 0}), true}, {"unreachable, port", nil, ipv4(1, 0, []byte{3, 3, 7: 0}), false},
		{"at the device", nil, udp(1, 82), true}, {"at another device", nil, udp(1, 83), false},
		{"fin without ack", nil, tcp(1), true}, {"fin with ack", nil, tcp(0x11), false},
		{"both ends", nil, udp(7, 95), true}, {"another source port", nil, udp(8, 95), false}, {"another port", nil, udp(7, 89), false},
		{"not excepted", nil, udp(1, 105), true}, {"excepted", nil, udp(7, 105), false},
	} {
		mac := x.mac
		if mac == nil {
			mac = []byte{2, 0xbe, 0xef, 0, 0, byte(i)}
		}
		frame := append(append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...), 8, 0)
		if _, err := unix.Write(sock, append(frame, x.data...)); err != nil {
			t.Fatal(err)
		}
		if got := hears(hear, mac); got == x.drops {
			t.Errorf("%s arrives: %v\n%s", x.name, got, n.fw("stats"))
		}
	}
}

// hears waits for a frame from a MAC address.
func hears(fd int, mac []byte) bool {
	wait := 150 * time.Millisecond
	if guest.Name() != "" {
		wait = time.Second
	}
	end := time.Now().Add(wait)
	b := make([]byte, 2048)
	for time.Now().Before(end) {
		size, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			time.Sleep(time.Millisecond)
			continue
		}
		if err == nil && size >= 14 && string(b[6:12]) == string(mac) {
			return true
		}
	}
	return false
}
