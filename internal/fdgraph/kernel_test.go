package fdgraph

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

func pipeFD(num int, inode uint64, write bool) FD {
	return FD{Num: num, Inode: inode, Pipe: true, Read: !write, Write: write}
}

// popen is an interpreter with a connection that runs a command.
func popen(w *world) (in, sh *event.Process, pipe, conn uint64) {
	in = w.start(nil, "/usr/bin/python3", null, null)
	conn = w.connect(in, 6065)
	pipe = w.pipe(in)
	sh = w.fork(in)
	return in, sh, pipe, conn
}

func TestKernelAgrees(t *testing.T) {
	w := newWorld(t).ask()
	in, sh, p, c := popen(w)
	w.fds[in.Pid] = []FD{pipeFD(5, p, false), {Num: 3, Socket: true, Inode: c}}
	w.fds[sh.Pid] = []FD{pipeFD(1, p, true)}
	w.exec(sh, "/usr/bin/dash", null, aPipe(p))
	w.want("dash[102] -pipe-> python3[101] -tcp-> 203.0.113.1:6065", false)
	if !w.told[0].Confirmed {
		t.Error("the kernel agrees, and the answer is not confirmed")
	}
}

func TestKernelDenies(t *testing.T) {
	w := newWorld(t).ask()
	in, sh, p, _ := popen(w)
	w.fds[in.Pid] = []FD{pipeFD(5, p, false)} // the connection is closed
	w.fds[sh.Pid] = []FD{pipeFD(1, p, true)}
	w.boot += fresh
	w.exec(sh, "/usr/bin/dash", null, aPipe(p))
	w.silent()
	if s := w.g.Stats(); s.Asked != 1 || s.Refuted != 1 || s.Found != 0 {
		t.Errorf("the account is %+v", s)
	}
}

func TestProcessesGone(t *testing.T) {
	w := newWorld(t).ask()
	_, sh, p, _ := popen(w)
	w.exec(sh, "/usr/bin/dash", null, aPipe(p))
	w.want("dash[102] -pipe-> python3[101] -tcp-> 203.0.113.1:6065", false)
	if w.told[0].Confirmed {
		t.Error("nobody could be asked, and the answer is confirmed")
	}
}

// A relay that has closed its connection by the time it is looked at had one all
// the same, for a moment.
func TestRelayFailsAtOnce(t *testing.T) {
	w := newWorld(t).ask()
	sh := w.start(nil, "/usr/bin/dash", null, null)
	f, p := w.inode(), w.pipe(sh)
	ssl := w.start(sh, "/usr/bin/openssl", aPipe(p), aFifo(f))
	shell := w.start(sh, "/usr/bin/dash", aFifo(f), aPipe(p))
	fifoFD := func(num int, write bool) FD {
		return FD{Num: num, Inode: f, Path: "/tmp/f", Fifo: true, Read: !write, Write: write}
	}
	w.fds[ssl.Pid] = []FD{pipeFD(0, p, false), fifoFD(1, true)}
	w.fds[shell.Pid] = []FD{fifoFD(0, false), pipeFD(1, p, true)}
	w.connect(ssl, 666)
	w.want("dash[103] <-fifo- openssl[102] <-tcp- 203.0.113.1:666, -pipe-> openssl[102] -tcp-> 203.0.113.1:666", true)
	if w.told[0].Confirmed {
		t.Error("the connection is closed, and the answer is confirmed")
	}
}

// What an exec may have closed leads nowhere where the kernel cannot be asked.
func TestGoneAndOnlySupposed(t *testing.T) {
	w := newWorld(t).ask()
	in, _, p, _ := popen(w)
	q := w.pipe(in)
	w.start(in, "/usr/bin/grep", null, aPipe(q)) // has the connection only if it was not closed by exec
	w.start(in, "/usr/bin/dash", aPipe(q), null)
	for _, s := range w.told {
		for _, h := range s.In.Hops {
			if h.Name == "grep" {
				t.Errorf("%s leads through what is only supposed", s.AppendChain(nil))
			}
		}
	}
	_ = p
}

// A server that listens is asked for connections of which there is no event.
func TestAcceptedUnseen(t *testing.T) {
	w := newWorld(t).ask()
	nc := w.start(nil, "/usr/bin/socat", null, null)
	w.call(nc, event.Listen, "listen", &event.Call{FD: &event.FD{Num: 5, Kind: event.StdioSocket, Sock: &event.Socket{Family: "ipv4", Proto: "tcp"}}})
	w.openPtmx(nc)
	w.fds[nc.Pid] = []FD{{Num: 6, Socket: true, Inode: 77}, {Num: 7, Ptmx: true, Terminal: 4}}
	w.inet[77] = Conn{Inode: 77, Remote: "203.0.113.9", Port: 50001, Proto: "tcp"} // its listener is closed already
	sh := w.fork(nc)
	w.fds[sh.Pid] = []FD{{Num: 0, Path: "/dev/pts/4", Read: true, Write: true}}
	w.exec(sh, "/usr/bin/bash", aPty("/dev/pts/4"), aPty("/dev/pts/4"))
	w.want("bash[102] <-pty-> socat[101] <-tcp-> 203.0.113.9:50001", true)
	if s := w.told[0]; !s.Confirmed || !s.In.Inbound {
		t.Errorf("confirmed %v, inbound %v, want both", s.Confirmed, s.In.Inbound)
	}
	// another terminal's master is none of this one
	other := w.fork(nc)
	w.fds[other.Pid] = []FD{{Num: 0, Path: "/dev/pts/9", Read: true, Write: true}}
	w.told = nil
	w.exec(other, "/usr/bin/bash", aPty("/dev/pts/9"), aPty("/dev/pts/9"))
	w.silent()
}

func TestSeededRelay(t *testing.T) {
	w := newWorld(t).ask()
	old := &event.Process{Key: event.Key{Pid: 50, Start: 1}, Comm: "agent", Image: (&event.Image{Exe: event.File{Path: "/opt/agent"}}).Seal()}
	w.fds[50] = []FD{{Num: 3, Socket: true, Inode: 88}, {Num: 4, Ptmx: true, Terminal: 0}}
	w.inet[88] = Conn{Inode: 88, Remote: "203.0.113.5", Port: 443, Proto: "tcp"}
	w.g.Seed(old)
	sh := w.fork(old)
	w.fds[sh.Pid] = []FD{{Num: 0, Path: "/dev/pts/0", Read: true, Write: true}}
	w.exec(sh, "/usr/bin/bash", aPty("/dev/pts/0"), aPty("/dev/pts/0"))
	w.want("bash[101] <-pty-> agent[50] <-tcp-> 203.0.113.5:443", true)
}

func TestBounds(t *testing.T) {
	w := &world{t: t, g: New(Options{Processes: 50, Objects: 40}), pid: 100, next: 5000}
	for range 500 {
		p := w.start(nil, "/usr/bin/dash", aPipe(w.inode()), aPipe(w.inode()))
		w.connect(p, 80)
	}
	one := w.start(nil, "/usr/bin/python3", null, null)
	for range 3 * maxHeld {
		w.pipe(one)
		w.connect(one, 81)
	}
	s := w.g.Stats()
	if s.Processes > 50 || s.Objects > 40 || s.Forgotten == 0 {
		t.Errorf("the account is %+v, want at most 50 processes, 40 objects and something forgotten", s)
	}
	h := w.g.procs[one.Key]
	if h == nil || len(h.held) > maxHeld || len(h.socks) > maxSocks {
		t.Errorf("one process holds %+v", h)
	}
}

// TestNothingStays: what ends leaves nothing behind.
func TestNothingStays(t *testing.T) {
	w := newWorld(t)
	var all []*event.Process
	for range 20 {
		sh := w.start(nil, "/usr/bin/dash", null, null)
		a, b := w.pipe(sh), w.pipe(sh)
		x := w.start(sh, "/usr/bin/nc", null, aPipe(a))
		w.connect(x, 1)
		y := w.start(sh, "/usr/bin/bash", aPipe(a), aPipe(b))
		z := w.start(sh, "/usr/bin/bash", aPty("/dev/pts/1"), aPipe(b))
		all = append(all, sh, x, y, z)
	}
	for _, p := range all {
		w.exit(p)
	}
	w.boot += 6e9
	w.exit(w.fork(nil))
	if len(w.g.procs)+len(w.g.objects)+len(w.g.terminals)+len(w.g.peers)+len(w.g.gone) > 0 {
		t.Errorf("%d processes, %d objects, %d terminals, %d peers are left", len(w.g.procs), len(w.g.objects), len(w.g.terminals), len(w.g.peers))
	}
}

func TestPrune(t *testing.T) {
	w := newWorld(t)
	lost := w.start(nil, "/usr/bin/dash", aPipe(1), aPipe(2))
	kept := w.start(nil, "/usr/bin/dash", aPipe(1), aPipe(3))
	w.g.Prune(func(k event.Key) bool { return k == kept.Key })
	if w.g.procs[lost.Key] != nil || w.g.procs[kept.Key] == nil || len(w.g.objects) != 2 {
		t.Errorf("after pruning there are %d processes and %d objects", len(w.g.procs), len(w.g.objects))
	}
}

func TestAskingIsBounded(t *testing.T) {
	w := newWorld(t).ask()
	for range probesBurst * 2 {
		in, sh, p, c := popen(w)
		w.fds[in.Pid] = []FD{pipeFD(5, p, false), {Num: 3, Socket: true, Inode: c}}
		w.fds[sh.Pid] = []FD{pipeFD(1, p, true)}
		w.exec(sh, "/usr/bin/dash", null, aPipe(p))
	}
	s := w.g.Stats()
	if s.Unasked == 0 || s.Found != 2*probesBurst {
		t.Errorf("the account is %+v, want all %d found and some without asking", s, 2*probesBurst)
	}
}

// TestProc reads this test's own descriptors and those of a child.
func TestProc(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "f")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	cmd := exec.Command("sleep", "60")
	cmd.Stdin = f
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	start := startOf(t, cmd.Process.Pid)
	fds, ok := Proc{}.FDs(uint32(cmd.Process.Pid), start)
	if !ok {
		t.Fatal("the child's descriptors cannot be had")
	}
	slices.SortFunc(fds, func(a, b FD) int { return a.Num - b.Num })
	var st syscall.Stat_t
	if err := syscall.Stat(fifo, &st); err != nil {
		t.Fatal(err)
	}
	if len(fds) < 2 || !fds[0].Fifo || fds[0].Inode != st.Ino || fds[0].Path != fifo || !fds[0].Read || !fds[0].Write {
		t.Errorf("descriptor 0 is %+v, want the FIFO", fds)
	}
	if len(fds) < 2 || !fds[1].Pipe || fds[1].Read || !fds[1].Write || fds[1].Inode == 0 {
		t.Errorf("descriptor 1 is %+v, want a pipe's writing end", fds)
	}
	if _, ok := (Proc{}).FDs(uint32(cmd.Process.Pid), start+60e9); ok {
		t.Error("a process that started at another time was taken for it")
	}
	_ = out.Close()
}

func startOf(t *testing.T, pid int) uint64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')'):]))
	var n uint64
	if _, err := fmt.Sscan(f[20], &n); err != nil {
		t.Fatal(err)
	}
	return n * tick
}

func TestParseInet(t *testing.T) {
	out := map[uint64]Conn{}
	parseInet([]byte(`  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:115C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 x
   1: 0500000A:9C40 017100CB:1E61 01 00000000:00000000 00:00000000 00000000     0        0 101 1 x
   2: 0500000A:115C 017100CB:C351 01 00000000:00000000 00:00000000 00000000     0        0 102 1 x
  bad line
   3: 0500000A 017100CB:C351 01 00000000:00000000 00:00000000 00000000     0        0 103 1 x
`), "tcp", out)
	want := map[uint64]Conn{
		101: {Inode: 101, Remote: "203.0.113.1", Port: 7777, Proto: "tcp"},
		102: {Inode: 102, Remote: "203.0.113.1", Port: 50001, Proto: "tcp", Inbound: true},
	}
	if len(out) != len(want) || out[101] != want[101] || out[102] != want[102] {
		t.Errorf("parsed %+v, want %+v", out, want)
	}
	out = map[uint64]Conn{}
	parseInet([]byte("   1: B80D01200000000067452301EFCDAB89:1F90 0000000000000000FFFF0000017100CB:01BB 01 0:0 0:0 0 0 0 7 1\n"), "tcp", out)
	if out[7].Remote != "203.0.113.1" {
		t.Errorf("a mapped address is %+v", out)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("  1: 0500000A:9C40 017100CB:1E61 01 0:0 0:0 0 0 0 101 1\n"), "/dev/pts/4")
	f.Add([]byte("flags:\t0100002\ntty-index:\t4\n"), "pipe:[12]")
	f.Fuzz(func(t *testing.T, b []byte, s string) {
		parseInet(b, "tcp", map[uint64]Conn{})
		var fd FD
		fd.readInfo(b)
		ptyNumber(s)
		inodeOf(s, "pipe:[")
	})
}

// BenchmarkQuiet is what the graph costs of an ordinary process: fork, a shell
// between two pipes that lead to no socket, and exit.
func BenchmarkQuiet(b *testing.B) {
	g := New(Options{})
	parent := &event.Process{Key: event.Key{Pid: 1, Start: 1}, Comm: "make"}
	pipes := &event.Call{Spec: event.CallNamed("pipe2"), FD: &event.FD{Num: 3, Kind: event.StdioPipe, File: event.File{Inode: 7}}, FD2: &event.FD{Num: 4}}
	g.Apply(&event.Event{Type: event.Pipe, Proc: parent, Call: pipes})
	image := (&event.Image{Exe: event.File{Path: "/usr/bin/dash"}, Stdio: [3]event.Stdio{aPipe(7), aPipe(7), aPipe(7)}}).Seal()
	p := &event.Process{Key: event.Key{Pid: 2, Start: 2}, Parent: parent, ParentKey: parent.Key, Image: image}
	fork, ex, exit := &event.Event{Type: event.Fork, Proc: p}, &event.Event{Type: event.Exec, Proc: p}, &event.Event{Type: event.Exit, Proc: p}
	b.ReportAllocs()
	for b.Loop() {
		g.Apply(fork)
		g.Apply(ex)
		g.Apply(exit)
	}
}

// BenchmarkShared is what a shell's redirection costs whose output is a pipe that
// many processes share, as all do that run in a container: it is asked each time.
func BenchmarkShared(b *testing.B) {
	g := New(Options{})
	parent := &event.Process{Key: event.Key{Pid: 1, Start: 1}, Comm: "runtime"}
	pipes := &event.Call{Spec: event.CallNamed("pipe2"), FD: &event.FD{Num: 3, Kind: event.StdioPipe, File: event.File{Inode: 7}}, FD2: &event.FD{Num: 4}}
	g.Apply(&event.Event{Type: event.Pipe, Proc: parent, Call: pipes})
	shell := (&event.Image{Exe: event.File{Path: "/usr/bin/dash"}, Stdio: [3]event.Stdio{{}, aPipe(7), aPipe(7)}}).Seal()
	var sh *event.Process
	for pid := range uint32(60) {
		p := &event.Process{Key: event.Key{Pid: 2 + pid, Start: 2}, Parent: parent, ParentKey: parent.Key, Image: shell}
		g.Apply(&event.Event{Type: event.Fork, Proc: p})
		g.Apply(&event.Event{Type: event.Exec, Proc: p})
		sh = p
	}
	back := &event.Event{Type: event.Dup, Proc: sh, Call: &event.Call{
		Spec: event.CallNamed("dup2"), Ret: 1, FD: &event.FD{Num: 1, Kind: event.StdioPipe, File: event.File{Inode: 7}},
	}}
	b.ReportAllocs()
	for b.Loop() {
		g.gains++
		g.Apply(back)
	}
}
