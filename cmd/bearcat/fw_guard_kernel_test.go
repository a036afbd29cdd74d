package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall/explain"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp/xdptest"
	"golang.org/x/sys/unix"
)

// attempts opens connections to a port of the server from an address of the client,
// one after the other, and says how many were made.
func (n *fwNet) attempts(source, target string, count int, pause time.Duration) int {
	n.Helper()
	made := 0
	n.within(n.client, func() error {
		d := net.Dialer{Timeout: 400 * time.Millisecond, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
		for i := range count {
			if i > 0 {
				time.Sleep(pause)
			}
			c, err := d.Dial("tcp", target)
			if err != nil {
				continue
			}
			made++
			_ = c.Close()
		}
		return nil
	})
	return made
}

// bansOf gives the entries of fw bans by prefix.
func (n *fwNet) bansOf() map[string]map[string]any {
	n.Helper()
	var all map[string][]map[string]any
	if err := json.Unmarshal([]byte(n.fw("bans", "--json")), &all); err != nil {
		n.Fatal(err)
	}
	out := map[string]map[string]any{}
	for _, e := range all["ban"] {
		out[e["prefix"].(string)] = e
	}
	return out
}

const guardPolicy = "guards:\n  - name: logins\n    ports: [2222]\n    connections: 6/m\n    ban: 10m\n    grow: true\n    half_open: 50/s\n"

// TestFwGuard has one client open connections as if to guess passwords and another
// open a few, and wants the first to be banned, longer each time, and nobody else.
func TestFwGuard(t *testing.T) {
	n := newFwNet(t)
	n.ip("-n", n.client, "addr", "add", "10.77.0.3/24", "dev", "fwc")
	n.ip("-n", n.client, "addr", "add", "fd77::dead/64", "dev", "fwc", "nodad")
	n.listen(2222, 2223)
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	n.apply(guardPolicy)
	if made := n.attempts("10.77.0.3", "10.77.0.1:2222", 3, 0); made != 3 {
		t.Errorf("the slow client made %d of 3 connections", made)
	}
	if made := n.attempts("10.77.0.2", "10.77.0.1:2223", 12, 0); made != 12 {
		t.Errorf("%d of 12 connections to a port without a guard", made)
	}
	if made := n.attempts("10.77.0.2", "10.77.0.1:2222", 12, 0); made < 6 || made > 8 {
		t.Errorf("the guesser made %d of 12 connections, want 7: six are allowed and the next one bans", made)
	}
	bans := n.bansOf()
	b := bans["10.77.0.2/32"]
	if len(bans) != 1 || b == nil || b["by"] != "logins connections" || b["strikes"] != nil {
		t.Fatalf("bans %v, want one of 10.77.0.2 by the guard", bans)
	}
	if made := n.attempts("10.77.0.2", "10.77.0.1:2223", 1, 0); made != 0 {
		t.Error("the banned client still reaches the server")
	}
	if made := n.attempts("10.77.0.3", "10.77.0.1:2222", 1, 0); made != 1 {
		t.Error("the slow client was shut out")
	}
	// replacing the program of a build with other rules keeps the ban and who made it
	if err := xdptest.Age(n.flags[1], "0.9", "rules"); err != nil {
		t.Fatal(err)
	}
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	if b := n.bansOf()["10.77.0.2/32"]; b == nil || b["by"] != "logins connections" {
		t.Errorf("replacing the program left of the ban %v", b)
	}
	// bans that end soon, to see the next one grow; slow machines need some time
	n.fw("unban", "10.77.0.2")
	n.apply(strings.Replace(guardPolicy, "ban: 10m", "ban: 5s", 1))
	if n.attempts("10.77.0.2", "10.77.0.1:2222", 3, 0); n.bansOf()["10.77.0.2/32"] == nil {
		t.Error("no second ban")
	}
	for end := time.Now().Add(20 * time.Second); len(n.bansOf()) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a ban of 5 s holds after 20 s")
		}
	}
	n.attempts("10.77.0.2", "10.77.0.1:2222", 4, 0)
	if b := n.bansOf()["10.77.0.2/32"]; b == nil || b["strikes"] != 1.0 || b["left_ns"].(float64) < 5.1e9 {
		t.Errorf("the third ban is %v, want one strike and about 10 s", b)
	}
	// IPv6: the 64 bits are banned, whatever is behind them
	n.attempts("fd77::dead", "[fd77::1]:2222", 9, 0)
	if n.bansOf()["fd77::/64"] == nil {
		t.Errorf("bans %v, want fd77::/64", n.bansOf())
	}
	n.fw("unban", "fd77::/64")
	if made := n.attempts("fd77::2", "[fd77::1]:2223", 1, 0); made != 1 {
		t.Error("no connection after unban")
	}
	// an allowed source is never banned
	n.fw("allow", "10.77.0.3")
	if made := n.attempts("10.77.0.3", "10.77.0.1:2222", 15, 0); made != 15 {
		t.Errorf("the allowed client made %d of 15 connections", made)
	}
	stats := n.fw("stats")
	if !strings.Contains(stats, "logins connections") || !strings.Contains(stats, "logins half-open") {
		t.Errorf("stats do not tell of the guard:\n%s", stats)
	}
	n.apply("default: pass\n")
	if _, err := os.Stat(filepath.Join(n.flags[1], "guard")); err == nil {
		t.Error("a policy without guards still watches connections")
	}
}

// TestFwGuardIsNotFooled floods a guarded port with openings from made-up addresses:
// nobody is banned for them, and one source's are limited.
func TestFwGuardIsNotFooled(t *testing.T) {
	n := newFwNet(t)
	n.listen(2222)
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	n.apply(guardPolicy)
	n.flood("10.77.0.77", 2222, 200)
	if bans := n.bansOf(); len(bans) > 0 {
		t.Errorf("openings that nobody completed banned %v", bans)
	}
	var stats struct {
		Rules []struct {
			Name          string
			Packets, Over uint64
		}
	}
	if err := json.Unmarshal([]byte(n.fw("stats", "--json")), &stats); err != nil {
		t.Fatal(err)
	}
	for _, r := range stats.Rules {
		if r.Name == "logins half-open" && (r.Packets != 200 || r.Over == 0) {
			t.Errorf("half-open: %+v, want 200 openings, some over the limit", r)
		}
		if r.Name == "logins connections" && r.Packets != 0 {
			t.Errorf("connections: %+v, want none", r)
		}
	}
}

// TestFwLog reads the log while frames are dropped by a rule and a list, as text, as
// JSON and as a capture.
func TestFwLog(t *testing.T) {
	n := newFwNet(t)
	n.listen(2222)
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	n.apply("rules:\n  - {name: no-telnet, match: {protocol: tcp, dport: 23}, action: drop}\n" + guardPolicy)
	capture := filepath.Join(t.TempDir(), "drops.pcapng")
	cmd := n.command("log", "--json", "--pcap", capture, "--for", "60s", "--count", "4")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() //nolint:errcheck // ended by its count or its time
	time.Sleep(500 * time.Millisecond)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		// a second reader is refused once the first one is there
		b, err := n.command("log", "--for", "1ms").CombinedOutput()
		if err != nil && strings.Contains(string(b), "someone else reads the log") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the log is not open after 30 s")
		}
	}
	n.attempts("10.77.0.2", "10.77.0.1:23", 1, 0)
	n.attempts("10.77.0.2", "10.77.0.1:2222", 9, 0)
	lines := []explain.Logged{}
	for s := bufio.NewScanner(out); s.Scan(); {
		var l explain.Logged
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", s.Bytes(), err)
		}
		lines = append(lines, l)
	}
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 4: %+v", len(lines), lines)
	}
	first := lines[0]
	if first.What != "drop" || first.Rule != "no-telnet" || first.Device != "fws" || first.Destination != "10.77.0.1:23" || first.Protocol != 6 || first.Length < 54 {
		t.Errorf("first line %+v", first)
	}
	ban := false
	for _, l := range lines {
		ban = ban || l.What == "ban" && l.Source == "10.77.0.2" && l.For == "10m0s" && l.Rule == "logins connections"
	}
	if !ban {
		t.Errorf("no line tells of the ban: %+v", lines)
	}
	b, err := os.ReadFile(capture)
	if err != nil || !strings.Contains(string(b), "dropped by rule no-telnet") {
		t.Errorf("the capture says nothing of the rule: %v", err)
	}
	if tshark, err := exec.LookPath("tshark"); err == nil {
		out, err := exec.Command(tshark, "-r", capture, "-Y", "frame.comment", "-T", "fields", "-e", "frame.comment", "-e", "tcp.dstport").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "no-telnet\t23") {
			t.Errorf("tshark: %v\n%s", err, out)
		}
	}
}

// flood sends TCP openings with a made-up source and never answers.
func (n *fwNet) flood(source string, port, count int) {
	n.Helper()
	n.within(n.client, func() error {
		return sendOpenings(net.ParseIP(source).To4(), net.IPv4(10, 77, 0, 1).To4(), port, count)
	})
}

// sendOpenings sends through a raw socket that takes the whole IP packet.
func sendOpenings(src, dst net.IP, port, count int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // only sent to
	for i := range count {
		b := make([]byte, 40)
		b[0], b[8], b[9] = 0x45, 64, 6
		copy(b[12:], src)
		copy(b[16:], dst)
		tcp := b[20:]
		binary.BigEndian.PutUint16(tcp, uint16(20000+i))
		binary.BigEndian.PutUint16(tcp[2:], uint16(port))
		tcp[12], tcp[13] = 5<<4, 2
		if err := unix.Sendto(fd, b, 0, &unix.SockaddrInet4{Addr: [4]byte(dst)}); err != nil {
			return err
		}
	}
	return nil
}
