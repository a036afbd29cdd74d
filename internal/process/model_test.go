package process

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// model is the naive table: in-order records of a made-up kernel, no bounds.
type model struct {
	boot  uint64
	procs map[event.Key]*modelProc
	live  map[uint32]event.Key
}

type modelProc struct {
	parent event.Key
	exe    string
	comm   string
	alive  bool
}

func (m *model) pick(t *rapid.T, label string) (uint32, bool) {
	pid := rapid.Uint32Range(1, 12).Draw(t, label)
	_, ok := m.live[pid]
	return pid, ok
}

func (m *model) next() uint64 {
	m.boot += 3000
	return m.boot
}

// modelRun is a table beside its model.
type modelRun struct {
	model
	tab  *Table
	lost int // records that the table did not get
}

// TestModel applies sequences that a kernel could produce, with reuse of pids,
// losses followed by a resync, and repetitions, and compares every process.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &modelRun{model: model{procs: map[event.Key]*modelProc{}, live: map[uint32]event.Key{}}}
		r.tab = testTable(Config{Now: func() uint64 { return r.boot }})
		root := event.Key{Pid: 1, Start: r.next() + 7}
		r.procs[root] = &modelProc{alive: true, exe: "/init", comm: "init"}
		r.live[1] = root
		must(t, r.tab, execRec(root, r.next(), "/init", "init"))
		t.Repeat(map[string]func(*rapid.T){
			"fork": r.fork, "exec": r.exec, "comm": r.rename, "exit": r.exit, "resync": r.resync,
			"": func(t *rapid.T) {
				check(t, r.tab)
				if r.lost == 0 {
					r.compare(t, r.tab)
				}
			},
		})
	})
}

// send applies a record, loses it, or applies it twice.
func (r *modelRun) send(t *rapid.T, rec *event.TaskRecord) {
	if rapid.IntRange(0, 9).Draw(t, "lose") == 0 {
		r.lost++
		return
	}
	must(t, r.tab, rec)
	if rec.Type != event.Comm && rapid.Bool().Draw(t, "repeat") {
		ev := event.Event{}
		again := *rec
		if r.tab.Apply(&again, &ev) {
			t.Fatalf("a repeated %s of %s was applied", rec.Type, rec.Key)
		}
	}
}

func (r *modelRun) fork(t *rapid.T) {
	parent, ok := r.pick(t, "parent")
	pid, taken := r.pick(t, "pid")
	if !ok || taken {
		t.Skip("no parent or no free pid")
	}
	pk, boot := r.live[parent], r.next()
	key := event.Key{Pid: pid, Start: boot + 7}
	pp := r.procs[pk]
	r.procs[key] = &modelProc{parent: pk, alive: true, exe: pp.exe, comm: pp.comm}
	r.live[pid] = key
	rec := forkRec(key, pk, boot+8)
	rec.Comm = pp.comm
	r.send(t, rec)
}

func (r *modelRun) exec(t *rapid.T) {
	pid, ok := r.pick(t, "pid")
	if !ok {
		t.Skip("not living")
	}
	key := r.live[pid]
	p := r.procs[key]
	p.comm = rapid.SampledFrom([]string{"a", "b", "sh"}).Draw(t, "comm")
	p.exe = "/bin/" + p.comm
	rec := execRec(key, r.next(), p.exe, p.comm, fmt.Sprint(r.boot))
	rec.Parent = p.parent
	r.send(t, rec)
}

func (r *modelRun) rename(t *rapid.T) {
	pid, ok := r.pick(t, "pid")
	if !ok {
		t.Skip("not living")
	}
	key := r.live[pid]
	p := r.procs[key]
	p.comm = rapid.SampledFrom([]string{"x", "y"}).Draw(t, "comm")
	rec := commRec(key, r.next(), p.comm)
	rec.Parent = p.parent
	r.send(t, rec)
}

func (r *modelRun) exit(t *rapid.T) {
	pid, ok := r.pick(t, "pid")
	if !ok || pid == 1 {
		t.Skip("not living, or init")
	}
	key := r.live[pid]
	r.procs[key].alive = false
	delete(r.live, pid)
	rec := exitRec(key, r.next())
	rec.Parent = r.procs[key].parent
	r.send(t, rec)
}

func (r *modelRun) resync(*rapid.T) {
	r.next()
	r.tab.BeginResync()
	for _, key := range r.live {
		p := r.procs[key]
		r.tab.Seed(&event.TaskRecord{
			Boot: r.boot, Key: key, Parent: p.parent, Comm: p.comm,
			Image: &event.Image{Exe: event.File{Path: p.exe}},
		})
	}
	r.tab.EndResync(r.next())
	r.lost = 0
}

func (m *model) compare(t *rapid.T, tab *Table) {
	if live, _ := tab.Len(); live != len(m.live) {
		t.Fatalf("%d live, want %d", live, len(m.live))
	}
	for pid, key := range m.live {
		p, want := tab.ByPid(pid), m.procs[key]
		switch {
		case p == nil || p.Key != key:
			t.Fatalf("%s is not in the table", key)
		case p.ParentKey != want.parent:
			t.Fatalf("%s has the parent %s, want %s", key, p.ParentKey, want.parent)
		case p.Parent == nil && tab.ByKey(want.parent) != nil:
			t.Fatalf("%s is not linked to its parent", key)
		case p.Comm != want.comm || p.Image == nil || p.Image.Exe.Path != want.exe:
			t.Fatalf("%s is %q %+v, want %+v", key, p.Comm, p.Image, want)
		}
	}
}

func must(t *rapid.T, tab *Table, rec *event.TaskRecord) {
	var ev event.Event
	if !tab.Apply(rec, &ev) || ev.Proc == nil || ev.Proc.Pid != rec.Key.Pid {
		t.Fatalf("%s of %s was not applied", rec.Type, rec.Key)
	}
}

// TestBounds applies records in any order, true or not, to small tables, and
// checks only what must hold whatever comes.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		tab := testTable(Config{MaxProcesses: limit, Grace: 20_000})
		var held []*event.Process
		key := rapid.Custom(func(t *rapid.T) event.Key {
			return event.Key{
				Pid:   rapid.Uint32Range(0, 6).Draw(t, "pid"),
				Start: rapid.SampledFrom([]uint64{0, 7, 1007, 2007, tick, tick + 5, 2 * tick, ^uint64(0)}).Draw(t, "start"),
			}
		})
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				rec := drawRecord(t, key)
				var ev event.Event
				if tab.Apply(rec, &ev) && rapid.Bool().Draw(t, "retain") && tab.Retain(ev.Proc) {
					held = append(held, ev.Proc)
				}
			},
			"seed":  func(t *rapid.T) { tab.Seed(drawRecord(t, key)) },
			"begin": func(*rapid.T) { tab.BeginResync() },
			"end":   func(t *rapid.T) { tab.EndResync(rapid.Uint64().Draw(t, "now")) },
			"tick": func(t *rapid.T) {
				tab.Tick(rapid.Uint64().Draw(t, "now"))
				if live, dead := tab.Len(); dead > 0 && live+dead >= limit {
					t.Fatalf("%d live and %d dead left no room in a table for %d", live, dead, limit)
				}
			},
			"release": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip("nothing held")
				}
				tab.Release(held[0])
				held = held[1:]
			},
			"": func(t *rapid.T) {
				check(t, tab)
				if live, dead := tab.Len(); live+dead > hardFactor*limit {
					t.Fatalf("%d live and %d dead in a table for %d", live, dead, limit)
				}
			},
		})
	})
}

func drawRecord(t *rapid.T, key *rapid.Generator[event.Key]) *event.TaskRecord {
	rec := execRec(key.Draw(t, "key"), 0, "/bin/"+rapid.StringN(0, 3, 8).Draw(t, "exe"))
	rec.Type = event.Type(rapid.Uint8Range(0, uint8(event.NumTypes)).Draw(t, "type"))
	rec.Boot = rapid.OneOf(rapid.Uint64Range(0, 50_000), rapid.Uint64()).Draw(t, "boot")
	rec.Parent = key.Draw(t, "parent")
	if rapid.Bool().Draw(t, "creator") {
		rec.Creator = key.Draw(t, "creator")
	}
	if rapid.Bool().Draw(t, "bare") {
		rec.Image = nil
	}
	rec.Tid = rec.Key.Pid
	return rec
}
