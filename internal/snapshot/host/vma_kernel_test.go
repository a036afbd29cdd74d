package host

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// TestMemory looks at a process with 8 MiB that were touched, writable code, a library
// that was replaced and one that was removed.
func TestMemory(t *testing.T) {
	guest.NeedKernel(t)
	dir := t.TempDir()
	libs, err := filepath.Glob("/lib/x86_64-linux-gnu/libz.so.1*")
	if err != nil || len(libs) == 0 {
		t.Fatalf("there is no libz to copy: %v", err)
	}
	b, err := os.ReadFile(libs[0])
	if err != nil {
		t.Fatal(err)
	}
	replaced, removed := filepath.Join(dir, "libreplaced.so.1"), filepath.Join(dir, "libremoved.so.1")
	for _, name := range []string{replaced, removed} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("python3", "-c", `import ctypes,mmap,sys,time
a=ctypes.CDLL(sys.argv[1]);b=ctypes.CDLL(sys.argv[2])
m=mmap.mmap(-1,8<<20,flags=mmap.MAP_PRIVATE|mmap.MAP_ANONYMOUS)
for i in range(0,8<<20,4096): m[i]=1
w=mmap.mmap(-1,4096,prot=7,flags=mmap.MAP_PRIVATE|mmap.MAP_ANONYMOUS)
print("up",flush=True);time.sleep(600)`, replaced, removed)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("python said %q, %v", line, err)
	}
	if err := os.Remove(removed); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(replaced+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(replaced+".new", replaced); err != nil {
		t.Fatal(err)
	}
	m, err := ReadMemory(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	has := func(what string, ok func(*VMA) bool) {
		t.Helper()
		if !slices.ContainsFunc(m.VMAs, func(v VMA) bool { return ok(&v) }) {
			t.Errorf("no area is %s: %+v", what, m.VMAs)
		}
	}
	has("writable code", func(v *VMA) bool { return v.WX && v.AnonExec && v.Kind == "anon" })
	has("of the removed library", func(v *VMA) bool { return v.Path == removed && v.Deleted && v.Kind == "lib" })
	has("the program's text", func(v *VMA) bool { return v.Kind == "text" && v.Path == m.Exe && v.RSS > 0 })
	has("a stack", func(v *VMA) bool { return v.Kind == "stack" })
	// the kernel calls a file deleted whose name another one took
	has("of the library that another took the name of", func(v *VMA) bool { return v.Path == replaced && v.Deleted })
	has("the touched memory", func(v *VMA) bool {
		return v.Kind == "anon" && v.Size >= 8<<20 && v.RSS >= 8<<20 && v.Dirty+v.Swap >= 8<<20
	})
	checkLines(t, m)
	if guest.Name() != "" { // mounts, only where they are nobody else's
		covered(t, m)
		hiddenFolder(t, m)
	}
	var size uint64
	for _, s := range m.Segments {
		size += s.Size
	}
	var sum uint64
	for _, v := range m.VMAs {
		if sum += v.Size; v.Replaced {
			t.Errorf("%+v is said to be replaced", v)
		}
	}
	if size != sum {
		t.Errorf("segments hold %d bytes, areas %d", size, sum)
	}
	if _, err := ReadMemory(MaxPID + 1); err == nil {
		t.Error("a process that does not exist has memory")
	}
}

// covered mounts another file over a library that a process has mapped: its name leads
// to another file then, though it was not deleted.
func covered(t *testing.T, m *Memory) {
	t.Helper()
	i := slices.IndexFunc(m.VMAs, func(v VMA) bool { return v.Kind == "lib" && !v.Deleted && v.Rights[2] == 'x' })
	if i < 0 {
		t.Fatalf("no library in %+v", m.VMAs)
	}
	path := m.VMAs[i].Path
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(other, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	again, err := ReadMemory(m.PID)
	if umount := unix.Unmount(path, unix.MNT_DETACH); umount != nil || err != nil {
		t.Fatal(umount, err)
	}
	if !slices.ContainsFunc(again.VMAs, func(v VMA) bool { return v.Path == path && v.Replaced }) {
		t.Errorf("no area of %s is said to be replaced while another file is mounted over it", path)
	}
}

// checkLines compares the areas with the lines of /proc/PID/maps. The kernel's own page at
// the end is in no list of areas.
func checkLines(t *testing.T, m *Memory) {
	t.Helper()
	want, err := ReadAreas(m.PID)
	if err != nil {
		t.Fatal(err)
	}
	want = slices.DeleteFunc(want, func(v VMA) bool { return v.Path == "[vsyscall]" })
	got := slices.DeleteFunc(slices.Clone(m.VMAs), func(v VMA) bool { return v.Path == "[vsyscall]" })
	if len(got) != len(want) {
		t.Fatalf("there are %d areas, and %d lines in /proc/PID/maps", len(got), len(want))
	}
	for i := range want {
		g, w := &got[i], &want[i]
		if g.Start != w.Start || g.End != w.End || g.Rights != w.Rights || g.Offset != w.Offset || g.Inode != w.Inode || g.Path != w.Path || g.Deleted != w.Deleted || g.WX != w.WX || g.AnonExec != w.AnonExec {
			t.Errorf("area %+v, want %+v", g, w)
		}
	}
	own := slices.ContainsFunc(m.Notes, func(n string) bool { return strings.Contains(n, "kernel's own list (task_vma)") })
	if old := guest.Name() == "5.10"; own == old {
		t.Errorf("areas are from the kernel's own list: %v; notes %q", own, m.Notes)
	}
}

// hiddenFolder covers the process's folder in /proc, which is to change nothing.
func hiddenFolder(t *testing.T, m *Memory) {
	t.Helper()
	if err := unix.Mount("none", procPath(m.PID, ""), "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	again, err := ReadMemory(m.PID)
	if umount := unix.Unmount(procPath(m.PID, ""), unix.MNT_DETACH); umount != nil || err != nil {
		t.Fatal(umount, err)
	}
	if len(again.VMAs) != len(m.VMAs) || again.Name != m.Name || len(again.Segments) != len(m.Segments) {
		t.Errorf("behind a covered folder there are %d areas of %s, and %d of %s before", len(again.VMAs), again.Name, len(m.VMAs), m.Name)
	}
}
