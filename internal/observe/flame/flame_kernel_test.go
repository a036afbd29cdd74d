package flame

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/google/pprof/profile"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// envWork makes the test's program a child that does one thing only.
const envWork = "BEARCAT_FLAME_WORK"

func TestMain(m *testing.M) {
	switch os.Getenv(envWork) {
	case "burn":
		for {
			sink += burnHere(1 << 20)
		}
	case "sleep":
		for {
			sleepHere()
		}
	case "touch":
		for {
			touchHere()
		}
	}
	os.Exit(m.Run())
}

var sink int

//go:noinline
func burnHere(n int) (sum int) {
	for i := range n {
		sum += i ^ sum<<1
	}
	return sum
}

//go:noinline
func sleepHere() {
	ts := unix.NsecToTimespec(20e6)
	_ = unix.Nanosleep(&ts, nil)
}

//go:noinline
func touchHere() {
	b, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		os.Exit(1)
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	_ = unix.Munmap(b)
	time.Sleep(10 * time.Millisecond)
}

// work starts this program as a child that does something.
func work(t *testing.T, what string) int {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envWork+"="+what)
	return start(t, cmd)
}

func start(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	// the child must not outlive a test that is cut off
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// count counts stacks for a while.
func count(t *testing.T, o Options, kind string) *Result {
	t.Helper()
	guest.NeedKernel(t)
	o.Kind, _ = KindNamed(kind)
	o.For = 3 * time.Second
	r, err := Count(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d samples of %d %s in %.1f s, lost %d and %d, the program took %s, bearcat %s, notes %q", kind, r.Samples, r.Total, r.Unit, r.Took, r.Lost, r.Unnamed, r.BPF, r.Own, r.Notes)
	for i, s := range r.Stacks {
		if i < 3 {
			t.Logf("  %d %s[%d] %v", s.Weight, s.Comm, s.Pid, s.Frames)
		}
	}
	if r.Lost > 0 {
		t.Errorf("%d stacks were lost", r.Lost)
	}
	return r
}

// share is which part of the weight went through a function.
func share(r *Result, function string) float64 {
	through := uint64(0)
	for _, s := range r.Stacks {
		for _, f := range s.Frames {
			if strings.Contains(f.Name, function) {
				through += s.Weight
				break
			}
		}
	}
	return float64(through) / float64(max(r.Total, 1))
}

func most(t *testing.T, r *Result, function string, least float64) {
	t.Helper()
	if got := share(r, function); got < least {
		t.Errorf("%s: %.2f of the weight is in %s, want %.2f", r.Kind, got, function, least)
	}
}

// TestHotFunctionOfGo has a Go program that only computes: the function holds the
// samples, in each form of output.
func TestHotFunctionOfGo(t *testing.T) {
	guest.NeedKernel(t)
	pid := work(t, "burn")
	net, err := kernel.NetOf(uint32(pid))
	if err != nil {
		t.Fatal(err)
	}
	clock, _ := KindNamed("cpu")
	other, err := Count(context.Background(), Options{Kind: clock, Pid: uint32(pid), Net: net + 1, For: 200 * time.Millisecond})
	if err != nil || other.Samples != 0 {
		t.Errorf("in a network namespace that it is not in: %+v, %v", other, err)
	}
	r := count(t, Options{Pid: uint32(pid), Net: net}, "cpu")
	if r.Samples < 20 {
		t.Errorf("%d samples of a program that runs all the time", r.Samples)
	}
	most(t, r, "flame.burnHere", 0.8)
	most(t, r, "main.main", 0.8) // frame pointers lead there, past the caller of a function that calls none
	var b bytes.Buffer
	if err := r.WriteSVG(&b, "test"); err != nil || !strings.Contains(b.String(), `flame.burnHere"`) {
		t.Errorf("the function is not in the graph: %v", err)
	}
	b.Reset()
	if err := r.WritePprof(&b); err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(0); len(p.Sample) == 0 || p.Sample[0].Value[0] <= n {
		t.Errorf("the profile has %d samples", len(p.Sample))
	}
}

const hotC = `
volatile unsigned long sum;
__attribute__((noinline)) void hot_function(void) { for (unsigned long i = 0; i < 1000000; i++) sum += i; }
__attribute__((noinline)) void its_caller(void) { for (;;) { hot_function(); sum++; } }
int main(void) { its_caller(); return 0; }
`

// TestHotFunctionOfC does the same with a C program that has frame pointers and no table,
// chosen by its name; what comes before main is the C library, with a table and without
// frame pointers. It is not optimized: GCC leaves the frame out of a function that calls
// none.
func TestHotFunctionOfC(t *testing.T) {
	guest.NeedKernel(t)
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("there is no gcc")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hot.c"), []byte(hotC), 0o600); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "bc-hot-c")
	if out, err := exec.Command(gcc, "-O0", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables", "-o", exe, filepath.Join(dir, "hot.c")).CombinedOutput(); err != nil {
		t.Skipf("gcc does not work here: %v %s", err, out)
	}
	pid := start(t, exec.Command(exe))
	r := count(t, Options{Comm: "bc-hot-c"}, "cpu")
	most(t, r, "hot_function", 0.8)
	most(t, r, "its_caller", 0.8)
	most(t, r, "__libc_start_main", 0.8)
	for _, s := range r.Stacks {
		if s.Pid != uint32(pid) {
			t.Errorf("%s[%d] has another name", s.Comm, s.Pid)
		}
	}
}

// TestControlGroup sees what is in a group, and nothing in one that is empty.
func TestControlGroup(t *testing.T) {
	guest.Require(t)
	pid := work(t, "burn")
	for _, in := range []bool{true, false} {
		dir, err := os.MkdirTemp("/sys/fs/cgroup", "bearcat-flame-")
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		if in {
			if err := os.WriteFile(dir+"/cgroup.procs", []byte(itoa(pid)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		scope, err := kernel.CgroupScope(dir)
		if err != nil {
			t.Fatal(err)
		}
		r := count(t, Options{Scope: scope}, "cpu")
		if in {
			most(t, r, "flame.burnHere", 0.8)
		} else if r.Samples > 0 {
			t.Errorf("an empty group has %+v", r.Stacks)
		}
	}
}

// TestSleepsAndCalls has a program that sleeps by a call.
func TestSleepsAndCalls(t *testing.T) {
	guest.NeedKernel(t)
	pid := uint32(work(t, "sleep"))
	r := count(t, Options{Pid: pid}, "offcpu")
	if got := share(r, "flame.sleepHere"); got == 0 {
		t.Error("nobody sleeps in sleepHere")
	}
	through := uint64(0)
	for _, s := range r.Stacks {
		if share(&Result{Stacks: []Stack{s}, Total: s.Weight}, "flame.sleepHere") > 0 {
			through += s.Weight
		}
	}
	if s := float64(through) / 1e9 / r.Took; s < 0.7 || s > 1.1 {
		t.Errorf("the sleeps in sleepHere are %.2f of the time", s)
	}
	if share(r, "schedule") < 0.5 {
		t.Errorf("the kernel's part does not end in schedule")
	}
	r = count(t, Options{Pid: pid}, "syscall")
	most(t, r, "flame.sleepHere", 0.1)
	most(t, r, "nanosleep", 0.1)
	r = count(t, Options{Pid: pid}, "wake")
	most(t, r, "wakes ", 1)
}

// TestFaultsAndPages has a program that touches new memory: 256 pages at a time.
func TestFaultsAndPages(t *testing.T) {
	guest.NeedKernel(t)
	pid := uint32(work(t, "touch"))
	most(t, count(t, Options{Pid: pid}, "fault"), "flame.touchHere", 0.5)
	most(t, count(t, Options{Pid: pid}, "alloc"), "flame.touchHere", 0.5)
}

// TestDropsHaveStacks sends to a port where nobody listens; it acts on the guest only.
func TestDropsHaveStacks(t *testing.T) {
	guest.Require(t)
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Skipf("loopback cannot be brought up: %v %s", err, out)
	}
	cmd := exec.Command("/usr/bin/python3", "-c", "import socket,time\ns=socket.socket(2,2)\nwhile 1: s.sendto(b'x',('127.0.0.1',9));time.sleep(.01)")
	r := count(t, Options{Pid: uint32(start(t, cmd))}, "drop")
	most(t, r, "udp", 0.5)
}

// TestCompiledWhileRunning has Node compile a function, whose name is in the map that
// Node writes.
func TestCompiledWhileRunning(t *testing.T) {
	guest.NeedKernel(t)
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	cmd := exec.Command(node, "--perf-basic-prof", "-e", "function burnInNode(n){let s=0;for(let i=0;i<n;i++)s=(s*31+i)|0;return s}for(;;)burnInNode(1e6)")
	cmd.Dir = t.TempDir() // where it writes a log that nobody asked for
	pid := start(t, cmd)
	t.Cleanup(func() { _ = os.Remove("/tmp/perf-" + itoa(pid) + ".map") })
	time.Sleep(2 * time.Second) // it compiles first
	if _, err := os.Stat("/tmp/perf-" + itoa(pid) + ".map"); err != nil {
		t.Skipf("node writes no map: %v", err)
	}
	most(t, count(t, Options{Pid: uint32(pid)}, "cpu"), "burnInNode", 0.5)
}
