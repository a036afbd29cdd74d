package rule

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"pgregory.net/rapid"
)

// connectTo is a connect as the sensor tells of it.
func connectTo(addr string, port uint16, ret int64) *event.Event {
	fd := &event.FD{Num: 3, Kind: event.StdioSocket, Sock: &event.Socket{Family: "ipv4", Proto: "tcp", Type: "stream"}}
	c := &event.Call{Spec: event.CallNamed("connect"), Ret: ret, FD: fd, Addr: &event.Socket{Family: "ipv4", Remote: addr, RemotePort: port}}
	switch a, err := netip.ParseAddr(addr); {
	case err != nil:
		fd.Sock.Family, fd.Sock.Proto, c.Addr.Family = "unix", "", "unix"
	case a.Is6():
		fd.Sock.Family, c.Addr.Family = "ipv6", "ipv6"
	}
	if ret == 0 {
		fd.Sock.Remote, fd.Sock.RemotePort = addr, port
	}
	return &event.Event{Type: event.Connect, Num: 1, Time: time.Unix(1_700_000_000, 0), Proc: execEvent().Proc, Call: c}
}

// wants is what a filter says of an event.
func wants(f *event.ConnectFilter, ev *event.Event) event.ConnectWant {
	text, port := ev.Call.Peer()
	a, err := netip.ParseAddr(text)
	if err != nil {
		return f.Other
	}
	return f.Wants(a, port)
}

func TestConnects(t *testing.T) {
	const none, once, all = event.ConnectNone, event.ConnectOnce, event.ConnectAll
	type to struct {
		addr string
		port uint16
		want event.ConnectWant
	}
	for cond, list := range map[string][]to{
		"evt.type = execve":                                                                         {{"10.0.0.1", 80, none}, {"fd00::1", 80, none}, {"/run/x", 0, none}},
		"evt.type = connect":                                                                        {{"10.0.0.1", 80, all}, {"fd00::1", 80, all}, {"/run/x", 0, all}},
		"evt.type = connect and fd.rport = 80":                                                      {{"10.0.0.1", 80, all}, {"10.0.0.1", 81, none}, {"fd00::1", 80, all}, {"/run/x", 0, none}, {"10.0.0.1", 0, all}},
		"evt.type = connect and fd.sport > 1023 and fd.sport < 99":                                  {{"10.0.0.1", 2000, none}},
		"evt.type = connect and not fd.rport in (80, 443)":                                          {{"10.0.0.1", 80, none}, {"10.0.0.1", 81, all}, {"/run/x", 0, all}},
		"evt.type = connect and fd.rport >= 65535":                                                  {{"10.0.0.1", 65535, all}, {"10.0.0.1", 65534, none}},
		"evt.type = connect and fd.rip = 10.0.0.1":                                                  {{"10.0.0.1", 80, all}, {"::ffff:10.0.0.1", 80, all}, {"10.0.0.2", 80, none}, {"fd00::1", 80, none}},
		"evt.type = connect and not fd.rnet in (10.0.0.0/8)":                                        {{"10.0.0.1", 80, none}, {"11.0.0.1", 80, all}, {"fd00::1", 80, all}, {"/run/x", 0, all}, {"0.0.0.0", 80, all}},
		"evt.type = connect and fd.rip exists and proc.name = no":                                   {{"10.0.0.1", 80, all}, {"/run/x", 0, none}},
		"evt.type = connect and fd.rnet in (10.0.0.0/8, fd00::/8) and not fd.rnet in (10.1.0.0/16)": {{"10.0.0.1", 80, all}, {"10.1.2.3", 80, none}, {"fd00::1", 1, all}, {"fe80::1", 1, none}},
		"evt.type = connect and (fd.rip = 10.0.0.1 and fd.rport = 80 or fd.rip = 10.0.0.2)":         {{"10.0.0.1", 80, all}, {"10.0.0.1", 81, none}, {"10.0.0.2", 81, all}},
		"evt.type = connect and fd.ip = 10.0.0.1":                                                   {{"10.0.0.9", 80, all}},
		"evt.type = connect and fd.name endswith .sock":                                             {{"10.0.0.9", 80, all}, {"/run/x", 0, all}},
	} {
		f := mustLoad(t, ruleFile("r", cond)).Connects()
		for _, x := range list {
			if got := wants(f, connectTo(x.addr, x.port, -1)); got != x.want {
				t.Errorf("%s: of a connect to %s port %d %d is wanted, want %d", cond, x.addr, x.port, got, x.want)
			}
		}
	}
	counts := func(condition, correlation string) *event.ConnectFilter {
		return mustLoad(t, ruleFile("tried", condition)+"- rule: scan\n  desc: d\n  priority: INFO\n  output: o\n  correlation:\n    rules: [tried]\n    timespan: 30s\n    "+correlation+"\n").Connects()
	}
	for correlation, want := range map[string]event.ConnectWant{
		"type: value_count\n    group-by: [fd.sip, proc.sid]\n    condition: {field: fd.sport, gte: 100}": once,
		"type: value_count\n    group-by: [fd.sip, evt.res]\n    condition: {field: fd.sport, gte: 100}":  all,
		"type: value_count\n    group-by: [fd.sip]\n    condition: {field: fd.lport, gte: 100}":           all,
		"type: value_count\n    group-by: [fd.sip]\n    condition: {field: fd.sport, lt: 100}":            all,
		"type: event_count\n    group-by: [fd.sip]\n    condition: {gte: 100}":                            all,
	} {
		f := counts("evt.type = connect and fd.sport in (22, 80)", correlation)
		if got := wants(f, connectTo("10.0.0.1", 22, 0)); got != want {
			t.Errorf("%s: %d is wanted, want %d", correlation, got, want)
		}
		if got := wants(f, connectTo("10.0.0.1", 23, 0)); got != none {
			t.Errorf("%s: %d is wanted of another port", correlation, got)
		}
	}
}

// TestConnectsHideNothing matches random conditions against connects to all kinds of
// ends: a rule that matches one must have asked for it.
func TestConnectsHideNothing(t *testing.T) {
	addrs := []string{"10.0.0.1", "10.0.0.2", "10.1.0.1", "192.0.2.1", "127.0.0.1", "::1", "fd00::1", "2001:db8::1", "::ffff:10.0.0.1", "/run/x.sock"}
	nets := []string{"10.0.0.0/8", "10.0.0.0/24", "10.0.0.1/32", "0.0.0.0/0", "127.0.0.0/8", "::/0", "fd00::/8", "2001:db8::/32", "::ffff:10.0.0.0/104"}
	ports := []string{"1", "22", "80", "443", "1024", "65535"}
	rapid.Check(t, func(t *rapid.T) {
		pick := func(list []string) string { return rapid.SampledFrom(list).Draw(t, "value") }
		end := func() string { return pick([]string{"r", "s"}) }
		atoms := []string{"evt.failed = true", "evt.res = SUCCESS", "fd.l4proto = tcp", "fd.type = unix", "fd.rip exists", "fd.rport exists", "proc.name = nc", "proc.name = no"}
		for range rapid.IntRange(1, 6).Draw(t, "atoms") {
			atoms = append(atoms, rapid.SampledFrom([]string{
				"fd." + end() + "ip = " + pick(addrs[:8]), "fd." + end() + "ip != " + pick(addrs[:8]), "fd." + end() + "net in (" + pick(nets) + ", " + pick(nets) + ")", "fd." + end() + "net != " + pick(nets),
				"fd." + end() + "port = " + pick(ports), "fd." + end() + "port != " + pick(ports), "fd." + end() + "port in (" + pick(ports) + ", " + pick(ports) + ")",
				"fd." + end() + "port " + pick([]string{"<", "<=", ">", ">="}) + " " + pick(ports), "fd.ip = " + pick(addrs[:8]), "fd.cip = " + pick(addrs[:8]), "fd.lport = " + pick(ports), "fd.port = " + pick(ports),
			}).Draw(t, "atom"))
		}
		cond := "evt.type = connect and (" + condOf(t, atoms, 3) + ")"
		set, rep := Load([]File{{Name: "r", Data: []byte(ruleFile("r", cond))}}, Options{})
		if rep.Errors() > 0 {
			t.Fatalf("%s: %v", cond, rep.Err())
		}
		f := set.Connects()
		for _, a := range addrs {
			for _, port := range []uint16{1, 2, 22, 80, 443, 1023, 1024, 1025, 65534, 65535} {
				for _, ret := range []int64{0, -111} {
					ev := connectTo(a, port, ret)
					if ev.Call.FD.Sock.Family == "unix" {
						ev.Call.Addr.RemotePort, ev.Call.FD.Sock.RemotePort = 0, 0
					}
					if w := wants(f, ev); w != event.ConnectAll && len(matches(set, ev)) > 0 {
						t.Fatalf("%s matches a connect to %s port %d, result %d, of which %d is wanted", cond, a, port, ret, w)
					}
				}
			}
		}
	})
}

// TestConnectsOfShippedRules holds what keeps connections cheap: to the own and to
// private networks none but the first is asked for, but of ports that miners use.
func TestConnectsOfShippedRules(t *testing.T) {
	var files []File
	names, err := filepath.Glob("../../rules/bearcat/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("the shipped rules: %v, %d files", err, len(names))
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{Name: name, Data: b})
	}
	set, rep := Load(files, Options{})
	if err := rep.Err(); err != nil {
		t.Fatal(err)
	}
	f := set.Connects()
	for to, want := range map[string]event.ConnectWant{"127.0.0.1:5432": event.ConnectOnce, "10.1.2.3:443": event.ConnectOnce, "[fd00::1]:80": event.ConnectOnce,
		"10.1.2.3:3333": event.ConnectAll, "192.0.2.1:80": event.ConnectAll, "203.0.113.9:443": event.ConnectAll} {
		at := netip.MustParseAddrPort(to)
		if got := f.Wants(at.Addr(), at.Port()); got != want {
			t.Errorf("of connects to %s %d is wanted, want %d", to, got, want)
		}
	}
	if len(f.Nets) > 100 {
		t.Errorf("%d networks, of which most say the same", len(f.Nets))
	}
}

// Lists of the size of a feed are made into tables at once.
func TestConnectsOfALargeList(t *testing.T) {
	var list strings.Builder
	list.WriteString("- list: bad\n  items: [192.0.2.1")
	for i := range 100_000 {
		fmt.Fprintf(&list, ", 100.%d.%d.%d", i>>16, i>>8&255, i&255)
	}
	set := mustLoad(t, list.String()+"]\n"+ruleFile("r", "evt.type = connect and fd.rip in (bad)"))
	f := set.Connects()
	if got := f.Wants(netip.MustParseAddr("100.1.0.5"), 80); got != event.ConnectAll {
		t.Errorf("%d is wanted of an address in the list", got)
	}
	if got := f.Wants(netip.MustParseAddr("100.200.0.5"), 80); got != event.ConnectNone {
		t.Errorf("%d is wanted of an address that is not in it", got)
	}
}

// A value that was left out as a repeat may be known up to a second too early: the
// correlation's time is longer by that.
func TestRepeatsDoNotShortenACount(t *testing.T) {
	text := ruleFile("tried", "evt.type = connect and fd.sport > 0") +
		"- rule: scan\n  desc: d\n  priority: INFO\n  output: o\n  correlation:\n    type: value_count\n    rules: [tried]\n    group-by: [fd.sip]\n    timespan: 10s\n    condition: {field: fd.sport, gte: 2}\n"
	for apart, want := range map[time.Duration]int{10*time.Second + 900*time.Millisecond: 1, 11*time.Second + 100*time.Millisecond: 0} {
		e := NewEngine(mustLoad(t, text), MatchAll)
		got := 0
		for i, port := range []uint16{80, 81} {
			ev := connectTo("10.0.0.1", port, 0)
			ev.Time = ev.Time.Add(time.Duration(i) * apart)
			e.Alerts(ev, func(*Rule, *event.Alert) { got++ })
		}
		if got != want {
			t.Errorf("%d alerts of two ports %s apart, want %d", got, apart, want)
		}
	}
}
