package connection

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/filter"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// follow traces while act runs, and returns the connections by their other end's port.
func follow(t *testing.T, o Options, text string, act func()) []*Life {
	t.Helper()
	var err error
	if o.Filter, err = filter.Parse(text); err != nil {
		t.Fatal(err)
	}
	tr, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var lives []*Life
	done := make(chan error)
	go func() {
		done <- tr.Run(ctx, func(l *Life) bool {
			lives = append(lives, l)
			return true
		})
	}()
	act()
	time.Sleep(200 * time.Millisecond)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, l := range lives {
		var b strings.Builder
		if err := l.WriteText(&b, func(s string) string { return s }); err != nil {
			t.Fatal(err)
		}
		t.Log("\n" + b.String())
		var sum time.Duration
		for _, s := range l.Stages {
			if sum += s.Took; sum != s.At || s.Took < 0 {
				t.Errorf("#%d: %s at %s, the sum is %s", l.ID, s.Name, s.At, sum)
			}
		}
	}
	n, err := tr.Totals()
	if err != nil || n.Lost != 0 || n.Full != 0 || !o.Choice.Some() && n.Followed != uint64(len(lives)) {
		t.Errorf("%+v, %d connections, %v", n, len(lives), err)
	}
	return lives
}

func socket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

var loopback = [4]byte{127, 0, 0, 1}

// TestBothEndsOfAConnection connects, sends 1000 bytes and closes: both ends are told,
// with bytes and owner, and the states in order.
func TestBothEndsOfAConnection(t *testing.T) {
	netns := guest.Network(t)
	l := socket(t)
	defer unix.Close(l)
	if err := unix.Bind(l, &unix.SockaddrInet4{Port: 9400, Addr: loopback}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 5); err != nil {
		t.Fatal(err)
	}
	lives := follow(t, Options{Net: netns}, "tcp port 9400", func() {
		c := socket(t)
		if err := unix.Connect(c, &unix.SockaddrInet4{Port: 9400, Addr: loopback}); err != nil {
			t.Fatal(err)
		}
		a, _, err := unix.Accept(l)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(c, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 2000)
		for n := 0; n < 1000; {
			k, err := unix.Read(a, buf)
			if err != nil || k == 0 {
				t.Fatal(k, err)
			}
			n += k
		}
		_ = unix.Close(c)
		time.Sleep(50 * time.Millisecond)
		_ = unix.Close(a)
	})
	if len(lives) != 2 {
		t.Fatalf("%d ends of one connection", len(lives))
	}
	for _, l := range lives {
		var names []string
		for _, s := range l.Stages {
			names = append(names, s.Name)
		}
		path := strings.Join(names, ", ")
		want := "established, close wait, last ack, closed"
		sent, received := uint64(0), uint64(1000)
		if l.Outgoing {
			want, sent, received = "syn sent, established, fin wait 1, fin wait 2, closed", 1000, 0
			if l.Connect <= 0 || l.Connect > l.Took || l.RTT <= 0 {
				t.Errorf("connected after %s of %s, round trip %s", l.Connect, l.Took, l.RTT)
			}
		}
		// the beginning and the end of a stream count as a byte each
		if path != want || l.End != "closed" || l.Sent-sent > 2 || l.Received-received > 2 || l.Pid != uint32(os.Getpid()) {
			t.Errorf("outgoing %v: %s, %s, %d sent, %d received, of %d", l.Outgoing, path, l.End, l.Sent, l.Received, l.Pid)
		}
		if port := map[bool]uint16{true: l.Remote.Port(), false: l.Local.Port()}[l.Outgoing]; port != 9400 {
			t.Errorf("from %s to %s", l.Local, l.Remote)
		}
	}
}

// TestRefusedAndOpen connects where nobody listens, and leaves another connection open.
func TestRefusedAndOpen(t *testing.T) {
	netns := guest.Network(t)
	l := socket(t)
	defer unix.Close(l)
	_ = unix.Bind(l, &unix.SockaddrInet4{Port: 9401, Addr: loopback})
	if err := unix.Listen(l, 5); err != nil {
		t.Fatal(err)
	}
	lives := follow(t, Options{Net: netns}, "dst port 9402 or dst port 9401", func() {
		c, d := socket(t), socket(t)
		if err := unix.Connect(c, &unix.SockaddrInet4{Port: 9402, Addr: loopback}); err != unix.ECONNREFUSED {
			t.Error(err)
		}
		_ = unix.Close(c)
		if err := unix.Connect(d, &unix.SockaddrInet4{Port: 9401, Addr: loopback}); err != nil {
			t.Error(err)
		}
		t.Cleanup(func() { _ = unix.Close(d) })
	})
	if len(lives) != 2 {
		t.Fatalf("%d connections, want 2", len(lives))
	}
	if lives[0].End != "refused" || lives[0].Remote.Port() != 9402 || lives[1].End != "open" || lives[1].Connect <= 0 {
		t.Errorf("%+v, %+v", lives[0], lives[1])
	}
}

// TestChosenOwner has this process and another one connect: only that one's end is told.
func TestChosenOwner(t *testing.T) {
	netns := guest.Network(t)
	l := socket(t)
	defer unix.Close(l)
	_ = unix.Bind(l, &unix.SockaddrInet4{Port: 9403, Addr: loopback})
	if err := unix.Listen(l, 5); err != nil {
		t.Fatal(err)
	}
	child := exec.Command("python3", "-c", `import socket,sys
sys.stdin.readline(); c=socket.create_connection(("127.0.0.1",9403)); print("there",flush=True); sys.stdin.readline()`)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil { // by this thread, and so in its namespace
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = child.Wait() })
	choice := kernel.Choice{Pid: uint32(child.Process.Pid), Scope: kernel.HostScope()}
	lives := follow(t, Options{Net: netns, Choice: choice}, "tcp port 9403", func() {
		c := socket(t)
		defer unix.Close(c)
		if err := unix.Connect(c, &unix.SockaddrInet4{Port: 9403, Addr: loopback}); err != nil {
			t.Error(err)
		}
		_, _ = in.Write([]byte("\n"))
		if _, err := out.Read(make([]byte, 6)); err != nil {
			t.Error(err)
		}
	})
	if len(lives) != 1 || !lives[0].Outgoing || lives[0].Pid != choice.Pid {
		t.Errorf("told are %+v, want one end, that of process %d", lives, choice.Pid)
	}
}
