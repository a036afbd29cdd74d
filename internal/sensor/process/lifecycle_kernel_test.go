package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"golang.org/x/sys/unix"
)

func TestFork(t *testing.T) {
	w := watch(t, watchOptions{})
	cmd := exec.Command("bash", "-c", "(exit 3); exit 4")
	w.run(cmd)
	child := w.find(event.Fork, "the subshell", func(r *event.TaskRecord) bool { return int(r.Creator.Pid) == cmd.Process.Pid })
	equal(t, "parent", child.Parent, child.Creator)
	equal(t, "ppid", int(child.PPid), cmd.Process.Pid)
	equal(t, "comm", child.Comm, "bash")
	first := w.find(event.Fork, "bash", byPid(cmd.Process.Pid))
	equal(t, "bash's parent", int(first.Parent.Pid), os.Getpid())
	equal(t, "parent's key", child.Parent, first.Key)
	sub := w.find(event.Exit, "the subshell", func(r *event.TaskRecord) bool { return r.Key == child.Key })
	equal(t, "exit code", sub.Exit.Code, 3)
	equal(t, "exit code of bash", w.find(event.Exit, "bash", byPid(cmd.Process.Pid)).Exit.Code, 4)
}

func TestExitBySignal(t *testing.T) {
	w := watch(t, watchOptions{})
	cmd := exec.Command("sh", "-c", "kill -9 $$")
	w.run(cmd)
	x := w.find(event.Exit, "sh", byPid(cmd.Process.Pid)).Exit
	equal(t, "signal", x.Signal, 9)
	equal(t, "code", x.Code, 0)
	equal(t, "core", x.CoreDumped, false)
}

func TestExitWithCore(t *testing.T) {
	w := watch(t, watchOptions{})
	dir := tempDir(t)
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	check(t, err)
	if strings.HasPrefix(string(pattern), "|") || strings.HasPrefix(string(pattern), "/") {
		t.Skipf("cores go to %q on this host, which a test must not fill", strings.TrimSpace(string(pattern)))
	}
	cmd := exec.Command("sh", "-c", "ulimit -c unlimited; kill -SEGV $$")
	cmd.Dir = dir
	err = cmd.Run()
	var ee *exec.ExitError
	if !errors.As(err, &ee) {
		t.Fatalf("the shell did not end by a signal: %v", err)
	}
	x := w.find(event.Exit, "sh", byPid(cmd.Process.Pid)).Exit
	equal(t, "signal", x.Signal, 11)
	equal(t, "core", x.CoreDumped, ee.Sys().(syscall.WaitStatus).CoreDump())
	if !x.CoreDumped {
		t.Skip("this host writes no cores")
	}
}

func TestExitAccounts(t *testing.T) {
	w := watch(t, watchOptions{})
	cmd := self("burn", "300ms")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	x := w.find(event.Exit, "the burner", byPid(cmd.Process.Pid)).Exit
	ru := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	used := time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	if d := x.CPUTime - used; d < -50*time.Millisecond || d > 50*time.Millisecond {
		t.Errorf("CPU time is %v, the kernel told the parent %v", x.CPUTime, used)
	}
	if x.User+x.System < used/2 {
		t.Errorf("user and system time are %v and %v of %v", x.User, x.System, used)
	}
	rss := uint64(ru.Maxrss) << 10
	if d := int64(x.MaxRSS) - int64(rss); d < -(2<<20) || d > 2<<20 || rss < 60<<20 {
		t.Errorf("the largest resident set is %d, the kernel told the parent %d", x.MaxRSS, rss)
	}
}

// Threads come and go without a record; the process ends once.
func TestThreads(t *testing.T) {
	w := watch(t, watchOptions{})
	cmd := self("threads", "100")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	w.find(event.Exit, "the threads' process", byPid(pid))
	w.stop()
	equal(t, "forks", w.count(event.Fork, byPid(pid)), 1)
	equal(t, "execs", w.count(event.Exec, byPid(pid)), 1)
	// two threads that end at the same moment may both be the last
	if n := w.count(event.Exit, byPid(pid)); n < 1 || n > 2 {
		t.Errorf("there are %d exit records", n)
	}
}

func TestComm(t *testing.T) {
	w := watch(t, watchOptions{})
	cmd := self("rename")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	r := w.find(event.Comm, "the leader", byPid(cmd.Process.Pid))
	equal(t, "new name", r.Comm, "kworker/0:1")
	equal(t, "old name", r.OldComm, "exe")
	w.stop()
	equal(t, "name changes", w.count(event.Comm, byPid(cmd.Process.Pid)), 1)
}

// The two rings are read as one stream: a change of name, which travels in the
// bulk ring, comes behind the fork and exec before it.
func TestOrderAcrossRings(t *testing.T) {
	w := watch(t, watchOptions{})
	for range 20 {
		if err := exec.Command("sh", "-c", "printf renamed > /proc/$$/comm; exec true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(100 * time.Millisecond)
	w.stop()
	last := map[event.Key]event.Type{}
	comms := 0
	for i := range w.records {
		r := &w.records[i]
		if i > 0 && r.Boot+uint64(time.Millisecond) < w.records[i-1].Boot {
			t.Fatalf("record %d of type %s is %d ns older than the one before", i, r.Type, w.records[i-1].Boot-r.Boot)
		}
		if r.Type == event.Comm && r.Comm == "renamed" {
			comms++
			if last[r.Key] != event.Exec {
				t.Errorf("the change of name of %s came behind %s", r.Key, last[r.Key])
			}
		}
		last[r.Key] = r.Type
	}
	equal(t, "changes of name", comms, 20)
}

func TestScopePid(t *testing.T) {
	stranger := exec.Command("sh", "-c", "while read x; do /bin/true; done")
	in, err := stranger.StdinPipe()
	check(t, err)
	check(t, stranger.Start()) // before the scope begins
	defer stranger.Wait()
	defer in.Close()
	w := watch(t, watchOptions{})
	fmt.Fprintln(in, "go")
	w.run(exec.Command("bash", "-c", "sh -c '(exec true); exit 0'"))
	time.Sleep(100 * time.Millisecond)
	w.stop()
	equal(t, "records of an older child's children", w.count(event.Exec, func(r *event.TaskRecord) bool {
		return int(r.Parent.Pid) == stranger.Process.Pid
	}), 0)
	if n := w.count(event.Exec, func(r *event.TaskRecord) bool { return r.Comm == "true" }); n < 1 {
		t.Error("the grandchild of the scope's process was not seen")
	}
	equal(t, "children that did not fit", w.sensor.ScopeFull(), 0)
}

func cgroupDir(t *testing.T) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(root, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
			dir := filepath.Join(root, fmt.Sprintf("bearcat-test-%d", os.Getpid()))
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Skipf("no control group can be made here: %v", err)
			}
			t.Cleanup(func() { os.Remove(dir) })
			return dir
		}
	}
	t.Skip("no cgroup v2 hierarchy is mounted")
	return ""
}

func TestCgroup(t *testing.T) {
	dir := cgroupDir(t)
	inner := dir + "/inner"
	check(t, os.Mkdir(inner, 0o755))
	t.Cleanup(func() { os.Remove(inner) })
	scope, err := kernel.CgroupScope(dir)
	check(t, err)
	w := watch(t, watchOptions{Options: Options{Scope: scope}})
	exe := tiny(t, "grouped", 0)
	if err := exec.Command(exe).Run(); err != nil { // outside
		t.Fatal(err)
	}
	r := w.run(exec.Command("sh", "-c", "echo $$ > "+inner+"/cgroup.procs; exec "+exe))
	equal(t, "path", r.CgroupPath, "/"+filepath.Base(dir)+"/inner")
	want, err := kernel.CgroupScope(inner)
	check(t, err)
	equal(t, "id", r.CgroupID, want.CgroupID)
	w.stop()
	equal(t, "records from inside", w.count(event.Exec, func(*event.TaskRecord) bool { return true }), 1)
}

// With a ring of one page, and for a while nobody who reads it, most is lost, and the
// account is exact.
func TestLossIsCounted(t *testing.T) {
	late := make(chan struct{})
	w := watch(t, watchOptions{critical: 4096, bulk: 4096, late: late})
	exe := tiny(t, "storm", 0)
	for i := range 200 {
		if i == 100 {
			close(late)
		}
		if err := exec.Command(exe).Run(); err != nil {
			t.Fatal(err)
		}
	}
	w.stop()
	counts, err := w.sensor.Streams()
	check(t, err)
	produced, lost := map[event.Type]uint64{}, map[event.Type]uint64{}
	for _, c := range counts {
		produced[c.Type] += c.Produced
		lost[c.Type] += c.Lost
		w.holes[c.Type] += w.streams.End(c.CPU, c.Stream, c.Produced).N()
	}
	for _, typ := range []event.Type{event.Exec, event.Fork, event.Exit, event.Comm} {
		equal(t, fmt.Sprintf("%s records seen and in gaps", typ), w.seen[typ]+w.holes[typ], produced[typ])
		equal(t, fmt.Sprintf("%s records in gaps", typ), w.holes[typ], lost[typ])
	}
	if lost[event.Exec] == 0 || produced[event.Exec] < 200 {
		t.Errorf("of %d exec records %d were lost: the ring was not too small", produced[event.Exec], lost[event.Exec])
	}
}

// At the rate that this host can make processes, the default rings lose none.
func TestStormLosesNothing(t *testing.T) {
	w := watch(t, watchOptions{})
	exe := tiny(t, "storm", 0)
	const each = 300
	done := make(chan error)
	for range 2 {
		go func() {
			for range each {
				if err := exec.Command(exe).Run(); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 2 {
		check(t, <-done)
	}
	time.Sleep(50 * time.Millisecond)
	hooks := w.sensor.Hooks()
	w.stop()
	seen := map[event.Key]map[event.Type]int{}
	for i := range w.records {
		r := &w.records[i]
		if seen[r.Key] == nil {
			seen[r.Key] = map[event.Type]int{}
		}
		if r.Type != event.Exec || r.Comm == "storm" {
			seen[r.Key][r.Type]++
		}
	}
	execs := 0
	for key, types := range seen {
		if types[event.Exec] == 0 {
			continue
		}
		execs++
		if types[event.Exec] != 1 || types[event.Fork] != 1 || types[event.Exit] != 1 {
			t.Errorf("process %s has the records %v", key, types)
		}
	}
	equal(t, "processes", execs, 2*each)
	if len(w.sensor.copies) > 0 {
		return // each copy may have missed calls that another has handled
	}
	for _, h := range hooks {
		equal(t, "calls that "+h.Hook+" missed", h.Missed, 0)
	}
}

func TestProbeLoadsEverything(t *testing.T) {
	w := watch(t, watchOptions{})
	hooks, err := Probe(w.transport)
	check(t, err)
	for _, h := range hooks {
		if !h.Attached {
			t.Errorf("%s does not load: %s", h.Hook, h.Error)
		}
	}
	equal(t, "programs", len(hooks), 5)
}
