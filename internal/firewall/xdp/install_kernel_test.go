package xdp

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp/xdptest"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// pinnedFolder mounts a BPF file system and gives a folder in it.
func pinnedFolder(t *testing.T) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), "bpf")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("bpf", at, "bpf", 0, ""); err != nil {
		t.Fatalf("mounting a BPF file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(at, "fw")
}

// opening is a TCP opening from an IPv4 address to port 80.
func opening(from string) []byte {
	b := make([]byte, 60)
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 6})
	src := netip.MustParseAddr(from).As4()
	copy(b[26:], src[:])
	copy(b[30:], []byte{192, 0, 2, 1})
	copy(b[34:], []byte{0x9c, 0x40, 0, 80})
	b[46], b[47] = 5<<4, 2
	return b
}

// TestInstall replaces firewalls of builds with smaller, larger and other tables, and
// looks what the next one still drops and knows.
func TestInstall(t *testing.T) {
	dir := pinnedFolder(t)
	spec, err := loadProg()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bans", "block4", "blocknet4", "allow4", "events"} {
		spec.Maps[name].MaxEntries /= 4
	}
	p := netip.MustParsePrefix
	policy, err := firewall.Parse("p", []byte("rules: [{name: slow, match: {src: 203.0.113.50}, action: drop}]"), firewall.Host{})
	if err != nil {
		t.Fatal(err)
	}
	f, had, err := install(dir, "old", spec, func(f *Firewall, had *Carried) error {
		if !had.Fresh || had.Policy || had.Bans {
			t.Errorf("the first has %+v", had)
		}
		return f.Apply(policy)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(had.Lost) > 0 && !had.Fresh {
		t.Errorf("the first lost %q", had.Lost)
	}
	for _, err := range []error{
		f.Ban(p("203.0.113.1/32"), time.Hour), f.Ban(p("203.0.113.2/32"), time.Hour), f.Ban(p("203.0.113.3/32"), time.Hour),
		f.Block(p("198.51.100.7/32"), 0), f.Block(p("198.51.101.0/24"), 0), f.Allow(p("203.0.113.3/32")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	judge := func(when string, f *Firewall) {
		t.Helper()
		for from, want := range map[string]uint32{
			"203.0.113.1": 1, "203.0.113.2": 1, "203.0.113.3": 2, "198.51.100.7": 1, "198.51.101.9": 1, "203.0.113.50": 1, "192.0.2.77": 2,
		} {
			got, err := f.Program().Run(&ebpf.RunOptions{Data: opening(from)})
			if err != nil || got != want {
				t.Errorf("%s: a packet of %s has the verdict %d, want %d (%v)", when, from, got, want, err)
			}
		}
	}
	judge("as loaded", f)
	// what a rule bans
	key, _ := banKey(p("203.0.113.2/32"))
	names, err := f.counterNames()
	if err != nil {
		t.Fatal(err)
	}
	for id, name := range names {
		if name == "slow" {
			now, _ := bootNow()
			if err := f.objs.Bans.Put(key, &progFwBan{Until: uint64(now + time.Hour), By: id, Hits: 5}); err != nil {
				t.Fatal(err)
			}
		}
	}
	closed := func(f *Firewall) {
		t.Helper()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	closed(f)
	if f, err := Open(dir); err == nil {
		closed(f)
		t.Error("tables of another size can be opened")
	} else if !strings.Contains(err.Error(), "bearcat old") {
		t.Error(err)
	}

	by := func(f *Firewall) string {
		t.Helper()
		l, err := f.Bans()
		if err != nil || len(l) != 3 {
			t.Errorf("bans %+v, %v", l, err)
		}
		for _, e := range l {
			if e.Prefix == p("203.0.113.2/32") {
				return e.By
			}
		}
		return "nobody"
	}
	f, had, err = Install(dir, "new", nil) // larger tables
	if err != nil {
		t.Fatal(err)
	}
	judge("in larger tables", f)
	if had.Build != "old" || !had.Policy || !had.Bans || !had.Block || !had.Allow || len(had.Lost) != 0 || by(f) != "slow" {
		t.Errorf("larger tables have %+v, and a ban by %q", had, by(f))
	}
	s, err := f.Stats()
	if err != nil || len(s.Rules) != 1 || s.Rules[0].Packets == 0 {
		t.Errorf("counters %+v, %v", s, err)
	}
	closed(f)
	for _, x := range []struct {
		tables string
		policy bool
		by     string
	}{{"rules", false, "slow"}, {"active configs", false, "slow"}, {"control near4", true, "slow"}, {"names", false, ""}} {
		if err := xdptest.Age(dir, "odd", strings.Fields(x.tables)...); err != nil {
			t.Fatal(err)
		}
		f, had, err := Install(dir, "new", func(f *Firewall, had *Carried) error {
			if had.Policy {
				return nil
			}
			return f.Apply(policy)
		})
		if err != nil {
			t.Fatal(err)
		}
		judge("another "+x.tables, f)
		if had.Policy != x.policy || by(f) != x.by || had.Build != "odd" {
			t.Errorf("another %s: %+v, a ban by %q", x.tables, had, by(f))
		}
		closed(f)
	}
	if f, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	judge("opened", f)
	closed(f)
	// less room than there are entries
	spec, _ = loadProg()
	spec.Maps["bans"].MaxEntries = 2
	spec.Maps["reasons"].MaxEntries = 40
	f, had, err = install(dir, "small", spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 entries of the table bans did not fit", "by reason begin anew"} {
		if !strings.Contains(strings.Join(had.Lost, "; "), want) {
			t.Errorf("with less room %q is lost, want %q", had.Lost, want)
		}
	}
	before, err := f.Bans()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Ban(p("203.0.113.9/32"), time.Hour); err == nil || !strings.Contains(err.Error(), "the list is full, 203.0.113.9/32 was not added") {
		t.Errorf("a ban more than there is room for: %v", err)
	}
	if after, err := f.Bans(); err != nil || len(before) != 2 || len(after) != 2 || after[0].Prefix != before[0].Prefix || after[1].Prefix != before[1].Prefix {
		t.Errorf("bans %+v, before one too many %+v (%v)", after, before, err)
	}
	closed(f)
}
