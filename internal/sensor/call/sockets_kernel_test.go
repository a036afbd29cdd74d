package call

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// sockFD makes a socket with the call under test.
func sockFD(t *testing.T, family, typ, proto int) (int, done) {
	t.Helper()
	d := do("socket", family, typ, proto)
	if d.errno() == unix.EAFNOSUPPORT || d.errno() == unix.EPROTONOSUPPORT {
		t.Skipf("no sockets of family %d on this host: %v", family, d.errno())
	}
	ok(t, d)
	t.Cleanup(func() { unix.Close(int(d.Ret)) })
	return int(d.Ret), d
}

func portOf(t *testing.T, fd int) int {
	t.Helper()
	sa, err := unix.Getsockname(fd)
	need(t, err)
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return a.Port
	case *unix.SockaddrInet6:
		return a.Port
	}
	return 0
}

func TestCallSocketFamilies(t *testing.T) {
	w := observe(t)
	for _, c := range []struct {
		family, typ, proto      int
		name, typName, protName string
	}{
		{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, 0, "ipv4", "stream", "tcp"},
		{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP, "ipv6", "dgram", "udp"},
		{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, "ipv4", "raw", "icmp"},
		{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW, "ipv4", "raw", "raw"},
		{unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, "ipv6", "raw", "icmpv6"},
		{unix.AF_UNIX, unix.SOCK_SEQPACKET, 0, "unix", "seqpacket", ""},
		{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE, "netlink", "raw", ""},
		{unix.AF_PACKET, unix.SOCK_RAW, 0x0300, "packet", "raw", ""},
		{unix.AF_VSOCK, unix.SOCK_STREAM, 0, "vsock", "stream", ""},
		{unix.AF_ALG, unix.SOCK_SEQPACKET, 0, "38", "seqpacket", ""},
	} {
		t.Run(c.name+" "+c.typName, func(t *testing.T) {
			_, d := sockFD(t, c.family, c.typ, c.proto)
			got := w.saw(t, d)
			expect(t, "family", got.FD.Sock.Family, c.name)
			expect(t, "type", got.FD.Sock.Type, c.typName)
			expect(t, "protocol", got.FD.Sock.Proto, c.protName)
			expect(t, "local end", got.FD.Sock.Local, "")
		})
	}
	d := do("socket", 9999, unix.SOCK_STREAM, 0)
	expect(t, "an unknown family", d.errno(), unix.EAFNOSUPPORT)
	if got := w.saw(t, d); got.FD != nil {
		t.Errorf("a failed socket has %+v", got.FD)
	}
}

func TestCallTCPCalls(t *testing.T) {
	for name, addr := range map[string]string{"ipv4": "127.0.0.1", "ipv6": "[::1]"} {
		t.Run(name, func(t *testing.T) {
			w := observe(t)
			family := map[string]int{"ipv4": unix.AF_INET, "ipv6": unix.AF_INET6}[name]
			server, _ := sockFD(t, family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			any := sockaddr(addr + ":0")
			d := do("bind", server, any, len(any))
			if d.errno() == unix.EADDRNOTAVAIL {
				t.Skipf("%s is not on this host", addr)
			}
			got := w.saw(t, ok(t, d))
			ip := strings.Trim(addr, "[]")
			expect(t, "bind's address", sockText(got.Addr.Remote, got.Addr.RemotePort), sockText(ip, 0))
			expect(t, "its family", got.Addr.Family, name)
			d = do("listen", server, 7)
			got = w.saw(t, ok(t, d))
			expect(t, "state", got.FD.Sock.State, "listen")
			port := portOf(t, server)
			to := sockaddr(addr + ":" + strconv.Itoa(port))
			client, _ := sockFD(t, family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			got = w.saw(t, ok(t, do("connect", client, to, len(to))))
			expect(t, "connect's address", sockText(got.Addr.Remote, got.Addr.RemotePort), sockText(ip, uint16(port)))
			expect(t, "state", got.FD.Sock.State, "established")
			expect(t, "protocol", got.FD.Sock.Proto, "tcp")
			d = ok(t, do("accept4", server, uintptr(0), uintptr(0), unix.SOCK_CLOEXEC))
			defer unix.Close(int(d.Ret))
			got = w.saw(t, d)
			expect(t, "accepted local end", sockText(got.FD.Sock.Local, got.FD.Sock.LocalPort), sockText(ip, uint16(port)))
			expect(t, "accepted remote end", sockText(got.FD.Sock.Remote, got.FD.Sock.RemotePort), sockText(ip, uint16(portOf(t, client))))
			expect(t, "listener", int(got.FD2.Num), server)
			expect(t, "listener's state", got.FD2.Sock.State, "listen")
			w.saw(t, ok(t, do("shutdown", client, unix.SHUT_WR)))
			unix.Close(server)

			again, _ := sockFD(t, family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			d = do("connect", again, to, len(to))
			expect(t, "connecting to a closed port", d.errno(), unix.ECONNREFUSED)
			d.FDs = nil // the port that getsockname still tells is given back
			got = w.saw(t, d)
			expect(t, "its address", sockText(got.Addr.Remote, got.Addr.RemotePort), sockText(ip, uint16(port)))
			other, _ := sockFD(t, family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			w.saw(t, ok(t, do("bind", other, any, len(any))))
			w.saw(t, ok(t, do("listen", other, 1)))
			d = do("accept", other, uintptr(0), uintptr(0))
			expect(t, "accept without a connection", d.errno(), unix.EAGAIN)
			got = w.saw(t, d)
			if got.FD != nil || got.FD2 == nil || int(got.FD2.Num) != other {
				t.Errorf("a failed accept has %+v and %+v", got.FD, got.FD2)
			}
		})
	}
}

func TestCallUnixSockets(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	abstract := "\x00bearcat\x00" + strconv.Itoa(unix.Getpid()) + "\x00"
	for _, c := range []struct{ what, pass, want string }{
		{"path", dir + "/sock\x00", dir + "/sock"},
		{"abstract", abstract, "@" + abstract[1:]},
	} {
		t.Run(c.what, func(t *testing.T) {
			server, _ := sockFD(t, unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			to := sockaddrUnix(c.pass)
			client, _ := sockFD(t, unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			d := do("connect", client, to, len(to))
			if !d.failed() {
				t.Fatal("connected to nothing")
			}
			expect(t, "address", w.saw(t, d).Addr.Remote, c.want)
			got := w.saw(t, ok(t, do("bind", server, to, len(to))))
			expect(t, "address", got.Addr.Remote, c.want)
			expect(t, "family", got.Addr.Family, "unix")
			expect(t, "local end", got.FD.Sock.Local, c.want)
			w.saw(t, ok(t, do("listen", server, 1)))
			got = w.saw(t, ok(t, do("connect", client, to, len(to))))
			expect(t, "remote end", got.FD.Sock.Remote, c.want)
			d = ok(t, do("accept", server, uintptr(0), uintptr(0)))
			got = w.saw(t, closed(d))
			expect(t, "local end", got.FD.Sock.Local, c.want)
			expect(t, "listener", got.FD2.Sock.Local, c.want)
		})
	}
}

// The first datagram to each destination is told of, and no other.
func TestCallFirstDatagram(t *testing.T) {
	w := observe(t)
	server, _ := sockFD(t, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	need(t, unix.Bind(server, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	port := strconv.Itoa(portOf(t, server))
	client, _ := sockFD(t, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	one, two := sockaddr("127.0.0.1:"+port), sockaddr("127.0.0.2:"+port)
	text := raw("hello")
	first := ok(t, do("sendto", client, text, len(text), 0, one, len(one)))
	got := w.saw(t, first)
	expect(t, "destination", got.Addr.Remote+" "+strconv.Itoa(int(got.Addr.RemotePort)), "127.0.0.1 "+port)
	expect(t, "protocol", got.FD.Sock.Proto, "udp")
	for range 5 {
		ok(t, do("sendto", client, text, len(text), 0, one, len(one)))
	}
	d := ok(t, do("sendto", client, text, len(text), 0, two, len(two)))
	expect(t, "destination", w.saw(t, d).Addr.Remote, "127.0.0.2")
	expect(t, "datagrams to the first", w.count(event.Send, func(r *event.TaskRecord) bool {
		return is(first)(r) || r.Call.FD.Inode() == first.FDs[0].Ino && r.Call.Addr.Remote == "127.0.0.1"
	}), 1)

	msg := &unix.Msghdr{Name: &one[0], Namelen: uint32(len(one)), Iov: &unix.Iovec{Base: &text[0], Len: uint64(len(text))}, Iovlen: 1}
	fresh, _ := sockFD(t, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	d = ok(t, do("sendmsg", fresh, unsafe.Pointer(msg), 0))
	expect(t, "sendmsg's destination", w.saw(t, d).Addr.Remote, "127.0.0.1")

	connected, _ := sockFD(t, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	need(t, unix.Connect(connected, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: portOf(t, server)}))
	d = ok(t, do("sendto", connected, text, len(text), 0, uintptr(0), 0))
	if got := w.saw(t, d); got.Addr != nil {
		t.Errorf("a connected socket's send has the address %+v", got.Addr)
	}
	unix.Close(connected)
	// each of many short-lived sockets tells of its first, though the kernel
	// gives them the same memory again
	for i := range 20 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		need(t, err)
		d := ok(t, do("sendto", fd, text[:1+i%5], 1+i%5, 0, one, len(one)))
		unix.Close(fd)
		w.saw(t, d)
	}
}

// TestCallSocketGoneMeanwhile closes a listening socket while another thread waits in
// accept: the call is told, with no file behind the number that is no longer one.
func TestCallSocketGoneMeanwhile(t *testing.T) {
	w := observe(t)
	server, _ := sockFD(t, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, unix.Bind(server, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	need(t, unix.Listen(server, 1))
	held, err := unix.FcntlInt(uintptr(server), unix.F_DUPFD_CLOEXEC, 100)
	need(t, err)
	defer unix.Close(held)
	tid := make(chan int, 1)
	made := make(chan done, 1)
	go func() {
		runtime.LockOSThread() // and ends the thread with the goroutine
		tid <- unix.Gettid()
		made <- do("accept4", server, uintptr(0), uintptr(0), unix.SOCK_CLOEXEC)
	}()
	waits := fmt.Sprintf("/proc/self/task/%d/syscall", <-tid)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if b, err := os.ReadFile(waits); err == nil && strings.HasPrefix(string(b), strconv.Itoa(unix.SYS_ACCEPT4)+" ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the thread does not wait in accept4")
		}
	}
	need(t, unix.Close(server))
	need(t, unix.Shutdown(held, unix.SHUT_RDWR))
	d := <-made
	expect(t, "accept4", d.errno(), unix.EINVAL)
	r := w.find(event.Accept, "accept4", is(d))
	expect(t, "answer", r.Call.Ret, -int64(unix.EINVAL))
	if fd := r.Call.FD2; fd != nil && (int(fd.Num) != server || fd.Sock != nil || fd.File.Inode != 0) {
		t.Errorf("the closed socket is %+v", fd)
	}
}
