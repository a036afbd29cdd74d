package fdgraph

import (
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// world makes events as a host would and keeps what was told.
type world struct {
	t    *testing.T
	g    *Graph
	pid  uint32
	next uint64 // inodes
	boot uint64
	told []*event.Shell
	last *event.Event
	// fds is what the kernel would say, by pid; a process that is not there
	// has gone.
	fds  map[uint32][]FD
	inet map[uint64]Conn
}

func (w *world) FDs(pid uint32, start uint64) ([]FD, bool) {
	fds, ok := w.fds[pid]
	return fds, ok
}
func (w *world) Inet(uint32) map[uint64]Conn { return w.inet }

// newWorld has a graph that goes by events alone; ask gives it a kernel.
func newWorld(t *testing.T) *world { return &world{t: t, g: New(Options{}), pid: 100, next: 5000} }

func (w *world) ask() *world {
	w.fds, w.inet = map[uint32][]FD{}, map[uint64]Conn{}
	w.g.opts.Probe = w
	return w
}

func (w *world) inode() uint64 { w.next++; return w.next }

func (w *world) apply(ev *event.Event) {
	w.boot += 1e6
	ev.Boot = w.boot
	w.g.Apply(ev)
	w.last = ev
	if ev.Shell != nil {
		w.told = append(w.told, ev.Shell)
	}
}

// fork makes a child of a process; of nil a process with nothing.
func (w *world) fork(parent *event.Process) *event.Process {
	w.pid++
	p := &event.Process{Key: event.Key{Pid: w.pid, Start: uint64(w.pid) * 1e9}, Parent: parent, Comm: "?"}
	if parent != nil {
		p.ParentKey, p.Comm, p.Image = parent.Key, parent.Comm, parent.Image
	}
	w.apply(&event.Event{Type: event.Fork, Proc: p})
	return p
}

var null = event.Stdio{Kind: event.StdioNull, Path: "/dev/null"}

func aPipe(inode uint64) event.Stdio { return event.Stdio{Kind: event.StdioPipe, Inode: inode} }
func aFifo(inode uint64) event.Stdio {
	return event.Stdio{Kind: event.StdioFifo, Inode: inode, Path: "/tmp/f"}
}
func aPty(path string) event.Stdio { return event.Stdio{Kind: event.StdioPty, Path: path, Inode: 6} }
func tcpTo(port uint16) *event.Socket {
	return &event.Socket{Family: "ipv4", Proto: "tcp", Type: "stream", Local: "10.0.0.5", LocalPort: 40000, Remote: "203.0.113.1", RemotePort: port, State: "established"}
}
func aSock(inode uint64, s *event.Socket) event.Stdio {
	return event.Stdio{Kind: event.StdioSocket, Inode: inode, Sock: s}
}

func (w *world) exec(p *event.Process, exe string, in, out event.Stdio) {
	p.Comm = exe[strings.LastIndexByte(exe, '/')+1:]
	p.Image = (&event.Image{Exe: event.File{Path: exe}, Argv: []string{p.Comm}, Stdio: [3]event.Stdio{in, out, out}}).Seal()
	w.apply(&event.Event{Type: event.Exec, Proc: p})
}

// start forks and execs.
func (w *world) start(parent *event.Process, exe string, in, out event.Stdio) *event.Process {
	p := w.fork(parent)
	w.exec(p, exe, in, out)
	return p
}

func (w *world) exit(p *event.Process) {
	p.ExitBoot = w.boot
	w.apply(&event.Event{Type: event.Exit, Proc: p})
	delete(w.fds, p.Pid)
}

func (w *world) call(p *event.Process, typ event.Type, name string, c *event.Call) {
	c.Spec = event.CallNamed(name)
	w.apply(&event.Event{Type: typ, Proc: p, Call: c})
}

// pipe is what a process makes before it forks those that use it.
func (w *world) pipe(p *event.Process) uint64 {
	n := w.inode()
	fd := func(num int32) *event.FD {
		return &event.FD{Num: num, Kind: event.StdioPipe, File: event.File{Inode: n}}
	}
	w.call(p, event.Pipe, "pipe2", &event.Call{FD: fd(3), FD2: fd(4)})
	return n
}

func (w *world) connect(p *event.Process, port uint16) uint64 {
	n := w.inode()
	w.call(p, event.Connect, "connect", &event.Call{FD: &event.FD{Num: 7, Kind: event.StdioSocket, File: event.File{Inode: n}, Sock: tcpTo(port)}})
	return n
}

func (w *world) accept(p *event.Process, port uint16) uint64 {
	n := w.inode()
	w.call(p, event.Accept, "accept4", &event.Call{FD: &event.FD{Num: 8, Kind: event.StdioSocket, File: event.File{Inode: n}, Sock: tcpTo(port)}})
	return n
}

func (w *world) openFifo(p *event.Process, inode uint64, flags uint64) {
	w.call(p, event.Open, "openat", &event.Call{Args: [6]uint64{0, 0, flags}, FD: &event.FD{Num: 3, Kind: event.StdioFifo, File: event.File{Inode: inode, Path: "/tmp/f"}}})
}

func (w *world) openPtmx(p *event.Process) {
	w.call(p, event.Open, "openat", &event.Call{Args: [6]uint64{0, 0, readWrite}, FD: &event.FD{Num: 9, Kind: event.StdioChar, File: event.File{Path: "/dev/ptmx"}}})
}

func (w *world) dup(p *event.Process, num int32, inode uint64, s *event.Socket) {
	w.call(p, event.Dup, "dup2", &event.Call{Ret: int64(num), FD: &event.FD{Num: num, Kind: event.StdioSocket, File: event.File{Inode: inode}, Sock: s}})
}

// chains are the texts of all that was told.
func (w *world) chains() []string {
	var out []string
	for _, s := range w.told {
		out = append(out, string(s.AppendChain(nil)))
	}
	return out
}

// want checks the last answer.
func (w *world) want(chain string, both bool) {
	w.t.Helper()
	if len(w.told) == 0 {
		w.t.Fatalf("nothing was told, want %q", chain)
	}
	s := w.told[len(w.told)-1]
	if got := string(s.AppendChain(nil)); got != chain {
		w.t.Errorf("the chain is\n %q, want\n %q", got, chain)
	}
	if s.BothWays() != both {
		w.t.Errorf("both ways: %v, want %v", s.BothWays(), both)
	}
}

func (w *world) silent() {
	w.t.Helper()
	if got := w.chains(); len(got) > 0 {
		w.t.Errorf("told %q, want nothing", got)
	}
}
