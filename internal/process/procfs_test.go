package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// fakeProc lays out processes as in /proc.
type fakeProc struct {
	t    *testing.T
	root string
}

func newFakeProc(t *testing.T) *fakeProc {
	f := &fakeProc{t: t, root: t.TempDir()}
	f.file("uptime", "100.25 50.00\n")
	return f
}

func (f *fakeProc) file(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeProc) link(name, to string) {
	f.t.Helper()
	path := filepath.Join(f.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeProc) add(pid, ppid int, comm, state string, ticks uint64, flags int) {
	f.t.Helper()
	f.file(fmt.Sprintf("%d/stat", pid), fmt.Sprintf("%d (%s) %s %d 7 6 34818 -1 %d 0 0 0 0 0 0 0 0 20 0 1 0 %d 4096 1", pid, comm, state, ppid, flags, ticks))
	f.file(fmt.Sprintf("%d/status", pid), fmt.Sprintf("Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t%d\nNSpgid:\t7\nNSsid:\t6\n"+
		"CapInh:\t0\nCapPrm:\t00000000000000ff\nCapEff:\tf\nCapBnd:\t000001ffffffffff\nCapAmb:\t1\nNoNewPrivs:\t1\n", pid))
	f.file(fmt.Sprintf("%d/loginuid", pid), "1000")
	f.file(fmt.Sprintf("%d/cgroup", pid), "0::/system.slice/x.service\n")
}

func TestReadProcFake(t *testing.T) {
	f := newFakeProc(t)
	f.add(1, 0, "init", "S", 5, 0)
	f.add(20, 1, "odd) (name", "S", 1234, 0)
	f.file("20/cmdline", "prog\x00\x00-x \xff\x00")
	f.file("20/environ", "PATH=/bin\x00LANG=C\x00http_proxy=http://u:p@h\x00")
	f.link("20/exe", "/no/such/prog (deleted)")
	f.link("20/cwd", "/no/such/dir")
	f.link("20/root", "/no")
	f.link("20/fd/0", "pipe:[77]")
	f.link("20/fd/1", "socket:[78]")
	f.link("20/fd/2", "/dev/null")
	f.link("20/ns/pid", "pid:[4026531836]")
	f.add(30, 2, "kworker/0:1", "I", 6, pfKthread)
	f.add(40, 1, "zombie", "Z", 6, 0)
	f.file("50/stat", "rubbish")
	p := NewProcFS(ProcConfig{Root: f.root, Env: defaultEnv(t), CgroupRoot: f.root})

	rec, err := p.ReadProc(20)
	if err != nil {
		t.Fatal(err)
	}
	img := rec.Image
	if rec.Key != (event.Key{Pid: 20, Start: 1234 * tick}) || rec.Comm != "odd) (name" || rec.Boot != 10025*tick ||
		rec.Parent != (event.Key{Pid: 1, Start: 5 * tick}) || rec.PPid != 1 || rec.Pgid != 7 || rec.Sid != 6 ||
		rec.NSPid != 20 || rec.NSPPid != 1 || rec.Tty != (event.Tty{Name: "pts2", Dev: 34818}) || rec.NS.Pid != 4026531836 ||
		rec.CgroupPath != "/system.slice/x.service" {
		t.Errorf("%+v", rec)
	}
	want := event.Cred{
		UID: 1, EUID: 2, SUID: 3, FSUID: 4, GID: 5, EGID: 6, SGID: 7, FSGID: 8, LoginUID: 1000, SessionID: event.Unset,
		Permitted: 0xff, Effective: 0xf, Bounding: 0x1ffffffffff, Ambient: 1, NoNewPrivs: true,
	}
	if rec.Cred != want {
		t.Errorf("%+v", rec.Cred)
	}
	if !slices.Equal(img.Argv, []string{"prog", "", "-x \xff"}) || img.Argc != 3 || img.ArgvCut ||
		!slices.Equal(img.Env, []string{"PATH=/bin", "http_proxy=http://***@h"}) || img.Cwd != "/no/such/dir" ||
		img.Exe.Path != "/no/such/prog" || !img.Exe.Deleted || img.Exe.RootPath != "/such/prog" || img.Cmdline() != "prog  -x \xff" {
		t.Errorf("%+v", img)
	}
	if img.Stdio[0] != (event.Stdio{Kind: event.StdioPipe, Inode: 77}) || img.Stdio[1] != (event.Stdio{Kind: event.StdioSocket, Inode: 78}) ||
		img.Stdio[2].Kind != event.StdioNull || img.Stdio[2].Path != "/dev/null" {
		t.Errorf("%+v", img.Stdio)
	}
	for _, pid := range []uint32{40, 99} {
		if _, err := p.ReadProc(pid); !errors.Is(err, ErrGone) {
			t.Errorf("process %d: %v", pid, err)
		}
	}
	if _, err := p.ReadProc(50); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("rubbish gave %v", err)
	}
	var pids []uint32
	err = p.SeedFromProc(func(r *event.TaskRecord) error {
		pids = append(pids, r.Key.Pid)
		if r.KThread != (r.Key.Pid == 30) || r.KThread != (r.Image == nil) {
			t.Errorf("%+v", r)
		}
		return nil
	})
	if err != nil || !slices.Equal(pids, []uint32{1, 20, 30}) {
		t.Errorf("walked %v: %v", pids, err)
	}
	stop := errors.New("stop")
	if err := p.SeedFromProc(func(*event.TaskRecord) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	if err := NewProcFS(ProcConfig{Root: f.root + "/none"}).SeedFromProc(nil); err == nil {
		t.Error("a missing root is no error")
	}
}

func TestCompleteFromProc(t *testing.T) {
	f := newFakeProc(t)
	f.add(20, 1, "p", "S", 100, 0)
	f.file("20/cmdline", "p\x00-x\x00")
	f.file("20/environ", "PATH=/bin\x00")
	f.link("20/exe", "/bin/p")
	f.link("20/cwd", "/tmp")
	p := NewProcFS(ProcConfig{Root: f.root, Env: defaultEnv(t)})
	rec := &event.TaskRecord{Key: event.Key{Pid: 20, Start: 100*tick + 999}, Image: &event.Image{Exe: event.File{Path: "/bin/p"}}}
	if err := p.CompleteFromProc(rec); err != nil {
		t.Fatal(err)
	}
	if img := rec.Image; img.Cmdline() != "p -x" || img.Argc != 2 || img.Cwd != "/tmp" || !slices.Equal(img.Env, []string{"PATH=/bin"}) {
		t.Fatalf("%+v", img)
	}
	other := &event.TaskRecord{Key: rec.Key, Image: &event.Image{Exe: event.File{Path: "/bin/q"}}}
	if err := p.CompleteFromProc(other); !errors.Is(err, ErrOtherProgram) || len(other.Image.Argv) != 0 {
		t.Fatalf("%v: %+v", err, other.Image)
	}
	reused := &event.TaskRecord{Key: event.Key{Pid: 20, Start: 101 * tick}, Image: &event.Image{Exe: event.File{Path: "/bin/p"}}}
	if err := p.CompleteFromProc(reused); !errors.Is(err, ErrGone) || len(reused.Image.Argv) != 0 {
		t.Fatalf("%v: %+v", err, reused.Image)
	}
	if err := p.CompleteFromProc(&event.TaskRecord{Key: event.Key{Pid: 99}, KThread: true}); err != nil {
		t.Fatal(err)
	}
}

// TestHangingProcess has files that block whoever opens them.
func TestHangingProcess(t *testing.T) {
	f := newFakeProc(t)
	const n = maxStuck + 3
	for pid := 1; pid <= n; pid++ {
		f.add(pid, 0, "stuck", "S", uint64(pid), 0)
		f.link(fmt.Sprintf("%d/exe", pid), "/bin/stuck")
		if err := syscall.Mkfifo(filepath.Join(f.root, fmt.Sprintf("%d/cmdline", pid)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := NewProcFS(ProcConfig{Root: f.root, Timeout: 50 * time.Millisecond})
	start, seen := time.Now(), 0
	err := p.SeedFromProc(func(r *event.TaskRecord) error {
		seen++
		if !r.Image.ArgvCut || r.Image.Exe.Path != "/bin/stuck" {
			t.Errorf("%+v", r.Image)
		}
		return nil
	})
	if took := time.Since(start); err != nil || seen != n || took > 20*time.Second {
		t.Errorf("%d processes in %s: %v", seen, took, err)
	}
	if p.stuck.Load() != maxStuck {
		t.Errorf("%d reads hang", p.stuck.Load())
	}
	for pid := 1; pid <= maxStuck; pid++ { // let them go
		w, err := os.OpenFile(filepath.Join(f.root, fmt.Sprintf("%d/cmdline", pid)), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	for end := time.Now().Add(5 * time.Second); p.stuck.Load() != 0; {
		if time.Now().After(end) {
			t.Fatalf("%d reads still counted as hanging", p.stuck.Load())
		}
		time.Sleep(time.Millisecond)
	}
}

// TestReadProcReal reads a child of the test from the real /proc.
func TestReadProcReal(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/bin", "SECRET_TOKEN=x", "LD_LIBRARY_PATH=/nowhere"}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if err := cmd.Start(); err != nil {
		t.Skipf("no sleep program here: %v", err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	p := NewProcFS(ProcConfig{Env: defaultEnv(t)})
	rec, err := p.ReadProc(uint32(cmd.Process.Pid))
	// Start returns in the middle of the exec, when the kernel has closed the
	// descriptors but not laid out arguments and environment yet.
	for begun := time.Now(); err == nil && len(rec.Image.Env) == 0 && time.Since(begun) < 5*time.Second; {
		time.Sleep(time.Millisecond)
		rec, err = p.ReadProc(uint32(cmd.Process.Pid))
	}
	if err != nil {
		t.Fatal(err)
	}
	img := rec.Image
	if rec.Comm != "sleep" || img.Cmdline() != "sleep 60" || img.Cwd != "/" || rec.PPid != uint32(os.Getpid()) ||
		rec.Parent.Pid != rec.PPid || rec.Parent.Start == 0 || rec.NS.Mnt == 0 || rec.CgroupPath == "" ||
		img.Stdio[0].Kind != event.StdioPipe || img.Stdio[1].Kind != event.StdioNull || img.Exe.Inode == 0 ||
		!strings.HasPrefix(img.Exe.Path, "/") || rec.Cred.UID != uint32(os.Getuid()) {
		t.Errorf("%+v\n%+v", rec, img)
	}
	if !slices.Equal(img.Env, []string{"PATH=/bin", "LD_LIBRARY_PATH=/nowhere"}) {
		t.Errorf("%q", img.Env)
	}
	if age := time.Duration(rec.Boot - rec.Key.Start); age < 0 || age > time.Minute {
		t.Errorf("started %s ago", age)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, err := p.ReadProc(uint32(cmd.Process.Pid)); !errors.Is(err, ErrGone) {
		t.Errorf("%v", err)
	}
}

// TestSeedTableFromProc fills a table from the real /proc.
func TestSeedTableFromProc(t *testing.T) {
	tab := NewTable(Config{})
	tab.BeginResync()
	err := NewProcFS(ProcConfig{}).SeedFromProc(func(r *event.TaskRecord) error {
		tab.Seed(r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	born, died := tab.EndResync(uptime("/proc"))
	check(t, tab)
	self := tab.ByPid(uint32(os.Getpid()))
	if self == nil || self.Image == nil || !strings.HasSuffix(self.Image.Exe.Path, ".test") || len(born) == 0 || len(died) != 0 {
		t.Fatalf("%d born, %d died, self %+v", len(born), len(died), self)
	}
	if self.Parent == nil || self.Parent.Pid != uint32(os.Getppid()) {
		t.Errorf("parent %+v", self.Parent)
	}
	if d := time.Since(self.Time); d < 0 || d > time.Hour {
		t.Errorf("started %s ago", d)
	}
}

func TestNestedNamespace(t *testing.T) {
	f := newFakeProc(t)
	for pid, ns := range map[int]string{10: "host", 20: "box", 30: "box"} {
		f.add(pid, pid-10, "p", "S", uint64(pid), 0)
		f.link(fmt.Sprintf("%d/ns/pid", pid), "pid:["+map[string]string{"host": "1", "box": "2"}[ns]+"]")
	}
	f.file("20/status", "NSpid:\t20\t1\nNSpgid:\t7\t1\nNSsid:\t6\t0\n")
	f.file("30/status", "NSpid:\t30\t2\nNSpgid:\t7\t1\nNSsid:\t6\t0\n")
	p := NewProcFS(ProcConfig{Root: f.root})
	for pid, want := range map[uint32][2]uint32{10: {10, 0}, 20: {1, 0}, 30: {2, 1}} {
		rec, err := p.ReadProc(pid)
		if err != nil || rec.NSPid != want[0] || rec.NSPPid != want[1] {
			t.Errorf("process %d: %d, %d, %v; want %v", pid, rec.NSPid, rec.NSPPid, err, want)
		}
	}
}

func TestTtyNames(t *testing.T) {
	for dev, want := range map[uint32]string{0: "", 0x401: "tty1", 0x440: "ttyS0", 0x8803: "pts3", 0x8901: "pts257", 0x500: ""} {
		if got := ttyOf(dev); got.Name != want || got.Dev != dev {
			t.Errorf("%#x is %q, want %q", dev, got.Name, want)
		}
	}
}

func TestCgroupFile(t *testing.T) {
	for _, c := range []struct {
		in, path string
		unified  bool
	}{
		{"0::/a/b\n", "/a/b", true},
		{"12:memory:/m\n1:name=systemd:/s\n0::/\n", "/s", false},
		{"12:memory:/m\n1:name=systemd:/s\n0::/u:x\n", "/u:x", true},
		{"5:cpu:/c\n3:memory,x:/m\n", "/m", false},
		{"0::/\n", "/", true},
		{"rubbish\n::\n0::relative", "", false},
	} {
		if path, unified := parseCgroupFile([]byte(c.in)); path != c.path || unified != c.unified {
			t.Errorf("%q gave %q, %v", c.in, path, unified)
		}
	}
}

func TestExeFile(t *testing.T) {
	gone := &syscall.Stat_t{Nlink: 0, Ino: 5, Dev: 0xfd01}
	if f := exeFile("/memfd:x y (deleted)", gone); f.Path != "memfd:x y" || !f.Memfd || f.Dev != 0xfd<<32|1 {
		t.Errorf("%+v", f)
	}
	// a name that only looks like it
	if f := exeFile("/tmp/x (deleted)", &syscall.Stat_t{Nlink: 1}); f.Path != "/tmp/x (deleted)" || f.Deleted {
		t.Errorf("%+v", f)
	}
	f := exeFile("/usr/bin/x", nil)
	if fromRoot(&f, "/usr"); f.RootPath != "/bin/x" || f.Unreachable {
		t.Errorf("%+v", f)
	}
	if fromRoot(&f, "/us"); !f.Unreachable {
		t.Errorf("%+v", f)
	}
	for link, want := range map[string]event.StdioKind{
		"anon_inode:[eventfd]": event.StdioAnon, "/dev/pts/3": event.StdioPty, "/dev/tty1": event.StdioTty,
		"/dev/zero": event.StdioChar, "/var/log/x": event.StdioFile,
	} {
		if s := stdio(link, nil); s.Kind != want || s.Path != link {
			t.Errorf("%s gave %+v", link, s)
		}
	}
	for mode, want := range map[uint32]event.StdioKind{
		syscall.S_IFREG: event.StdioFile, syscall.S_IFDIR: event.StdioDir, syscall.S_IFIFO: event.StdioFifo,
		syscall.S_IFBLK: event.StdioBlock, syscall.S_IFSOCK: event.StdioSocket,
	} {
		if s := stdio("/x", &syscall.Stat_t{Mode: mode, Nlink: 1}); s.Kind != want {
			t.Errorf("mode %o gave %s", mode, s.Kind)
		}
	}
	for dev, want := range map[uint64]event.StdioKind{0x103: event.StdioNull, 0x8803: event.StdioPty, 0x401: event.StdioTty, 0x105: event.StdioChar} {
		if s := stdio("/x", &syscall.Stat_t{Mode: syscall.S_IFCHR, Rdev: dev, Nlink: 1}); s.Kind != want {
			t.Errorf("device %#x gave %s", dev, s.Kind)
		}
	}
}

func FuzzProcFiles(f *testing.F) {
	f.Add([]byte("12 (a) b) S 1 7 6 34818 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 55 4096 1"))
	f.Add([]byte("Uid:\t1\t2\nNSpid:\t5\t1\nCapEff:\tzz\n0::/x:y\n1:name=systemd:/s"))
	f.Add([]byte("1 () Z 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 18446744073709551615 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := parseStat(b); err == nil && (st.start%tick != 0 || !strings.Contains(string(b), "("+st.comm+")")) {
			t.Fatalf("%+v of %q", st, b)
		}
		var rec event.TaskRecord
		parseStatus(b, &rec)
		if path, _ := parseCgroupFile(b); path != "" && path[0] != '/' {
			t.Fatalf("path %q", path)
		}
		if args := splitArgs(b); len(b) > 0 && strings.Join(args, "\x00") != strings.TrimSuffix(string(b), "\x00") {
			t.Fatalf("%q of %q", args, b)
		}
		linkNumber(string(b))
		parseUptime(b)
	})
}
