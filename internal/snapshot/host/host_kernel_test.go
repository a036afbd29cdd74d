package host

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// inside runs a shell script in new namespaces and returns its pid when the
// script has written a line. It lives until the test ends.
func inside(t *testing.T, flags uintptr, script string, env ...string) int {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script+"\necho ready\nread wait")
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: flags}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting a shell in new namespaces: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	l, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || l != "ready\n" {
		t.Fatalf("the script wrote %q (%v), want ready", l, err)
	}
	return cmd.Process.Pid
}

// needOverlay loads overlay where it is not built into the kernel.
func needOverlay(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "\toverlay\n") {
		guest.Modprobe(t, "overlay")
	}
}

func TestOverlay(t *testing.T) {
	guest.NeedKernel(t)
	needOverlay(t)
	dir := t.TempDir()
	pid := inside(t, unix.CLONE_NEWNS, `
mount --make-rprivate /
mount -t tmpfs layers "$D"
cd "$D"
mkdir -p top bottom/cleared 'up:per' work merged
echo one > top/changed; echo two > bottom/removed; echo three > bottom/cleared/inner; echo four > bottom/kept
mount -t overlay overlay -o 'lowerdir=top:bottom,upperdir=up\:per,workdir=work' merged || {
  mkdir upper; rmdir 'up:per'; mount -t overlay overlay -o lowerdir=top:bottom,upperdir=upper,workdir=work merged; }
echo more >> merged/changed
rm merged/removed
rm -r merged/cleared; mkdir merged/cleared; echo new > merged/cleared/fresh
`, "D="+dir)
	point := dir + "/merged"
	got, err := ReadOverlays(point)
	if err != nil {
		t.Fatal(err)
	}
	o := got.Overlays[0]
	if want := []string{"top", "bottom"}; !slices.Equal(o.Lower, want) || !strings.HasPrefix(o.Upper, "up") || o.Work != "work" {
		t.Errorf("layers %q %q %q, want %q, up…, work", o.Lower, o.Upper, o.Work, want)
	}
	// Layers that were named relative to a folder are not to be found again.
	if o.Content != nil || !strings.Contains(o.Note, "not seen") {
		t.Errorf("an upper layer with a relative name: content %v, note %q", o.Content, o.Note)
	}
	upper := filepath.Join(procPath(pid, "root"), dir, o.Upper)
	u, err := readUpper(upper, []string{procPath(pid, "root") + dir + "/top", procPath(pid, "root") + dir + "/bottom"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		got  Paths
		want string
	}{
		{"whiteouts", u.Whiteouts, "/removed"}, {"opaque", u.Opaque, "/cleared"},
		{"copied up", u.CopiedUp, "/changed"}, {"new", u.New, "/cleared/fresh"},
	} {
		if !slices.Equal(c.got.List, []string{c.want}) || c.got.Count != 1 {
			t.Errorf("%s: %v, want %s", c.name, c.got, c.want)
		}
	}
	if want := uint64(len("one\nmore\n") + len("new\n")); u.Bytes != want || u.Files != 2 || u.Folders != 1 {
		t.Errorf("%d bytes, %d files, %d folders, want %d, 2, 1", u.Bytes, u.Files, u.Folders, want)
	}
}

func TestOverlayFromOutside(t *testing.T) {
	guest.NeedKernel(t)
	needOverlay(t)
	dir := t.TempDir()
	inside(t, unix.CLONE_NEWNS, `
mount --make-rprivate /
mount -t tmpfs layers "$D"
mkdir "$D"/lower "$D"/upper "$D"/work "$D"/merged
echo one > "$D"/lower/file
mount -t overlay overlay -o lowerdir="$D"/lower,upperdir="$D"/upper,workdir="$D"/work "$D"/merged
chmod 600 "$D"/merged/file
`, "D="+dir)
	got, err := ReadOverlays(dir + "/merged")
	if err != nil {
		t.Fatal(err)
	}
	c := got.Overlays[0].Content
	if c == nil || !slices.Equal(c.CopiedUp.List, []string{"/file"}) || c.New.Count+c.Whiteouts.Count+c.Opaque.Count != 0 {
		t.Errorf("content %+v, note %q, want /file copied up and no more", c, got.Overlays[0].Note)
	}
	if _, err := ReadOverlays("/nowhere"); err == nil || !strings.Contains(err.Error(), "no overlay is mounted at /nowhere") {
		t.Errorf("an overlay that does not exist: %v", err)
	}
}

func TestMountsOfAnotherNamespace(t *testing.T) {
	guest.NeedKernel(t)
	dir := t.TempDir()
	pid := inside(t, unix.CLONE_NEWNS, `
mount --make-rprivate /
mkdir "$D/a b"
mount -t tmpfs -o size=64k one "$D/a b"
mount -t tmpfs two "$D/a b"
`, "D="+dir)
	ns := linkInode(procPath(pid, "ns/mnt"))
	for _, name := range []string{fmt.Sprint(pid), fmt.Sprint(ns), "all"} {
		got, err := ReadMounts(name)
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		for _, m := range got.Mounts {
			if m.Point == dir+"/a b" {
				seen = append(seen, fmt.Sprint(m.Source, " ", m.Type, " ", m.Hidden, " ", m.Namespace == ns))
			}
		}
		if want := []string{"one tmpfs true true", "two tmpfs false true"}; !slices.Equal(seen, want) {
			t.Errorf("--ns %s: %q, want %q", name, seen, want)
		}
	}
	own, err := ReadMounts("")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); len(own.Mounts) != n {
		t.Errorf("%d mounts, mountinfo has %d lines", len(own.Mounts), n)
	}
}

func TestNamespaces(t *testing.T) {
	guest.NeedKernel(t)
	dir := t.TempDir()
	pid := inside(t, unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWUTS|unix.CLONE_NEWIPC, `
mount --make-rprivate /
: > "$D/bound"
mount --bind /proc/$$/ns/uts "$D/bound"
exec 5</proc/$PPID/ns/net
`, "D="+dir)
	got, err := ReadNamespaces()
	if err != nil {
		t.Fatal(err)
	}
	find := func(typ string, inode uint64) Namespace {
		for _, n := range got.Namespaces {
			if n.Type == typ && n.Inode == inode {
				return n
			}
		}
		t.Fatalf("%s:[%d] is not listed", typ, inode)
		return Namespace{}
	}
	for _, typ := range []string{"mnt", "net", "uts", "ipc"} {
		n := find(typ, linkInode(procPath(pid, "ns/"+typ)))
		if len(n.Processes) != 1 || n.Processes[0].PID != pid || n.UserNS != linkInode("/proc/self/ns/user") {
			t.Errorf("%s namespace: %+v, want only process %d, in this user namespace", typ, n, pid)
		}
		if bound := slices.Equal(n.Mounts, []string{dir + "/bound"}); bound != (typ == "uts") {
			t.Errorf("%s namespace is bound to %q", typ, n.Mounts)
		}
	}
	host := find("net", linkInode("/proc/self/ns/net"))
	if !slices.ContainsFunc(host.Descs, func(p Process) bool { return p.PID == pid }) {
		t.Errorf("descriptors on the host's network: %v, want process %d", host.Descs, pid)
	}
	if slices.ContainsFunc(host.Processes, func(p Process) bool { return p.PID == pid }) {
		t.Errorf("process %d is listed in the host's network", pid)
	}
}

func TestCgroups(t *testing.T) {
	guest.Require(t) // makes a group on the host's hierarchy
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "cgroup2", 0, ""); err != nil {
		t.Skipf("cgroup2 cannot be mounted here: %v", err)
	}
	defer unix.Unmount(dir, 0)
	if err := os.WriteFile(dir+"/cgroup.subtree_control", []byte("+pids +memory"), 0o600); err != nil {
		t.Skipf("controllers cannot be turned on here: %v", err)
	}
	group := dir + "/bearcat-test"
	if err := os.Mkdir(group, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(group)
	for name, v := range map[string]string{"pids.max": "7", "memory.max": "16777216"} {
		if err := os.WriteFile(group+"/"+name, []byte(v), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadCgroups("/bearcat-test")
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(group, &st); err != nil {
		t.Fatal(err)
	}
	if len(got.Cgroups) != 1 {
		t.Fatalf("%d groups, want 1: %+v", len(got.Cgroups), got)
	}
	g := got.Cgroups[0]
	if g.Path != "/bearcat-test" || g.ID != st.Ino || g.Processes != 0 || g.TasksMax == nil || *g.TasksMax != 7 || g.MemoryMax == nil || *g.MemoryMax != 16<<20 || g.Tasks == nil || *g.Tasks != 0 {
		t.Errorf("group %+v, want id %d, at most 7 tasks and 16 MiB", g, st.Ino)
	}
}

func TestModules(t *testing.T) {
	guest.NeedKernel(t)
	guest.Modprobe(t, "dummy")
	got, err := ReadModules()
	if err != nil {
		t.Fatal(err)
	}
	if guest.Name() == "" {
		if _, err := os.Stat("/proc/modules"); err != nil {
			if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "without loadable modules") {
				t.Errorf("notes %q, want one on modules", got.Notes)
			}
			return
		}
	}
	i := slices.IndexFunc(got.Modules, func(m Module) bool { return m.Name == "dummy" })
	if guest.Name() != "" && i < 0 {
		t.Fatal("the module dummy is not listed")
	}
	for _, m := range got.Modules {
		if !m.InProc || !m.InSysfs || m.Size == 0 || m.State != "Live" {
			t.Errorf("module %+v, want it live and in both places", m)
		}
	}
	if i >= 0 && !strings.Contains(got.Modules[i].File, "/dummy.ko") {
		t.Errorf("file of dummy: %q", got.Modules[i].File)
	}
}
