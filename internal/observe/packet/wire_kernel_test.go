package packet

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// The ends of the guest's wire.
var near, far = [4]byte{10, 92, 0, 1}, [4]byte{10, 92, 0, 2}

// cards finds the guest's two network cards, which are joined to each other.
func cards(t *testing.T) (names []string, addresses []string) {
	t.Helper()
	guest.Modprobe(t, "virtio_net")
	for end := time.Now().Add(time.Minute); len(names) < 2; {
		names, addresses = nil, nil
		all, _ := filepath.Glob("/sys/class/net/*/device/driver")
		for _, path := range all {
			if to, err := os.Readlink(path); err != nil || filepath.Base(to) != "virtio_net" {
				continue
			}
			dir := filepath.Dir(filepath.Dir(path))
			if b, err := os.ReadFile(dir + "/address"); err == nil {
				names, addresses = append(names, filepath.Base(dir)), append(addresses, strings.TrimSpace(string(b)))
			}
		}
		if time.Now().After(end) {
			t.Fatalf("the guest has the cards %v, want two", names)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return names, addresses
}

// enter moves this thread into a network namespace for good, and gives its number.
func enter(t *testing.T, name string) uint32 {
	runtime.LockOSThread() // never unlocked: the thread ends with what runs on it
	fd, err := unix.Open("/run/netns/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Setns(fd, unix.CLONE_NEWNET)
		_ = unix.Close(fd)
	}
	var st syscall.Stat_t
	if err == nil {
		err = syscall.Stat("/proc/thread-self/ns/net", &st)
	}
	if err != nil {
		t.Errorf("entering %s: %v", name, err)
	}
	return uint32(st.Ino)
}

// TestRequestOverAWire sends a datagram from one card to another: the sender's side goes
// from the call to the card that is done with it, the receiver's from the interrupt to the
// reader, and both tell whose it was.
func TestRequestOverAWire(t *testing.T) {
	guest.Require(t)
	guest.Modprobe(t, "sch_netem")
	names, addresses := cards(t)
	run(t, "sh", "-ec", `for n in bcnear bcfar; do ip netns del $n 2>/dev/null || true; ip netns add $n; ip -n $n link set lo up; done
		ip link set "$1" netns bcnear; ip -n bcnear addr add 10.92.0.1/24 dev "$1"; ip -n bcnear link set "$1" up; ip -n bcnear neigh replace 10.92.0.2 lladdr "$4" dev "$1" nud permanent
		ip link set "$2" netns bcfar; ip -n bcfar addr add 10.92.0.2/24 dev "$2"; ip -n bcfar link set "$2" up; ip -n bcfar neigh replace 10.92.0.1 lladdr "$3" dev "$2" nud permanent
		tc -n bcfar qdisc add dev "$2" root netem delay 1ms`, "sh", names[0], names[1], addresses[0], addresses[1])
	t.Cleanup(func() {
		for _, n := range []string{"bcnear", "bcfar"} { // the cards go back to where they were
			_ = exec.Command("ip", "netns", "del", n).Run()
		}
	})
	farNet, send := make(chan uint32), make(chan bool)
	go func() {
		farNet <- enter(t, "bcfar")
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		for range send {
			if err == nil {
				err = unix.Sendto(fd, make([]byte, 57), 0, &unix.SockaddrInet4{Port: 9320, Addr: near})
			}
			if err != nil {
				t.Errorf("sending: %v", err)
			}
		}
		_ = unix.Close(fd)
	}()
	defer close(send)
	sender := <-farNet
	receiver := enter(t, "bcnear")
	in, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(in)
	if err := unix.Bind(in, &unix.SockaddrInet4{Port: 9320, Addr: near}); err != nil {
		t.Fatal(err)
	}
	request := func(netns uint32) *Life {
		t.Helper()
		read := make(chan error, 1)
		go func() {
			_, _, err := unix.Recvfrom(in, make([]byte, 100), 0)
			read <- err
		}()
		lives := follow(t, Options{Net: netns}, "udp and dst port 9320", 1, func() {
			time.Sleep(200 * time.Millisecond) // the reader sleeps by then
			send <- true
			if err := <-read; err != nil {
				t.Error(err)
			}
		})
		if len(lives) != 1 {
			t.Fatalf("%d packets, want 1", len(lives))
		}
		return lives[0]
	}
	v := kernel.ParseVersion(kernel.Release())
	sent := request(sender)
	stages := []string{"call", "route", "sending", "queue in", "queue out", "driver", "done"}
	if !v.AtLeast(5, 15) { // qdisc_enqueue came then
		stages = []string{"call", "route", "sending", "queue out", "driver", "done"}
	}
	want(t, sent, stages...)
	if path := strings.Join(sent.Path, " "); !sent.Sent || sent.End != "done" || sent.Sender == nil || sent.Sender.Pid != uint32(os.Getpid()) || !strings.Contains(path, "udp_sendmsg") || !strings.Contains(path, "__dev_queue_xmit") {
		t.Errorf("sent was %+v by %s", sent, path)
	}
	got := request(receiver)
	stages = []string{"interrupt", "softirq raised", "softirq", "gro", "protocols", "socket", "woken", "on cpu", "copied"}
	if !v.AtLeast(6, 3) { // sk_data_ready came then
		stages = []string{"interrupt", "softirq raised", "softirq", "gro", "protocols", "woken", "on cpu", "copied"}
	}
	want(t, got, stages...)
	if got.Sent || got.End != "copied" || got.Reader == nil || got.Reader.Pid != uint32(os.Getpid()) || got.Src.As4() != far {
		t.Errorf("received was %+v", got)
	}
}
