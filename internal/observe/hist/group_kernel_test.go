package hist

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestByGroup has a program in the control group of a container, which sleeps again and
// again, and looks at it by group, by container, by network namespace and by interval.
func TestByGroup(t *testing.T) {
	guest.Require(t)
	id := strings.Repeat("0123456789abcdef", 4)
	group := "/bearcat-hist/docker-" + id + ".scope"
	dir := filepath.Join("/sys/fs/cgroup", group)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "echo $$ > "+dir+"/cgroup.procs; while :; do sleep .05; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		for range 100 { // a group is gone when its last process is
			if os.Remove(dir) == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		_ = os.Remove(filepath.Dir(dir))
	})
	inside := func() bool {
		b, err := os.ReadFile(dir + "/cgroup.procs")
		return err == nil && len(b) > 0
	}
	for !inside() {
		time.Sleep(20 * time.Millisecond)
	}
	k, _ := KindNamed("offcpu")
	gather := func(o Options) *Result {
		t.Helper()
		o.Kind, o.For = k, 700*time.Millisecond
		r, err := Gather(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := gather(Options{By: ByCgroup, Every: 100 * time.Millisecond})
	row := rowOf(r, group)
	if row.Count < 2 || row.Max < 20e6 {
		t.Errorf("there is no %s with sleeps in %+v", group, r.Rows)
	}
	n := uint64(0)
	for _, c := range row.Columns {
		for _, b := range c.Buckets {
			n += b.N
		}
	}
	if n != row.Count || len(r.Ends) < 3 || len(row.Columns) < 2 {
		t.Errorf("%d intervals of %v have %d times of %d", len(row.Columns), r.Ends, n, row.Count)
	}
	if r = gather(Options{By: ByContainer}); rowOf(r, id[:12]).Count < 2 || rowOf(r, "no container").Count == 0 {
		t.Errorf("by container: %+v", r.Rows)
	}
	in, err := kernel.ContainerScope(id[:12])
	if err != nil {
		t.Fatal(err)
	}
	net, err := kernel.NetOf(uint32(cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if r = gather(Options{By: ByCgroup, Scope: in, Net: net}); len(r.Rows) != 1 || r.Rows[0].Group != group {
		t.Errorf("of the container alone: %+v", r.Rows)
	}
	if r = gather(Options{By: ByProcess, Net: net + 1, Pid: uint32(cmd.Process.Pid)}); len(r.Rows) != 0 {
		t.Errorf("of process %s in a network namespace that it is not in: %+v", strconv.Itoa(cmd.Process.Pid), r.Rows)
	}
}
