package fdgraph

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// dupTo puts something onto a descriptor.
func (w *world) dupTo(p *event.Process, num int32, s event.Stdio) {
	w.call(p, event.Dup, "dup2", &event.Call{Ret: int64(num), FD: &event.FD{
		Num: num, Kind: s.Kind, File: event.File{Inode: s.Inode, Path: s.Path}, Sock: s.Sock,
	}})
}

// redirect is what a shell does around `echo >file`: its output is the file, then
// again what it was.
func (w *world) redirect(sh *event.Process, out event.Stdio) {
	file := event.Stdio{Kind: event.StdioFile, Path: "/tmp/out", Inode: 9}
	w.dupTo(sh, 1, file)
	w.dupTo(sh, 1, out)
}

// A build's script puts its output back after each line: its parent, of which
// nothing is known but that it has sockets, is looked at once and not each time.
func TestRedirectionsAskOnce(t *testing.T) {
	w := newWorld(t).ask()
	maker := w.start(nil, "/usr/bin/make", null, null)
	w.g.procs[maker.Key] = &holder{key: maker.Key, proc: maker, unsure: true}
	out := w.pipe(maker)
	w.fds[maker.Pid] = []FD{{Num: 3, Inode: out, Pipe: true, Read: true, Write: true}, {Num: 5, Inode: 77, Socket: true}}
	sh := w.fork(maker)
	w.fds[sh.Pid] = []FD{{Num: 1, Inode: out, Pipe: true, Write: true}}
	w.exec(sh, "/usr/bin/dash", null, aPipe(out))
	w.redirect(sh, aPipe(out))
	before := w.g.Stats().Asked
	if before == 0 {
		t.Fatal("the kernel was not asked at all")
	}
	for range 20 {
		w.redirect(sh, aPipe(out))
	}
	if now := w.g.Stats().Asked; now != before {
		t.Errorf("20 redirections made %d questions to the kernel, want none", now-before)
	}
	// time alone brings another look: what no event tells may have happened
	w.boot += quietTime
	w.redirect(sh, aPipe(out))
	if now := w.g.Stats().Asked; now != before+1 {
		t.Errorf("%d questions after a while, want 1", now-before)
	}
	w.silent()
}

// What could change the answer brings the question back at once.
func TestRedirectionsAskAgainAfterGain(t *testing.T) {
	w := newWorld(t)
	a := w.inode()
	sh := w.start(nil, "/usr/bin/dash", aFifo(a), null)
	relay := w.start(nil, "/usr/bin/socat", null, null)
	w.connect(relay, 7777)
	w.dupTo(sh, 0, null)
	w.dupTo(sh, 0, aFifo(a))
	w.silent()
	w.openFifo(relay, a, writeOnly)
	w.dupTo(sh, 0, null)
	w.dupTo(sh, 0, aFifo(a))
	w.want("dash[101] <-fifo- socat[102] <-tcp- 203.0.113.1:7777", false)
}

// Of connects that a process repeats only the first is told: a relay that keeps the
// second one is found by asking the kernel.
func TestRepeatedConnectOfARelay(t *testing.T) {
	w := newWorld(t).ask()
	relay := w.start(nil, "/usr/bin/socat", null, null)
	w.fds[relay.Pid] = nil
	w.connect(relay, 7777)
	second := w.inode() // made within a second of the first, which is closed
	w.boot += 2 * fresh
	in, out := w.pipe(relay), w.pipe(relay)
	w.fds[relay.Pid] = []FD{{Num: 3, Inode: in, Pipe: true, Write: true}, {Num: 4, Inode: out, Pipe: true, Read: true}, {Num: 5, Inode: second, Socket: true}}
	w.inet[second] = Conn{Inode: second, Remote: "203.0.113.1", Port: 7777, Proto: "tcp"}
	sh := w.fork(relay)
	w.fds[sh.Pid] = []FD{{Num: 0, Inode: in, Pipe: true, Read: true}, {Num: 1, Inode: out, Pipe: true, Write: true}}
	w.exec(sh, "/usr/bin/dash", aPipe(in), aPipe(out))
	w.want("dash[102] <-pipe-> socat[101] <-tcp-> 203.0.113.1:7777", true)
	if s := w.told[len(w.told)-1]; s.In.Inbound || !s.Confirmed {
		t.Errorf("inbound %v, confirmed %v, want a connection that was made", s.In.Inbound, s.Confirmed)
	}
}
