package packet

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/filter"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// run runs a program in the thread's namespace.
func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// follow traces while act runs, until n lives are there, or for five seconds; act runs
// in the test's own thread.
func follow(t *testing.T, o Options, text string, n int, act func()) []*Life {
	t.Helper()
	f, err := filter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	o.Filter = f
	tr, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var lives []*Life
	done := make(chan error)
	go func() {
		done <- tr.Run(ctx, func(l *Life) bool {
			lives = append(lives, l)
			return len(lives) < n
		})
	}()
	act()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, l := range lives {
		if err := l.WriteText(logger{t}, func(s string) string { return s }); err != nil {
			t.Fatal(err)
		}
		adds(t, l)
	}
	totals, err := tr.Totals()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v, %d sources, %v", totals, tr.Sources, tr.Notes)
	missed = totals.Missed
	if totals.Lost != 0 {
		t.Errorf("%d notes were lost", totals.Lost)
	}
	return lives
}

// missed is how many calls of programs the kernel skipped in the last trace.
var missed uint64

type logger struct{ t *testing.T }

func (l logger) Write(b []byte) (int, error) {
	l.t.Log("\n" + string(b))
	return len(b), nil
}

// adds checks that stages are in order and sum up to the whole.
func adds(t *testing.T, l *Life) {
	t.Helper()
	var sum time.Duration
	for _, s := range l.Stages {
		if s.Took < 0 {
			t.Errorf("#%d: stage %s took %s", l.ID, s.Name, s.Took)
		}
		sum += s.Took
		if sum != s.At {
			t.Errorf("#%d: at %s the stages sum up to %s, and it is at %s", l.ID, s.Name, sum, s.At)
		}
	}
	if sum != l.Took {
		t.Errorf("#%d took %s, its stages %s", l.ID, l.Took, sum)
	}
}

// udp makes a socket in the thread's namespace; port 0 is any.
func udp(t *testing.T, port int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if port != 0 {
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

func send(t *testing.T, fd, port, size int) {
	t.Helper()
	if err := unix.Sendto(fd, make([]byte, size), 0, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
}

// want checks that stages are there, in this order. From 6.19 on the kernel skips a program
// where another task was put off the processor in it: then the call was not seen.
func want(t *testing.T, l *Life, names ...string) {
	t.Helper()
	if missed > 0 {
		names = slices.DeleteFunc(names, func(n string) bool { return n == "call" || n == "route" })
	}
	i := 0
	for _, s := range l.Stages {
		if i < len(names) && s.Name == names[i] {
			i++
		}
	}
	if i < len(names) {
		t.Errorf("#%d has no stage %q in its place", l.ID, names[i])
	}
}

// TestDatagramFromCallToReader follows one from sendto to the program that sleeps for it.
func TestDatagramFromCallToReader(t *testing.T) {
	netns := guest.Network(t)
	in, out := udp(t, 9300), udp(t, 0)
	read := make(chan error)
	go func() {
		_, _, err := unix.Recvfrom(in, make([]byte, 100), 0)
		read <- err
	}()
	lives := follow(t, Options{Net: netns}, "udp and dst port 9300", 1, func() {
		time.Sleep(200 * time.Millisecond) // the reader sleeps by then
		send(t, out, 9300, 57)
		if err := <-read; err != nil {
			t.Error(err)
		}
	})
	if len(lives) != 1 {
		t.Fatalf("%d packets, want 1", len(lives))
	}
	l := lives[0]
	if !l.Sent || l.End != "copied" || l.Length != 57+28 || l.Dport != 9300 || l.Proto != "udp" || l.Dst.String() != "127.0.0.1" || l.Device != "lo" || l.Net != netns {
		t.Errorf("it is %+v", l)
	}
	for _, p := range []*Process{l.Sender, l.Reader} {
		if p == nil || p.Pid != uint32(os.Getpid()) {
			t.Errorf("sender %v and reader %v, want this process", l.Sender, l.Reader)
		}
	}
	want(t, l, "call", "route", "sending", "driver", "backlog", "protocols", "woken", "on cpu", "copied")
	if path := strings.Join(l.Path, " "); !strings.Contains(path, "udp_sendmsg") || !strings.Contains(path, "__dev_queue_xmit") {
		t.Errorf("it was sent by %s", path)
	}
	if arrival := strings.Join(l.Arrival, " "); !strings.Contains(arrival, "udp") || !strings.Contains(arrival, "netif_receive_skb") {
		t.Errorf("it came by %s", arrival)
	}
}

// TestFullSocketIsNamed sends to a socket that nobody reads until it is full.
func TestFullSocketIsNamed(t *testing.T) {
	netns := guest.Network(t)
	in, out := udp(t, 9301), udp(t, 0)
	if err := unix.SetsockoptInt(in, unix.SOL_SOCKET, unix.SO_RCVBUF, 2304); err != nil {
		t.Fatal(err)
	}
	for range 10 { // until it is full
		send(t, out, 9301, 100)
	}
	lives := follow(t, Options{Net: netns}, "udp dst port 9301", 1, func() { send(t, out, 9301, 100) })
	if len(lives) != 1 || lives[0].End != "dropped" || lives[0].Drop == nil {
		t.Fatalf("%d packets, %+v", len(lives), lives)
	}
	d, v := lives[0].Drop, kernel.ParseVersion(kernel.Release())
	if v.AtLeast(5, 17) && d.Reason != "SOCKET_RCVBUFF" || d.Reason != "" && d.Reason != "SOCKET_RCVBUFF" || !strings.Contains(d.Place, "udp") {
		t.Errorf("it is dropped for %+v", d)
	}
	if r := lives[0].Reader; v.AtLeast(6, 11) && (r == nil || r.Pid != uint32(os.Getpid())) {
		t.Errorf("the full socket is %v's", r)
	}
}

// TestDelayMovesOneStage has a queue hold packets for a second on their way to another
// network namespace: one stage takes that long, and no other. A slow guest takes tens of
// milliseconds for some of the others.
func TestDelayMovesOneStage(t *testing.T) {
	guest.Require(t) // the native kernel may have no netem
	guest.Modprobe(t, "veth", "sch_netem")
	netns := guest.Network(t)
	run(t, "sh", "-c", `ip netns del bcfar 2>/dev/null; ip netns add bcfar && ip link add bcn type veth peer name bcf netns bcfar &&
		ip addr add 10.91.0.1/24 dev bcn && ip link set bcn up && ip -n bcfar addr add 10.91.0.2/24 dev bcf && ip -n bcfar link set bcf up && ip -n bcfar link set lo up`)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", "bcfar").Run() })
	out := udp(t, 0)
	far := &unix.SockaddrInet4{Port: 9305, Addr: [4]byte{10, 91, 0, 2}}
	if err := unix.Sendto(out, []byte("the neighbour is known from then on"), 0, far); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	run(t, "tc", "qdisc", "add", "dev", "bcn", "root", "netem", "delay", "1s")
	lives := follow(t, Options{Net: netns}, "udp dst port 9305", 1, func() {
		_ = unix.Sendto(out, []byte("x"), 0, far)
	})
	if len(lives) != 1 {
		t.Fatalf("%d packets, want 1", len(lives))
	}
	var long []string
	for _, s := range lives[0].Stages {
		if s.Took > 700*time.Millisecond {
			long = append(long, s.Name)
		}
	}
	if len(long) != 1 || long[0] != "queue out" {
		t.Errorf("the stages that took long are %q, want queue out", long)
	}
	l := lives[0]
	want(t, l, "call", "sending", "queue out", "driver", "backlog", "protocols", "dropped") // nobody listens there
	if l.Sender == nil || l.Sender.Pid != uint32(os.Getpid()) {
		t.Errorf("it was sent by %v", l.Sender)
	}
}

// TestRetransmissionIsOneStory has a queue lose all that is sent: TCP sends it again.
func TestRetransmissionIsOneStory(t *testing.T) {
	guest.Require(t)
	guest.Modprobe(t, "sch_netem")
	netns := guest.Network(t)
	run(t, "tc", "qdisc", "add", "dev", "lo", "root", "netem", "loss", "100%")
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lives := follow(t, Options{Net: netns}, "tcp[tcpflags] = tcp-syn", 2, func() {
		_ = unix.Connect(fd, &unix.SockaddrInet4{Port: 9302, Addr: [4]byte{127, 0, 0, 1}})
	})
	if len(lives) != 2 {
		t.Fatalf("%d packets, want 2", len(lives))
	}
	first, second := lives[0], lives[1]
	if first.End != "dropped" || first.Again || !second.Again || second.Before != first.ID {
		t.Errorf("the first ended as %s, the second repeats #%d (%v)", first.End, second.Before, second.Again)
	}
	if second.Sender == nil || second.Sender.Pid != uint32(os.Getpid()) {
		t.Errorf("TCP sent it again by itself, for %v", second.Sender)
	}
}

// TestWaitForAProcessorIsTheSchedulers has the reader and one that never sleeps share a
// processor: the wait is before "on cpu", and who ran instead is named.
func TestWaitForAProcessorIsTheSchedulers(t *testing.T) {
	netns := guest.Network(t)
	in, out := udp(t, 9303), udp(t, 0)
	var old, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		t.Fatal(err)
	}
	last := 0
	for i := range len(old) * 64 {
		if old.IsSet(i) {
			last = i
		}
	}
	one.Set(last)
	spin := exec.Command("sh", "-c", "while :; do :; done")
	if err := spin.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = spin.Process.Kill(); _ = spin.Wait() }()
	if err := unix.SchedSetaffinity(spin.Process.Pid, &one); err != nil {
		t.Fatal(err)
	}
	go func() {
		runtime.LockOSThread() // it ends with the thread
		_ = unix.SchedSetaffinity(0, &one)
		// one that is awake never makes room for it
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
		for {
			if _, _, err := unix.Recvfrom(in, make([]byte, 100), 0); err != nil {
				return
			}
		}
	}()
	const packets = 8
	lives := follow(t, Options{Net: netns}, "udp dst port 9303", packets, func() {
		for range packets {
			time.Sleep(100 * time.Millisecond)
			send(t, out, 9303, 100)
		}
	})
	blamed := false
	for _, l := range lives {
		for _, s := range l.Stages {
			// natively others are at work there too
			instead := guest.Name() == "" && strings.Contains(s.Detail, "ran instead")
			if strings.HasSuffix(s.Name, "cpu") && (instead || strings.Contains(s.Detail, "["+strconv.Itoa(spin.Process.Pid)+"]")) {
				blamed = true
			}
		}
	}
	if !blamed {
		t.Error("the program that never sleeps is not named as the one that ran instead of the reader")
	}
}

// TestChosenSender has this process and another one send to a port where nobody listens:
// only the other one's packets are told.
func TestChosenSender(t *testing.T) {
	netns := guest.Network(t)
	child := exec.Command("python3", "-c", `import socket,sys
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); sys.stdin.readline()
for i in range(3): s.sendto(b"x",("127.0.0.1",9330))
sys.stdin.readline()`)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil { // by this thread, and so in its namespace
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = child.Wait() })
	out, pid := udp(t, 0), uint32(child.Process.Pid)
	lives := follow(t, Options{Net: netns, Choice: kernel.Choice{Pid: pid, Scope: kernel.HostScope()}}, "udp dst port 9330", 3, func() {
		for range 3 {
			send(t, out, 9330, 100)
		}
		_, _ = in.Write([]byte("\n"))
	})
	if len(lives) != 3 {
		t.Errorf("%d packets, want 3", len(lives))
	}
	for _, l := range lives {
		if l.Sender == nil || l.Sender.Pid != pid || l.End != "dropped" {
			t.Errorf("%+v was sent by %v, want %d", l, l.Sender, pid)
		}
	}
}

// TestRateIsKeptAndCounted sends more than may be followed.
func TestRateIsKeptAndCounted(t *testing.T) {
	netns := guest.Network(t)
	out := udp(t, 0)
	udp(t, 9304)
	tr, err := Open(Options{Net: netns, Rate: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	const sent = 200
	for range sent {
		send(t, out, 9304, 100)
	}
	n, err := tr.Totals()
	if err != nil {
		t.Fatal(err)
	}
	if n.Followed+n.Sampled != sent || n.Followed < 10 || n.Sampled == 0 {
		t.Errorf("%d sent, %+v", sent, n)
	}
}
