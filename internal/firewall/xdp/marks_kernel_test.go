package xdp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// TestBansThroughSweeps has the marks of bans made anew, back and forth, and wants
// those that hold to drop and those that do not to pass.
func TestBansThroughSweeps(t *testing.T) {
	f := load(t)
	frame := make([]byte, 64)
	copy(frame[12:], []byte{8, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 47})
	addr := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 32)
	}
	verdict := func(i int) uint32 {
		a := addr(i).Addr().As4()
		copy(frame[26:], a[:])
		ret, err := f.objs.FwEntry.Run(&ebpf.RunOptions{Data: frame})
		if err != nil {
			t.Fatal(err)
		}
		return ret
	}
	var tables []uint32
	for round := range 3 {
		for i := range 600 {
			if err := f.Ban(addr(i), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		for i := 5; i < 600; i++ {
			if there, err := f.Unban(addr(i)); err != nil || !there {
				t.Fatalf("ending the ban of %s: %v, %v", addr(i), there, err)
			}
		}
		if l, err := f.Bans(); err != nil || len(l) != 5 {
			t.Fatalf("%d bans, %v; 5 hold", len(l), err)
		}
		for i := range 600 {
			want := uint32(2)
			if i < 5 {
				want = 1
			}
			if got := verdict(i); got != want {
				t.Fatalf("round %d: the verdict on %s is %d, not %d", round, addr(i), got, want)
			}
		}
		c, err := f.control()
		if err != nil {
			t.Fatal(err)
		}
		tables = append(tables, c.Marks)
	}
	if tables[0] == tables[1] || tables[1] == tables[2] {
		t.Errorf("the tables of marks that are read: %v; each sweep reads the other", tables)
	}
	marks := map[int64]bool{}
	for i := range 600 {
		key, err := banKey(addr(i))
		if err != nil {
			t.Fatal(err)
		}
		marks[markOf(1, key)] = true
	}
	if len(marks) < 550 {
		t.Errorf("600 neighbours have %d marks: the hash does not tell them apart", len(marks))
	}
}
