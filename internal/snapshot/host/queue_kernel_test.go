package host

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

func TestQueues(t *testing.T) {
	guest.NeedKernel(t)
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and its namespace
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		t.Fatalf("making a network namespace: %v", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip: %v: %s", err, out)
	}
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	send, err := net.DialUDP("udp4", nil, udp.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer send.Close()
	if _, err := send.Write([]byte("waits to be read")); err != nil {
		t.Fatal(err)
	}
	qdisc := exec.Command("tc", "qdisc", "add", "dev", "lo", "root", "handle", "7:", "pfifo").Run() == nil
	got, err := ReadQueues()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(got.Sockets, func(s SocketQueue) bool {
		return s.Protocol == "udp" && s.Local == udp.LocalAddr().String()
	})
	if i < 0 || got.Sockets[i].Receive == 0 || got.Sockets[i].Drops != 0 {
		t.Errorf("sockets %+v, want %s with something to read", got.Sockets, udp.LocalAddr())
	}
	text, err := os.ReadFile("/proc/net/softnet_stat")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); len(got.Softnet) != n {
		t.Errorf("%d CPUs, softnet_stat has %d", len(got.Softnet), n)
	}
	j := slices.IndexFunc(got.Qdiscs, func(q Qdisc) bool { return q.Interface == "lo" && q.Kind == "pfifo" && q.Handle == "7:0" })
	if qdisc && j < 0 {
		t.Errorf("disciplines %+v, notes %q, want pfifo 7: on lo", got.Qdiscs, got.Notes)
	}
}

func TestSched(t *testing.T) {
	guest.NeedKernel(t)
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	pid := cmd.Process.Pid
	slept := func() bool { got, err := ReadSched(pid); return err == nil && got.Tasks[0].Voluntary > 0 }
	for end := time.Now().Add(20 * time.Second); !slept(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("sleep does not sleep after 20 s")
		}
	}
	for _, c := range []struct {
		attr unix.SchedAttr
		want Task
	}{
		{unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH, Nice: 5}, Task{Policy: "batch", Nice: 5}},
		{unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 3}, Task{Policy: "fifo", Priority: 3}},
		{unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_DEADLINE, Runtime: 1e6, Deadline: 1e7, Period: 1e8}, Task{Policy: "deadline", Deadline: &Deadline{1e6, 1e7, 1e8}}},
	} {
		if err := unix.SchedSetAttr(pid, &c.attr, 0); err != nil {
			if c.want.Policy == "batch" {
				t.Fatal(err)
			}
			t.Logf("%s: this machine does not allow it: %v", c.want.Policy, err)
			continue
		}
		got, err := ReadSched(pid)
		if err != nil {
			t.Fatal(err)
		}
		g := got.Tasks[0]
		sameDeadline := g.Deadline == c.want.Deadline || g.Deadline != nil && c.want.Deadline != nil && *g.Deadline == *c.want.Deadline
		if len(got.Tasks) != 1 || g.TID != pid || g.Policy != c.want.Policy || g.Nice != c.want.Nice || g.Priority != c.want.Priority || !sameDeadline {
			t.Errorf("%+v, want %+v", g, c.want)
		}
		if g.Voluntary+g.Forced == 0 || g.Allowed == "" || c.want.Policy == "batch" && (g.Vruntime == nil) != (line(procPath(pid, "sched")) == "") {
			t.Errorf("%+v: no switches or CPUs, or vruntime does not go with /proc/PID/sched", g)
		}
	}
	if _, err := ReadSched(MaxPID + 1); err == nil || !strings.Contains(err.Error(), "there is no process") {
		t.Errorf("a process that does not exist: %v", err)
	}
}
