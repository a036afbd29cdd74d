package top

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// talk does with TCP what it is told to.
func talk() error {
	in := bufio.NewReader(os.Stdin)
	var listener net.Listener
	var conn *net.TCPConn
	answer := "ready"
	for {
		fmt.Println(answer)
		line, err := in.ReadString('\n')
		if err != nil {
			return nil // the test has ended
		}
		var verb, where string
		var n int64
		_, _ = fmt.Sscan(line, &verb, &where)
		_, _ = fmt.Sscan(where, &n)
		answer = verb
		switch verb {
		case "listen":
			if listener, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
				answer = listener.Addr().String()
			}
		case "accept":
			var c net.Conn
			if c, err = listener.Accept(); err == nil {
				conn = c.(*net.TCPConn)
			}
		case "dial":
			var c net.Conn
			if c, err = net.Dial("tcp", where); err == nil {
				conn = c.(*net.TCPConn)
			}
		case "send":
			_, err = conn.Write(make([]byte, n))
		case "receive":
			_, err = io.ReadFull(conn, make([]byte, n))
		case "close":
			err = conn.Close()
		case "reset":
			_ = conn.SetLinger(0)
			err = conn.Close()
		}
		if err != nil {
			answer = "failed"
		}
	}
}

// inNamespace puts this test, and what it starts, into a network of its own.
func inNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	run(t, "ip", "link", "set", "lo", "up")
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v %s", name, args, err, out)
	}
}

// tcpOf are the rows of two processes in the next interval.
func tcpOf(t *testing.T, w *Top, a, b *helper) (x, y TCP) {
	t.Helper()
	f, err := w.Next(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if f.Lost > 0 {
		t.Errorf("%d were lost", f.Lost)
	}
	rows, _ := f.Rows.([]TCP)
	for _, r := range rows {
		if r.Pid == 0 {
			t.Logf("nobody: %+v", r)
		}
		switch r.Pid {
		case a.pid:
			x = r
		case b.pid:
			y = r
		}
	}
	t.Logf("%d rows, %+v", len(rows), x)
	t.Logf("%+v, programs %s, notes %q", y, f.BPF, f.Notes)
	return x, y
}

func watchTCP(t *testing.T, view string) *Top {
	t.Helper()
	v, _ := ViewNamed(view)
	// the helpers have this program's name; all of a host is looked at in guests only
	o := Options{View: v}
	if guest.Name() == "" {
		comm, err := os.ReadFile("/proc/self/comm")
		if err != nil {
			t.Fatal(err)
		}
		o.Comm = strings.TrimSpace(string(comm))
	}
	w, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// TestKnownBytes has two programs exchange known bytes, over a connection from before,
// over one that stays, and over one that begins and ends within an interval.
func TestKnownBytes(t *testing.T) {
	guest.NeedKernel(t)
	inNamespace(t)
	server, client := startHelper(t, "talk"), startHelper(t, "talk")
	server.says()
	client.says()
	address := server.part("listen")
	connect := func() {
		server.tell("accept")
		client.part("dial " + address)
		server.says()
	}
	move := func(from, to *helper, n int) {
		to.tell(fmt.Sprintf("receive %d", n))
		from.part(fmt.Sprintf("send %d", n))
		to.says()
	}
	connect()
	move(client, server, 5000)
	w := watchTCP(t, "tcp")
	conns := watchTCP(t, "conn")
	move(client, server, 1000000)
	move(server, client, 300000)
	c, s := tcpOf(t, w, client, server)
	if c.Out != 1000000 || c.In != 300000 || s.In != 1000000 || s.Out != 300000 {
		t.Errorf("the client sent %d and received %d bytes, the server %d and %d", c.Out, c.In, s.Out, s.In)
	}
	if c.Connections != 1 || s.Connections != 1 || c.Opened+s.Accepted > 0 || c.RTT == 0 || c.RTTMax < c.RTT {
		t.Errorf("one connection from before: %+v, %+v", c, s)
	}
	client.part("send 70") // and nobody reads it
	time.Sleep(50 * time.Millisecond)
	c, s = tcpOf(t, w, client, server)
	if s.QueueIn != 70 || c.Out != 70 {
		t.Errorf("%d bytes wait to be read, want 70", s.QueueIn)
	}
	client.part("close")
	server.part("close")
	connect()
	move(client, server, 777)
	client.part("close")
	server.part("close")
	c, s = tcpOf(t, w, client, server)
	if c.Opened != 1 || s.Accepted != 1 || c.Out != 777 || s.In != 777 || c.In != 0 || s.Out != 0 || c.Ended+s.Ended < 3 || c.Connect == 0 {
		t.Errorf("a short connection: %+v, %+v", c, s)
	}
	checkConn(t, conns, client, address)
	connect()
	move(client, server, 1)
	client.part("reset")
	time.Sleep(50 * time.Millisecond)
	if answer := client.part("dial 127.0.0.1:1"); answer != "failed" {
		t.Errorf("somebody listens at port 1: %s", answer)
	}
	c, s = tcpOf(t, w, client, server)
	if c.ResetsOut != 1 || c.ResetsIn != 1 || c.Failed != 1 || c.Opened != 2 || s.ResetsIn != 1 {
		t.Errorf("a reset and a refusal: %+v, %+v", c, s)
	}
}

// checkConn looks for the short connection and the one before by their addresses.
func checkConn(t *testing.T, conns *Top, client *helper, address string) {
	t.Helper()
	f, err := conns.Next(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := f.Rows.([]Conn)
	short, long := 0, 0
	for _, r := range rows {
		if r.Pid == client.pid && r.Remote == address && r.Ended && !strings.HasSuffix(r.Local, ":0") {
			t.Logf("%+v", r)
			switch r.Out {
			case 777:
				short++
				if walk := strings.Join(r.Walk, " "); walk != "SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE" {
					t.Errorf("the short connection went through %s", walk)
				}
			case 1000070:
				long++
			}
		}
	}
	if short != 1 || long != 1 {
		t.Errorf("%d short connections and %d long ones among %d, want one of each", short, long, len(rows))
	}
}

// TestRetransmits has a network lose packets: what is sent again is told of the process
// that sends, and is what the kernel counts for the network.
func TestRetransmits(t *testing.T) {
	guest.Require(t)
	guest.Modprobe(t, "sch_netem")
	inNamespace(t)
	run(t, "tc", "qdisc", "add", "dev", "lo", "root", "netem", "loss", "10%", "delay", "2ms")
	server, client := startHelper(t, "talk"), startHelper(t, "talk")
	server.says()
	client.says()
	address := server.part("listen")
	w := watchTCP(t, "tcp")
	server.tell("accept")
	client.part("dial " + address)
	server.says()
	server.tell("receive 3000000")
	client.part("send 3000000")
	server.says()
	run(t, "tc", "qdisc", "del", "dev", "lo", "root")
	time.Sleep(300 * time.Millisecond) // what is still on its way
	c, s := tcpOf(t, w, client, server)
	want := snmp(t, "RetransSegs")
	if c.Retransmits+s.Retransmits != want || c.Retransmits == 0 {
		t.Errorf("%d and %d segments were sent again, the kernel counts %d", c.Retransmits, s.Retransmits, want)
	}
	if c.Out != 3000000 || s.In != 3000000 {
		t.Errorf("%d bytes sent and %d received, want 3000000", c.Out, s.In)
	}
	if c.RTT < 2e6 {
		t.Errorf("a round trip of %d ns in a network that takes 4 ms", c.RTT)
	}
}

// snmp is one of the kernel's counts of TCP in this network.
func snmp(t *testing.T, name string) uint64 {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		for i, n := range names {
			if n == name {
				var v uint64
				_, _ = fmt.Sscan(words[i], &v)
				return v
			}
		}
	}
	t.Fatalf("the kernel does not count %s", name)
	return 0
}
