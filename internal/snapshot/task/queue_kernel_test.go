package task

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestOtherQueues leaves packets unread in sockets that sock_diag is not asked about, and
// compares their queues with what /proc/net tells of them.
func TestOtherQueues(t *testing.T) {
	ns := guest.Network(t)
	open := func(family, typ, proto int) int {
		fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, proto)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	const everything = 0x0300 // ETH_P_ALL as it is on the wire
	files := map[int]string{
		open(unix.AF_PACKET, unix.SOCK_RAW, everything):          "packet",
		open(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP):     "raw",
		open(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6):  "raw6",
		open(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE): "netlink",
	}
	for fd, file := range files {
		if file != "netlink" {
			continue
		}
		// RTM_GETLINK for all, whose answer nobody reads
		ask := make([]byte, 32)
		ask[0], ask[4], ask[6], ask[7] = 32, unix.RTM_GETLINK, unix.NLM_F_REQUEST, unix.NLM_F_DUMP>>8
		if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			t.Fatal(err)
		}
	}
	echo := open(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	ip := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, unix.IPPROTO_ICMP, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 8, 0, 0xf7, 0xff, 0, 0, 0, 0}
	if err := unix.Sendto(echo, ip, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	six := open(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)
	if err := unix.Sendto(six, []byte{128, 0, 0, 0, 0, 0, 0, 0}, 0, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}); err != nil {
		t.Fatal(err)
	}

	s := take(t, false)
	all, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	sockets := Sockets(all, all)
	s.AddStates(sockets)
	for fd, file := range files {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
		receive, drops := queueOf(t, file, st.Ino)
		if receive == 0 {
			t.Errorf("nothing waits in the %s socket", file)
		}
		found := false
		for _, x := range sockets {
			if x.Inode != st.Ino {
				continue
			}
			found = true
			if x.State == nil || x.State.NetNS != uint64(ns) || x.State.Receive != receive || x.State.Send != 0 || x.State.Drops != drops {
				t.Errorf("the %s socket is %+v with %+v; /proc/net has %d bytes and %d drops", file, x.Sock, x.State, receive, drops)
			}
		}
		if !found {
			t.Errorf("the %s socket is not there", file)
		}
	}
}

// queueOf reads what /proc/net has of a socket: bytes to be read, and drops, which the file
// of packet sockets does not have.
func queueOf(t *testing.T, file string, inode uint64) (receive, drops uint64) {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		f := strings.Fields(l)
		want := strconv.FormatUint(inode, 10)
		number := func(s string, base int) uint64 {
			n, err := strconv.ParseUint(s, base, 64)
			if err != nil {
				t.Fatalf("%s: %q: %v", file, l, err)
			}
			return n
		}
		switch {
		case file == "packet" && f[len(f)-1] == want:
			return number(f[6], 10), 0
		case file == "netlink" && f[len(f)-1] == want:
			return number(f[4], 10), number(f[8], 10)
		case strings.HasPrefix(file, "raw") && len(f) > 12 && f[9] == want:
			_, rx, _ := strings.Cut(f[4], ":")
			return number(rx, 16), number(f[12], 10)
		}
	}
	t.Fatalf("/proc/net/%s has no socket %d:\n%s", file, inode, text)
	return 0, 0
}
