package call

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// named is a call and the paths that its record must have.
type named struct {
	d           done
	path, path2 string
	errno       unix.Errno
}

func (w *observer) sawNamed(t *testing.T, all []named) {
	t.Helper()
	for _, c := range all {
		t.Run(c.d.Name, func(t *testing.T) {
			if c.d.errno() == unix.ENOSYS && c.errno == 0 {
				w.saw(t, c.d)
				t.Skipf("this kernel has no %s", c.d.Name)
			}
			if c.d.errno() != c.errno {
				t.Errorf("%s(%v) gives %v, want %v", c.d.Name, c.d.Strs, c.d.errno(), c.errno)
			}
			got := w.saw(t, c.d)
			for i, want := range []string{c.path, c.path2} {
				ref := []*event.FileRef{got.Path, got.Path2}[i]
				if want == "" && ref != nil {
					t.Errorf("path %d is %q, want none", i+1, ref.Path)
				} else if want != "" && ref == nil {
					t.Errorf("path %d is not there, want %q", i+1, want)
				} else if want != "" {
					expect(t, "path", ref.Path, want)
				}
			}
		})
	}
}

func TestCallNames(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	other := newDir(t)
	fd, fd2 := openDir(t, dir), openDir(t, other)
	inDir(t, dir)
	need(t, os.WriteFile(dir+"/f", nil, 0o600))
	w.sawNamed(t, []named{
		{do("mkdir", dir+"/a", 0o755), dir + "/a", "", 0},
		{do("mkdir", "b/", 0o700), dir + "/b", "", 0},
		{do("mkdir", "b", 0o700), dir + "/b", "", unix.EEXIST},
		{do("mkdirat", fd2, "c", 0o700), other + "/c", "", 0},
		{do("mkdirat", at, "none/c", 0o700), dir + "/none/c", "", unix.ENOENT},
		{do("rename", dir+"/f", "g"), dir + "/f", dir + "/g", 0},
		{do("rename", "none", dir+"/h"), dir + "/none", dir + "/h", unix.ENOENT},
		{do("renameat", fd, "g", fd2, "h"), dir + "/g", other + "/h", 0},
		{do("renameat2", fd2, "h", fd, "i", unix.RENAME_NOREPLACE), other + "/h", dir + "/i", 0},
		{do("link", "i", dir+"/j"), dir + "/i", dir + "/j", 0},
		{do("linkat", fd, "i", fd2, "k", 0), dir + "/i", other + "/k", 0},
		{do("linkat", fd, "i", fd2, "k", 0), dir + "/i", other + "/k", unix.EEXIST},
		{do("symlink", "../target", "s"), dir + "/s", "", 0},
		{do("symlinkat", "/etc/passwd", fd2, "s"), other + "/s", "", 0},
		{do("mknod", dir+"/fifo", unix.S_IFIFO|0o600, 0), dir + "/fifo", "", 0},
		{do("mknodat", fd2, "fifo", unix.S_IFIFO|0o600, 0), other + "/fifo", "", 0},
		{do("mknodat", fd2, "null", unix.S_IFCHR|0o600, 0x103), other + "/null", "", 0},
		{do("unlink", dir+"/s"), dir + "/s", "", 0},
		{do("unlink", "s"), dir + "/s", "", unix.ENOENT},
		{do("unlinkat", fd2, "s", 0), other + "/s", "", 0},
		{do("unlinkat", fd2, "c", unix.AT_REMOVEDIR), other + "/c", "", 0},
		{do("rmdir", dir+"/a"), dir + "/a", "", 0},
		{do("rmdir", other), other, "", unix.ENOTEMPTY},
	})
	expect(t, "a symbolic link's target", w.find(event.Symlink, "s", func(r *event.TaskRecord) bool {
		return r.Call.Path.Path == dir+"/s"
	}).Call.Text, "../target")
}

func TestCallFileProperties(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	f := dir + "/f"
	fd, err := unix.Open(f, unix.O_CREAT|unix.O_RDWR, 0o600)
	need(t, err)
	defer unix.Close(fd)
	dirfd := openDir(t, dir)
	inDir(t, dir)
	value := raw("value")
	times := make(raw, 32)
	const name = "user.bearcat"
	setxattr := do("setxattr", f, name, value, len(value), 0)
	w.sawNamed(t, []named{
		{do("chmod", f, 0o4755), f, "", 0},
		{do("fchmod", fd, 0o600), f, "", 0},
		{do("fchmodat", dirfd, "f", 0o640), f, "", 0},
		{do("fchmodat2", dirfd, "f", 0o600, unix.AT_SYMLINK_NOFOLLOW), f, "", 0},
		{do("chmod", "none", 0o777), dir + "/none", "", unix.ENOENT},
		{do("chown", f, 1, 2), f, "", 0},
		{do("lchown", "f", 3, -1), f, "", 0},
		{do("fchown", fd, 4, 5), f, "", 0},
		{do("fchown", 9999, 4, 5), "", "", unix.EBADF},
		{do("fchownat", dirfd, "f", 0, 0, 0), f, "", 0},
		{do("fchownat", fd, "", 0, 0, unix.AT_EMPTY_PATH), f, "", 0},
		{setxattr, f, "", setxattr.errno()},
		{do("lsetxattr", "f", name, value, len(value), 0), f, "", setxattr.errno()},
		{do("fsetxattr", fd, name, value, len(value), 0), f, "", setxattr.errno()},
		{do("setxattr", f, "nonsense", value, len(value), 0), f, "", unix.EOPNOTSUPP},
		{do("truncate", f, 100), f, "", 0},
		{do("ftruncate", fd, 10), f, "", 0},
		{do("utime", f, uintptr(0)), f, "", 0},
		{do("utimes", "f", uintptr(0)), f, "", 0},
		{do("futimesat", dirfd, "f", times), f, "", 0},
		{do("utimensat", dirfd, "f", times, 0), f, "", 0},
	})
	gone := setxattr.errno()
	if gone == 0 {
		gone = unix.ENODATA // after the first
	}
	w.sawNamed(t, []named{
		{do("removexattr", f, name), f, "", setxattr.errno()},
		{do("lremovexattr", f, name), f, "", gone},
		{do("fremovexattr", fd, name), f, "", gone},
	})
	flags := new(int64)
	chattr := do("ioctl", fd, 0x40086602, unsafe.Pointer(flags)) // FS_IOC_SETFLAGS
	if chattr.failed() {
		t.Logf("FS_IOC_SETFLAGS fails here with %v", chattr.errno())
	}
	xflags := make(raw, 28)
	w.sawNamed(t, []named{{chattr, f, "", chattr.errno()}})
	x := do("ioctl", fd, 0x401c5820, xflags) // FS_IOC_FSSETXATTR
	w.sawNamed(t, []named{{x, f, "", x.errno()}})
	quiet := do("ioctl", fd, unix.TIOCGWINSZ, xflags)
	w.saw(t, x)
	expect(t, "other requests reported", w.count(event.Chattr, is(quiet)), 0)
}

func TestCallSplice(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	in, err := unix.Open(dir+"/in", unix.O_CREAT|unix.O_RDWR, 0o600)
	need(t, err)
	out, err := unix.Open(dir+"/out", unix.O_CREAT|unix.O_RDWR, 0o600)
	need(t, err)
	_, err = unix.Write(in, []byte(strings.Repeat("x", 100)))
	need(t, err)
	var a, b [2]int
	need(t, unix.Pipe2(a[:], unix.O_CLOEXEC))
	need(t, unix.Pipe2(b[:], unix.O_CLOEXEC))
	zero := new(int64)
	text := raw("written")
	iov := &unix.Iovec{Base: &text[0], Len: uint64(len(text))}
	for _, d := range []done{
		do("splice", in, unsafe.Pointer(zero), a[1], uintptr(0), 20, 0),
		do("tee", a[0], b[1], 20, unix.SPLICE_F_NONBLOCK),
		do("vmsplice", a[1], unsafe.Pointer(iov), 1, 0),
		do("sendfile", out, in, unsafe.Pointer(new(int64)), 30),
		do("copy_file_range", in, unsafe.Pointer(new(int64)), out, uintptr(0), 10, 0),
	} {
		got := w.saw(t, ok(t, d))
		if d.Name == "vmsplice" {
			continue
		}
		if got.FD == nil || got.FD2 == nil {
			t.Errorf("%s has the descriptors %+v and %+v", d.Name, got.FD, got.FD2)
		}
	}
	failed := do("splice", in, uintptr(0), 9999, uintptr(0), 20, 0)
	for _, p := range []int{a[0], a[1], b[0], b[1]} {
		unix.Close(p)
	}
	expect(t, "failed splices reported", w.count(event.Splice, is(failed)), 0)
	unix.Close(in)
	unix.Close(out)
}
