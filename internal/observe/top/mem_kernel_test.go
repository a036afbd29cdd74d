package top

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

const touched = 256

// touch writes to 1 MiB of new memory, reads 64 pages of other memory and then writes
// there, and reads a file that is not in memory.
func touch() error {
	in := bufio.NewReader(os.Stdin)
	page := os.Getpagesize()
	anon := func(pages int) ([]byte, error) {
		m, err := unix.Mmap(-1, 0, pages*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err == nil {
			_ = unix.Madvise(m, unix.MADV_NOHUGEPAGE)
		}
		return m, err
	}
	first, err := anon(touched)
	if err != nil {
		return err
	}
	second, err := anon(64)
	if err != nil {
		return err
	}
	file, err := os.Open(os.Args[1])
	if err != nil {
		return err
	}
	mapped, err := unix.Mmap(int(file.Fd()), 0, 16*page, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	_ = unix.Madvise(mapped, unix.MADV_RANDOM)
	_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
	if err := nextPart(in, "ready"); err != nil {
		return err
	}
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	sum := byte(0)
	for i := range touched {
		first[i*page] = 1
	}
	for i := range 64 {
		sum += second[i*page]
	}
	for i := range 64 {
		second[i*page] = sum + 1
	}
	for i := range 16 {
		sum += mapped[i*page]
	}
	last, err := anon(1)
	if err != nil {
		return err
	}
	last[0] = sum // it has the major faults before it told
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	if err := nextPart(in, fmt.Sprint(after.Minflt-before.Minflt, after.Majflt-before.Majflt)); err != nil {
		return err
	}
	_ = unix.Munmap(first)
	_ = nextPart(in, "given back") // until the test ends
	return nil
}

// TestTouched has a program touch 1 MiB: that is 256 faults of its memory, and the kernel's
// own counts of its faults are the sum of the kinds.
func TestTouched(t *testing.T) {
	guest.NeedKernel(t)
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 16*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	_ = f.Sync()
	_ = f.Close()
	h := startHelper(t, "touch", path)
	h.says()
	v, _ := ViewNamed("mem")
	w, err := Open(Options{View: v, Pid: uint32(h.cmd.Process.Pid)})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var minor, major uint64
	if _, err := fmt.Sscan(h.part(""), &minor, &major); err != nil {
		t.Fatal(err)
	}
	r := memoryRow(t, w)
	t.Logf("the kernel counts %d minor and %d major faults", minor, major)
	for _, want := range []struct {
		kind   string
		is, at uint64
	}{{"first writes", r.AnonWrite, touched + 1}, {"first reads", r.AnonRead, 64}, {"copies on writing", r.COW, 64}} {
		if want.is < want.at || want.is > want.at+24 { // the runtime has a few of its own
			t.Errorf("%d %s, want %d", want.is, want.kind, want.at)
		}
	}
	if r.File == 0 || r.Major != major {
		t.Errorf("%d faults of files and %d major ones, the kernel says %d", r.File, r.Major, major)
	}
	if d := int64(r.Faults) - int64(minor+major); d < -8 || d > 8 {
		t.Errorf("%d faults, the kernel counts %d", r.Faults, minor+major)
	}
	// the kernel's figure lags by some pages for each thread
	if r.RSSChange < 800<<10 {
		t.Errorf("its memory has grown by %d bytes, want about 1 MiB", r.RSSChange)
	}
	h.part("")
	if r := memoryRow(t, w); r.RSSChange > -600<<10 {
		t.Errorf("its memory has changed by %d bytes, want about -1 MiB", r.RSSChange)
	}
}

func memoryRow(t *testing.T, w *Top) Memory {
	t.Helper()
	f, err := w.Next(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	rows, ok := f.Rows.([]Memory)
	if !ok || len(rows) != 1 || f.Lost > 0 {
		t.Fatalf("%+v", f)
	}
	t.Logf("%+v, programs %s, notes %q", rows[0], f.BPF, f.Notes)
	return rows[0]
}

// TestStalled has a program grow beyond the limit of its control group.
func TestStalled(t *testing.T) {
	guest.Require(t)
	const root, group = "/sys/fs/cgroup", "/sys/fs/cgroup/bearcat-stalled"
	if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+memory"), 0); err != nil {
		t.Fatalf("the guest has no control of memory: %v", err)
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
	if err := os.WriteFile(group+"/memory.max", []byte(strconv.Itoa(8<<20)), 0); err != nil {
		t.Fatal(err)
	}
	_ = os.WriteFile(group+"/memory.swap.max", []byte("0"), 0)
	v, _ := ViewNamed("mem")
	w, err := Open(Options{View: v, Comm: "tail"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	// one line without an end: tail must keep all of it, and is killed for it
	_ = exec.Command("sh", "-c", `echo $$ > "$0/cgroup.procs" && head -c 32M /dev/zero | tail -n 1 > /dev/null`, group).Run()
	r := memoryRow(t, w)
	if r.Comm != "tail" || r.Stalls == 0 || r.Stalled == 0 || r.AnonWrite < 1024 {
		t.Errorf("a program beyond its group's limit freed no memory: %+v", r)
	}
}
