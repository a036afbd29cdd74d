package host

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// knownSockets are sockets with a known number of bytes and connections in their queues.
type knownSockets struct {
	listener, client, server, udp, pair, unixListener int
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// makeSockets makes them on this thread, in the network namespace that it is in.
func makeSockets(t *testing.T, loopback unix.Sockaddr, family int) (k knownSockets) {
	open := func(family, typ int) int {
		fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	k.listener = open(family, unix.SOCK_STREAM)
	must(t, unix.Bind(k.listener, loopback))
	must(t, unix.Listen(k.listener, 5))
	at, err := unix.Getsockname(k.listener)
	must(t, err)
	k.client = open(family, unix.SOCK_STREAM)
	must(t, unix.Connect(k.client, at))
	k.server, _, err = unix.Accept4(k.listener, unix.SOCK_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { unix.Close(k.server) })
	for range 2 { // these nobody accepts
		must(t, unix.Connect(open(family, unix.SOCK_STREAM), at))
	}
	_, err = unix.Write(k.client, make([]byte, 1234))
	must(t, err)
	k.udp = open(family, unix.SOCK_DGRAM)
	must(t, unix.Bind(k.udp, loopback))
	to, err := unix.Getsockname(k.udp)
	must(t, err)
	must(t, unix.Sendto(open(family, unix.SOCK_DGRAM), make([]byte, 100), 0, to))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	k.pair = pair[0]
	_, err = unix.Write(pair[1], make([]byte, 77))
	must(t, err)
	k.unixListener = open(unix.AF_UNIX, unix.SOCK_STREAM)
	name := &unix.SockaddrUnix{Name: filepath.Join(t.TempDir(), "s")}
	must(t, unix.Bind(k.unixListener, name))
	must(t, unix.Listen(k.unixListener, 4))
	must(t, unix.Connect(open(unix.AF_UNIX, unix.SOCK_STREAM), name))
	return k
}

// check compares what was told with what is known.
func (k knownSockets) check(t *testing.T, all *SocketStates, ns uint64, diag bool) {
	t.Helper()
	of := func(fd int) SocketState {
		var st unix.Stat_t
		must(t, unix.Fstat(fd, &st))
		s := all.Of(st.Ino, ns)
		if s == nil {
			t.Fatalf("descriptor %d, socket %d, is not among the sockets of namespace %d", fd, st.Ino, ns)
		}
		if s.NetNS != ns {
			t.Errorf("socket %d is in namespace %d, want %d", st.Ino, s.NetNS, ns)
		}
		return *s
	}
	if s := of(k.listener); s.Backlog == nil || s.Backlog.Waiting != 2 || s.Receive != 0 || diag != (s.Backlog.Max != nil) || diag && *s.Backlog.Max != 5 {
		t.Errorf("the listener: %+v, want 2 of 5 waiting", s)
	}
	if s := of(k.server); s.Receive != 1234 || s.Send != 0 || s.Backlog != nil {
		t.Errorf("the server's end: %+v, want 1234 bytes to read", s)
	}
	if s := of(k.client); s.Receive != 0 || diag && (s.TCP == nil || s.TCP.RTT == 0 || s.TCP.Window == 0 || s.TCP.SegmentSize == 0 || s.TCP.Retransmitted != 0 || s.TCP.Lost != 0) {
		t.Errorf("the client's end: %+v with %+v, want a round trip and nothing sent again", s, s.TCP)
	}
	if s := of(k.udp); s.Receive < 100 || s.Drops != 0 || s.TCP != nil {
		t.Errorf("the UDP socket: %+v, want 100 bytes or more to read", s)
	}
	if !diag {
		return
	}
	if s := of(k.pair); s.Receive != 77 || s.Backlog != nil {
		t.Errorf("the unix socket: %+v, want 77 bytes to read", s)
	}
	if s := of(k.unixListener); s.Backlog == nil || s.Backlog.Waiting != 1 || *s.Backlog.Max != 4 {
		t.Errorf("the unix listener: %+v, want 1 of 4 waiting", s)
	}
}

// TestSocketStates asks for sockets of this network namespace and of another one, and
// from /proc where the kernel refuses.
func TestSocketStates(t *testing.T) {
	guest.NeedKernel(t)
	run := func(t *testing.T, loopback unix.Sockaddr, family int) {
		k := makeSockets(t, loopback, family)
		ns := linkInode("/proc/thread-self/ns/net")
		spaces := map[uint64][]int{ns: {MaxPID + 1, unix.Gettid()}}
		var all *SocketStates
		var notes Notes
		for end := time.Now().Add(10 * time.Second); ; { // until what was written is acknowledged
			all, notes = ReadSocketStates(spaces)
			var st unix.Stat_t
			must(t, unix.Fstat(k.client, &st))
			if s := all.Of(st.Ino, ns); s == nil || s.Send == 0 || time.Now().After(end) {
				break
			}
		}
		if len(notes) > 0 {
			t.Errorf("notes %q", notes)
		}
		k.check(t, all, ns, true)
		refuse := func(int, uint16, []byte, func(uint16, []byte)) error { return unix.EPERM }
		all, notes = readSocketStates(spaces, refuse)
		k.check(t, all, ns, false)
		if text := strings.Join(notes, "\n"); len(notes) != len(socketQuestions) || !strings.Contains(text, "from /proc/net") || !strings.Contains(text, "queues of unix sockets are not known: asking sock_diag: operation not permitted") {
			t.Errorf("notes %q", notes)
		}
	}
	four := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	t.Run("here", func(t *testing.T) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		run(t, four, unix.AF_INET)
	})
	t.Run("another namespace", func(t *testing.T) {
		runtime.LockOSThread() // never unlocked: the thread ends with the test, and its namespace
		must(t, unix.Unshare(unix.CLONE_NEWNET))
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			t.Fatalf("ip: %v: %s", err, out)
		}
		run(t, four, unix.AF_INET)
		if fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
			unix.Close(fd)
			run(t, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}, unix.AF_INET6)
		}
	})
	_, notes := ReadSocketStates(map[uint64][]int{1: {MaxPID + 1}})
	if len(notes) != len(socketQuestions) || !strings.Contains(notes[0], "entering a network namespace") {
		t.Errorf("a namespace that nobody is in: notes %q", notes)
	}
}
