package respond

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

type fake struct {
	mu     sync.Mutex
	banned map[netip.Addr]time.Duration
	noted  []Ban
	fail   error
	longer time.Duration // what is banned already
}

func (f *fake) Ban(p netip.Prefix, d time.Duration) (time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		f.banned[p.Addr()] = d
	}
	return time.Now().Add(max(d, f.longer)), f.fail
}

func (f *fake) Protected(p netip.Prefix) (string, error) {
	if p.Contains(netip.MustParseAddr("192.0.2.1")) {
		return "the default gateway", nil
	}
	return "", nil
}

func (f *fake) Note(b Ban) error {
	f.noted = append(f.noted, b)
	return nil
}

func alert(remote string) *event.Alert {
	sshd := &event.Process{Key: event.Key{Pid: 7}, Comm: "sshd"}
	ev := &event.Event{Type: event.Connect, Proc: &event.Process{Key: event.Key{Pid: 8}, Comm: "nc", Parent: sshd},
		Call: &event.Call{Addr: &event.Socket{Remote: remote, RemotePort: 4444}}}
	return &event.Alert{ID: "a1", Rule: &event.RuleInfo{Name: "Out", Block: 10 * time.Minute}, Event: ev}
}

// run hands alerts to a responder and gives what it said of each.
func run(t *testing.T, f *fake, alerts ...*event.Alert) ([]string, Stats) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	said := make(chan string, 2*queue)
	r := New(ctx, f, func(id, text string, _ *Ban) { said <- id + " " + text })
	var out []string
	for _, a := range alerts {
		r.Alert(a)
		select {
		case s := <-said:
			out = append(out, s)
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was said of an alert")
		}
	}
	stop()
	r.Wait()
	return out, r.Stats()
}

func TestRespond(t *testing.T) {
	f := &fake{banned: map[netip.Addr]time.Duration{}}
	out, stats := run(t, f, alert("203.0.113.9"), alert("::ffff:203.0.113.10"), alert("192.0.2.1"), alert("127.0.0.1"), alert("/run/x.sock"))
	for i, want := range []string{
		"a1 203.0.113.9 is blocked for 10m0s", "a1 203.0.113.10 is blocked", "a1 192.0.2.1 was not blocked: it is the default gateway",
		"a1 nobody was blocked", "a1 nobody was blocked",
	} {
		if !strings.HasPrefix(out[i], want) {
			t.Errorf("%d: %q, want %q", i, out[i], want)
		}
	}
	if stats != (Stats{2, 3}) || f.banned[netip.MustParseAddr("203.0.113.9")] != 10*time.Minute || len(f.banned) != 2 {
		t.Errorf("%+v, banned %v", stats, f.banned)
	}
	b := f.noted[0]
	if b.Alert != "a1" || b.Rule != "Out" || b.Process != "nc[8]" || b.Chain != "nc[8] < sshd[7]" || time.Until(b.Until) < 9*time.Minute {
		t.Errorf("noted %+v", b)
	}
	f.longer = time.Hour
	if out, _ := run(t, f, alert("203.0.113.9")); !strings.Contains(out[0], "is blocked for 1h0m0s already") {
		t.Errorf("a longer ban: %q", out)
	}
	scan := &event.Alert{ID: "a2", Rule: &event.RuleInfo{Name: "Scan", Block: time.Minute}, Event: &event.Event{
		Type: event.Firewall, FirewallInfo: &event.FirewallInfo{Kind: "scan", Source: "2001:db8:5::/64"}}}
	f.longer, f.noted = 0, nil
	if out, _ := run(t, f, scan); out[0] != "a2 2001:db8:5::/64 is blocked for 1m0s" || f.noted[0].Process != "" || f.noted[0].Rule != "Scan" {
		t.Errorf("a scan: %q, %+v", out, f.noted)
	}
	f.fail = errors.New("no firewall is loaded")
	if out, _ := run(t, f, alert("203.0.113.11")); !strings.Contains(out[0], "no firewall is loaded") {
		t.Errorf("without a firewall: %q", out)
	}
}

func TestRuleIsBounded(t *testing.T) {
	f := &fake{banned: map[netip.Addr]time.Duration{}}
	var many []*event.Alert
	for i := range perRule + 5 {
		many = append(many, alert(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}).String()))
	}
	out, stats := run(t, f, many...)
	if stats.Blocked != perRule || stats.Refused != 5 || !strings.Contains(out[perRule], "already") {
		t.Errorf("%+v, %q", stats, out[perRule])
	}
}

func TestRemote(t *testing.T) {
	sock := func(a string) *event.Socket { return &event.Socket{Remote: a} }
	image := &event.Image{}
	image.Stdio[1].Sock = sock("203.0.113.5")
	proc := &event.Process{Image: image}
	for _, c := range []struct {
		ev   event.Event
		want string
	}{
		{event.Event{Call: &event.Call{FD: &event.FD{Sock: sock("203.0.113.1")}, Addr: sock("203.0.113.2")}, Proc: proc}, "203.0.113.1"},
		{event.Event{Call: &event.Call{FD: &event.FD{Sock: sock("")}, Addr: sock("203.0.113.2")}, Proc: proc}, "203.0.113.2"},
		{event.Event{Call: &event.Call{FD: &event.FD{Sock: sock("::1")}}, Proc: proc}, "203.0.113.5"},
		{event.Event{Proc: proc}, "203.0.113.5"},
		{event.Event{}, ""},
		{event.Event{FirewallInfo: &event.FirewallInfo{Source: "203.0.113.7"}}, "203.0.113.7"},
		{event.Event{FirewallInfo: &event.FirewallInfo{Source: "2001:db8::/64"}}, "2001:db8::/64"},
		{event.Event{FirewallInfo: &event.FirewallInfo{Kind: "flood"}}, ""},
	} {
		a, ok := Remote(&c.ev)
		if ok != (c.want != "") || ok && name(a) != c.want {
			t.Errorf("%+v: %v %v, want %q", c.ev, a, ok, c.want)
		}
	}
}
