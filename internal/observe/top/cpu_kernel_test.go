package top

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// burnerName is what the programs that only compute are called, so that they are looked
// at alone and together.
const burnerName = "bcburn"

// burner starts a program that only computes, on processor 0.
func burner(t *testing.T) uint32 {
	t.Helper()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), burnerName)
	b, err := os.ReadFile(shell)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // the child ends with this thread
	t.Cleanup(runtime.UnlockOSThread)
	cmd := exec.Command(program, "-c", "while :; do :; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
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
	return uint32(cmd.Process.Pid)
}

// twoBurners looks at two processes in one and the same interval: what they have of a
// processor can only be compared there.
func twoBurners(t *testing.T, a, b uint32, tracked bool) (first, second CPU) {
	t.Helper()
	v, _ := ViewNamed("cpu")
	w, err := Open(Options{View: v, Comm: burnerName, tracked: tracked})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	f, err := w.Next(context.Background(), 4*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[uint32]CPU{}
	all, _ := f.Rows.([]CPU)
	for _, r := range all {
		rows[r.Pid] = r
		t.Logf("%+v blame %s, programs %s", r, r.Blame, f.BPF)
	}
	if len(rows) != 2 || rows[a].Pid != a || rows[b].Pid != b || f.Lost > 0 {
		t.Fatalf("%+v", f)
	}
	return rows[a], rows[b]
}

// TestTwoBurners has two programs want the same processor: they share it evenly, are put
// off it without wanting to, and each waits for the other. Once one is nicer by five, it
// has a quarter: weights are 335 to 1024.
func TestTwoBurners(t *testing.T) {
	guest.NeedKernel(t)
	a, b := burner(t), burner(t)
	share := func(x, y CPU) float64 { return x.On / (x.On + y.On) }
	x, y := twoBurners(t, a, b, false)
	if s := share(x, y); s < 0.4 || s > 0.6 {
		t.Errorf("the first has %.2f of what both have, want a half", s)
	}
	for _, r := range []CPU{x, y} {
		if r.Involuntary < 5*r.Voluntary || r.Involuntary == 0 {
			t.Errorf("%.1f voluntary switches and %.1f others", r.Voluntary, r.Involuntary)
		}
		if r.WaitP99 < r.WaitP50 || r.WaitP50 == 0 {
			t.Errorf("waits of %d and %d", r.WaitP50, r.WaitP99)
		}
	}
	// natively others are at work there too, and may have had it longest
	each := guest.Name() == "" || x.Blame != nil && x.Blame.Pid == b && y.Blame != nil && y.Blame.Pid == a
	if x.WaitSum == 0 || x.Blame == nil || y.Blame == nil || !each {
		t.Errorf("they blame %s and %s, want each other", x.Blame, y.Blame)
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, int(b), 5); err != nil {
		t.Fatal(err)
	}
	x, y = twoBurners(t, a, b, true) // both ways of knowing how long they wait
	if s := share(x, y); s < 0.66 || s > 0.84 {
		t.Errorf("the first has %.2f of what both have, want three quarters", s)
	}
	if x.WaitSum == 0 || y.WaitSum == 0 {
		t.Errorf("they waited %d ns and %d", x.WaitSum, y.WaitSum)
	}
}
