package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule"
)

// connection is one of a process of a session, after a number of milliseconds.
func connection(ms int, session uint32, remote string, port uint16) *event.Event {
	p := &event.Process{Key: event.Key{Pid: 1000 + uint32(ms), Start: 1}, Sid: session, Comm: "bash",
		Image: (&event.Image{Exe: event.File{Path: "/usr/bin/bash"}, Argv: []string{"bash"}}).Seal()}
	return &event.Event{Type: event.Connect, Time: time.Unix(1_800_000_000, int64(ms)*1e6), Proc: p, Call: &event.Call{
		Spec: event.CallNamed("connect"), Ret: -111,
		FD: &event.FD{Num: 3, Kind: event.StdioSocket, Sock: &event.Socket{Family: "ipv4", Proto: "tcp", Type: "stream", Remote: remote, RemotePort: port,
			Local: "10.0.0.5", LocalPort: 40000}},
	}}
}

func question(ms int, name string) *event.Event {
	ev := connection(ms, 1, "10.0.0.53", 53)
	ev.Type, ev.Call.Spec, ev.Call.DNS = event.DNS, event.CallsOf(event.DNS)[0], &event.DNSInfo{Name: name, Type: "TXT"}
	return ev
}

// TestCorrelations has for each shipped rule that counts what sets it off, and the
// like that must not.
func TestCorrelations(t *testing.T) {
	set := load(t, switchOn(load(t, "")))
	long := strings.Repeat("5", 50)
	cases := map[string]struct{ is, isNot func(i int) *event.Event }{
		"Port scan from this host": {
			func(i int) *event.Event { return connection(i*10, 7, "192.0.2.7", uint16(1+i)) },
			func(i int) *event.Event { return connection(i*10, 7, "192.0.2.7", uint16(1+i%90)) },
		},
		"Address sweep from this host": {
			func(i int) *event.Event { return connection(i*10, 7, fmt.Sprintf("192.0.2.%d", i%250), 22) },
			func(i int) *event.Event { return connection(i*1000, 7, fmt.Sprintf("192.0.2.%d", i%250), 22) },
		},
		"Tunnel through DNS": {
			func(i int) *event.Event { return question(i*100, fmt.Sprintf("%s%d.example.com", long, i)) },
			func(i int) *event.Event { return question(i*100, fmt.Sprintf("%d.example.com", i)) },
		},
	}
	for _, r := range set.Rules() {
		name := r.Info().Name
		c, ok := cases[name]
		if ok != r.Correlates() {
			t.Errorf("rule %q counts: %v, and has a case: %v", name, r.Correlates(), ok)
		}
		if !ok {
			continue
		}
		for _, want := range []bool{true, false} {
			next := c.isNot
			if want {
				next = c.is
			}
			engine := rule.NewEngine(set, rule.MatchAll)
			var got []string
			for i := range 400 {
				engine.Alerts(next(i), func(r *rule.Rule, a *event.Alert) {
					if r.Correlates() || tagged(r, countedTag) {
						got = append(got, r.Info().Name)
					}
					if r.Correlates() && len(a.Trail) == 0 {
						t.Errorf("%s: the alert does not say of what", name)
					}
				})
			}
			if slices.Contains(got, name) != want {
				t.Errorf("%s: told %q, want it told: %v", name, got, want)
			}
			if slices.ContainsFunc(got, func(n string) bool { return n != name }) {
				t.Errorf("%s: told %q, want nothing else that counts or is counted", name, got)
			}
		}
	}
}
