package drop

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// inNetwork runs the test in a network namespace of its own, with loopback up, and
// returns the namespace's number.
func inNetwork(t *testing.T) uint32 {
	t.Helper()
	guest.NeedKernel(t)
	runtime.LockOSThread() // the thread ends with the test, and the namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		t.Fatal(err)
	}
	return uint32(st.Ino)
}

// send sends n packets over UDP by a socket of this thread, and so of its namespace.
func send(t *testing.T, port, n int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for range n {
		_ = unix.Sendto(fd, []byte("12345678"), 0, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
}

// TestDropsEqualCounters sends to a port where nobody listens, and to a socket whose
// buffer is full: each packet is told with its reason, and the kernel's own counters
// say the same number.
func TestDropsEqualCounters(t *testing.T) {
	netns := inNetwork(t)
	full, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(full)
	if err := unix.SetsockoptInt(full, unix.SOL_SOCKET, unix.SO_RCVBUF, 2304); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(full, &unix.SockaddrInet4{Port: 9125, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	before := ownCounters(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan *Result)
	ready := make(chan error, 1)
	go func() {
		r, err := Count(ctx, Options{Net: netns})
		ready <- err
		done <- r
	}()
	time.Sleep(attachTime())
	const closed, crammed = 120, 80
	send(t, 9124, closed)
	send(t, 9125, crammed)
	time.Sleep(300 * time.Millisecond)
	cancel()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	r := <-done
	for _, row := range r.Rows {
		t.Logf("%+v", row)
	}
	sum := func(port uint16) (n uint64, reason, place string) {
		for _, row := range r.Rows {
			if row.Port == port && row.Proto == "udp" && row.Device == "lo" {
				n, reason, place = n+row.Packets, row.Reason, row.Place
			}
		}
		return n, reason, place
	}
	after := ownCounters(t)
	n, reason, place := sum(9124)
	if want := after["Udp.NoPorts"] - before["Udp.NoPorts"]; n != want || want != closed {
		t.Errorf("%d drops at the closed port, the kernel counts %d, and %d were sent", n, want, closed)
	}
	if reason != "" && reason != "NO_SOCKET" && !strings.HasPrefix(reason, "reason") {
		t.Errorf("the reason is %s", reason)
	}
	n, reason, place = sum(9125)
	if want := after["Udp.RcvbufErrors"] - before["Udp.RcvbufErrors"]; n != want || want == 0 {
		t.Errorf("%d drops at the full socket, and the kernel counts %d", n, want)
	}
	if reason != "" && reason != "SOCKET_RCVBUFF" && reason != "PROTO_MEM" || !strings.Contains(place, "udp") && !strings.HasPrefix(place, "0x") {
		t.Errorf("the full socket's drops are for %s at %s", reason, place)
	}
	if r.Lost > 0 {
		t.Errorf("%d drops were lost", r.Lost)
	}
}

// attachTime is how long loading the program may take.
func attachTime() time.Duration {
	if guest.Name() != "" {
		return 8 * time.Second
	}
	return 2 * time.Second
}

// ownCounters reads the counters of this thread's namespace.
func ownCounters(t *testing.T) map[string]uint64 {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]uint64{}
	parseSNMP(string(b), out)
	return out
}

// TestOtherNamespacesAreLeftOut looks at one where nothing is dropped.
func TestOtherNamespacesAreLeftOut(t *testing.T) {
	inNetwork(t)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(attachTime(), cancel)
	r, err := Count(ctx, Options{Net: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 0 {
		t.Errorf("a namespace that is not there has drops: %+v", r.Rows)
	}
}
