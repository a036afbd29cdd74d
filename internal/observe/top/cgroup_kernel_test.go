package top

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// groupsAfter are the rows of an interval, by path.
func groupsAfter(t *testing.T, w *Top, d time.Duration) map[string]Group {
	t.Helper()
	f, err := w.Next(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Group{}
	rows, _ := f.Rows.([]Group)
	for _, r := range rows {
		out[r.Path] = r
	}
	return out
}

// TestThrottled has a program compute in a group that may use a fifth of a processor.
func TestThrottled(t *testing.T) {
	guest.Require(t)
	const root, group = "/sys/fs/cgroup", "/sys/fs/cgroup/bearcat-throttled"
	if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+cpu +memory"), 0); err != nil {
		t.Fatalf("the guest has no control of processors: %v", err)
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 { // the dead leave a little later
			if os.Remove(group) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	for name, value := range map[string]string{"cpu.max": "20000 100000", "memory.max": "64M"} {
		if err := os.WriteFile(group+"/"+name, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	pid := burner(t)
	if err := os.WriteFile(group+"/cgroup.procs", []byte(strconv.Itoa(int(pid))), 0); err != nil {
		t.Fatal(err)
	}
	v, _ := ViewNamed("cgroup")
	w, err := Open(Options{View: v, Cgroup: group})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	all := groupsAfter(t, w, 2*time.Second)
	r := all["/bearcat-throttled"]
	t.Logf("%+v", r)
	if len(all) != 1 || r.CPU < 12 || r.CPU > 30 || r.Throttled < 10 || r.Periods < r.Throttled || r.ThrottledTime < 5e8 {
		t.Errorf("a group limited to a fifth of a processor: %+v", all)
	}
	if r.Limit != 64<<20 || r.Processes != 1 {
		t.Errorf("a group with one program and 64 MiB: %+v", r)
	}
}

// TestGroupsOfHost looks at whatever hierarchy there is, of version 1 or 2.
func TestGroupsOfHost(t *testing.T) {
	guest.NeedKernel(t)
	v, _ := ViewNamed("cgroup")
	w, err := Open(Options{View: v})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	burner(t)
	all := groupsAfter(t, w, time.Second)
	t.Logf("%d groups, %+v", len(all), all["/"])
	if r := all["/"]; r.CPU < 40 || r.Processes == 0 {
		t.Errorf("all together: %+v, and one program computes", r)
	}
}
