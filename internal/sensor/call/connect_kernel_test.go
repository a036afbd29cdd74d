package call

import (
	"net/netip"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

func connectFilter() *event.ConnectFilter {
	return &event.ConnectFilter{Nets: map[netip.Prefix]*event.ConnectPorts{
		netip.MustParsePrefix("0.0.0.0/0"):      {},
		netip.MustParsePrefix("127.0.0.0/8"):    {Else: event.ConnectOnce},
		netip.MustParsePrefix("127.0.0.7/32"):   {Else: event.ConnectOnce, Ports: map[uint16]event.ConnectWant{80: event.ConnectAll, 81: event.ConnectNone}},
		netip.MustParsePrefix("127.0.0.1/32"):   {Else: event.ConnectAll},
		netip.MustParsePrefix("203.0.113.0/24"): {Else: event.ConnectNone, Ports: map[uint16]event.ConnectWant{443: event.ConnectAll}},
		netip.MustParsePrefix("::/0"):           {Else: event.ConnectOnce},
		netip.MustParsePrefix("fd00::/8"):       {},
	}}
}

// TestConnectsAreFilteredByAddress connects datagram sockets, which sends nothing, to
// many addresses, each thrice: what is seen is what the filter says.
func TestConnectsAreFilteredByAddress(t *testing.T) {
	guest.NeedKernel(t)
	f := connectFilter()
	feed, err := newFeed(kernel.DefaultBulkSize, Options{Types: event.TypesOf(event.Connect), Connects: f})
	need(t, err)
	t.Cleanup(func() { need(t, feed.close()) })
	w := &observer{feed: feed, t: t}
	var ends []netip.AddrPort
	for _, a := range []string{"127.0.0.1", "127.0.0.7", "127.0.0.8", "203.0.113.5", "198.51.100.9", "0.0.0.0", "::1", "fd00::7", "2001:db8::1", "::ffff:127.0.0.7", "::ffff:198.51.100.9"} {
		for _, port := range []uint16{80, 81, 443} {
			ends = append(ends, netip.AddrPortFrom(netip.MustParseAddr(a), port))
		}
	}
	connect := func(to netip.AddrPort) {
		domain, addr := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())})
		if to.Addr().Is4() {
			domain, addr = unix.AF_INET, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
		}
		fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		need(t, err)
		_ = unix.Connect(fd, addr) // there may be no way to it: that is told too
		need(t, unix.Close(fd))
	}
	at := time.Now()
	for _, to := range ends {
		for range 3 {
			connect(to)
		}
	}
	// as programs do: first a datagram socket, to see how an address is reached
	stream, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	need(t, err)
	_ = unix.Connect(stream, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 8}, Port: 80})
	need(t, unix.Close(stream))
	if fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
		_ = unix.Connect(fd, &unix.SockaddrUnix{Name: "@bearcat-test-nobody"})
		need(t, unix.Close(fd))
	}
	took := time.Since(at)
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, 0, 8, 16) // an address that cannot be read
	last := netip.MustParseAddrPort("127.0.0.1:9999")
	connect(last)
	passed := func(c *event.Call) netip.AddrPort {
		if c.Addr == nil {
			return netip.AddrPort{}
		}
		a, err := netip.ParseAddr(c.Addr.Remote)
		if err != nil { // all zeros
			a = netip.IPv4Unspecified()
		}
		return netip.AddrPortFrom(a, c.Addr.RemotePort)
	}
	w.find(event.Connect, "the last connect", func(r *event.TaskRecord) bool { return passed(r.Call) == last })
	if n := w.count(event.Connect, func(r *event.TaskRecord) bool {
		return r.Call.FD != nil && r.Call.FD.Sock != nil && r.Call.FD.Sock.Type == "stream"
	}); n != 1 {
		t.Errorf("%d connects of the stream socket are seen, want 1", n)
	}
	for _, to := range ends {
		n := w.count(event.Connect, func(r *event.TaskRecord) bool {
			return passed(r.Call) == to && r.Call.FD != nil && r.Call.FD.Sock != nil && r.Call.FD.Sock.Type == "dgram"
		})
		switch want := f.Wants(to.Addr(), to.Port()); want {
		case event.ConnectOnce: // of a slow machine once a second; mapped ones are the same end
			if most := 1 + int(took/time.Second); n > most || n < 1 && !to.Addr().Is4In6() {
				t.Errorf("%d of three connects to %s are seen, want the first of each second", n, to)
			}
		default:
			if n != 3*int(want)/2 {
				t.Errorf("%d of three connects to %s are seen, want %d", n, to, 3*int(want)/2)
			}
		}
	}
	if n := w.count(event.Connect, func(r *event.TaskRecord) bool { return r.Call.Addr != nil && r.Call.Addr.Family == "unix" }); n != 0 {
		t.Errorf("%d connects of a family that nobody asks for are seen", n)
	}
	if n := w.count(event.Connect, func(r *event.TaskRecord) bool { return r.Call.Ret == -int64(errno) && r.Call.Addr == nil }); n != 1 {
		t.Errorf("%d connects without an address that can be read are seen, want 1", n)
	}
}

// TestConnectIsNotFooled changes the address that was passed while the connect waits:
// what counts is where the socket goes.
func TestConnectIsNotFooled(t *testing.T) {
	guest.NeedKernel(t)
	feed, err := newFeed(kernel.DefaultBulkSize, Options{Types: event.TypesOf(event.Connect), Connects: connectFilter()})
	need(t, err)
	t.Cleanup(func() { need(t, feed.close()) })
	w := &observer{feed: feed, t: t}
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	defer unix.Close(l)
	need(t, unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	need(t, unix.Listen(l, 0))
	name, err := unix.Getsockname(l)
	need(t, err)
	port := uint16(name.(*unix.SockaddrInet4).Port)
	first, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	defer unix.Close(first)
	need(t, unix.Connect(first, name)) // the queue is full now: the next one waits
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	defer unix.Close(c)
	raw := &unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port>>8 | port<<8, Addr: [4]byte{127, 0, 0, 1}}
	done := make(chan unix.Errno)
	go func() {
		_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(c), uintptr(unsafe.Pointer(raw)), unsafe.Sizeof(*raw))
		done <- errno
	}()
	const synSent = 2
	for info := (&unix.TCPInfo{}); info.State != synSent; {
		info, err = unix.GetsockoptTCPInfo(c, unix.SOL_TCP, unix.TCP_INFO)
		need(t, err)
		if info.State == 1 {
			t.Fatal("the connect did not wait: the listener's queue takes more than this test thinks")
		}
	}
	raw.Addr = [4]byte{198, 51, 100, 9} // nobody asks for this one
	accepted, _, err := unix.Accept(l)
	need(t, err)
	defer unix.Close(accepted)
	if errno := <-done; errno != 0 {
		t.Fatal(errno)
	}
	got := w.find(event.Connect, "the connect", func(r *event.TaskRecord) bool {
		return r.Call.Addr != nil && r.Call.Addr.Remote == "198.51.100.9" && r.Key.Pid == uint32(os.Getpid())
	})
	addr, to := got.Call.Peer()
	expect(t, "the other end", addr, "127.0.0.1")
	expect(t, "its port", to, port)
}

// TestSocketsAreFilteredByKind makes sockets of many kinds: what is seen is what the
// filter says.
func TestSocketsAreFilteredByKind(t *testing.T) {
	guest.NeedKernel(t)
	f := &event.SocketFilter{unix.AF_INET: 1<<unix.SOCK_RAW | 1<<unix.SOCK_DGRAM, unix.AF_PACKET: 0xffff}
	feed, err := newFeed(kernel.DefaultBulkSize, Options{Types: event.TypesOf(event.MakeSocket), Sockets: f})
	need(t, err)
	t.Cleanup(func() { need(t, feed.close()) })
	w := &observer{feed: feed, t: t}
	type made struct{ family, kind int }
	var all []made
	for _, family := range []int{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_PACKET, 63, 64, 99} {
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_DGRAM | unix.SOCK_NONBLOCK, unix.SOCK_RAW | unix.SOCK_NONBLOCK, 15} {
			all = append(all, made{family, kind})
			if fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0); err == nil {
				need(t, unix.Close(fd))
			}
		}
	}
	asked := func(family, kind int) func(r *event.TaskRecord) bool {
		return func(r *event.TaskRecord) bool {
			return int(r.Call.Args[0]) == family && int(r.Call.Args[1]) == kind|unix.SOCK_CLOEXEC
		}
	}
	_, _ = unix.Socket(100, unix.SOCK_CLOEXEC, 0)
	w.find(event.MakeSocket, "the last socket", asked(100, 0))
	for _, m := range all {
		want := 0
		if f.Wants(uint32(m.family), uint32(m.kind)) {
			want = 1
		}
		if n := w.count(event.MakeSocket, asked(m.family, m.kind)); n != want {
			t.Errorf("sockets of family %d and kind %#o: %d are seen, want %d", m.family, m.kind, n, want)
		}
	}
}
