package process

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
)

const ms = uint64(time.Millisecond)

// k makes a key whose start cannot be taken for one from /proc.
func k(pid uint32, start uint64) event.Key {
	return event.Key{Pid: pid, Start: start*1000 + 7}
}

func testTable(cfg Config) *Table {
	cfg.Offset = func() time.Duration { return time.Hour }
	if cfg.Now == nil {
		cfg.Now = func() uint64 { return 1 }
	}
	return NewTable(cfg)
}

func execRec(key event.Key, boot uint64, path string, argv ...string) *event.TaskRecord {
	return &event.TaskRecord{
		Type: event.Exec, Boot: boot, Key: key, Tid: key.Pid, Comm: base(path),
		Image: (&event.Image{Exe: event.File{Path: path}, Filename: path, Argv: argv, Argc: len(argv)}).Seal(),
		Cred:  event.Cred{UID: 7}, NS: event.Namespaces{Pid: 1}, Node: "host",
		CgroupID: 9, CgroupPath: "/system.slice/x.service", Tty: event.Tty{Name: "pts3", Dev: 5},
	}
}

func base(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

func forkRec(key, parent event.Key, boot uint64) *event.TaskRecord {
	return &event.TaskRecord{Type: event.Fork, Boot: boot, Key: key, Parent: parent, PPid: parent.Pid, Tid: parent.Pid}
}

func exitRec(key event.Key, boot uint64) *event.TaskRecord {
	return &event.TaskRecord{Type: event.Exit, Boot: boot, Key: key, Exit: event.ExitInfo{Code: 3}}
}

func commRec(key event.Key, boot uint64, name string) *event.TaskRecord {
	return &event.TaskRecord{Type: event.Comm, Boot: boot, Key: key, Tid: key.Pid, Comm: name}
}

func apply(t *testing.T, tab *Table, rec *event.TaskRecord) *event.Event {
	t.Helper()
	ev := &event.Event{Num: 42}
	if !tab.Apply(rec, ev) {
		t.Fatalf("%s of %s was not applied", rec.Type, rec.Key)
	}
	if ev.Num != 42 || ev.Type != rec.Type || ev.Boot != rec.Boot {
		t.Fatalf("event %+v does not fit record %+v", ev, rec)
	}
	check(t, tab)
	return ev
}

func refused(t *testing.T, tab *Table, rec *event.TaskRecord) {
	t.Helper()
	ev := event.Event{Num: 42}
	if tab.Apply(rec, &ev) {
		t.Fatalf("%s of %s was applied", rec.Type, rec.Key)
	}
	if ev != (event.Event{Num: 42}) {
		t.Fatalf("a refused record changed the event: %+v", ev)
	}
	check(t, tab)
}

// check verifies what holds of a table at any time.
func check(t tester, tab *Table) {
	t.Helper()
	n, bytes := 0, int64(0)
	costs := map[*imageCost]int32{}
	kids := map[*entry]int{}
	for _, l := range []*list{&tab.live, &tab.leaf, &tab.inner, &tab.held} {
		size := 0
		for e := l.head; e != nil; e = e.after {
			size++
			n++
			bytes += e.own
			if e.cost != nil {
				costs[e.cost]++
			}
			if e.parent != nil {
				kids[e.parent]++
			}
			checkEntry(t, tab, e, l.id)
		}
		if size != l.n {
			t.Fatalf("list %d counts %d, holds %d", l.id, l.n, size)
		}
	}
	for c, refs := range costs {
		if c.refs != refs {
			t.Fatalf("an image has %d references counted, %d real", c.refs, refs)
		}
		bytes += int64(c.bytes)
	}
	if bytes != tab.bytes {
		t.Fatalf("%d bytes counted, %d real", tab.bytes, bytes)
	}
	if n != len(tab.byPid)+len(tab.dead) || tab.live.n != len(tab.byPid) {
		t.Fatalf("%d in lists (%d live), %d by pid, %d dead", n, tab.live.n, len(tab.byPid), len(tab.dead))
	}
	for p, want := range kids {
		got := 0
		for c := p.kid; c != nil; c = c.next {
			got++
		}
		if got != want {
			t.Fatalf("%s lists %d children of %d", p.Key, got, want)
		}
	}
	waiting := 0
	for key, e := range tab.waiting {
		if e.prev != nil {
			t.Fatalf("waiting list of %s does not begin at its head", key)
		}
		for ; e != nil; e = e.next {
			waiting++
			if !e.waits || e.ParentKey != key {
				t.Fatalf("%s waits for %s but is listed for %s", e.Key, e.ParentKey, key)
			}
		}
	}
	if waiting > n {
		t.Fatalf("%d wait, of %d", waiting, n)
	}
}

func checkEntry(t tester, tab *Table, e *entry, in listID) {
	t.Helper()
	want := listLeaf
	switch {
	case e.Alive():
		want = listLive
	case e.refs > 0:
		want = listHeld
	case e.kid != nil:
		want = listInner
	}
	if e.in != in || e.in != want {
		t.Fatalf("%s is in list %d, says %d, belongs to %d", e.Key, in, e.in, want)
	}
	if e.Alive() && tab.byPid[e.Pid] != e || !e.Alive() && tab.dead[e.Key] != e {
		t.Fatalf("%s is not found by its key", e.Key)
	}
	if e.refs < 0 || e.own <= 0 {
		t.Fatalf("%s has %d references and %d bytes", e.Key, e.refs, e.own)
	}
	if (e.parent == nil) != (e.Parent == nil) || e.parent != nil && (e.Parent != &e.parent.Process || e.ParentKey != e.parent.Key) {
		t.Fatalf("%s has two parents", e.Key)
	}
	steps := 0
	for p := e.Parent; p != nil; p = p.Parent {
		if steps++; steps > 1_000_000 || p == &e.Process {
			t.Fatalf("the ancestry of %s does not end", e.Key)
		}
	}
	if e.Cmdline != cmdline(e.Comm, e.Image) {
		t.Fatalf("%s has the command line %q, not %q", e.Key, e.Cmdline, cmdline(e.Comm, e.Image))
	}
}

func TestLife(t *testing.T) {
	tab := testTable(Config{})
	sh, ls := k(10, 1), k(11, 2)
	ev := apply(t, tab, execRec(sh, 100*ms, "/bin/sh", "-sh", "-i"))
	if p := ev.Proc; p.Cmdline != "sh -i" || !ev.Time.Equal(time.Unix(0, int64(100*ms)).Add(time.Hour)) ||
		!p.Time.Equal(time.Unix(0, int64(sh.Start)).Add(time.Hour)) {
		t.Fatalf("exec gave %+v at %s", p, ev.Time)
	}
	fork := forkRec(ls, sh, 200*ms)
	fork.Comm = "worker"
	ev = apply(t, tab, fork)
	p := ev.Proc
	shell := tab.ByPid(10)
	if p.Parent != shell || p.Image != shell.Image || p.Cred != shell.Cred || p.Cgroup != shell.Cgroup ||
		p.NS != shell.NS || p.Tty != shell.Tty || p.Node != "host" || p.Cmdline != "worker -i" ||
		p.ExecBoot != ls.Start || p.PPid != 10 {
		t.Fatalf("a child inherits: %+v", p)
	}
	refused(t, tab, fork)
	rec := execRec(ls, 300*ms, "/bin/ls", "/bin/ls", "-l")
	rec.Cred.UID = 8
	ev = apply(t, tab, rec)
	if ev.Proc != p || p.Parent != shell || ev.ExecInfo.Old != shell.Image || !ev.ExecInfo.OldCredKnown ||
		ev.ExecInfo.OldCred.UID != 7 || p.Cred.UID != 8 || p.Cmdline != "ls -l" || p.ExecBoot != 300*ms {
		t.Fatalf("exec gave %+v, %+v", p, ev.ExecInfo)
	}
	refused(t, tab, rec)
	ev = apply(t, tab, commRec(ls, 400*ms, "renamed"))
	if ev.OldComm != "ls" || p.Comm != "renamed" || p.Cmdline != "renamed -l" {
		t.Fatalf("comm gave %q, then %+v", ev.OldComm, p)
	}
	thread := commRec(ls, 450*ms, "thread")
	thread.Tid = 99
	refused(t, tab, thread)
	ev = apply(t, tab, exitRec(ls, 500*ms))
	if ev.ExitInfo.Code != 3 || ev.ExitInfo.Duration != time.Duration(500*ms-ls.Start) || p.Exited != ev.ExitInfo || p.Alive() {
		t.Fatalf("exit gave %+v", ev.ExitInfo)
	}
	refused(t, tab, exitRec(ls, 500*ms))
	if tab.ByPid(11) != nil || tab.ByKey(ls) != p {
		t.Fatal("a dead process is found by its key alone")
	}
	refused(t, tab, &event.TaskRecord{Type: event.Exec})
	refused(t, tab, &event.TaskRecord{Type: event.Gap, Key: sh})
	st := tab.Stats()
	if st.Live != 1 || st.Dead != 1 || st.Applied != 5 || st.Duplicates != 3 || st.Ignored != 3 || st.Synthesised != 1 {
		t.Fatalf("%+v", st)
	}
}

func TestCreatorIsLineage(t *testing.T) {
	tab := testTable(Config{})
	apply(t, tab, execRec(k(1, 1), 100, "/sbin/init", "init"))
	apply(t, tab, forkRec(k(2, 2), k(1, 1), 200))
	apply(t, tab, execRec(k(2, 2), 201, "/bin/made", "made"))
	rec := forkRec(k(3, 3), k(1, 1), 300) // CLONE_PARENT
	rec.Creator = k(2, 2)
	p := apply(t, tab, rec).Proc
	if p.Parent != tab.ByPid(2) || p.PPid != 1 || p.Image.Exe.Path != "/bin/made" {
		t.Fatalf("%+v", p)
	}
}

func TestOutOfOrder(t *testing.T) {
	tab := testTable(Config{})
	a, b, c := k(1, 1), k(2, 2), k(3, 3)
	// child before parent: linked when the parent comes
	child := apply(t, tab, forkRec(b, a, 200)).Proc
	if child.Parent != nil || child.ParentKey != a {
		t.Fatalf("%+v", child)
	}
	apply(t, tab, execRec(a, 300, "/bin/a", "a"))
	if child.Parent != tab.ByPid(1) {
		t.Fatal("an orphan was not linked to its parent")
	}
	// exec before its fork: both are events, the image stays
	apply(t, tab, execRec(c, 500, "/bin/c", "c"))
	if p := apply(t, tab, forkRec(c, a, 400)).Proc; p.Image.Exe.Path != "/bin/c" || p.Parent != tab.ByPid(1) {
		t.Fatalf("%+v", p)
	}
	// an older exec shows what ran, and changes nothing
	ev := apply(t, tab, execRec(c, 450, "/bin/older", "older", "x"))
	if ev.Proc.Image.Exe.Path != "/bin/older" || ev.Proc.Cmdline != "older x" || tab.ByPid(3).Image.Exe.Path != "/bin/c" {
		t.Fatalf("%+v", ev.Proc)
	}
	// an older name likewise
	ev = apply(t, tab, commRec(c, 460, "old"))
	if ev.Proc.Comm != "old" || tab.ByPid(3).Comm != "c" {
		t.Fatalf("%+v", ev.Proc)
	}
	// a name given after an exec whose record is late stays
	apply(t, tab, commRec(c, 650, "named"))
	if p := apply(t, tab, execRec(c, 640, "/bin/d", "d", "-z")).Proc; p.Cmdline != "named -z" {
		t.Fatalf("%+v", p)
	}
	// a known parent is not given up for an unknown one
	if p := apply(t, tab, execRec(k(9, 9), 660, "/bin/e", "e")).Proc; p.Parent != nil {
		t.Fatalf("%+v", p)
	}
	rec := execRec(k(8, 8), 670, "/bin/f", "f")
	rec.Parent = a
	apply(t, tab, rec)
	if p := apply(t, tab, forkRec(k(8, 8), k(7, 7), 665)).Proc; p.ParentKey != a || p.Parent != tab.ByPid(1) {
		t.Fatalf("%+v", p)
	}
	// exit first, then fork: dead from the beginning, no phantom
	d := k(4, 4)
	apply(t, tab, exitRec(d, 700))
	if p := apply(t, tab, forkRec(d, a, 600)).Proc; p.Alive() || p.Parent != tab.ByPid(1) {
		t.Fatalf("%+v", p)
	}
	if live, _ := tab.Len(); live != 5 {
		t.Fatalf("%d live", live)
	}
}

func TestPidReuse(t *testing.T) {
	tab := testTable(Config{})
	old, young := k(5, 1), k(5, 1000)
	apply(t, tab, execRec(old, 100, "/bin/old", "old"))
	apply(t, tab, execRec(young, 2000, "/bin/young", "young"))
	p := tab.ByKey(old)
	if p.Alive() || p.Exited != nil || tab.ByPid(5).Key != young {
		t.Fatalf("%+v", p)
	}
	// the elder's end comes late, and is an event still
	if ev := apply(t, tab, exitRec(old, 900)); ev.Proc != p || p.ExitBoot != 900 || p.Exited == nil {
		t.Fatalf("%+v", p)
	}
	refused(t, tab, exitRec(old, 900))
	// one even older is dead when it comes
	if p := apply(t, tab, execRec(k(5, 0), 50, "/bin/x", "x")).Proc; p.Alive() {
		t.Fatalf("%+v", p)
	}
	if tab.ByPid(5).Key != young {
		t.Fatal("the pid belongs to the youngest")
	}
}

func TestProcKeys(t *testing.T) {
	tab := testTable(Config{})
	coarse := event.Key{Pid: 6, Start: 50 * tick}
	exact := event.Key{Pid: 6, Start: 50*tick + 12345}
	tab.Seed(&event.TaskRecord{Key: coarse, Comm: "six", Boot: 60 * tick})
	tab.Seed(&event.TaskRecord{Key: event.Key{Pid: 7, Start: 51 * tick}, Parent: coarse, Comm: "seven", Boot: 60 * tick})
	p := apply(t, tab, execRec(exact, 70*tick, "/bin/six", "six")).Proc
	if p.Key != exact || !p.Seeded || tab.ByPid(7).ParentKey != exact || tab.ByPid(7).Parent != p {
		t.Fatalf("%+v", p)
	}
	tab.Seed(&event.TaskRecord{Key: coarse, Comm: "six", Boot: 80 * tick})
	if live, dead := tab.Len(); live != 2 || dead != 0 || p.Key != exact {
		t.Fatalf("%d live, %d dead, key %s", live, dead, p.Key)
	}
}

func TestNoLoops(t *testing.T) {
	tab := testTable(Config{})
	a, b, c := k(1, 1), k(2, 2), k(3, 3)
	apply(t, tab, forkRec(a, c, 10)) // waits for c
	apply(t, tab, forkRec(b, a, 20))
	apply(t, tab, forkRec(c, b, 30)) // c would descend from itself
	apply(t, tab, forkRec(k(4, 4), k(4, 4), 40))
	if tab.Stats().Loops != 1 {
		t.Fatalf("%+v", tab.Stats())
	}
}

// TestSeedThenOlderExec reads, after the iterator, what the ring still held.
func TestSeedThenOlderExec(t *testing.T) {
	tab := testTable(Config{})
	key := k(1, 0)
	tab.Seed(&event.TaskRecord{Key: key, Comm: "b", Boot: 500, Image: &event.Image{Exe: event.File{Path: "/bin/b"}}})
	ev := apply(t, tab, execRec(key, 300, "/bin/a", "a"))
	if ev.Proc.Image.Exe.Path != "/bin/a" || tab.ByPid(1).Image.Exe.Path != "/bin/b" {
		t.Fatalf("an exec of the past changed the present: %+v", tab.ByPid(1))
	}
	same := execRec(key, 400, "/bin/b", "b", "-x")
	if ev = apply(t, tab, same); ev.Proc != tab.ByPid(1) || ev.Proc.Cmdline != "b -x" || ev.Proc.ExecBoot != 400 {
		t.Fatalf("the exec of the program that the iterator saw was not taken: %+v", ev.Proc)
	}
	refused(t, tab, same)
	// the same program again, with other arguments, between the two
	if ev = apply(t, tab, execRec(key, 450, "/bin/b", "b", "-y")); ev.Proc.Cmdline != "b -y" || tab.ByPid(1).Cmdline != "b -x" {
		t.Fatalf("%+v", ev.Proc)
	}
}

func TestRange(t *testing.T) {
	tab := testTable(Config{})
	for i := range uint32(4) {
		apply(t, tab, forkRec(k(10+i, uint64(i)), k(1, 0), 10000))
	}
	apply(t, tab, exitRec(k(10, 0), 10001))
	var all, two []uint32
	tab.Range(func(p *event.Process) bool {
		all = append(all, p.Pid)
		return true
	})
	tab.Range(func(p *event.Process) bool {
		two = append(two, p.Pid)
		return len(two) < 2
	})
	if !slices.Equal(all, []uint32{11, 12, 13, 10}) || !slices.Equal(two, all[:2]) {
		t.Fatalf("%v, %v", all, two)
	}
}

func TestSharing(t *testing.T) {
	tab := testTable(Config{})
	a := apply(t, tab, realistic(1, k(1, 1), event.Key{})).Proc
	b := apply(t, tab, realistic(1, k(2, 1), a.Key)).Proc
	same := func(what, x, y string) {
		t.Helper()
		if x != y || unsafe.StringData(x) != unsafe.StringData(y) {
			t.Errorf("%s is held twice: %q, %q", what, x, y)
		}
	}
	same("exe", a.Image.Exe.Path, b.Image.Exe.Path)
	same("filename", a.Image.Filename, a.Image.Exe.Path)
	same("cwd", a.Image.Cwd, b.Image.Cwd)
	same("node", a.Node, b.Node)
	same("tty", a.Tty.Name, b.Tty.Name)
	same("variable", a.Image.Env[0], b.Image.Env[0])
	same("argument", a.Image.Argv[0], a.Image.Cmdline()[:len(a.Image.Argv[0])])
	same("end of the command line", a.Cmdline[1:], a.Image.Cmdline()[len(a.Image.Cmdline())-len(a.Cmdline)+1:])
	if a.Cgroup != b.Cgroup || a.NS != b.NS {
		t.Error("control group or namespaces are held twice")
	}
	again := apply(t, tab, func() *event.TaskRecord {
		rec := realistic(1, b.Key, a.Key)
		rec.Boot++
		return rec
	}()).ExecInfo
	if &again.Old.Env[0] != &b.Image.Env[0] {
		t.Error("an unchanged environment is held twice")
	}
}

func TestCachesAreBounded(t *testing.T) {
	in := newInterner()
	for i := range 10 * internEntries {
		s := fmt.Sprint("string ", i)
		if in.str(s) != s {
			t.Fatal("interning changed a string")
		}
	}
	if n := len(in.cache.young) + len(in.cache.old); n > 2*internEntries {
		t.Errorf("%d strings", n)
	}
	for i := range 10 * internBytes / internLongest {
		in.str(strings.Repeat("x", internLongest-10) + fmt.Sprint(i))
	}
	bytes := 0
	for _, m := range []map[string]string{in.cache.young, in.cache.old} {
		for s := range m {
			bytes += len(s)
		}
	}
	if bytes > 2*internBytes {
		t.Errorf("%d bytes", bytes)
	}
	// what is used stays the same while others pass
	c := newCache[int, string](4)
	c.put(0, "kept")
	for i := 1; i < 100; i++ {
		c.put(i, "")
		if v, ok := c.get(0); !ok || v != "kept" {
			t.Fatalf("lost after %d others", i)
		}
	}
}

func TestStatsWhileApplying(t *testing.T) {
	tab := testTable(Config{MaxProcesses: 50})
	done := make(chan struct{})
	go func() {
		defer close(done)
		var ev event.Event
		for i := range uint32(5000) {
			tab.Apply(forkRec(k(i+1, uint64(i)), k(1, 0), uint64(i)), &ev)
		}
	}()
	for {
		select {
		case <-done:
			if st := tab.Stats(); st.Applied != 5000 || st.Evicted() != 5000-uint64(st.Live) {
				t.Errorf("%+v", st)
			}
			return
		default:
			if st := tab.Stats(); st.Live > 100 || st.Bytes < 0 {
				t.Fatalf("%+v", st)
			}
		}
	}
}

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}
