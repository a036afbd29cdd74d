package task

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// follow traces for a while, and returns the intervals and their sums.
func follow(t *testing.T, c kernel.Choice, d time.Duration) ([]*Interval, []*Sum) {
	t.Helper()
	tr, err := Open(Options{c})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var out []*Interval
	var sums Sums
	if err := tr.Run(ctx, func(i *Interval) bool {
		out = append(out, i)
		sums.Add(i)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	n, err := tr.Totals()
	if err != nil || n.Lost > 0 || n.Full > 0 || n.Told == 0 {
		t.Errorf("%+v, %v", n, err)
	}
	t.Logf("%+v %v", n, tr.Notes)
	for k, i := range out {
		if k < 12 {
			_ = i.WriteText(logger{t}, func(s string) string { return s })
		}
	}
	return out, sums.List()
}

type logger struct{ t *testing.T }

func (l logger) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// lastCPU returns a processor that this process may use, as a set.
func lastCPU(t *testing.T) *unix.CPUSet {
	t.Helper()
	var may, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		t.Fatal(err)
	}
	last := 0
	for i := range len(may) * 64 {
		if may.IsSet(i) {
			last = i
		}
	}
	one.Set(last)
	return &one
}

func start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// TestTwoSpinnersShareAProcessor has two programs that never sleep on one processor:
// each is preempted, and waits while the other runs.
func TestTwoSpinnersShareAProcessor(t *testing.T) {
	guest.NeedKernel(t)
	one := lastCPU(t)
	var pids []int
	for range 2 {
		p := start(t, "sh", "-c", "while :; do :; done").Process.Pid
		if err := unix.SchedSetaffinity(p, one); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, p)
	}
	time.Sleep(100 * time.Millisecond)
	intervals, sums := follow(t, kernel.Choice{Pid: uint32(pids[0]), Scope: kernel.HostScope()}, 1500*time.Millisecond)
	if len(sums) != 1 {
		t.Fatalf("%d tasks, want 1", len(sums))
	}
	s := sums[0]
	t.Logf("%+v", s)
	if s.Pid != uint32(pids[0]) || s.Slept != 0 || s.Preempted < 5 || s.Preempted != s.Runs {
		t.Errorf("it is %+v", s)
	}
	part := float64(s.Ran) / float64(s.Ran+s.Waited)
	if guest.Name() == "" { // others are at work there too
		return
	}
	if part < 0.3 || part > 0.7 {
		t.Errorf("it ran %.2f of the time, want about half", part)
	}
	if want := "sh[" + strconv.Itoa(pids[1]) + "]"; s.WaitedFor != want {
		t.Errorf("it waited for %s, want %s", s.WaitedFor, want)
	}
	for k := 1; k < len(intervals); k++ { // one begins where the other ends
		a, b := intervals[k-1], intervals[k]
		if gap := b.At.Sub(a.At.Add(a.Took)); gap != 0 {
			t.Errorf("between %s and %s are %s", a.What, b.What, gap)
		}
	}
}

// TestReaderOfAPipe has a program wait for another one: it sleeps in the pipe's function,
// and the writer wakes it.
func TestReaderOfAPipe(t *testing.T) {
	guest.NeedKernel(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat")
	cmd.Stdin = r
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				_ = w.Close()
				_ = cmd.Wait()
				return
			case <-time.After(40 * time.Millisecond):
				_, _ = w.Write([]byte("x"))
			}
		}
	}()
	defer close(done)
	_, sums := follow(t, kernel.Choice{Pid: uint32(cmd.Process.Pid), Scope: kernel.HostScope()}, 1500*time.Millisecond)
	if len(sums) != 1 || sums[0].Comm != "cat" || sums[0].Slept < 300*time.Millisecond || sums[0].Runs < 8 {
		t.Fatalf("%+v", sums)
	}
	if s := sums[0]; !strings.Contains(s.SleptIn, "pipe") && !strings.Contains(s.SleptIn, "splice") {
		t.Errorf("it slept in %s", s.SleptIn)
	}
}

// TestWhoWakes looks at the intervals of one sleep, run by run.
func TestWhoWakes(t *testing.T) {
	guest.NeedKernel(t)
	one := lastCPU(t)
	cmd := start(t, "sh", "-c", "while :; do sleep 0.03; done")
	if err := unix.SchedSetaffinity(cmd.Process.Pid, one); err != nil {
		t.Fatal(err)
	}
	intervals, sums := follow(t, kernel.Choice{Comm: "sleep", Scope: kernel.HostScope()}, time.Second)
	if len(sums) < 3 {
		t.Errorf("%d programs, want several, as each lasts 0.03 s", len(sums))
	}
	naps := 0
	for _, i := range intervals {
		if i.What == "slept" && i.Took > 25*time.Millisecond && strings.Contains(strings.Join(i.Where, " "), "nanosleep") {
			naps++
		}
	}
	if naps < 3 {
		t.Errorf("%d sleeps in nanosleep, want several", naps)
	}
}
