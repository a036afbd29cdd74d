package hostpath

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// TestMain lets the test binary play a host and a container on it.
func TestMain(m *testing.M) {
	var err error
	switch os.Getenv("BEARCAT_CHILD") {
	case "":
		os.Exit(m.Run())
	case "host":
		err = playHost(os.Args[1])
	case "container":
		err = playContainer(os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// opened is a file as the container sees it.
type opened struct {
	Path           string
	Dev, Ino       uint64
	Mode, UID, GID uint32
	Host, Pid      int
}

// all runs steps up to the first that fails.
func all(steps ...func() error) error {
	for _, s := range steps {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}

func mounting(source, target, typ string, flags uintptr, data string) func() error {
	return func() error {
		if err := unix.Mount(source, target, typ, flags, data); err != nil {
			return fmt.Errorf("mounting %s at %s: %w", source, target, err)
		}
		return nil
	}
}

func write(name string) func() error {
	return func() error {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		return os.WriteFile(name, []byte(name), 0o640)
	}
}

func layers(dir, n string) string {
	return fmt.Sprintf("lowerdir=%[1]s/lower%[2]s,upperdir=%[1]s/upper%[2]s,workdir=%[1]s/work%[2]s", dir, n)
}

// playHost mounts what hosts have, in a namespace of its own, and starts a container.
func playHost(dir string) error {
	err := all(
		mounting("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		mounting("host", dir, "tmpfs", 0, ""),
		write(dir+"/lower/low"), write(dir+"/lower/etc/hosts"), write(dir+"/volume/f"), write(dir+"/volume2/f"), write(dir+"/hosts"), write(dir+"/lower2/low"),
		func() error {
			for _, d := range []string{"upper", "work", "merged", "upper2", "work2", "lower/tmp", "lower/volume", "lower/own", "lower/old"} {
				if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
					return err
				}
			}
			return os.Symlink("/volume", dir+"/lower/link")
		},
		mounting("overlay", dir+"/merged", "overlay", 0, layers(dir, "")),
	)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, dir)
	cmd.Env = append(os.Environ(), "BEARCAT_CHILD=container", fmt.Sprintf("HOST=%d", os.Getpid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// playContainer goes into the overlay, opens files, and mounts another volume when told.
func playContainer(dir string) error {
	root := dir + "/merged"
	err := all(
		mounting("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		mounting("tmp", root+"/tmp", "tmpfs", 0, ""),
		mounting(dir+"/volume", root+"/volume", "", unix.MS_BIND, ""),
		mounting(dir+"/hosts", root+"/etc/hosts", "", unix.MS_BIND, ""),
		mounting("overlay", root+"/own", "overlay", 0, layers(dir, "2")),
		mounting("/proc", root+"/old", "", unix.MS_BIND|unix.MS_REC, ""),
		func() error { return enter(root) },
		write("/new"), write("/tmp/x"), write("/own/up"),
	)
	if err != nil {
		return err
	}
	var host int
	if _, err := fmt.Sscan(os.Getenv("HOST"), &host); err != nil {
		return err
	}
	for _, name := range []string{"/low", "/new", "/volume/f", "/link/f", "/etc/hosts", "/tmp/x", "/own/low", "/own/up"} {
		if err := tell(name, host); err != nil {
			return err
		}
	}
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return nil
	}
	// the folder of the host is out of reach by now, as it is for containers; the
	// volume is given another part of itself
	if err := all(write("/volume/part/f"), mounting("/volume/part", "/volume", "", unix.MS_BIND, "")); err != nil {
		return err
	}
	if err := tell("/volume/f", host); err != nil {
		return err
	}
	_, _ = in.ReadString('\n') // until the test ends
	return nil
}

// enter makes a mount the root of the namespace.
func enter(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err == nil {
		return unix.Unmount(".", unix.MNT_DETACH)
	}
	// the first root of all cannot be left like this
	if err := unix.Mount(root, "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("changing the root to %s: %w", root, err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return os.Chdir("/")
}

func tell(name string, host int) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(opened{Path: path, Dev: uint64(unix.Major(st.Dev))<<32 | uint64(unix.Minor(st.Dev)), Ino: st.Ino,
		Mode: st.Mode, UID: st.Uid, GID: st.Gid, Host: host, Pid: os.Getpid()})
}

// stage is a host with a container.
type stage struct {
	t   *testing.T
	dir string
	in  io.WriteCloser
	out *json.Decoder
}

func newStage(t *testing.T) *stage {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, dir: t.TempDir()}
	cmd := exec.Command(self, s.dir)
	cmd.Env = append(os.Environ(), "BEARCAT_CHILD=host")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	if s.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = json.NewDecoder(out)
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting a process in a new mount namespace: %v", err)
	}
	t.Cleanup(func() {
		_ = s.in.Close()
		_ = cmd.Wait()
	})
	return s
}

func (s *stage) next() (o opened) {
	s.t.Helper()
	if err := s.out.Decode(&o); err != nil {
		s.t.Fatalf("the container ended: %v", err)
	}
	return o
}

func (o *opened) file(upper bool) *event.File {
	return &event.File{Path: o.Path, Dev: o.Dev, Inode: o.Ino, Mode: o.Mode, UID: o.UID, GID: o.GID, Upper: upper}
}

func needOverlay(t *testing.T) {
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "\toverlay\n") {
		guest.Modprobe(t, "overlay")
	}
}

func TestHostPathsOfAContainer(t *testing.T) {
	guest.NeedKernel(t)
	needOverlay(t)
	s := newStage(t)
	first := s.next()
	r := New(Options{Host: first.Host})
	defer r.Close()
	ns := nsOf(fmt.Sprintf("/proc/%d", first.Pid))
	at := event.HostPlace{NS: ns, Tid: uint32(first.Pid), Pid: uint32(first.Pid), Resolved: true}
	check := func(o opened, upper bool, want string) {
		t.Helper()
		if want != "" {
			want = s.dir + want
		}
		got := r.HostPath(at, o.file(upper))
		if got != want {
			t.Errorf("%s: %q, want %q; the account is %+v", o.Path, got, want, r.Stats())
		}
		if got == "" {
			return
		}
		var st unix.Stat_t
		if err := unix.Stat(fmt.Sprintf("/proc/%d/root%s", o.Host, got), &st); err != nil {
			t.Error(err)
		}
		dev := uint64(unix.Major(st.Dev))<<32 | uint64(unix.Minor(st.Dev))
		if layer := strings.Contains(want, "2/"); st.Ino != o.Ino || !layer && dev != o.Dev {
			t.Errorf("%s is inode %d of %x in the container, and %s inode %d of %x on the host", o.Path, o.Ino, o.Dev, got, st.Ino, dev)
		}
	}
	check(first, false, "/merged/low")
	check(s.next(), true, "/merged/new")
	f := s.next()
	check(f, false, "/volume/f")
	link := s.next()
	if link.Path != "/volume/f" {
		t.Errorf("through the link it is %s", link.Path)
	}
	check(s.next(), false, "/hosts")
	check(s.next(), false, "")
	check(s.next(), false, "/lower2/low")
	check(s.next(), true, "/upper2/up")

	at.Resolved = false
	if got := r.HostPath(at, &event.File{Path: "/link/f"}); got != "" || r.Stats().Unsure != 1 {
		t.Errorf("through a link that was not followed: %q, %+v", got, r.Stats())
	}
	for path, want := range map[string]string{"/volume/none": "/volume/none", "/tmp/x": "", "/gone/deep/f": "/merged/gone/deep/f"} {
		got := r.HostPath(at, &event.File{Path: path})
		if want != "" {
			want = s.dir + want
		}
		if got != want {
			t.Errorf("%s, which was not opened: %q, want %q", path, got, want)
		}
	}

	at.Resolved = true
	fmt.Fprintln(s.in)
	moved := s.next()
	r.Changed(ns)
	check(moved, false, "/volume/part/f")
	if f.Ino == moved.Ino {
		t.Error("the file is the one of before")
	}
}

func TestHostsMountsThatChange(t *testing.T) {
	guest.NeedKernel(t)
	needOverlay(t)
	s := newStage(t)
	o := s.next()
	// to the container's processes the container is the host, and the other way round
	r := New(Options{Host: o.Pid})
	defer r.Close()
	at := event.HostPlace{NS: nsOf(fmt.Sprintf("/proc/%d", o.Host)), Pid: uint32(o.Host), Resolved: true}
	ask := func() string { return r.HostPath(at, &event.File{Path: s.dir + "/volume/part/f"}) }
	for range 7 {
		o = s.next()
	}
	if got := ask(); got != "/volume/part/f" {
		t.Errorf("at first: %q", got)
	}
	fmt.Fprintln(s.in)
	s.next()
	deadline := time.Now().Add(time.Minute)
	for ask() != "/volume/f" {
		if time.Now().After(deadline) {
			t.Fatalf("after a mount of the host it is %q", ask())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
