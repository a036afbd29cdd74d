package host

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// lists notes what it is told.
type lists struct {
	did  []string
	fail error
}

func (l *lists) note(what string, p netip.Prefix, d time.Duration) error {
	s := what + " " + p.String()
	if d > 0 {
		s += " for " + d.Round(time.Hour).String()
	}
	l.did = append(l.did, s)
	return l.fail
}

func (l *lists) Allow(p netip.Prefix) error                  { return l.note("allow", p, 0) }
func (l *lists) Block(p netip.Prefix, d time.Duration) error { return l.note("block", p, d) }
func (l *lists) Ban(p netip.Prefix, d time.Duration) error   { return l.note("ban", p, d) }

func (l *lists) BlockAll(all []netip.Prefix) (int, error) {
	for _, p := range all {
		_ = l.note("block", p, 0)
	}
	return len(all), l.fail
}

func TestProtect(t *testing.T) {
	a := netip.MustParseAddr
	found := []Protected{{a("192.0.2.1"), "the default gateway", false}, {a("192.0.2.9"), "an address of this host", true}, {a("2001:db8::1"), "a resolver", false}}
	l := &lists{}
	if err := Protect(l, found); err != nil || !slices.Equal(l.did, []string{"allow 192.0.2.1/32", "allow 2001:db8::1/128"}) {
		t.Errorf("%q, %v", l.did, err)
	}
	if err := Protect(&lists{fail: errors.New("full")}, found); err == nil || !strings.Contains(err.Error(), "192.0.2.1, the default gateway: full") {
		t.Errorf("an error is %v", err)
	}
	p := netip.MustParsePrefix
	if err := Refuse(found, p("192.0.2.0/29")); err == nil || !strings.Contains(err.Error(), "holds 192.0.2.1, the default gateway") {
		t.Errorf("shutting out the gateway: %v", err)
	}
	if err := Refuse(found, p("192.0.2.64/26")); err != nil {
		t.Errorf("shutting out others: %v", err)
	}
	taken, left := Sift(found, []netip.Prefix{p("198.51.100.0/24"), p("2001:db8::/32"), p("192.0.2.9/32")})
	if len(taken) != 1 || len(left) != 2 || !strings.Contains(left[0], "a resolver") || !strings.Contains(left[1], "of this host") {
		t.Errorf("taken %v, left %q", taken, left)
	}
}

func TestRestore(t *testing.T) {
	s := State{Dir: t.TempDir()}
	p := netip.MustParsePrefix
	soon := time.Now().Add(2 * time.Hour)
	if err := s.Note(
		Change{List: BlockList, Prefix: p("198.51.100.0/24"), Comment: "scanners"}, Change{List: BlockList, Prefix: p("203.0.113.1/32"), Until: soon},
		Change{List: AllowList, Prefix: p("192.0.2.10/32")}, Change{List: BanList, Prefix: p("203.0.113.4/32"), Until: soon},
		Change{List: BanList, Prefix: p("203.0.113.5/32"), Until: time.Now().Add(-time.Hour)},
	); err != nil {
		t.Fatal(err)
	}
	l := &lists{}
	if bad, err := s.Restore(l, BlockList, AllowList, BanList); bad != 0 || err != nil {
		t.Fatal(bad, err)
	}
	want := []string{"block 203.0.113.1/32 for 2h0m0s", "allow 192.0.2.10/32", "ban 203.0.113.4/32 for 2h0m0s", "block 198.51.100.0/24"}
	if !slices.Equal(l.did, want) {
		t.Errorf("%q, want %q", l.did, want)
	}
	l = &lists{}
	if _, err := s.Restore(l, BanList); err != nil || !slices.Equal(l.did, want[2:3]) {
		t.Errorf("bans alone: %q, %v", l.did, err)
	}
	if _, err := s.Restore(&lists{fail: errors.New("full")}, BlockList); err == nil || !strings.Contains(err.Error(), "restoring the lists: full") {
		t.Errorf("an error is %v", err)
	}
	c, err := s.Comments()
	if err != nil || c["block 198.51.100.0/24"] != "scanners" || len(c) != 4 {
		t.Errorf("comments %v, %v", c, err)
	}
	cause := &Cause{ID: "3f2a", Rule: "Call home", Process: "nc[8]", Chain: "nc[8] < sshd[7]"}
	if err := s.Note(Change{List: BanList, Prefix: p("203.0.113.9/32"), Until: soon, Alert: cause}); err != nil {
		t.Fatal(err)
	}
	causes, err := s.Causes()
	if err != nil || len(causes) != 1 || *causes[p("203.0.113.9/32")] != *cause {
		t.Errorf("causes %v, %v", causes, err)
	}
	if c, _ := s.Comments(); c["ban 203.0.113.9/32"] != "alert 3f2a, Call home: nc[8] < sshd[7]" {
		t.Errorf("comments %v", c)
	}
	if _, err := Device("no/such"); err == nil {
		t.Error("a device that is not there has an index")
	}
}
