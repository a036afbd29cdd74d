package hist

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// namespace makes a network namespace with its loopback up, and with what tc puts on
// it; delayed is false where the kernel cannot delay packets.
func namespace(t *testing.T) (name string, delayed bool) {
	t.Helper()
	guest.NeedKernel(t)
	if guest.Name() != "" {
		guest.Modprobe(t, "sch_netem")
	}
	name = fmt.Sprintf("bchist%d", os.Getpid())
	for _, args := range [][]string{{"netns", "add", name}, {"-n", name, "link", "set", "lo", "up"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	out, err := exec.Command("tc", "-n", name, "qdisc", "add", "dev", "lo", "root", "netem", "delay", "30ms").CombinedOutput()
	if err != nil {
		t.Logf("packets are not delayed: %v: %s", err, out)
	}
	return name, err == nil
}

// traffic is a program that waits for a line, and then opens 10 connections to itself
// and sends a byte through each, which it reads 100 ms later, and one back.
const traffic = `import socket,sys,time
l=socket.create_server(("127.0.0.1",0))
print("up",flush=True);sys.stdin.readline()
for i in range(10):
  c=socket.create_connection(l.getsockname());s,_=l.accept()
  c.send(b"x");time.sleep(.1);s.recv(1);s.send(b"y");c.recv(1)
  c.close();s.close()
print("done",flush=True);sys.stdin.readline()`

// observe gathers a histogram while the traffic runs in a namespace; choose keeps that
// program's only.
func observe(t *testing.T, space, kind string, by By, choose bool) *Result {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", space, "python3", "-c", traffic)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() //nolint:errcheck // ended by its input's end
	defer in.Close() //nolint:errcheck // the same
	out := bufio.NewReader(pipe)
	if line, err := out.ReadString('\n'); line != "up\n" {
		t.Fatalf("the traffic said %q, %v", line, err)
	}
	k, _ := KindNamed(kind)
	o := Options{Kind: k, By: by}
	if choose {
		o.Pid = uint32(cmd.Process.Pid)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	o.ready = func() {
		go func() {
			_, _ = in.Write([]byte("\n"))
			_, _ = out.ReadString('\n')
			time.Sleep(100 * time.Millisecond)
			stop()
		}()
	}
	r, err := Gather(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestConnectionsAndPackets delays packets by 30 ms, where the kernel can, and wants
// that time where it belongs.
func TestConnectionsAndPackets(t *testing.T) {
	space, delayed := namespace(t)
	delay := 0.0
	if delayed {
		delay = 30e6
	}
	row := func(kind string, by By, choose bool, group string) Row {
		t.Helper()
		r := observe(t, space, kind, by, choose)
		for _, row := range r.Rows {
			if strings.HasPrefix(row.Group, group) {
				return row
			}
		}
		t.Fatalf("%s: there is no %s in %+v", kind, group, r.Rows)
		return Row{}
	}
	// a SYN and its answer are delayed
	if c := row("connect", ByProcess, true, "python3["); c.Count != 10 || float64(c.P50) < 1.7*delay {
		t.Errorf("connect: %d times, half of them within %s, want 10 and at least %s", c.Count, time.Duration(c.P50), time.Duration(2*delay))
	}
	if c := row("rtt", ByAll, false, "all"); c.Count < 10 || float64(c.P90) < 1.7*delay {
		t.Errorf("rtt: %d times, most within %s, want at least %s", c.Count, time.Duration(c.P90), time.Duration(2*delay))
	}
	if c := row("qdisc", ByOwn, false, "lo"); c.Count < 20 || float64(c.P90) < 0.8*delay {
		t.Errorf("qdisc: %d times, most within %s, want at least %s", c.Count, time.Duration(c.P90), time.Duration(delay))
	}
	if c := row("rxwait", ByDevice, true, "lo"); c.Count < 1 {
		t.Errorf("rxwait by device: %d times", c.Count)
	}
	// half of the bytes are read 100 ms after they were sent, delay included
	// 6.1 finds two of twenty again, other kernels all
	if c := row("rxwait", ByProcess, true, "python3["); c.Count < 1 || float64(c.P90) < 0.7*(100e6-delay) || c.P90 > 400e6 {
		t.Errorf("rxwait: %d times, most within %s, want about %s", c.Count, time.Duration(c.P90), time.Duration(100e6-delay))
	}
}

// TestBlock writes to a loop device past the page cache.
func TestBlock(t *testing.T) {
	guest.Require(t)
	guest.Modprobe(t, "loop")
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := exec.Command("losetup", "--find", "--show", file).Output()
	if err != nil {
		t.Fatalf("losetup: %v", err)
	}
	device := strings.TrimSpace(string(b))
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", device).Run() })
	k, _ := KindNamed("block")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var said []byte
	o := Options{Kind: k, By: ByOwn, ready: func() {
		go func() {
			said, err = exec.Command("dd", "if=/dev/zero", "of="+device, "bs=4096", "count=50", "oflag=direct").CombinedOutput()
			stop()
		}()
	}}
	r, gatherErr := Gather(ctx, o)
	if gatherErr != nil || err != nil {
		t.Fatalf("%v; dd: %v: %s", gatherErr, err, said)
	}
	for _, row := range r.Rows {
		if row.Group == filepath.Base(device) {
			if row.Count < 50 {
				t.Errorf("%d requests, want 50", row.Count)
			}
			return
		}
	}
	t.Errorf("there is no %s in %+v", filepath.Base(device), r.Rows)
}
