package eventjson

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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
		if g.flag() {
			p.Cgroup.Meta = g.meta()
		}
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
		Exe: event.File{Path: g.str(), RootPath: g.str(), HostPath: g.str(), Dev: g.u64(), Inode: g.u64(), Mode: g.u32(),
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
	if ev.Type.IsCall() && g.flag() {
		ev.Call = g.call(event.CallsOf(ev.Type))
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

func (g gen) file() event.File {
	f := event.File{Path: g.str(), RootPath: g.str(), HostPath: g.str(), PathCut: g.flag(), Memfd: g.flag()}
	if g.flag() {
		f.Dev, f.Inode, f.Mode, f.UID, f.Nlink = g.u64(), g.u64(), g.u32(), g.u32(), g.u32()
	}
	return f
}

func (g gen) labels() map[string]string {
	return rapid.MapOfN(rapid.Custom(func(t *rapid.T) string { return gen{t}.str() }),
		rapid.Custom(func(t *rapid.T) string { return gen{t}.str() }), 0, 3).Draw(g.T, "labels")
}

func (g gen) meta() *event.ContainerMeta {
	m := &event.ContainerMeta{Name: g.str(), Image: g.str(), Labels: g.labels(), Privileged: g.flag(), HostIPC: g.flag(), PodName: g.str()}
	if g.flag() {
		m.Mounts = []event.ContainerMount{{Source: g.str(), Dest: g.str(), RW: g.flag()}}
		m.Started, m.PodLabels, m.SandboxID = g.time(), g.labels(), g.str()
	}
	return m
}

func (g gen) ref() *event.FileRef {
	if g.flag() {
		return nil
	}
	return &event.FileRef{Raw: g.str(), RawCut: g.flag(), Resolved: g.flag(), Created: g.flag(), File: g.file()}
}

func (g gen) socket() *event.Socket {
	if g.flag() {
		return nil
	}
	return &event.Socket{Family: g.str(), Proto: g.str(), Type: g.str(), Local: g.str(), LocalPort: uint16(g.u32()),
		Remote: g.str(), RemotePort: uint16(g.u32()), RemoteName: g.str(), State: g.str()}
}

func (g gen) fd() *event.FD {
	if g.flag() {
		return nil
	}
	kind := event.StdioKind(rapid.IntRange(int(event.StdioClosed), int(event.StdioAnon)).Draw(g.T, "kind"))
	return &event.FD{Num: int32(g.u32()), Kind: kind, File: g.file(), Sock: g.socket()}
}

func (g gen) cred() *event.Cred {
	if g.flag() {
		return nil
	}
	return &event.Cred{UID: g.u32(), GID: g.u32(), EUID: g.u32(), EGID: g.u32(), SUID: g.u32(), SGID: g.u32(), FSUID: g.u32(), FSGID: g.u32(),
		LoginUID: event.Unset, SessionID: g.u32(), Effective: g.u64(), Permitted: g.u64(), Inheritable: g.u64(), Bounding: g.u64(),
		Ambient: g.u64(), NoNewPrivs: g.flag()}
}

func (g gen) call(specs []*event.CallSpec) *event.Call {
	c := &event.Call{Spec: rapid.SampledFrom(specs).Draw(g.T, "spec"), Ret: rapid.Int64().Draw(g.T, "ret"), Via: g.str(), Compat: g.flag(), Text: g.str(), Text2: g.str(),
		Path: g.ref(), Path2: g.ref(), FD: g.fd(), FD2: g.fd(), Addr: g.socket(), OldCred: g.cred(), NewCred: g.cred()}
	for i := range c.Args {
		c.Args[i] = g.u64()
	}
	if g.flag() {
		c.Target = &event.Process{Key: event.Key{Pid: g.u32(), Start: g.u64()}, Comm: g.str(), Image: g.image()}
	}
	if g.flag() {
		c.DNS = &event.DNSInfo{ID: uint16(g.u32()), Response: g.flag(), Name: g.str(), Type: g.str(), Rcode: g.str(), Latency: time.Duration(rapid.Int64().Draw(g.T, "d")),
			TCP: g.flag(), Cut: g.flag(), Answers: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event.DNSAnswer {
				g := gen{t}
				return event.DNSAnswer{Name: g.str(), Type: g.str(), Data: g.str(), TTL: g.u32()}
			}), 0, 3).Draw(g.T, "answers")}
	}
	if g.flag() {
		c.BPF = &event.BPFInfo{Cmd: g.str(), ProgType: g.str(), AttachType: g.str(), Name: g.str(), Insns: g.u32(), ScanCut: g.flag(), Path: g.str(),
			Helpers: rapid.SliceOfN(rapid.Uint32(), 0, 3).Draw(g.T, "helpers")}
	}
	if g.flag() {
		c.TCP = &event.TCPInfo{Old: g.str(), New: g.str(), Sent: g.u64(), Received: g.u64(), Duration: time.Duration(rapid.Int64().Draw(g.T, "d"))}
	}
	return c
}

// diffCalls says what differs between two calls; of the process that one acts
// on, a line has no more than its key, name and program.
func diffCalls(a, b *event.Call) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmp.Transformer("target", func(p *event.Process) []string {
		if p == nil {
			return nil
		}
		out := []string{p.Key.String(), p.Comm}
		if p.Image != nil {
			out = append(out, p.Image.Exe.Path)
		}
		return out
	}))
}

func TestRoundTripRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ev := gen{t}.event()
		first := testEncoder.AppendEvent(nil, ev)
		if got, err := DecodeEvent(first); err == nil {
			if diff := diffCalls(ev.Call, got.Call); diff != "" {
				t.Fatalf("%s comes back as another call:\n%s", first, diff)
			}
		}
		if again := recode(t, first); !bytes.Equal(first, again) {
			t.Fatalf("\n first %s\nsecond %s", first, again)
		}
	})
}
