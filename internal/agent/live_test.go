package agent

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/scan"
)

func aCall(typ event.Type, name string, ret int64) *event.Event {
	ev := &event.Event{Type: typ, Proc: &event.Process{Key: event.Key{Pid: 40, Start: 1}}, Call: &event.Call{Ret: ret}}
	for _, s := range event.CallsOf(typ) {
		if s.Name == name {
			ev.Call.Spec = s
		}
	}
	return ev
}

func TestCauses(t *testing.T) {
	opened := func(path string, ret int64) *event.Event {
		ev := aCall(event.Open, "openat", ret)
		ev.Call.Path = &event.FileRef{File: event.File{Path: path}}
		return ev
	}
	program := func(kind string) *event.Event {
		ev := aCall(event.BPF, "bpf", 5)
		ev.Call.BPF = &event.BPFInfo{Cmd: "BPF_PROG_LOAD", ProgType: kind}
		return ev
	}
	moved := aCall(event.Rename, "rename", 0)
	moved.Call.Path, moved.Call.Path2 = &event.FileRef{File: event.File{Path: "/etc/x"}}, &event.FileRef{File: event.File{Path: "/etc/ld.so.preload"}}
	for _, c := range []struct {
		name   string
		ev     *event.Event
		checks []string
	}{
		{"module", aCall(event.Module, "finit_module", 0), afterModule},
		{"module from memory", aCall(event.Module, "init_module", 0), afterModule},
		{"refused module", aCall(event.Module, "finit_module", -1), nil},
		{"unloading", aCall(event.Module, "delete_module", 0), nil},
		{"probe", opened("/sys/kernel/tracing/kprobe_events", 3), afterProbe},
		{"refused probe", opened("/sys/kernel/tracing/kprobe_events", -13), nil},
		{"another file", opened("/etc/passwd", 3), nil},
		{"list", opened("/etc/ld.so.preload", 3), afterList},
		{"list moved into place", moved, afterList},
		{"tracing program", program("kprobe"), afterProgram},
		{"program for a control group", program("cgroup_device"), nil},
		{"map", aCall(event.BPF, "bpf", 4), nil},
	} {
		got := causeOf(c.ev)
		if (got == nil) != (c.checks == nil) || got != nil && !slices.Equal(got.checks, c.checks) {
			t.Errorf("%s: %+v, want %v", c.name, got, c.checks)
		}
	}
	l := newLive(40)
	l.note(aCall(event.Module, "finit_module", 0))
	if len(l.causes) != 0 {
		t.Error("the agent's own calls are a reason")
	}
	for name := range causeNames() {
		if !slices.ContainsFunc(scan.Checks(), func(c scan.Check) bool { return c.Name == name }) {
			t.Errorf("there is no check %s", name)
		}
	}
}

func causeNames() map[string]bool {
	out := map[string]bool{}
	for _, list := range [][]string{afterModule, afterProbe, afterProgram, afterList} {
		for _, n := range list {
			out[n] = true
		}
	}
	return out
}

// TestLooksFollowCauses wants a look for a cause at once, another later, and not more than
// one at a time however many causes there are.
func TestLooksFollowCauses(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l := newLive(1)
	looks := make(chan []string, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.loop(ctx, func(_ context.Context, checks []string) (*scan.Report, error) {
			return &scan.Report{}, nil
		}, func(_ *scan.Report, checks []string, c *cause) {
			if c.after == "" {
				t.Error("a look has no cause")
			}
			looks <- checks
		}, t.Errorf)
	}()
	for range 20 {
		l.note(aCall(event.Module, "finit_module", 0))
	}
	for i := range 2 { // for the first cause at once, and for those that came meanwhile
		select {
		case got := <-looks:
			if !slices.Equal(got, afterModule) {
				t.Errorf("look %d is for %v", i, got)
			}
		case <-time.After(time.Minute):
			t.Fatalf("look %d does not come", i)
		}
	}
	stop()
	<-done
}

func TestPlans(t *testing.T) {
	at := time.Unix(100, 0)
	plans := planned(nil, cause{after: "a", checks: afterModule}, at, true)
	plans = planned(plans, cause{after: "b", checks: afterProbe}, at.Add(time.Second), true)
	plans = planned(plans, cause{after: "c", checks: afterModule}, at.Add(time.Second), false)
	if len(plans) != 2*len(passes) || !slices.IsSortedFunc(plans, func(a, b plan) int { return a.at.Compare(b.at) }) {
		t.Errorf("the plans are %+v", plans)
	}
	if !plans[0].fresh || !plans[1].fresh || plans[2].fresh {
		t.Errorf("of the looks that wait, others than the first are to come at once: %+v", plans)
	}
	checks, last := union(plans[:2])
	if want := append(slices.Clone(afterProbe), "hidden-module", "kernel-table", "interrupt-table"); !slices.Equal(checks, want) || last.after != "c" {
		t.Errorf("both want %v, the last is %q", checks, last.after)
	}
}

func TestFreshCauses(t *testing.T) {
	l := newLive(1)
	module, probe := &cause{checks: afterModule}, &cause{checks: afterProbe}
	if !l.isFresh(module) || !l.isFresh(probe) || l.isFresh(module) {
		t.Error("the first of each reason has to be looked for at once, and the next one not")
	}
}

func TestPreloadedLibraries(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("there is no gcc to make a library with")
	}
	dir := t.TempDir()
	cmd := exec.Command("gcc", "-shared", "-fPIC", "-xc", "-", "-o", filepath.Join(dir, "l.so"))
	cmd.Stdin = strings.NewReader("int readdir64(void) { return 0; }")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v: %s", err, out)
	}
	ran := func(pid uint32, env ...string) *event.Event {
		return &event.Event{Type: event.Exec, ExecInfo: &event.ExecInfo{}, Proc: &event.Process{Key: event.Key{Pid: pid, Start: 1}, Comm: "ls", Image: &event.Image{Cwd: dir, Env: env}}}
	}
	l := newLive(1)
	l.note(ran(2))
	l.note(ran(2, "PATH=/bin", "LD_PRELOAD=libm.so"))
	if len(l.causes) != 0 {
		t.Error("programs that preload nothing are a reason")
	}
	for _, pid := range []uint32{uint32(os.Getpid()), 1 << 30} { // of a process that runs, and of one that has ended
		l.note(ran(pid, "LD_PRELOAD=./l.so:./none.so"))
		c := <-l.causes
		r := l.libraries(&c)
		if len(r.Findings) != 1 || r.Findings[0].Path != filepath.Join(dir, "l.so") || c.after != "execve" {
			t.Errorf("after %+v: %+v", c, r.Findings)
		}
	}
}

func TestUnlisted(t *testing.T) {
	self := event.Process{Key: event.Key{Pid: uint32(os.Getpid()), Start: 5}, Comm: "self"}
	if proof(&self) == "" {
		t.Error("this test does not run")
	}
	gone := event.Process{Key: event.Key{Pid: 1 << 30, Start: 5}, Cgroup: &event.Cgroup{Path: "/"}}
	if how := proof(&gone); how != "" {
		t.Errorf("a process that never was runs: %s", how)
	}
	var told []string
	u := &unlisted{told: map[event.Key]bool{}, found: func(f scan.Finding, _ event.Key) { told = append(told, f.What+": "+f.Evidence) },
		alive: func(pid uint32) (event.Process, bool) { return self, pid == self.Pid }}
	if got := u.missing([]uint32{self.Pid, gone.Pid}); len(got) != 0 {
		t.Errorf("%v are missing in /proc", got)
	}
	u.tell(self.Pid)
	u.tell(self.Pid)
	u.tell(gone.Pid)
	if len(told) != 1 || !strings.Contains(told[0], "is hidden") || !strings.Contains(told[0], "it takes signals") {
		t.Errorf("told %q", told)
	}
}
