package hist

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// gather measures for a while.
func gather(t *testing.T, kind string, by By, pid int, comm string, d time.Duration) *Result {
	t.Helper()
	guest.NeedKernel(t)
	k, _ := KindNamed(kind)
	// from when the programs are in place: loading them takes seconds in a guest
	r, err := Gather(context.Background(), Options{Kind: k, By: by, Pid: uint32(pid), Comm: comm, For: d})
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost > 0 {
		t.Errorf("%d times were lost", r.Lost)
	}
	return r
}

// run starts a command under a name of its own, on processor 0.
func run(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var set unix.CPUSet
	set.Set(0)
	if err := unix.SchedSetaffinity(cmd.Process.Pid, &set); err != nil {
		t.Fatal(err)
	}
	return cmd
}

const spin = "while :; do :; done"

// TestRunqAndOncpu has two programs that want the same processor all the time: each
// runs about half of it, and waits for the other half.
func TestRunqAndOncpu(t *testing.T) {
	guest.NeedKernel(t)
	a := run(t, "sh", "-c", spin)
	b := run(t, "sh", "-c", spin)
	time.Sleep(300 * time.Millisecond)
	share := func(kind string) float64 {
		r := gather(t, kind, ByProcess, a.Process.Pid, "", 2*time.Second)
		if len(r.Rows) != 1 || !strings.HasSuffix(r.Rows[0].Group, "["+strconv.Itoa(a.Process.Pid)+"]") {
			t.Fatalf("%s: %+v", kind, r)
		}
		return float64(r.Rows[0].Sum) / 1e9 / r.Took
	}
	// others want the processor too, so that it is less than a half
	wait, ran := share("runq"), share("oncpu")
	k, _ := KindNamed("runq")
	r, err := Gather(context.Background(), Options{Kind: k, By: ByAll, Pid: uint32(a.Process.Pid), For: 2 * time.Second, tracked: true})
	if err != nil || len(r.Rows) != 1 {
		t.Fatalf("%v: %+v", err, r)
	}
	tracked := float64(r.Rows[0].Sum) / 1e9 / r.Took
	t.Logf("waited %.2f, or %.2f by its wake-ups, and ran %.2f of the time", wait, tracked, ran)
	if min(wait, tracked) < 0.3 || max(wait, tracked) > 1.05 {
		t.Errorf("it waited for %.2f of the time, or %.2f by its wake-ups, want about a half", wait, tracked)
	}
	before := gather(t, "runq", ByOwn, a.Process.Pid, "", 2*time.Second)
	most := slices.MaxFunc(append(before.Rows, Row{}), func(x, y Row) int { return cmp.Compare(x.Count, y.Count) })
	blamed := slices.ContainsFunc(before.Rows, func(row Row) bool { return row.Group == "sh["+strconv.Itoa(b.Process.Pid)+"]" && row.Count > 0 })
	if !blamed || guest.Name() != "" && most.Group != "sh["+strconv.Itoa(b.Process.Pid)+"]" { // natively others are at work there too
		t.Errorf("the waits came behind %+v, want sh[%d]", before.Rows, b.Process.Pid)
	}
	if ran < 0.1 || ran > 0.7 {
		t.Errorf("it ran for %.2f of the time, want about a half", ran)
	}
}

// TestOffcpuAndSyscall has a program that sleeps for 50 ms again and again.
func TestOffcpuAndSyscall(t *testing.T) {
	guest.NeedKernel(t)
	up := filepath.Join(t.TempDir(), "up")
	p := run(t, "/usr/bin/python3", "-c", "import time\nopen('"+up+"','w')\nwhile 1: time.sleep(.05)")
	for { // until it sleeps; a slow guest takes seconds
		if _, err := os.Stat(up); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	near := func(r *Result, group string) {
		t.Helper()
		for _, row := range r.Rows {
			if !strings.HasPrefix(row.Group, group) {
				continue
			}
			if row.Count < 5 || row.P50 < 40e6 || row.P50 > 130e6 {
				t.Errorf("%s: %d times, half of them within %d ms, want about 50", row.Group, row.Count, row.P50/1e6)
			}
			return
		}
		t.Errorf("there is no %s in %+v", group, r.Rows)
	}
	near(gather(t, "offcpu", ByProcess, p.Process.Pid, "", 2*time.Second), "python3[")
	r := gather(t, "syscall", ByOwn, p.Process.Pid, "", 2*time.Second)
	group := "clock_nanosleep"
	for _, row := range r.Rows {
		if row.Group == "pselect6" || row.Group == "select" { // what older Pythons sleep with
			group = row.Group
		}
	}
	near(r, group)
	if r = gather(t, "syscall", ByAll, 0, "no-such-name", time.Second); len(r.Rows) != 0 {
		t.Errorf("a name that nobody has gives %+v", r.Rows)
	}
}

// TestInterrupts sees the timer's.
func TestInterrupts(t *testing.T) {
	guest.Require(t)
	r := gather(t, "softirq", ByOwn, 0, "", 2*time.Second)
	names := map[string]bool{}
	for _, row := range r.Rows {
		names[row.Group] = row.Count > 0 && row.Max >= row.P50/2
	}
	if !names["timer"] && !names["rcu"] && !names["sched"] {
		t.Errorf("none of the usual soft interrupts: %+v", r.Rows)
	}
	if r = gather(t, "softirq", ByCPU, 0, "", time.Second); len(r.Rows) == 0 || !strings.HasPrefix(r.Rows[0].Group, "cpu ") {
		t.Errorf("by processor: %+v", r.Rows)
	}
	gather(t, "irq", ByOwn, 0, "", time.Second) // a guest may have none in a second
}
