package hist

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestReclaim has a program grow beyond the limit of its control group: the kernel
// must look for memory to free in its stead, and that is told of this program.
func TestReclaim(t *testing.T) {
	guest.NeedKernel(t)
	if guest.Name() == "" {
		t.Skip("it sets a limit in the machine's control groups: only in a guest")
	}
	group := limitedGroup(t, 16<<20)
	kind, _ := KindNamed("reclaim")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	o := Options{Kind: kind, By: ByProcess, Comm: "tail", ready: func() {
		go func() {
			defer cancel()
			// one line without an end: tail must keep all of it
			cmd := exec.Command("sh", "-c", `echo $$ > "$0/cgroup.procs" && head -c 64M /dev/zero | tail -n 1 > /dev/null`, group)
			_ = cmd.Run() // it is killed, or not: the kernel has tried before
			b, err := os.ReadFile(filepath.Join(group, "memory.events"))
			t.Logf("memory.events: %s", strings.Join(strings.Fields(string(b)), " "))
			done <- err
		}()
	}}
	r, err := Gather(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var n uint64
	for _, row := range r.Rows {
		t.Logf("%s: %d, %d ns together, at most %d ns", row.Group, row.Count, row.Sum, row.Max)
		if !strings.HasPrefix(row.Group, "tail") {
			t.Errorf("the group %q is not asked for", row.Group)
		}
		n += row.Count
		if row.Max > row.Sum || row.P50 > row.P99 {
			t.Errorf("the times do not fit together: %+v", row)
		}
	}
	if n == 0 {
		t.Error("a program beyond its group's limit freed no memory")
	}
	if r.Lost > 0 {
		t.Errorf("%d times were lost", r.Lost)
	}
}

// limitedGroup makes a control group with a limit of memory, and removes it after.
func limitedGroup(t *testing.T, limit int) string {
	t.Helper()
	root := "/sys/fs/cgroup"
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		root = t.TempDir()
		if err := unix.Mount("none", root, "cgroup2", 0, ""); err != nil {
			t.Fatalf("mounting control groups: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	}
	if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
		t.Fatalf("the guest has no control of memory: %v", err)
	}
	dir := filepath.Join(root, "bearcat-reclaim")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 { // the dead leave a little later
			if os.Remove(dir) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "memory.max"), []byte(strconv.Itoa(limit)), 0); err != nil {
		t.Fatal(err)
	}
	// what is swapped out would make it a test of the swap
	_ = os.WriteFile(filepath.Join(dir, "memory.swap.max"), []byte("0"), 0)
	return dir
}
