package xdp

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// TestFinishPins leaves pins as an installation does that was broken off at any point.
func TestFinishPins(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(all ...string) {
		t.Helper()
		if err := finishPins(dir); err != nil {
			t.Fatal(err)
		}
		var got []string
		_ = fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, _ error) error {
			if !e.IsDir() {
				b, _ := os.ReadFile(filepath.Join(dir, path))
				got = append(got, path+"="+string(b))
			}
			return nil
		})
		if !slices.Equal(got, all) {
			t.Errorf("pins %q, want %q", got, all)
		}
	}
	write("bans", "old")
	want("bans=old")
	write("next/bans", "new")
	want("bans=old") // not complete: as it was
	write("next/bans", "new")
	write("next/entry", "new")
	write("egress/entry", "old")
	write("egress/clsact/eth1", "old")
	write("next/egress/entry", "new")
	write("next/egress/clsact/eth0", "new")
	if err := os.Mkdir(filepath.Join(dir, "next", readyMark), 0o700); err != nil {
		t.Fatal(err)
	}
	all := []string{"bans=new", "egress/clsact/eth0=new", "egress/clsact/eth1=old", "egress/entry=new", "entry=new"}
	want(all...)
	want(all...)
}

// TestDigest wants the digest of a table to change with its form, and not with its size.
func TestDigest(t *testing.T) {
	spec, err := loadProg()
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := stampOf(spec, "1.0")
	if err != nil {
		t.Fatal(err)
	}
	if len(stamp) != len(pinnedTables(spec))+1 || stamp[buildKey] != "1.0" {
		t.Errorf("the stamp has %d entries for %d tables", len(stamp), len(pinnedTables(spec)))
	}
	for name := range stamp {
		if len(name) > len(stampKey{}) {
			t.Errorf("the name %s has no room in the stamp", name)
		}
	}
	bans := spec.Maps["bans"].Copy()
	same := func() bool {
		d, err := digest(bans)
		if err != nil {
			t.Fatal(err)
		}
		return d == stamp["bans"]
	}
	bans.MaxEntries /= 2
	if !same() {
		t.Error("a table of another size has another form")
	}
	if bans.Value = spec.Maps["block4"].Value; same() {
		t.Error("a table of other values has the same form")
	}
	if bans.Value = spec.Maps["bans"].Value; !same() {
		t.Error("the same values have another form")
	}
	if bans.KeySize++; same() {
		t.Error("a table of longer keys has the same form")
	}
	if sameLayout(map[string]string{"a": "1"}, map[string]string{"a": "2"}, "a") || !sameLayout(nil, map[string]string{"a": "2"}, "a") {
		t.Error("stamps are compared wrongly")
	}
	if e := (&OtherBuildError{Build: "0.9", Table: "bans"}).Error(); !strings.Contains(e, "bearcat 0.9") || !strings.Contains(e, "fw attach") {
		t.Error(e)
	}
}

// TestEgressTables wants the program for what goes out to have the tables of the other, in
// the same form: it is given those that go on from a build before.
func TestEgressTables(t *testing.T) {
	in, err := loadProg()
	if err != nil {
		t.Fatal(err)
	}
	out, err := loadEgress()
	if err != nil {
		t.Fatal(err)
	}
	want, err := stampOf(in, "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := stampOf(out, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range got {
		if want[name] != d {
			t.Errorf("the table %s of what goes out has another form, or is not pinned", name)
		}
	}
	if len(got) < 20 {
		t.Errorf("what goes out has only %d tables", len(got))
	}
}

// TestSettle takes tables away and looks what else goes with them.
func TestSettle(t *testing.T) {
	spec, err := loadProg()
	if err != nil {
		t.Fatal(err)
	}
	for gone, want := range map[string]struct {
		also   string
		policy bool
		lost   string
	}{
		"":         {"", true, ""},
		"rules":    {"configs", false, ""},
		"heads":    {"active", false, ""},
		"names":    {"counters", false, "no longer say which rule"},
		"control":  {"marks", true, "of their rates"},
		"reasons":  {"", true, "by reason"},
		"bans":     {"", true, "those of commands"},
		"allow6":   {"", true, "allow list is taken"},
		"block6":   {"", true, "block list is taken"},
		"log_paid": {"", true, ""},
	} {
		c := &carry{keep: map[string]*ebpf.Map{}, fill: map[string]*ebpf.Map{}}
		for name := range pinnedTables(spec) {
			if name != gone {
				c.keep[name] = new(ebpf.Map)
			}
		}
		c.settle(spec)
		if c.said.Policy != want.policy || want.also != "" && c.keep[want.also] != nil || !strings.Contains(strings.Join(c.said.Lost, "; "), want.lost) {
			t.Errorf("without %q: %+v, %d tables kept", gone, c.said, len(c.keep))
		}
		if want.lost == "" && len(c.said.Lost) > 0 {
			t.Errorf("without %q: %q is said to be lost", gone, c.said.Lost)
		}
	}
}
