package explain

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
)

type lists struct {
	allowed, blocked, bans []xdp.Entry
	fail                   error
}

func (l *lists) Allowed() ([]xdp.Entry, error) { return l.allowed, l.fail }
func (l *lists) Blocked() ([]xdp.Entry, error) { return l.blocked, l.fail }
func (l *lists) Bans() ([]xdp.Entry, error)    { return l.bans, l.fail }

func parse(t *testing.T, text string) *firewall.Policy {
	t.Helper()
	p, err := firewall.Parse("p.yaml", []byte(text), firewall.Host{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const policyText = `
default: drop
rules:
  - {name: leaving, direction: out, action: drop}
  - {name: others, match: {src: 203.0.113.0/24}, action: drop}
  - {name: tried, action: drop, monitor: true}
  - {name: web, match: {protocol: tcp, dport: 80}, action: pass}
  - {name: not-office, not: {src: 192.0.2.0/24}, action: drop}
  - {name: never, action: pass}
`

func TestSource(t *testing.T) {
	p := netip.MustParsePrefix
	a := netip.MustParseAddr("198.51.100.7")
	l := &lists{
		allowed: []xdp.Entry{{Prefix: p("192.0.2.0/24")}},
		blocked: []xdp.Entry{{Prefix: p("198.51.100.0/24")}},
		bans:    []xdp.Entry{{Prefix: p("198.51.100.7/32"), Left: 90 * time.Second, By: "ssh connections"}},
	}
	steps, err := Source(a, []host.Protected{{Addr: a, Why: "an ssh session"}}, l, map[string]string{"block 198.51.100.0/24": "scanners"}, parse(t, policyText))
	if err != nil {
		t.Fatal(err)
	}
	want := []Step{
		{"protected", "an ssh session", ""}, {"block", "198.51.100.0/24: scanners", "drop"},
		{"ban", "198.51.100.7/32, for 1m30s more, by ssh connections", "drop"}, {"rule", "tried: drop (monitor: only counted)", ""},
		{"rule", "web: pass, where dport, protocol fit", ""}, {"rule", "not-office: drop", "drop"},
	}
	if !slices.Equal(steps, want) {
		t.Errorf("%+v\nwant %+v", steps, want)
	}
	steps, _ = Source(netip.MustParseAddr("192.0.2.5"), nil, l, nil, parse(t, policyText))
	if last := steps[len(steps)-1]; last != (Step{"rule", "never: pass", "pass"}) || !strings.Contains(steps[0].Says, "nothing well formed is dropped") {
		t.Errorf("an allowed source: %+v", steps)
	}
	if steps := Rules(parse(t, "default: drop"), a); !slices.Equal(steps, []Step{{"default", "no rule decided", "drop"}}) {
		t.Errorf("without rules: %+v", steps)
	}
	if _, err := Source(a, nil, &lists{fail: errors.New("gone")}, nil, firewall.Empty()); err == nil {
		t.Error("lists that cannot be read give no error")
	}
}

// telnet is a TCP opening to port 23.
var telnet = []byte{
	2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 203, 0, 113, 9, 192, 0, 2, 1,
	0xc3, 0xca, 0, 23, 0, 0, 0, 0, 0, 0, 0, 0, 5 << 4, 2, 0, 0, 0, 0, 0, 0,
}

func TestRecord(t *testing.T) {
	name := func(n uint32) string { return "dev" + strconv.Itoa(int(n)) }
	x := Record(&xdp.Logged{Rule: "no-telnet", Reason: firewall.ByRule, Device: 3, Out: true, Length: 54, Frame: telnet, Unsaid: 7}, name)
	if x.What != "drop" || x.Device != "dev3" || x.Source != "203.0.113.9:50122" || x.Destination != "192.0.2.1:23" || x.Protocol != 6 ||
		x.Why() != "dropped by rule no-telnet" || x.Unsaid != 7 || !x.Out {
		t.Errorf("%+v: %s", x, x.Why())
	}
	x = Record(&xdp.Logged{Reason: firewall.ByBan, Frame: telnet[:20]}, name)
	if x.Source != "" || x.Why() != "dropped: ban" {
		t.Errorf("a cut frame: %+v: %s", x, x.Why())
	}
	x = Record(&xdp.Logged{Ban: time.Minute, Source: netip.MustParsePrefix("2001:db8::/64"), Rule: "ssh connections", Strikes: 2}, name)
	if x.What != "ban" || x.For != "1m0s" || x.Source != "2001:db8::/64" || x.Strikes != 2 {
		t.Errorf("a ban: %+v", x)
	}
	if got := Short(netip.MustParsePrefix("192.0.2.1/32")); got != "192.0.2.1" {
		t.Errorf("one address is %s", got)
	}
}

func TestJudge(t *testing.T) {
	j := NewJudge(parse(t, "rules: [{name: in, match: {established: true}, action: pass}, {name: no-telnet, match: {dport: 23}, action: drop}]"), 1, false, false)
	_ = j.Frame(telnet)
	_ = j.Frame(telnet[:30])
	if len(j.Frames) != 2 || j.Frames[0].Verdict != "drop" || j.Frames[0].Rule != "no-telnet" || j.Frames[1].Frame != 2 || j.Frames[1].Reason == "rule" {
		t.Errorf("%+v", j.Frames)
	}
	j = NewJudge(parse(t, "default: drop\nrules: [{name: in, match: {established: true}, action: pass}]"), 1, true, false)
	if _ = j.Frame(telnet); j.Frames[0].Verdict != "pass" {
		t.Errorf("an expected frame: %+v", j.Frames)
	}
	j = NewJudge(parse(t, "default: drop\nrules: [{name: no-telnet, direction: out, match: {dport: 23}, action: drop}]"), 1, false, true)
	if _ = j.Frame(telnet); j.Frames[0].Rule != "no-telnet" {
		t.Errorf("a frame that goes out: %+v", j.Frames)
	}
}
