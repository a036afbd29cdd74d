package task

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// take takes a snapshot that is closed at the test's end.
func take(t *testing.T, args bool) *Snapshot {
	t.Helper()
	s, err := Take(args)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if len(s.Notes) > 0 {
		t.Errorf("the snapshot lacks something: %q", s.Notes)
	}
	return s
}

// sleeper starts a process that waits, under a name.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	// until it runs what it is to run
	for {
		exe, err := os.Readlink("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/exe")
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(exe, "/sleep") {
			return cmd
		}
	}
}

func TestProcesses(t *testing.T) {
	guest.NeedKernel(t)
	child := sleeper(t)
	s := take(t, true)
	p, err := s.Find(uint32(child.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	want, err := filepath.EvalSymlinks(child.Path)
	if err != nil {
		t.Fatal(err)
	}
	if p.Image == nil || p.Image.Exe.Path != want || !slices.Equal(p.Image.Argv, []string{"sleep", "300"}) || p.Comm != "sleep" {
		t.Errorf("the child is %+v with %+v", p, p.Image)
	}
	if p.PPid != uint32(os.Getpid()) || p.Parent == nil || p.Parent.Pid != p.PPid || p.Cred.UID != uint32(os.Getuid()) {
		t.Errorf("its parent is %d (%v), its user %d", p.PPid, p.Parent, p.Cred.UID)
	}
	if _, err := s.Find(1 << 21); err == nil {
		t.Error("a process that is not there was found")
	}
	// whoever /proc had before and after the walk has to be in it
	before := procPids(t)
	s = take(t, false)
	after := procPids(t)
	listed := map[uint32]bool{}
	for _, p := range s.Processes() {
		listed[p.Pid] = true
	}
	for pid := range before {
		if after[pid] && !listed[pid] {
			t.Errorf("process %d is in /proc and not in the list", pid)
		}
	}
}

// TestInsidePidNamespace takes a snapshot where /proc has other pids than the kernel's
// list of tasks: each process is there once.
func TestInsidePidNamespace(t *testing.T) {
	guest.NeedKernel(t)
	const inside = "BEARCAT_TEST_INSIDE"
	if os.Getenv(inside) != "" {
		for _, m := range [][2]string{{"none", "/"}, {"proc", "/proc"}} {
			flags := map[string]uintptr{"none": unix.MS_REC | unix.MS_PRIVATE}[m[0]]
			if err := unix.Mount(m[0], m[1], "proc", flags, ""); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Take(false)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if procs := s.Processes(); len(procs) != 1 || procs[0].NSPid != 1 || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "this is a pid namespace") {
			t.Errorf("%d processes, the first %+v; notes %q", len(procs), procs[0], s.Notes)
		}
		if _, err := s.Find(1); err == nil || !strings.Contains(err.Error(), "in this pid namespace, where pids are those outside") {
			t.Errorf("looking for pid 1: %v", err)
		}
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestInsidePidNamespace$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("inside: %v: %s", err, out)
	}
}

func procPids(t *testing.T) map[uint32]bool {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	out := map[uint32]bool{}
	for _, e := range entries {
		if n, err := strconv.ParseUint(e.Name(), 10, 32); err == nil {
			stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
			if err == nil && !strings.Contains(string(stat), ") Z ") && !strings.Contains(string(stat), ") X ") {
				out[uint32(n)] = true
			}
		}
	}
	return out
}

func TestFiles(t *testing.T) {
	guest.NeedKernel(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "a file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("12345"); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ul, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer ul.Close()
	find := func(all []File, num uintptr) *File {
		t.Helper()
		i := slices.IndexFunc(all, func(x File) bool { return x.Key.Pid == uint32(os.Getpid()) && x.FD.Num == int32(num) })
		if i < 0 {
			t.Fatalf("descriptor %d of this process is not in the list", num)
		}
		return &all[i]
	}
	all, err := take(t, false).Files()
	if err != nil {
		t.Fatal(err)
	}
	if x := find(all, f.Fd()); x.FD.File.Path != path || x.Pos != 5 || x.Read != true || x.Write != true || x.FD.Kind != event.StdioFile || x.FD.File.Deleted || x.Proc.Pid != uint32(os.Getpid()) {
		t.Errorf("the file is %+v, %+v", x, x.FD)
	}
	if x := find(all, r.Fd()); x.FD.Kind != event.StdioPipe || !x.Read || x.Write {
		t.Errorf("the pipe's end is %+v, %+v", x, x.FD)
	}
	pipes := Pipes(all)
	i := slices.IndexFunc(pipes, func(p Pipe) bool { return p.Inode == find(all, r.Fd()).FD.Inode() })
	if i < 0 || len(pipes[i].Readers) != 1 || len(pipes[i].Writers) != 1 || pipes[i].Writers[0].Num != int32(w.Fd()) {
		t.Errorf("the pipes are %+v", pipes)
	}
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	var listening, connected, named bool
	for _, s := range Sockets(all, all) {
		mine := slices.ContainsFunc(s.Holders, func(h Holder) bool { return h.Proc.Pid == uint32(os.Getpid()) })
		listening = listening || mine && s.Sock.State == "listen" && s.Sock.LocalPort == port && s.Sock.Local == "127.0.0.1"
		connected = connected || mine && s.Sock.State == "established" && s.Sock.RemotePort == port && s.Sock.Remote == "127.0.0.1"
		named = named || mine && s.Sock.Family == "unix" && s.Sock.Local == filepath.Join(dir, "sock")
	}
	if !listening || !connected || !named {
		t.Errorf("the listener is there: %v, the connection: %v, the unix socket: %v", listening, connected, named)
	}
	where, err := WhereFile("fd.name endswith '/a file' and proc.pid = " + strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range all {
		if where.File(&all[i]) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the condition keeps %d files, want 1", n)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if all, err = take(t, false).Files(); err != nil {
		t.Fatal(err)
	}
	if x := find(all, f.Fd()); !x.FD.File.Deleted {
		t.Errorf("the removed file is %+v", x.FD.File)
	}
}

// TestCoveredProcess hides a process's folder in /proc, as rootkits do that have
// nothing better.
func TestCoveredProcess(t *testing.T) {
	guest.Require(t)
	child := sleeper(t)
	dir := "/proc/" + strconv.Itoa(child.Process.Pid)
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	if _, err := os.Stat(dir + "/exe"); err == nil {
		t.Fatal("the process is not covered")
	}
	s := take(t, true)
	p, err := s.Find(uint32(child.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if p.Image == nil || !strings.HasSuffix(p.Image.Exe.Path, "/sleep") {
		t.Errorf("the covered process runs %+v", p.Image)
	}
	all, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(f File) bool { return f.Key.Pid == p.Pid && f.Proc == p }) {
		t.Error("the covered process has no open files")
	}
}

// TestSocketStates finds the queues of sockets in this network namespace, and in one
// that another process lives in.
func TestSocketStates(t *testing.T) {
	guest.NeedKernel(t)
	spaces := map[uint16]uint64{} // by port
	listen := func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		var st unix.Stat_t
		if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
			t.Fatal(err)
		}
		spaces[uint16(l.Addr().(*net.TCPAddr).Port)] = st.Ino
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and its namespace
	listen()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip: %v: %s", err, out)
	}
	sleeper(t)            // it lives there
	for len(spaces) < 2 { // both may have the same port
		listen()
	}
	s := take(t, false)
	all, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	sockets := Sockets(all, all)
	s.AddStates(sockets)
	found := map[uint16]int{}
	for _, x := range sockets {
		port := x.Sock.LocalPort
		if x.Sock.State == "established" {
			port = x.Sock.RemotePort
		}
		ns := spaces[port]
		if x.Holders[0].Proc.Pid != uint32(os.Getpid()) || x.Sock.Proto != "tcp" || ns == 0 {
			continue
		}
		found[port]++
		if x.State == nil || x.State.NetNS != ns {
			t.Fatalf("socket %+v has the state %+v, want one in namespace %d; notes %q", x.Sock, x.State, ns, s.Notes)
		}
		if b := x.State.Backlog; x.Sock.State == "listen" && (b == nil || b.Waiting != 1) {
			t.Errorf("%+v waits for the listener, want 1", b)
		}
		if tcp := x.State.TCP; x.Sock.State == "established" && (tcp == nil || tcp.RTT == 0 || tcp.Retransmitted != 0) {
			t.Errorf("the connection measured %+v", tcp)
		}
	}
	for port := range spaces { // the end that waits has no descriptor
		if found[port] != 2 {
			t.Errorf("%d sockets of port %d, want 2", found[port], port)
		}
	}
}
