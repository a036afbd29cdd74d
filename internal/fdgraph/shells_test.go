package fdgraph

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

func TestR1DirectRedirect(t *testing.T) {
	w := newWorld(t)
	sh := w.start(nil, "/usr/bin/bash", null, null)
	n := w.connect(sh, 9999)
	w.start(sh, "/usr/bin/bash", aSock(n, tcpTo(9999)), aSock(n, tcpTo(9999)))
	w.want("bash[102] <-tcp-> 203.0.113.1:9999", true)
	if via := w.told[0].In.Via(); via != "socket" {
		t.Errorf("via %q, want socket", via)
	}
}

// twoTools is tool | bash | tool, the tools connecting in the order given.
func twoTools(w *world, tool string, after bool) {
	sh := w.start(nil, "/usr/bin/dash", null, null)
	a, b := w.pipe(sh), w.pipe(sh)
	first := w.start(sh, tool, null, aPipe(a))
	if !after {
		w.connect(first, 7777)
	}
	w.start(sh, "/usr/bin/bash", aPipe(a), aPipe(b))
	last := w.start(sh, tool, aPipe(b), null)
	if after {
		w.connect(first, 7777)
	}
	w.connect(last, 8888)
}

func TestR2TwoTools(t *testing.T) {
	for _, after := range []bool{false, true} {
		w := newWorld(t)
		twoTools(w, "/usr/bin/nc.traditional", after)
		w.want("bash[103] <-pipe- nc.traditional[102] <-tcp- 203.0.113.1:7777, -pipe-> nc.traditional[104] -tcp-> 203.0.113.1:8888", true)
		if len(w.told) != 2 || w.told[0].BothWays() {
			t.Errorf("connecting tools after the shell %v: told %q, want one way and then both", after, w.chains())
		}
		if w.last.Proc.Comm != "nc.traditional" || w.last.Type != event.Connect {
			t.Errorf("the last event is %v of %s, want the tool's connect", w.last.Type, w.last.Proc.Comm)
		}
	}
}

func TestR9Telnet(t *testing.T) {
	w := newWorld(t)
	twoTools(w, "/usr/bin/telnet", true)
	w.want("bash[103] <-pipe- telnet[102] <-tcp- 203.0.113.1:7777, -pipe-> telnet[104] -tcp-> 203.0.113.1:8888", true)
}

// The shell can be done before the second tool connects: what it wrote waits in
// the pipe.
func TestR2ShellIsQuicker(t *testing.T) {
	w := newWorld(t)
	sh := w.start(nil, "/usr/bin/dash", null, null)
	a, b := w.pipe(sh), w.pipe(sh)
	first := w.start(sh, "/usr/bin/nc", null, aPipe(a))
	w.connect(first, 7777)
	bash := w.start(sh, "/usr/bin/bash", aPipe(a), aPipe(b))
	last := w.start(sh, "/usr/bin/nc", aPipe(b), null)
	w.exit(bash)
	w.connect(last, 8888)
	w.want("bash[103] <-pipe- nc[102] <-tcp- 203.0.113.1:7777, -pipe-> nc[104] -tcp-> 203.0.113.1:8888", true)
	w.told = nil
	w.boot += keepGone
	w.connect(last, 8889)
	w.silent()
}

// A tool can be done before the shell has even started.
func TestToolIsQuicker(t *testing.T) {
	w := newWorld(t)
	sh := w.start(nil, "/usr/bin/dash", null, null)
	a := w.pipe(sh)
	bash := w.fork(sh)
	first := w.start(sh, "/usr/bin/curl", null, aPipe(a))
	w.connect(first, 443)
	w.exit(first)
	w.exec(bash, "/usr/bin/bash", aPipe(a), null)
	w.want("bash[102] <-pipe- curl[103] <-tcp- 203.0.113.1:443", false)
	w.told = nil
	w.boot += keepGone
	w.start(sh, "/usr/bin/bash", aPipe(a), null)
	w.silent()
}

// The first tool can be done before the second one connects.
func TestR2FirstToolIsGone(t *testing.T) {
	w := newWorld(t)
	sh := w.start(nil, "/usr/bin/dash", null, null)
	a, b := w.pipe(sh), w.pipe(sh)
	first := w.start(sh, "/usr/bin/nc", null, aPipe(a))
	w.start(sh, "/usr/bin/bash", aPipe(a), aPipe(b))
	last := w.start(sh, "/usr/bin/nc", aPipe(b), null)
	w.connect(first, 7777)
	w.exit(first)
	w.connect(last, 8888)
	w.want("bash[103] <-pipe- nc[102] <-tcp- 203.0.113.1:7777, -pipe-> nc[104] -tcp-> 203.0.113.1:8888", true)
}

func TestR3FifoAndOpenssl(t *testing.T) {
	w := newWorld(t)
	sh := w.start(nil, "/usr/bin/dash", null, null)
	f, p := w.inode(), w.pipe(sh)
	ssl := w.start(sh, "/usr/bin/openssl", aPipe(p), aFifo(f))
	w.start(sh, "/usr/bin/dash", aFifo(f), aPipe(p))
	w.silent()
	w.connect(ssl, 666)
	w.want("dash[103] <-fifo- openssl[102] <-tcp- 203.0.113.1:666, -pipe-> openssl[102] -tcp-> 203.0.113.1:666", true)
}

func TestR4HandedOver(t *testing.T) {
	w := newWorld(t)
	nc := w.start(nil, "/usr/bin/nc.traditional", null, null)
	n := w.connect(nc, 6060)
	w.dup(nc, 0, n, tcpTo(6060))
	w.dup(nc, 1, n, tcpTo(6060))
	w.silent() // nc is no shell
	w.exec(nc, "/usr/bin/bash", aSock(n, tcpTo(6060)), aSock(n, tcpTo(6060)))
	w.want("bash[101] <-tcp-> 203.0.113.1:6060", true)
}

func TestR5Terminal(t *testing.T) {
	for _, after := range []bool{false, true} {
		w := newWorld(t)
		socat := w.start(nil, "/usr/bin/socat1", null, null)
		w.openPtmx(socat)
		if !after {
			w.connect(socat, 6060)
		}
		w.start(socat, "/usr/bin/bash", aPty("/dev/pts/4"), aPty("/dev/pts/4"))
		if after {
			w.silent()
			w.connect(socat, 6060)
		}
		w.want("bash[102] <-pty-> socat1[101] <-tcp-> 203.0.113.1:6060", true)
	}
}

func TestR6CatOnFifo(t *testing.T) {
	w := newWorld(t)
	sh := w.start(nil, "/usr/bin/dash", null, null)
	g, a, b := w.inode(), w.pipe(sh), w.pipe(sh)
	cat := w.start(sh, "/usr/bin/cat", null, aPipe(a))
	w.start(sh, "/usr/bin/dash", aPipe(a), aPipe(b))
	nc := w.start(sh, "/usr/bin/nc.traditional", aPipe(b), aFifo(g))
	w.openFifo(cat, g, 0)
	w.silent()
	w.connect(nc, 6061)
	w.want("dash[103] <-pipe- cat[102] <-fifo- nc.traditional[104] <-tcp- 203.0.113.1:6061, -pipe-> nc.traditional[104] -tcp-> 203.0.113.1:6061", true)
}

func TestR7Backpipe(t *testing.T) {
	w := newWorld(t)
	sh := w.start(nil, "/usr/bin/dash", null, null)
	bp, a := w.inode(), w.pipe(sh)
	nc := w.start(sh, "/usr/bin/nc.traditional", aFifo(bp), aPipe(a))
	w.start(sh, "/usr/bin/bash", aPipe(a), aFifo(bp))
	w.connect(nc, 6062)
	w.want("bash[103] <-pipe- nc.traditional[102] <-tcp- 203.0.113.1:6062, -fifo-> nc.traditional[102] -tcp-> 203.0.113.1:6062", true)
}

func TestR8ShellReadsSocket(t *testing.T) {
	w := newWorld(t)
	sh := w.start(nil, "/usr/bin/bash", null, null)
	n := w.connect(sh, 6063)
	a := w.pipe(sh)
	w.start(sh, "/usr/bin/cat", aSock(n, tcpTo(6063)), aPipe(a))
	loop := w.fork(sh) // while read: bash itself, on the pipe
	w.call(loop, event.Dup, "dup2", &event.Call{FD: &event.FD{Num: 0, Kind: event.StdioPipe, File: event.File{Inode: a}}})
	w.want("bash[103] <-pipe- cat[102] <-tcp- 203.0.113.1:6063", false)
}

func TestR10DupAndSpawn(t *testing.T) {
	w := newWorld(t)
	py := w.start(nil, "/usr/bin/python3.11", null, null)
	n := w.connect(py, 10006)
	w.dup(py, 0, n, tcpTo(10006))
	w.dup(py, 1, n, tcpTo(10006))
	w.want("python3.11[101] <-tcp-> 203.0.113.1:10006", true)
	w.openPtmx(py)
	w.start(py, "/usr/bin/bash", aPty("/dev/pts/1"), aPty("/dev/pts/1"))
	w.want("bash[102] <-pty-> python3.11[101] <-tcp-> 203.0.113.1:10006", true)
}

func TestR11AndR12Popen(t *testing.T) {
	for _, exe := range []string{"/usr/bin/python3.11", "/usr/bin/lua5.4"} {
		w := newWorld(t)
		in := w.start(nil, exe, null, null)
		w.connect(in, 6065)
		out := w.pipe(in)
		w.start(in, "/usr/bin/dash", null, aPipe(out))
		w.want("dash[102] -pipe-> "+in.Comm+"[101] -tcp-> 203.0.113.1:6065", false)
	}
}

func TestR13PHP(t *testing.T) {
	w := newWorld(t)
	php := w.start(nil, "/usr/bin/php8.2", null, null)
	n := w.connect(php, 6067)
	w.start(php, "/usr/bin/dash", aSock(n, tcpTo(6067)), aSock(n, tcpTo(6067)))
	w.want("dash[102] <-tcp-> 203.0.113.1:6067", true)
}

// Of several connections the one that leaves the host by TCP is told.
func TestBestConnection(t *testing.T) {
	w := newWorld(t)
	py := w.start(nil, "/usr/bin/python3", null, null)
	w.connect(py, 4444)
	for _, s := range []*event.Socket{
		{Family: "ipv4", Proto: "tcp", Remote: "127.0.0.1", RemotePort: 5432}, {Family: "ipv4", Proto: "udp", Remote: "203.0.113.9", RemotePort: 123},
		{Family: "ipv4", Proto: "udp", Remote: "203.0.113.9", RemotePort: 53},
	} {
		w.call(py, event.Connect, "connect", &event.Call{FD: &event.FD{Num: 7, Kind: event.StdioSocket, File: event.File{Inode: w.inode()}, Sock: s}})
	}
	out := w.pipe(py)
	w.start(py, "/usr/bin/dash", null, aPipe(out))
	w.want("dash[102] -pipe-> python3[101] -tcp-> 203.0.113.1:4444", false)
}

func TestSocketpair(t *testing.T) {
	w := newWorld(t)
	relay := w.start(nil, "/usr/bin/python3", null, null)
	a, b := w.inode(), w.inode()
	end := func(num int32, n uint64) *event.FD {
		return &event.FD{Num: num, Kind: event.StdioSocket, File: event.File{Inode: n}, Sock: &event.Socket{Family: "unix"}}
	}
	w.call(relay, event.Socketpair, "socketpair", &event.Call{FD: end(3, a), FD2: end(4, b)})
	w.start(relay, "/usr/bin/bash", aSock(b, &event.Socket{Family: "unix"}), aSock(b, &event.Socket{Family: "unix"}))
	w.connect(relay, 4444)
	w.want("bash[102] <-socketpair-> python3[101] <-tcp-> 203.0.113.1:4444", true)
}

func TestBindShellThroughFifo(t *testing.T) {
	w := newWorld(t)
	sh := w.start(nil, "/usr/bin/dash", null, null)
	f, a := w.inode(), w.pipe(sh)
	nc := w.start(sh, "/usr/bin/nc.traditional", aFifo(f), aPipe(a))
	w.start(sh, "/usr/bin/dash", aPipe(a), aFifo(f))
	w.call(nc, event.Listen, "listen", &event.Call{FD: &event.FD{Num: 5, Kind: event.StdioSocket, Sock: &event.Socket{Family: "ipv4", Proto: "tcp"}}})
	w.silent()
	w.accept(nc, 50001)
	w.want("dash[103] <-pipe- nc.traditional[102] <-tcp- 203.0.113.1:50001, -fifo-> nc.traditional[102] -tcp-> 203.0.113.1:50001", true)
	if !w.told[0].In.Inbound {
		t.Error("the connection was accepted, and is not told as such")
	}
}

func TestBenignCurlIntoShell(t *testing.T) {
	w := newWorld(t)
	sh := w.start(nil, "/usr/bin/bash", null, null)
	a := w.pipe(sh)
	curl := w.start(sh, "/usr/bin/curl", null, aPipe(a))
	w.start(sh, "/usr/bin/bash", aPipe(a), null)
	w.connect(curl, 443)
	w.want("bash[103] <-pipe- curl[102] <-tcp- 203.0.113.1:443", false)
	if w.told[0].In.Inbound {
		t.Error("the connection was made, not accepted")
	}
}

// A session over ssh leads to a socket both ways: rules know by the relay's
// program and by the direction of the connection.
func TestBenignSession(t *testing.T) {
	w := newWorld(t)
	sshd := w.start(nil, "/usr/sbin/sshd", null, null)
	w.accept(sshd, 50022)
	w.openPtmx(sshd)
	pts := aPty("/dev/pts/0")
	sh := w.start(sshd, "/usr/bin/bash", pts, pts)
	w.want("bash[102] <-pty-> sshd[101] <-tcp-> 203.0.113.1:50022", true)
	if s := w.told[0]; !s.In.Inbound || s.In.Hops[0].Exe != "/usr/sbin/sshd" {
		t.Errorf("the way is %+v, want one that was accepted by /usr/sbin/sshd", s.In)
	}
	for range 3 { // what is started in the session is told once
		w.start(sh, "/usr/bin/bash", pts, pts)
	}
	if len(w.told) != 1 {
		t.Errorf("told %q, want it once", w.chains())
	}
	// ls | sh in the session: its shell made the pipe, and still seems to hold it
	a := w.pipe(sh)
	w.start(sh, "/usr/bin/ls", pts, aPipe(a))
	w.start(sh, "/usr/bin/dash", aPipe(a), pts)
	for _, s := range w.told {
		if s.In != nil && s.In.Hops[len(s.In.Hops)-1].Exe != "/usr/sbin/sshd" {
			t.Errorf("%s does not end at sshd", s.AppendChain(nil))
		}
	}
}

func TestBenignCron(t *testing.T) {
	w := newWorld(t)
	cron := w.start(nil, "/usr/sbin/cron", null, null)
	out := w.pipe(cron)
	sh := w.start(cron, "/usr/bin/dash", null, aPipe(out))
	w.start(sh, "/usr/bin/curl", null, aPipe(out))
	curl := w.start(sh, "/usr/bin/curl", null, aPipe(out))
	w.connect(curl, 443)
	w.silent()
}

func TestBenignContainerRuntime(t *testing.T) {
	w := newWorld(t)
	shim := w.start(nil, "/usr/bin/containerd-shim-runc-v2", null, null)
	in, out := w.inode(), w.inode()
	w.openFifo(shim, in, 0)
	w.openFifo(shim, out, writeOnly)
	a, b := w.pipe(shim), w.pipe(shim)
	runc := w.start(shim, "/usr/bin/runc", aPipe(a), aPipe(b))
	w.exec(runc, "/usr/bin/bash", aPipe(a), aPipe(b))
	app := w.start(runc, "/usr/bin/curl", aPipe(a), aPipe(b))
	w.connect(app, 443)
	w.silent()
}

func TestBenignInetd(t *testing.T) {
	w := newWorld(t)
	x := w.start(nil, "/usr/sbin/xinetd", null, null)
	n := w.accept(x, 50100)
	w.start(x, "/usr/bin/dash", aSock(n, tcpTo(50100)), aSock(n, tcpTo(50100)))
	w.want("dash[102] <-tcp-> 203.0.113.1:50100", true)
	if !w.told[0].In.Inbound {
		t.Error("the connection was accepted, and is not told as such")
	}
}
