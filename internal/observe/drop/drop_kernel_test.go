package drop

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

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
	netns := guest.Network(t)
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
	before, tid := ownCounters(t), uint32(unix.Gettid())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	old := reader(t, 9126) // its socket is there before
	done := make(chan *Result, 1)
	ready := make(chan error, 1)
	begun := make(chan bool)
	go func() {
		r, err := Count(ctx, Options{Net: netns, Member: tid, ready: func() { close(begun) }})
		ready <- err
		done <- r
	}()
	select {
	case <-begun:
	case err := <-ready:
		t.Fatal(err)
	}
	young := reader(t, 9127)
	const closed, crammed = 120, 80
	send(t, 9124, closed)
	for _, port := range []int{9125, 9126, 9127} {
		send(t, port, crammed)
	}
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
	other, _, _ := sum(9126)
	last, _, _ := sum(9127)
	n += other + last
	if want := after["Udp.RcvbufErrors"] - before["Udp.RcvbufErrors"]; n != want || want == 0 {
		t.Errorf("%d drops at the full socket, and the kernel counts %d", n, want)
	}
	if reason != "" && reason != "SOCKET_RCVBUFF" && reason != "PROTO_MEM" || !strings.Contains(place, "udp") && !strings.HasPrefix(place, "0x") {
		t.Errorf("the full socket's drops are for %s at %s", reason, place)
	}
	if r.Lost > 0 {
		t.Errorf("%d drops were lost", r.Lost)
	}
	// the sender is this process: the owner is the one that does not read
	for port, pid := range map[uint16]int{9125: os.Getpid(), 9126: old, 9127: young} {
		for _, row := range r.Rows {
			if row.Pid == 0 && row.Packets == 1 && !kernel.ParseVersion(kernel.Release()).AtLeast(6, 11) {
				continue // the kernel names the full socket after the first drop only
			}
			if row.Port == port && row.Proto == "udp" && (row.Pid != uint32(pid) || row.Process == "") {
				t.Errorf("port %d belongs to %d, and is said to belong to %s[%d]", port, pid, row.Process, row.Pid)
			}
		}
	}
	t.Logf("%+v %+v", r.Balance, r.Counters)
	if b := r.Balance; b.Unexplained != 0 || b.Events != n+closed || b.Counters != b.Events {
		t.Errorf("the balance is %+v of %+v, want %d events and nothing unexplained", b, r.Counters, n+closed)
	}
}

// reader starts a program with a small socket that it never reads, and returns its pid.
func reader(t *testing.T, port int) int {
	t.Helper()
	cmd := exec.Command("python3", "-c", `import socket,sys
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,2304)
s.bind(("127.0.0.1",int(sys.argv[1])));print("up",flush=True);sys.stdin.readline()`, strconv.Itoa(port))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil { // by this thread, and so in its namespace
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("the reader said %q: %v", line, err)
	}
	return cmd.Process.Pid
}

// count counts while act runs.
func count(t *testing.T, o Options, act func()) *Result {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o.ready = func() {
		act()
		time.Sleep(100 * time.Millisecond)
		cancel()
	}
	r, err := Count(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestChosenOwners fills the sockets of two programs, and asks for the drops of one: by its
// pid, and in guests by its control group.
func TestChosenOwners(t *testing.T) {
	netns := guest.Network(t)
	one, other := reader(t, 9128), reader(t, 9129)
	choices := map[string]kernel.Choice{"pid": {Pid: uint32(one), Scope: kernel.HostScope()}}
	if mounts := kernel.CgroupMounts(); guest.Name() != "" && len(mounts) > 0 {
		dir := filepath.Join(mounts[0].Dir, "bearcat-drops")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = os.WriteFile(filepath.Join(mounts[0].Dir, "cgroup.procs"), []byte(strconv.Itoa(one)), 0)
			_ = os.Remove(dir)
		})
		if err := os.WriteFile(dir+"/cgroup.procs", []byte(strconv.Itoa(one)), 0); err != nil {
			t.Fatal(err)
		}
		scope, err := kernel.CgroupScope(dir)
		if err != nil {
			t.Fatal(err)
		}
		choices["cgroup"] = kernel.Choice{Scope: scope}
	}
	for name, c := range choices {
		r := count(t, Options{Net: netns, Member: uint32(unix.Gettid()), Choice: c}, func() {
			send(t, 9128, 40)
			send(t, 9129, 40)
			send(t, 9130, 40)
		})
		n := uint64(0)
		for _, row := range r.Rows {
			n += row.Packets
			if row.Pid != uint32(one) || row.Port != 9128 {
				t.Errorf("by %s: %+v, want those of process %d, not %d", name, row, one, other)
			}
		}
		if n == 0 || n != r.Packets || !r.Chosen || len(r.Counters) != 0 {
			t.Errorf("by %s: %+v", name, r)
		}
	}
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
	guest.Network(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := Count(ctx, Options{Net: 1, ready: func() {
		send(t, 9124, 10)
		cancel()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 0 {
		t.Errorf("a namespace that is not there has drops: %+v", r.Rows)
	}
}
