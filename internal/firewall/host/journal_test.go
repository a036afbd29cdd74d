package host

import (
	"net/netip"
	"os"
	"testing"
	"time"
)

func TestJournal(t *testing.T) {
	s := State{Dir: t.TempDir() + "/state"}
	if l, bad, err := s.Lists(); len(l) != 0 || bad != 0 || err != nil {
		t.Fatalf("no journal gives %v, %d, %v", l, bad, err)
	}
	p := netip.MustParsePrefix
	note := func(c ...Change) {
		if err := s.Note(c...); err != nil {
			t.Fatal(err)
		}
	}
	note(Change{List: BlockList, Prefix: p("192.0.2.1/32"), Comment: "a \"quoted\"\nname"}, Change{List: BlockList, Prefix: p("192.0.2.2/32")})
	note(Change{List: AllowList, Prefix: p("192.0.2.2/32")}, Change{List: BanList, Prefix: p("2001:db8::/64"), Until: time.Now().Add(time.Hour)})
	note(Change{List: BanList, Prefix: p("192.0.2.9/32"), Until: time.Now().Add(-time.Second)}) // over
	note(Change{List: BlockList, Prefix: p("192.0.2.2/32"), Gone: true})
	f, err := os.OpenFile(s.journal(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString("{\"list\":\"blo") // a crash
	_ = f.Close()
	check := func(want ...string) {
		t.Helper()
		l, _, err := s.Lists()
		if err != nil || len(l) != len(want) {
			t.Fatalf("%+v, %v, want %v", l, err, want)
		}
		for i, c := range l {
			if got := string(c.List) + " " + c.Prefix.String(); got != want[i] {
				t.Errorf("entry %d is %s, want %s", i, got, want[i])
			}
		}
	}
	check("block 192.0.2.1/32", "allow 192.0.2.2/32", "ban 2001:db8::/64")
	l, bad, err := s.Lists()
	if bad != 1 || err != nil || l[0].Comment != "a \"quoted\"\nname" {
		t.Errorf("%+v, %d bad, %v", l, bad, err)
	}
	if err := s.Compact(l); err != nil {
		t.Fatal(err)
	}
	check("block 192.0.2.1/32", "allow 192.0.2.2/32", "ban 2001:db8::/64")
	note(Change{List: BlockList, Gone: true}) // all of one list
	check("allow 192.0.2.2/32", "ban 2001:db8::/64")
	if info, err := os.Stat(s.journal()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the journal: %v %v", info.Mode(), err)
	}
}
