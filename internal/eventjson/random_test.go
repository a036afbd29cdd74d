package eventjson

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// gen draws the parts of events.
type gen struct{ *rapid.T }

func (g gen) u64() uint64 { return rapid.Uint64().Draw(g.T, "n") }
func (g gen) u32() uint32 { return rapid.Uint32().Draw(g.T, "n") }
func (g gen) flag() bool  { return rapid.Bool().Draw(g.T, "flag") }
func (g gen) str() string { return string(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(g.T, "s")) }
func (g gen) list() []string {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return gen{t}.str() }), 0, 4).Draw(g.T, "list")
}

func (g gen) time() time.Time {
	return time.Unix(rapid.Int64Range(minSec, maxSec).Draw(g.T, "sec"), rapid.Int64Range(0, 999_999_999).Draw(g.T, "ns"))
}

func (g gen) process(depth int) *event.Process {
	p := &event.Process{
		Key: event.Key{Pid: g.u32(), Start: g.u64()}, ParentKey: event.Key{Pid: g.u32(), Start: g.u64()},
		PPid: g.u32(), NSPid: g.u32(), Sid: g.u32(), Comm: g.str(), User: g.str(), Node: g.str(),
		KThread: g.flag(), Seeded: g.flag(), ExitBoot: g.u64(), ExecBoot: g.u64(),
		Cred: event.Cred{UID: g.u32(), EUID: g.u32(), LoginUID: g.u32(), SessionID: event.Unset, Effective: g.u64(), NoNewPrivs: g.flag()},
		Tty:  event.Tty{Name: g.str(), Dev: g.u32()},
	}
	if g.flag() {
		p.Time = g.time()
	}
	if g.flag() {
		p.Cgroup = &event.Cgroup{ID: g.u64(), Path: g.str(), ContainerID: g.str(), Runtime: g.str()}
	}
	if g.flag() {
		p.NS = &event.Namespaces{Pid: g.u32(), IPC: g.u32()}
	}
	if g.flag() {
		p.Image = g.image()
	}
	if depth > 0 && g.flag() {
		p.Parent = g.process(depth - 1)
	}
	return p
}

func (g gen) image() *event.Image {
	i := &event.Image{
		Exe: event.File{Path: g.str(), RootPath: g.str(), Dev: g.u64(), Inode: g.u64(), Mode: g.u32(),
			Mtime: rapid.Int64().Draw(g.T, "mtime"), Deleted: g.flag(), Upper: g.flag()},
		Filename: g.str(), Script: g.str(), Interp: g.str(), Argv: g.list(), Argc: rapid.IntRange(0, 1<<31-1).Draw(g.T, "argc"),
		ArgvCut: g.flag(), Env: g.list(), EnvCut: g.flag(), Cwd: g.str(), SetUID: g.flag(), SecureExec: g.flag(),
	}
	for fd := range i.Stdio {
		s := &i.Stdio[fd]
		s.Kind = rapid.SampledFrom([]event.StdioKind{event.StdioClosed, event.StdioPipe, event.StdioSocket, event.StdioAnon}).Draw(g.T, "kind")
		s.Inode, s.Path = g.u64(), g.str()
		if s.Kind == event.StdioSocket {
			s.Sock = &event.Socket{Family: g.str(), Local: g.str(), LocalPort: uint16(g.u32()), State: g.str()}
		}
	}
	return i.Seal()
}

func (g gen) event() *event.Event {
	ev := &event.Event{Type: event.Type(rapid.IntRange(1, int(event.NumTypes)-1).Draw(g.T, "type")),
		Boot: g.u64(), Num: g.u64(), CPU: uint16(g.u32()), Seq: g.u64(), Tid: g.u32(), OldComm: g.str()}
	if g.flag() {
		ev.Time = g.time()
	}
	if g.flag() {
		ev.Proc = g.process(4)
	}
	switch ev.Type {
	case event.Exec:
		ev.ExecInfo = &event.ExecInfo{At: g.flag(), OldTid: g.u32(), OldCredKnown: g.flag()}
		if g.flag() {
			ev.ExecInfo.Old = g.image()
		}
	case event.Exit:
		ev.ExitInfo = &event.ExitInfo{Code: rapid.Int().Draw(g.T, "code"), Signal: 9, CoreDumped: g.flag(),
			Duration: time.Duration(rapid.Int64().Draw(g.T, "d")), MaxRSS: g.u64()}
	case event.Gap:
		ev.GapInfo = &event.GapInfo{Class: event.Bulk, Lost: event.Type(rapid.IntRange(0, int(event.NumTypes)-1).Draw(g.T, "lost")), CPU: uint16(g.u32()), N: g.u64(), From: g.u64(), To: g.u64()}
	}
	return ev
}

func TestRoundTripRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := testEncoder.AppendEvent(nil, gen{t}.event())
		if again := recode(t, first); !bytes.Equal(first, again) {
			t.Fatalf("\n first %s\nsecond %s", first, again)
		}
	})
}
