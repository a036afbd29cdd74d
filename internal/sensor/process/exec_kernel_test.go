package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"golang.org/x/sys/unix"
)

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %.300s, want %.300s", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}

func TestExecIdentity(t *testing.T) {
	w := watch(t, watchOptions{})
	before := kernel.BootNow()
	cmd := exec.Command(tiny(t, "identity", 0))
	r := w.run(cmd)
	equal(t, "pid", int(r.Key.Pid), cmd.Process.Pid)
	equal(t, "tid", int(r.Tid), cmd.Process.Pid)
	if r.Key.Start < before || r.Key.Start > r.Boot {
		t.Errorf("start %d is not between the test's begin %d and the record's time %d", r.Key.Start, before, r.Boot)
	}
	equal(t, "parent's pid", int(r.Parent.Pid), os.Getpid())
	equal(t, "ppid", int(r.PPid), os.Getpid())
	equal(t, "exec time", r.ExecBoot, r.Boot)
	equal(t, "comm", r.Comm, "identity")
	equal(t, "kernel thread", r.KThread, false)
	sid, _ := unix.Getsid(0)
	equal(t, "sid", int(r.Sid), sid)
	equal(t, "pgid", int(r.Pgid), unix.Getpgrp())

	// The iterator gives the test's own process the key that the hook gave
	// as the parent's.
	found := 0
	err := w.sensor.Inventory(func(rec *event.TaskRecord) {
		if rec.Key == r.Parent {
			found++
			self, _ := os.Readlink("/proc/self/exe")
			equal(t, "own path in the inventory", rec.Image.Exe.Path, self)
			wd, _ := os.Getwd()
			equal(t, "own cwd in the inventory", rec.Image.Cwd, wd)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "number of inventory records with the parent's key", found, 1)
}

func TestExecSetsid(t *testing.T) {
	w := watch(t, watchOptions{})
	cmd := exec.Command(tiny(t, "leader", 0))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r := w.run(cmd)
	equal(t, "sid", int(r.Sid), cmd.Process.Pid)
	equal(t, "pgid", int(r.Pgid), cmd.Process.Pid)
}

func TestExecPidNamespace(t *testing.T) {
	w := watch(t, watchOptions{})
	cmd := exec.Command(tiny(t, "inner", 0))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET, Setsid: true}
	r := w.run(cmd)
	equal(t, "pid in its namespace", r.NSPid, 1)
	equal(t, "parent's pid in its namespace", r.NSPPid, 0)
	equal(t, "session in its namespace", r.NSSid, 1)
	equal(t, "group in its namespace", r.NSPgid, 1)
	for what, n := range map[string]uint32{"pid": r.NS.Pid, "uts": r.NS.Uts, "ipc": r.NS.IPC, "net": r.NS.Net} {
		if own := nsInode(t, what); n == own || n == 0 {
			t.Errorf("the %s namespace is %d; the test's own is %d", what, n, own)
		}
	}
}

func nsInode(t *testing.T, name string) uint32 {
	t.Helper()
	s, err := os.Readlink("/proc/self/ns/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var n uint32
	if _, err := fmt.Sscanf(s, name+":[%d]", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestExecNamespaces(t *testing.T) {
	w := watch(t, watchOptions{})
	r := w.run(exec.Command(tiny(t, "ns", 0)))
	for what, got := range map[string]uint32{"pid": r.NS.Pid, "mnt": r.NS.Mnt, "net": r.NS.Net, "uts": r.NS.Uts,
		"user": r.NS.User, "cgroup": r.NS.Cgroup, "ipc": r.NS.IPC} {
		equal(t, what+" namespace", got, nsInode(t, what))
	}
	host, _ := os.Hostname()
	equal(t, "nodename", r.Node, host)
}

func TestExecNodename(t *testing.T) {
	w := watch(t, watchOptions{})
	exe := tiny(t, "named", 0)
	cmd := exec.Command("unshare", "--uts", "sh", "-c", "hostname bearcat-node; exec "+exe)
	r := w.run(cmd)
	equal(t, "nodename", r.Node, "bearcat-node")
	equal(t, "exe", r.Image.Exe.Path, exe)
}

func TestExecCredentials(t *testing.T) {
	w := watch(t, watchOptions{})
	cmd := exec.Command(tiny(t, "cred", 0))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 2345}}
	r := w.run(cmd)
	c := r.Cred
	for what, got := range map[string]uint32{"uid": c.UID, "euid": c.EUID, "suid": c.SUID, "fsuid": c.FSUID} {
		equal(t, what, got, 1234)
	}
	for what, got := range map[string]uint32{"gid": c.GID, "egid": c.EGID, "sgid": c.SGID, "fsgid": c.FSGID} {
		equal(t, what, got, 2345)
	}
	equal(t, "effective capabilities", c.Effective, 0)
	equal(t, "permitted capabilities", c.Permitted, 0)
	equal(t, "loginuid", strconv.FormatUint(uint64(c.LoginUID), 10), procFile("loginuid", "4294967295"))
	equal(t, "audit session", strconv.FormatUint(uint64(c.SessionID), 10), procFile("sessionid", "4294967295"))

	r = w.run(exec.Command(tiny(t, "rootcred", 0)))
	for name, got := range map[string]uint64{"CapEff": r.Cred.Effective, "CapPrm": r.Cred.Permitted,
		"CapInh": r.Cred.Inheritable, "CapBnd": r.Cred.Bounding, "CapAmb": r.Cred.Ambient} {
		equal(t, name, fmt.Sprintf("%016x", got), statusLine(t, name))
	}
}

// procFile reads a file of the test's own /proc directory; kernels without
// audit have none, and then the value is unset.
func procFile(name, without string) string {
	b, err := os.ReadFile("/proc/self/" + name)
	if err != nil {
		return without
	}
	return strings.TrimSpace(string(b))
}

func statusLine(t *testing.T, key string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no %s in /proc/self/status", key)
	return ""
}

func TestExecNoNewPrivs(t *testing.T) {
	w := watch(t, watchOptions{})
	r := w.run(exec.Command("setpriv", "--no-new-privs", tiny(t, "nnp", 0)))
	equal(t, "no_new_privs", r.Cred.NoNewPrivs, true)
	r = w.run(exec.Command(tiny(t, "plain", 0)))
	equal(t, "no_new_privs", r.Cred.NoNewPrivs, false)
}

func TestExecGainsPrivileges(t *testing.T) {
	w := watch(t, watchOptions{})
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 2345}}
	suid, sgid, caps := tiny(t, "suid", 0), tiny(t, "sgid", 0), tiny(t, "caps", 0)
	check(t, os.Chmod(suid, 0o755|os.ModeSetuid))
	check(t, os.Chmod(sgid, 0o755|os.ModeSetgid))
	// VFS_CAP_REVISION_2, effective, permitted = CAP_NET_RAW (13)
	check(t, unix.Setxattr(caps, "security.capability",
		[]byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0))

	cmd := exec.Command(suid)
	cmd.SysProcAttr = as
	r := w.run(cmd)
	equal(t, "set-uid gain", r.Image.SetUID, true)
	equal(t, "euid", r.Cred.EUID, 0)
	equal(t, "uid", r.Cred.UID, 1234)
	equal(t, "secure exec", r.Image.SecureExec, true)
	equal(t, "mode", r.Image.Exe.Mode&0o7777, 0o4755)

	cmd = exec.Command(sgid)
	cmd.SysProcAttr = as
	r = w.run(cmd)
	equal(t, "set-gid gain", r.Image.SetGID, true)
	equal(t, "set-uid gain", r.Image.SetUID, false)
	equal(t, "egid", r.Cred.EGID, 0)

	cmd = exec.Command(caps)
	cmd.SysProcAttr = as
	r = w.run(cmd)
	equal(t, "file capabilities gain", r.Image.FileCaps, true)
	equal(t, "permitted", r.Cred.Permitted, 1<<13)
	equal(t, "effective", r.Cred.Effective, 1<<13)

	r = w.run(exec.Command(suid)) // root gains nothing
	equal(t, "set-uid gain of root", r.Image.SetUID, false)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestExecFile(t *testing.T) {
	w := watch(t, watchOptions{})
	exe := tiny(t, "real", 0)
	link := filepath.Join(filepath.Dir(exe), "link")
	check(t, os.Symlink("real", link))
	check(t, os.Link(exe, exe+"2"))
	check(t, os.Chown(exe, 11, 22))
	check(t, os.Chmod(exe, 0o711))
	cmd := exec.Command("./link", "a")
	cmd.Path, cmd.Dir = "./link", filepath.Dir(exe)
	r := w.run(cmd)
	f := r.Image.Exe
	var st unix.Stat_t
	check(t, unix.Stat(exe, &st))
	equal(t, "path", f.Path, exe)
	equal(t, "path from the process's root", f.RootPath, "")
	equal(t, "name as typed", r.Image.Filename, "./link")
	equal(t, "script", r.Image.Script, "")
	equal(t, "cwd", r.Image.Cwd, filepath.Dir(exe))
	equal(t, "inode", f.Inode, st.Ino)
	equal(t, "nlink", f.Nlink, 2)
	equal(t, "mode", f.Mode, st.Mode)
	equal(t, "uid", f.UID, 11)
	equal(t, "gid", f.GID, 22)
	equal(t, "mtime", f.Mtime, st.Mtim.Nano())
	equal(t, "ctime", f.Ctime, st.Ctim.Nano())
	equal(t, "memfd", f.Memfd, false)
	equal(t, "deleted", f.Deleted, false)
	if !f.Overlay { // overlayfs shows stat(2) a device of its own
		equal(t, "device", f.Dev, uint64(unix.Major(st.Dev))<<32|uint64(unix.Minor(st.Dev)))
	}
}

func TestExecLongPath(t *testing.T) {
	w := watch(t, watchOptions{})
	for name, component := range map[string]string{"long names": strings.Repeat("n", 240), "many names": "d"} {
		dir := tempDir(t)
		for len(dir)+len(component)+1 < 3000 {
			dir += "/" + component
		}
		check(t, os.MkdirAll(dir, 0o755))
		exe := dir + "/x"
		writeExe(t, exe, tinyELF(0))
		cmd := exec.Command(exe)
		cmd.Dir = dir
		r := w.run(cmd)
		equal(t, name+": path", r.Image.Exe.Path, exe)
		equal(t, name+": typed", r.Image.Filename, exe)
		equal(t, name+": cwd", r.Image.Cwd, dir)
		equal(t, name+": cut", r.Image.Exe.PathCut, false)
	}
}

// A path deeper than PATH_MAX can be reached by going down in steps.
func TestExecBeyondPathMax(t *testing.T) {
	w := watch(t, watchOptions{})
	base := tempDir(t)
	name := strings.Repeat("p", 200)
	r := w.run(self("deep", base, name))
	equal(t, "path", r.Image.Exe.Path, base+strings.Repeat("/"+name, 60)+"/x")
	equal(t, "cwd", r.Image.Cwd, base+strings.Repeat("/"+name, 60))
	equal(t, "length over PATH_MAX", len(r.Image.Exe.Path) > 4096, true)
}

func TestExecBindMount(t *testing.T) {
	w := watch(t, watchOptions{})
	exe := tiny(t, "bound", 0)
	dir := filepath.Join(tempDir(t), "mnt")
	check(t, os.Mkdir(dir, 0o755))
	cmd := exec.Command("unshare", "--mount", "sh", "-c",
		fmt.Sprintf("mount --bind %s %s && mount --bind %s %s && exec %s/bound", filepath.Dir(exe), dir, dir, dir, dir))
	r := w.run(cmd)
	equal(t, "path", r.Image.Exe.Path, dir+"/bound")
	if own := nsInode(t, "mnt"); r.NS.Mnt == own {
		t.Errorf("the mount namespace is the test's own, %d", own)
	}
}

func TestExecChroot(t *testing.T) {
	w := watch(t, watchOptions{})
	root := tempDir(t)
	check(t, os.Mkdir(root+"/bin", 0o755))
	writeExe(t, root+"/bin/inside", tinyELF(0))
	cmd := exec.Command("/bin/inside")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir = "/bin"
	r := w.run(cmd)
	equal(t, "path", r.Image.Exe.Path, root+"/bin/inside")
	equal(t, "path from the process's root", r.Image.Exe.RootPath, "/bin/inside")
	equal(t, "reachable", r.Image.Exe.Unreachable, false)
	equal(t, "cwd", r.Image.Cwd, root+"/bin")
}

func TestExecOverlay(t *testing.T) {
	w := watch(t, watchOptions{})
	base := filepath.Join(tempDir(t), "o")
	check(t, os.Mkdir(base, 0o755))
	lower := tiny(t, "low", 0)
	if fs, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(fs), "\toverlay\n") {
		t.Skip("this kernel has no overlayfs")
	}
	script := fmt.Sprintf(`set -e; mount -t tmpfs t %[1]s; cd %[1]s; mkdir l u w m; cp %[2]s l/low
mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m; cp %[2]s m/up; `, base, lower)
	r := w.run(exec.Command("unshare", "--mount", "sh", "-c", script+"exec m/up"))
	equal(t, "path", r.Image.Exe.Path, base+"/m/up")
	equal(t, "overlay", r.Image.Exe.Overlay, true)
	equal(t, "upper layer", r.Image.Exe.Upper, true)
	r = w.run(exec.Command("unshare", "--mount", "sh", "-c", script+"exec m/low"))
	equal(t, "path", r.Image.Exe.Path, base+"/m/low")
	equal(t, "overlay", r.Image.Exe.Overlay, true)
	equal(t, "upper layer", r.Image.Exe.Upper, false)
}

func TestExecMemfdAndDeleted(t *testing.T) {
	w := watch(t, watchOptions{})
	r := w.run(self("memfd"))
	equal(t, "path", r.Image.Exe.Path, "memfd:x y")
	equal(t, "memfd", r.Image.Exe.Memfd, true)
	equal(t, "deleted", r.Image.Exe.Deleted, false)
	equal(t, "argv", strings.Join(r.Image.Argv, "|"), "k|-a")

	exe := tiny(t, "victim", 0)
	r = w.run(self("deleted", exe))
	equal(t, "path", r.Image.Exe.Path, exe)
	equal(t, "memfd", r.Image.Exe.Memfd, false)
	equal(t, "deleted", r.Image.Exe.Deleted, true)
	equal(t, "nlink", r.Image.Exe.Nlink, 0)
}

func TestExecveat(t *testing.T) {
	w := watch(t, watchOptions{})
	exe := tiny(t, "byfd", 0)
	r := w.run(self("fexecve", exe))
	equal(t, "execveat", r.ExecInfo.At, true)
	equal(t, "path", r.Image.Exe.Path, exe)
	equal(t, "typed", strings.HasPrefix(r.Image.Filename, "/dev/fd/"), true)
	r = w.run(exec.Command(exe))
	equal(t, "execveat", r.ExecInfo.At, false)
}

func TestExecScript(t *testing.T) {
	w := watch(t, watchOptions{})
	interp := tiny(t, "interp", 0)
	dir := tempDir(t)
	writeExe(t, dir+"/job", []byte("#!"+interp+" -x\n"))
	cmd := exec.Command("./job", "arg")
	cmd.Path, cmd.Dir = "./job", dir
	r := w.run(cmd)
	equal(t, "exe", r.Image.Exe.Path, interp)
	equal(t, "typed", r.Image.Filename, "./job")
	equal(t, "script", r.Image.Script, dir+"/job")
	equal(t, "interpreter", r.Image.Interp, interp)
	equal(t, "argv", strings.Join(r.Image.Argv, "|"), interp+"|-x|./job|arg")
	equal(t, "argc", r.Image.Argc, 4)
	equal(t, "comm", r.Comm, "job")
}

func TestExecArguments(t *testing.T) {
	w := watch(t, watchOptions{})
	exe := tiny(t, "args", 0)
	args := []string{"a b", "", "\xff\xfe", "new\nline", "é"}
	r := w.run(exec.Command(exe, args...))
	equal(t, "argv equal", slices.Equal(r.Image.Argv, append([]string{exe}, args...)), true)
	equal(t, "argc", r.Image.Argc, 6)
	equal(t, "cut", r.Image.ArgvCut, false)

	// no arguments at all: since 5.18 the kernel puts an empty one there
	r = w.run(self("execargs", exe))
	if n := len(r.Image.Argv); n != r.Image.Argc || n > 1 || n == 1 && r.Image.Argv[0] != "" {
		t.Errorf("argv of a program run without arguments is %q, argc %d", r.Image.Argv, r.Image.Argc)
	}
}

func bigArgs(total int) []string {
	var args []string
	for i := 0; total > 0; i++ {
		n := min(total, 100_000)
		args = append(args, strconv.Itoa(i)+strings.Repeat("x", n))
		total -= n
	}
	return args
}

func TestExecBigArguments(t *testing.T) {
	w := watch(t, watchOptions{Options: Options{ArgvLimit: MaxArgLimit}})
	exe := tiny(t, "big", 0)
	for _, total := range []int{10_000, 13_000, 40_000, 1 << 20} {
		args := bigArgs(total)
		r := w.run(exec.Command(exe, args...))
		equal(t, fmt.Sprintf("argc of %d bytes", total), r.Image.Argc, len(args)+1)
		equal(t, fmt.Sprintf("cut of %d bytes", total), r.Image.ArgvCut, false)
		equal(t, fmt.Sprintf("argv of %d bytes arrives whole", total), slices.Equal(r.Image.Argv, append([]string{exe}, args...)), true)
	}
}

func TestExecCutArguments(t *testing.T) {
	w := watch(t, watchOptions{})
	args := bigArgs(200_000)
	exe := tiny(t, "cut", 0)
	r := w.run(exec.Command(exe, args...))
	equal(t, "cut", r.Image.ArgvCut, true)
	equal(t, "argc", r.Image.Argc, 3)
	got := strings.Join(r.Image.Argv, "\x00")
	equal(t, "bytes", len(got), DefaultArgLimit)
	equal(t, "is a prefix", strings.HasPrefix(exe+"\x00"+strings.Join(args, "\x00"), got), true)
}

func TestExecEnvironment(t *testing.T) {
	var blocks [][]byte
	w := watch(t, watchOptions{Options: Options{Env: func(b []byte) []string {
		blocks = append(blocks, bytes.Clone(b))
		if bytes.Contains(b, []byte("LD_PRELOAD=")) {
			return []string{"LD_PRELOAD=found"}
		}
		return nil
	}}})
	exe := tiny(t, "env", 0)
	cmd := exec.Command(exe)
	cmd.Env = []string{"A=1", "LD_PRELOAD=/tmp/x.so", "B=\xff"}
	r := w.run(cmd)
	equal(t, "chosen", strings.Join(r.Image.Env, "|"), "LD_PRELOAD=found")
	equal(t, "cut", r.Image.EnvCut, false)
	equal(t, "block", string(blocks[len(blocks)-1]), "A=1\x00LD_PRELOAD=/tmp/x.so\x00B=\xff\x00")

	// padding cannot push a variable out of sight below the limit
	cmd = exec.Command(exe)
	cmd.Env = []string{"PAD=" + strings.Repeat("p", 50_000), "LD_PRELOAD=/tmp/x.so"}
	r = w.run(cmd)
	equal(t, "chosen behind padding", strings.Join(r.Image.Env, "|"), "LD_PRELOAD=found")
	cmd.Env = []string{"PAD=" + strings.Repeat("p", 70_000), "LD_PRELOAD=/tmp/x.so"}
	again := exec.Command(exe)
	again.Env = cmd.Env
	r = w.run(again)
	equal(t, "cut beyond the limit", r.Image.EnvCut, true)
}

func TestExecFromThread(t *testing.T) {
	w := watch(t, watchOptions{})
	exe := tiny(t, "taken", 0)
	cmd := self("thread-exec", exe)
	r := w.run(cmd)
	equal(t, "pid", int(r.Key.Pid), cmd.Process.Pid)
	equal(t, "tid", r.Tid, r.Key.Pid)
	equal(t, "exe", r.Image.Exe.Path, exe)
	equal(t, "thread that called exec", strconv.Itoa(int(r.ExecInfo.OldTid)), r.Image.Argv[1])
	first := w.find(event.Fork, "the child", byPid(cmd.Process.Pid))
	equal(t, "the identity stays", r.Key, first.Key)
}
