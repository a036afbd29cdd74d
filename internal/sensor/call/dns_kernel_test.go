package call

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// dnsQuery writes a query for an A record.
func dnsQuery(id uint16, name string) raw {
	b := binary.BigEndian.AppendUint16(nil, id)
	b = append(b, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0, 0, 1, 0, 1)
}

// dnsAnswer answers a query with 192.0.2.7, or NXDOMAIN for names with "none".
func dnsAnswer(query []byte) []byte {
	b := append([]byte(nil), query...)
	if len(b) < 12 {
		return b
	}
	b[2], b[3] = 0x81, 0x80
	if strings.Contains(string(query), "none") {
		b[3] |= 3
		return b
	}
	b[7] = 1
	return append(b, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7)
}

// dnsServer answers on 127.0.0.1 over UDP and TCP, at one port.
func dnsServer() (uint16, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return 0, err
	}
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := u.ReadFromUDP(b)
			if err != nil {
				return
			}
			time.Sleep(2 * time.Millisecond)
			_, _ = u.WriteToUDP(dnsAnswer(b[:n]), from)
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 1500)
			if n, err := c.Read(b); err == nil && n > 2 {
				a := dnsAnswer(b[2:n])
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
			}
			time.Sleep(200 * time.Millisecond)
			c.Close()
		}
	}()
	return uint16(port), nil
}

// sawDNS finds a message by its id as the client sees it: to or from the port.
func (w *observer) sawDNS(t *testing.T, id, port uint16, response bool, name string) *event.Call {
	t.Helper()
	r := w.find(event.DNS, "message "+strconv.Itoa(int(id)), func(r *event.TaskRecord) bool {
		c := r.Call
		remote := uint16(0)
		if c.Addr != nil {
			remote = c.Addr.RemotePort
		} else if c.FD != nil && c.FD.Sock != nil {
			remote = c.FD.Sock.RemotePort
		}
		return c.DNS.ID == id && c.DNS.Response == response && remote == port
	})
	d := r.Call.DNS
	expect(t, "name", d.Name, name)
	expect(t, "type", d.Type, "A")
	expect(t, "cut", d.Cut, false)
	switch {
	case !response:
		expect(t, "return code", d.Rcode, "")
		expect(t, "answers", len(d.Answers), 0)
	case strings.Contains(name, "none"):
		expect(t, "return code", d.Rcode, "NXDOMAIN")
	default:
		expect(t, "return code", d.Rcode, "NOERROR")
		if len(d.Answers) != 1 || d.Answers[0] != (event.DNSAnswer{Name: name, Type: "A", Data: "192.0.2.7", TTL: 60}) {
			t.Errorf("the answers are %+v", d.Answers)
		}
	}
	if response && (d.Latency <= 0 || d.Latency > 10*time.Second) {
		t.Errorf("the latency is %v", d.Latency)
	}
	if r.Call.FD == nil || r.Call.FD.Sock == nil || r.Call.FD.Sock.Family != "ipv4" {
		t.Errorf("the socket is %+v", r.Call.FD)
	}
	return r.Call
}

func observeDNS(t *testing.T) (*observer, uint16) {
	t.Helper()
	w := observe(t)
	return w, w.dnsPort
}

func udpSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	need(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestCallDNSOverUDP(t *testing.T) {
	w, port := observeDNS(t)
	fd := udpSocket(t)
	to := sockaddr("127.0.0.1:" + strconv.Itoa(int(port)))
	q := dnsQuery(11, "a.example.com")
	ok(t, do("sendto", fd, q, len(q), 0, to, len(to)))
	from, size := make(raw, 16), make(raw, 4)
	size[0] = 16
	b := make(raw, 1500)
	ok(t, do("recvfrom", fd, b, len(b), 0, from, size))
	got := w.sawDNS(t, 11, port, false, "a.example.com")
	expect(t, "server", got.Addr.Remote, "127.0.0.1")
	expect(t, "over TCP", got.DNS.TCP, false)
	got = w.sawDNS(t, 11, port, true, "a.example.com")
	expect(t, "server", got.Addr.Remote, "127.0.0.1")

	q = dnsQuery(12, "none.example.com")
	msg := &unix.Msghdr{Name: &to[0], Namelen: 16, Iov: &unix.Iovec{Base: &q[0], Len: uint64(len(q))}, Iovlen: 1}
	ok(t, do("sendmsg", fd, unsafe.Pointer(msg), 0))
	reply := &unix.Msghdr{Name: &from[0], Namelen: 16, Iov: &unix.Iovec{Base: &b[0], Len: uint64(len(b))}, Iovlen: 1}
	ok(t, do("recvmsg", fd, unsafe.Pointer(reply), 0))
	w.sawDNS(t, 12, port, false, "none.example.com")
	w.sawDNS(t, 12, port, true, "none.example.com")
}

// What glibc's getaddrinfo does: two queries in one call, on a connected socket.
func TestCallDNSTwoAtOnce(t *testing.T) {
	w, port := observeDNS(t)
	fd := udpSocket(t)
	need(t, unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)}))
	one, two := dnsQuery(21, "one.example.com"), dnsQuery(22, "two.example.org")
	type mmsg struct {
		hdr unix.Msghdr
		n   uint32
		_   uint32
	}
	iov := []unix.Iovec{{Base: &one[0], Len: uint64(len(one))}, {Base: &two[0], Len: uint64(len(two))}}
	m := &[2]mmsg{{hdr: unix.Msghdr{Iov: &iov[0], Iovlen: 1}}, {hdr: unix.Msghdr{Iov: &iov[1], Iovlen: 1}}}
	d := ok(t, do("sendmmsg", fd, unsafe.Pointer(m), 2, 0))
	expect(t, "messages sent", d.Ret, 2)
	b := make(raw, 1500)
	ok(t, do("read", fd, b, len(b)))
	ok(t, do("recvfrom", fd, b, len(b), 0, uintptr(0), uintptr(0)))
	for id, name := range map[uint16]string{21: "one.example.com", 22: "two.example.org"} {
		w.sawDNS(t, id, port, false, name)
		w.sawDNS(t, id, port, true, name)
	}
}

func TestCallDNSWriteAndRead(t *testing.T) {
	w, port := observeDNS(t)
	fd := udpSocket(t)
	need(t, unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)}))
	q := dnsQuery(31, "written.example.com")
	ok(t, do("write", fd, q, len(q)))
	b := make(raw, 1500)
	ok(t, do("read", fd, b, len(b)))
	w.sawDNS(t, 31, port, false, "written.example.com")
	w.sawDNS(t, 31, port, true, "written.example.com")
	q = dnsQuery(32, "vector.example.com")
	iov := &unix.Iovec{Base: &q[0], Len: uint64(len(q))}
	ok(t, do("writev", fd, unsafe.Pointer(iov), 1))
	back := &unix.Iovec{Base: &b[0], Len: uint64(len(b))}
	ok(t, do("readv", fd, unsafe.Pointer(back), 1))
	w.sawDNS(t, 32, port, false, "vector.example.com")
	w.sawDNS(t, 32, port, true, "vector.example.com")
}

func TestCallDNSOverTCP(t *testing.T) {
	w, port := observeDNS(t)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	defer unix.Close(fd)
	need(t, unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)}))
	q := dnsQuery(41, "tcp.example.com")
	whole := append(raw{0, byte(len(q))}, q...)
	ok(t, do("write", fd, whole, len(whole)))
	head, b := make(raw, 2), make(raw, 1500)
	expect(t, "bytes of length", ok(t, do("read", fd, head, 2)).Ret, 2)
	ok(t, do("read", fd, b, int(head[1])))
	got := w.sawDNS(t, 41, port, false, "tcp.example.com")
	expect(t, "over TCP", got.DNS.TCP, true)
	got = w.sawDNS(t, 41, port, true, "tcp.example.com")
	expect(t, "over TCP", got.DNS.TCP, true)
}

// What is no message on a name server's port is told of without a name, and
// what goes to other ports not at all.
func TestCallDNSRubbish(t *testing.T) {
	w, port := observeDNS(t)
	fd := udpSocket(t)
	to := sockaddr("127.0.0.1:" + strconv.Itoa(int(port)))
	other := sockaddr("127.0.0.1:9")
	text := raw("\x00\x01not a message")
	ok(t, do("sendto", fd, text, 3, 0, to, len(to)))
	q := dnsQuery(51, "elsewhere.example.com")
	ok(t, do("sendto", fd, q, len(q), 0, other, len(other)))
	_, _, _ = unix.Recvfrom(fd, make([]byte, 10), unix.MSG_DONTWAIT)
	// a write by a process that asks name servers, to another destination
	plain := udpSocket(t)
	ok(t, do("connect", fd, to, len(to)))
	ok(t, do("connect", plain, other, len(other)))
	written := ok(t, do("write", plain, text, 3))
	w.find(event.DNS, "rubbish", func(r *event.TaskRecord) bool { return r.Call.DNS.Name == "" && r.Call.DNS.Cut })
	expect(t, "a plain write", w.count(event.Send, func(r *event.TaskRecord) bool {
		return r.Call.FD.Inode() == lookAt(plain).Ino && r.Boot >= written.From
	}), 0)
	expect(t, "messages to other ports", w.count(event.DNS, func(r *event.TaskRecord) bool { return r.Call.DNS.ID == 51 }), 0)
}

// TestCallDNSMany asks a thousand names as fast as it can: each is told.
func TestCallDNSMany(t *testing.T) {
	w, port := observeDNS(t)
	fd := udpSocket(t)
	to := sockaddr("127.0.0.1:" + strconv.Itoa(int(port)))
	const first, n = 1000, 1000
	for i := range n {
		q := dnsQuery(uint16(first+i), "n"+strconv.Itoa(i)+".many.example.com")
		ok(t, do("sendto", fd, q, len(q), 0, to, len(to)))
	}
	w.sawDNS(t, first+n-1, port, false, "n999.many.example.com")
	names := map[uint16]string{}
	w.count(event.DNS, func(r *event.TaskRecord) bool {
		if d := r.Call.DNS; !d.Response && d.ID >= first && d.ID < first+n {
			names[d.ID] = d.Name
		}
		return false
	})
	expect(t, "queries that were told", len(names), n)
	for id, name := range names {
		expect(t, "name", name, "n"+strconv.Itoa(int(id)-first)+".many.example.com")
	}
}

// TestCallDNSLargest sends the longest message that TCP carries, in one piece and
// after its length in two: the question at its head is told, and that it was cut.
func TestCallDNSLargest(t *testing.T) {
	w, port := observeDNS(t)
	for i, pieces := range [][]int{{2 + 65535}, {2, 65535}, {2 + 20, 65535 - 20}} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		need(t, err)
		need(t, unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)}))
		id := uint16(61 + i)
		q := dnsQuery(id, "largest.example.com")
		whole := append(append(raw{0xff, 0xff}, q...), make(raw, 65535-len(q))...)
		for _, n := range pieces {
			ok(t, do("write", fd, whole[:n], n))
			whole = whole[n:]
		}
		unix.Close(fd)
		w.find(event.DNS, fmt.Sprintf("message in pieces of %d bytes", pieces), func(r *event.TaskRecord) bool {
			d := r.Call.DNS
			return d.ID == id && !d.Response && (d.Name == "largest.example.com" || len(pieces) == 2 && pieces[0] > 2 && d.Cut)
		})
	}
}
