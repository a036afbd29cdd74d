package process

import (
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

func TestGraceAndAncestors(t *testing.T) {
	tab := testTable(Config{Grace: time.Second})
	a, b, c := k(1, 1), k(2, 2), k(3, 3)
	apply(t, tab, execRec(a, 10*ms, "/bin/a", "a"))
	apply(t, tab, forkRec(b, a, 20*ms))
	apply(t, tab, forkRec(c, b, 30*ms))
	apply(t, tab, exitRec(b, 40*ms))
	tab.Tick(5000 * ms)
	if tab.ByKey(b) == nil || tab.ByKey(c).Parent.Parent != tab.ByPid(1) {
		t.Fatal("a dead ancestor of a living process was dropped")
	}
	apply(t, tab, exitRec(c, 5000*ms))
	tab.Tick(5900 * ms)
	if tab.ByKey(c) == nil {
		t.Fatal("dropped before its grace was over")
	}
	tab.Tick(6100 * ms)
	check(t, tab)
	if tab.ByKey(c) != nil || tab.ByKey(b) != nil || tab.Stats().Expired != 2 || tab.Stats().Evicted() != 0 {
		t.Fatalf("chain not dropped: %+v", tab.Stats())
	}
}

// TestCrowdOfDead checks that a storm of short programs does not keep each of them
// for the whole grace, and the last ones for a while all the same.
func TestCrowdOfDead(t *testing.T) {
	tab := testTable(Config{Grace: time.Minute})
	for i := range uint32(3 * crowd) {
		at := uint64(i) * ms
		var ev event.Event // not by apply, which checks the whole table each time
		tab.Apply(forkRec(k(10+i, uint64(i)+1), k(1, 1), at), &ev)
		tab.Apply(exitRec(k(10+i, uint64(i)+1), at+ms), &ev)
	}
	tab.Tick(uint64(3*crowd)*ms + 2*ms)
	check(t, tab)
	if _, dead := tab.Len(); dead != crowd {
		t.Errorf("%d dead are kept, want %d", dead, crowd)
	}
	last := uint32(3*crowd - 1)
	if tab.ByKey(k(10+last, uint64(last)+1)) == nil {
		t.Error("the one that died last is not there")
	}
	tab.Tick(uint64(3*crowd)*ms + 50_000*ms)
	if _, dead := tab.Len(); dead == 0 {
		t.Error("those that are no crowd did not stay for their grace")
	}
}

func TestRubbishTimesDoNotBlock(t *testing.T) {
	tab := testTable(Config{Grace: time.Second})
	apply(t, tab, exitRec(k(1, 1), 1<<62))
	apply(t, tab, exitRec(k(2, 1), 10*ms))
	tab.Tick(1500 * ms)
	if live, dead := tab.Len(); live != 0 || dead != 0 {
		t.Fatalf("%d live, %d dead", live, dead)
	}
}

func TestRetain(t *testing.T) {
	tab := testTable(Config{Grace: -1})
	p := apply(t, tab, execRec(k(1, 1), 10, "/bin/a", "a")).Proc
	if !tab.Retain(p) || !tab.Retain(p) {
		t.Fatal("a process in the table cannot be retained")
	}
	apply(t, tab, exitRec(k(1, 1), 20))
	tab.Tick(1000 * ms)
	if tab.ByKey(p.Key) != p {
		t.Fatal("a retained process was dropped")
	}
	tab.Release(p)
	tab.Tick(1001 * ms)
	if tab.ByKey(p.Key) != p {
		t.Fatal("a process retained twice was dropped after one release")
	}
	tab.Release(p)
	tab.Release(p) // one too many is harmless
	tab.Tick(1002 * ms)
	check(t, tab)
	if tab.ByKey(p.Key) != nil {
		t.Fatal("a released process stays")
	}
	if tab.Retain(p) || tab.Retain(nil) || tab.Retain(&event.Process{Key: k(1, 1)}) {
		t.Fatal("what is not in the table was retained")
	}
}

func TestEvictionOrder(t *testing.T) {
	tab := testTable(Config{MaxProcesses: 5})
	root := k(1, 1)
	apply(t, tab, execRec(root, 1000, "/bin/root", "root"))
	apply(t, tab, forkRec(k(2, 2), root, 1001))
	kid := apply(t, tab, forkRec(k(3, 3), k(2, 2), 1002)).Proc
	apply(t, tab, exitRec(k(2, 2), 1003)) // ancestor
	for i := range uint32(2) {
		apply(t, tab, forkRec(k(10+i, 10), root, 1010))
		apply(t, tab, exitRec(k(10+i, 10), 1020+uint64(i)))
	}
	has := func(pid uint32, start uint64) bool { return tab.ByKey(k(pid, start)) != nil }
	apply(t, tab, forkRec(k(20, 20), root, 1030))
	if !has(11, 10) || has(10, 10) || !has(2, 2) {
		t.Fatal("not the oldest leaf went first")
	}
	apply(t, tab, forkRec(k(21, 20), root, 1031))
	if has(11, 10) || !has(2, 2) {
		t.Fatal("an ancestor went before a leaf")
	}
	apply(t, tab, forkRec(k(22, 20), root, 1032))
	apply(t, tab, forkRec(k(23, 20), root, 1033))
	if has(2, 2) || kid.Parent != nil || kid.ParentKey != k(2, 2) {
		t.Fatalf("the dead ancestor was not dropped: %+v", kid)
	}
	for i := range uint32(50) {
		apply(t, tab, forkRec(k(100+i, 30), root, 2000+uint64(i)))
	}
	st := tab.Stats()
	if st.EvictedLeaves != 2 || st.EvictedAncestors != 1 || st.EvictedLiving == 0 || st.Live != 2*5 || !has(1, 1) || !has(3, 3) || !has(149, 30) {
		t.Fatalf("%+v", st)
	}
}

func TestMaxBytes(t *testing.T) {
	const limit = 1 << 20
	tab := testTable(Config{MaxBytes: limit})
	big := make([]byte, 64<<10)
	for i := range uint32(100) {
		for j := range big {
			big[j] = byte('a' + i%26)
		}
		key := k(i+1, uint64(i))
		apply(t, tab, execRec(key, 1000+uint64(i), "/bin/x", "x", string(big)))
		apply(t, tab, exitRec(key, 1000+uint64(i)))
		if tab.bytes > limit+(70<<10) {
			t.Fatalf("%d bytes", tab.bytes)
		}
	}
	for i := range uint32(100) {
		apply(t, tab, execRec(k(1000+i, 5), 5000+uint64(i), "/bin/x", "x", string(big)))
	}
	if st := tab.Stats(); st.EvictedLeaves < 80 || st.Bytes > 2*limit+(70<<10) || st.EvictedLiving == 0 {
		t.Fatalf("%+v", st)
	}
}

func TestLateCommMakesNoPhantom(t *testing.T) {
	tab := testTable(Config{Grace: -1})
	apply(t, tab, execRec(k(1, 1), 100, "/bin/a", "a"))
	apply(t, tab, exitRec(k(1, 1), 300))
	tab.Tick(301)
	if p := apply(t, tab, commRec(k(1, 1), 200, "late")).Proc; p.Comm != "late" {
		t.Fatalf("%+v", p)
	}
	if live, _ := tab.Len(); live != 0 {
		t.Fatalf("%d live", live)
	}
}

func TestResync(t *testing.T) {
	now := uint64(1000)
	tab := testTable(Config{Now: func() uint64 { return now }})
	a, b, c, d, e := k(1, 0), k(2, 0), k(3, 0), k(4, 0), k(5, 0)
	tab.BeginResync()
	tab.Seed(&event.TaskRecord{Key: b, Parent: a, Comm: "b", Boot: 1000})
	tab.Seed(&event.TaskRecord{Key: a, Comm: "a", Boot: 1000, Image: &event.Image{Exe: event.File{Path: "/a"}}})
	born, died := tab.EndResync(1001)
	if len(born) != 2 || len(died) != 0 || !born[0].Seeded || born[0].Parent != tab.ByPid(1) {
		t.Fatalf("born %v, died %v", born, died)
	}
	apply(t, tab, forkRec(c, a, 1100))
	apply(t, tab, forkRec(d, a, 1101))
	ra := execRec(a, 1102, "/a", "a", "-x")
	apply(t, tab, ra)

	now = 2000
	tab.BeginResync()
	apply(t, tab, execRec(c, 2100, "/bin/new", "new")) // alive, whatever the iterator says
	apply(t, tab, forkRec(k(6, 2), a, 2102))           // not there yet when the iterator passed
	apply(t, tab, exitRec(d, 2101))                    // dead, though the iterator saw it
	tab.Seed(&event.TaskRecord{Key: d, Comm: "d", Boot: 2050})
	tab.Seed(&event.TaskRecord{Key: c, Comm: "stale", Boot: 2050, Image: &event.Image{Exe: event.File{Path: "/bin/stale"}}})
	tab.Seed(&event.TaskRecord{Key: a, Comm: "a", Boot: 2050, Image: &event.Image{Exe: event.File{Path: "/a"}}})
	tab.Seed(&event.TaskRecord{Key: e, Parent: a, Comm: "e", Boot: 2050})
	born, died = tab.EndResync(2200)
	check(t, tab)
	if len(born) != 1 || born[0].Key != e || len(died) != 1 || died[0].Key != b {
		t.Fatalf("born %v, died %v", born, died)
	}
	if p := died[0]; p.Alive() || p.Exited != nil || p.ExitBoot != 2200 {
		t.Fatalf("%+v", p)
	}
	if p := tab.ByPid(3); p.Image.Exe.Path != "/bin/new" || p.Comm != "new" || p.Cred.UID != 7 {
		t.Fatalf("an old iterator record beat a live one: %+v", p)
	}
	if p := tab.ByPid(1); p.Image != ra.Image {
		t.Fatalf("the richer image was lost: %+v", p.Image)
	}
	// the lost exit comes after all
	if ev := apply(t, tab, exitRec(b, 1500)); ev.Proc.ExitBoot != 1500 {
		t.Fatalf("%+v", ev.Proc)
	}
	// given up: nobody dies; ended without a beginning: nothing
	tab.BeginResync()
	tab.AbortResync()
	if born, died := tab.EndResync(3000); born != nil || died != nil || tab.Stats().Resyncs != 2 {
		t.Fatal("an aborted resync had results")
	}
	// presumed dead, but seen by the next iterator
	now = 4000
	tab.BeginResync()
	tab.EndResync(4001)
	tab.Seed(&event.TaskRecord{Key: a, Comm: "a", Boot: 4100})
	if p := tab.ByPid(1); p == nil || p.Key != a || tab.Stats().Revived != 1 {
		t.Fatalf("%+v", tab.Stats())
	}
	check(t, tab)
	// or by a later record
	apply(t, tab, execRec(c, 4200, "/bin/again", "again"))
	if p := tab.ByPid(3); p == nil || p.Key != c || tab.Stats().Revived != 2 {
		t.Fatalf("%+v", tab.Stats())
	}
}

func TestOldAncestorGoesBeforeYoungLeaf(t *testing.T) {
	tab := testTable(Config{MaxProcesses: 5})
	a, b, c := k(1, 1), k(2, 1), k(3, 1)
	apply(t, tab, forkRec(k(9, 0), k(8, 0), 9000))
	apply(t, tab, forkRec(a, k(9, 0), 9001))
	apply(t, tab, forkRec(b, a, 9002))
	apply(t, tab, forkRec(c, k(9, 0), 9003))
	apply(t, tab, exitRec(a, 9100))
	apply(t, tab, exitRec(b, 9150))
	apply(t, tab, exitRec(c, 9200))
	apply(t, tab, forkRec(k(4, 1), k(9, 0), 9300))
	apply(t, tab, forkRec(k(5, 1), k(9, 0), 9301)) // drops b
	apply(t, tab, forkRec(k(6, 1), k(9, 0), 9302)) // drops a, a leaf by now
	if tab.ByKey(b) != nil || tab.ByKey(a) != nil || tab.ByKey(c) == nil {
		t.Fatalf("%+v", tab.Stats())
	}
}
