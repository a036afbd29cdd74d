package call

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

const at = unix.AT_FDCWD

// closed closes what a call opened and hands the call on.
func closed(d done) done {
	if !d.failed() {
		unix.Close(int(d.Ret))
	}
	return d
}

// openDir opens a directory for use as a dirfd.
func openDir(t *testing.T, dir string) int {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	need(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func inDir(t *testing.T, dir string) {
	t.Helper()
	old, err := os.Getwd()
	need(t, err)
	need(t, os.Chdir(dir))
	t.Cleanup(func() { _ = os.Chdir(old) })
}

func TestCallOpen(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	dirfd := openDir(t, dir)
	inDir(t, dir)
	file := dir + "/file"
	need(t, os.WriteFile(file, []byte("x"), 0o640))
	need(t, os.Symlink("file", dir+"/link"))
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	need(t, err)
	defer unix.Close(fd)
	how := &unix.OpenHow{Flags: unix.O_RDWR | unix.O_CREAT, Mode: 0o600}
	size := int(unsafe.Sizeof(*how))
	for _, c := range []struct {
		what    string
		d       done
		path    string
		created bool
	}{
		{"read", do("open", file, unix.O_RDONLY), file, false},
		{"write", do("open", file, unix.O_WRONLY|unix.O_APPEND), file, false},
		{"truncate", do("openat", at, file, unix.O_RDWR|unix.O_TRUNC), file, false},
		{"create", do("openat", at, dir+"/new", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600), dir + "/new", true},
		{"create what is there", do("openat", at, dir+"/new", unix.O_WRONLY|unix.O_CREAT, 0o600), dir + "/new", false},
		{"creat", do("creat", dir+"/creat", 0o644), dir + "/creat", true},
		{"openat2", do("openat2", dirfd, "o2", unsafe.Pointer(how), size), dir + "/o2", true},
		{"relative", do("open", ".///file", unix.O_RDONLY), dir + "/file", false},
		{"relative to a directory", do("openat", dirfd, "file", unix.O_RDONLY), file, false},
		{"symbolic link", do("open", dir+"/link", unix.O_RDONLY), file, false},
		{"O_PATH", do("open", file, unix.O_PATH), file, false},
		{"through /proc", do("open", "/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY), file, false},
		{"directory", do("open", dir, unix.O_RDONLY|unix.O_DIRECTORY), dir, false},
		{"root of a file system", do("open", "/", unix.O_RDONLY|unix.O_DIRECTORY), "/", false},
		{"root of another", do("open", "/proc", unix.O_RDONLY|unix.O_DIRECTORY), "/proc", false},
		{"device", do("open", "/dev/null", unix.O_RDWR), "/dev/null", false},
	} {
		t.Run(c.what, func(t *testing.T) {
			closed(c.d)
			got := w.saw(t, c.d)
			expect(t, "path", got.Path.Path, c.path)
			expect(t, "made", got.Path.Created, c.created)
			ok(t, c.d)
			expect(t, "known to the kernel", got.Path.Resolved, true)
			if c.what == "openat2" {
				expect(t, "how's flags", got.Args[2], how.Flags)
				expect(t, "how's mode", got.Args[3], how.Mode)
			}
			if got.FD != nil {
				expect(t, "inode", got.Path.Inode, c.d.FDs[-1].Ino)
				expect(t, "the file's path", got.FD.File.Path, c.path)
			}
		})
	}
}

func TestCallOpenFails(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	inDir(t, dir)
	need(t, os.WriteFile(dir+"/file", nil, 0o644))
	how := &unix.OpenHow{Flags: unix.O_RDONLY, Resolve: unix.RESOLVE_NO_SYMLINKS}
	for _, c := range []struct {
		d    done
		want unix.Errno
		path string
	}{
		{do("open", dir+"/none", unix.O_RDONLY), unix.ENOENT, dir + "/none"},
		{do("openat", at, "none/../x", unix.O_RDONLY), unix.ENOENT, dir + "/x"},
		{do("openat", at, "file/x", unix.O_RDONLY), unix.ENOTDIR, dir + "/file/x"},
		{do("openat", 9999, "x", unix.O_RDONLY), unix.EBADF, ""},
		{do("creat", dir, 0o644), unix.EISDIR, dir},
		{do("openat", at, dir+"/file", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600), unix.EEXIST, dir + "/file"},
		{do("openat2", at, "none", unsafe.Pointer(how), int(unsafe.Sizeof(*how))), unix.ENOENT, dir + "/none"},
	} {
		if c.d.errno() != c.want {
			t.Errorf("%s(%v) gives %v, want %v", c.d.Name, c.d.Strs, c.d.errno(), c.want)
		}
		got := w.saw(t, c.d)
		expect(t, "path", got.Path.Path, c.path)
		expect(t, "known to the kernel", got.Path.Resolved, false)
	}
	// an address that cannot be read
	d := do("open", uintptr(8), unix.O_RDONLY)
	if d.errno() != unix.EFAULT {
		t.Errorf("opening address 8 gives %v", d.errno())
	}
	if got := w.saw(t, d); got.Path != nil && (got.Path.Raw != "" || !got.Path.RawCut) {
		t.Errorf("an unreadable path is %+v", got.Path)
	}
	kid := w.start(t, "eacces", dir+"/secret")
	calls := kid.calls()
	if len(calls) != 1 || calls[0].errno() != unix.EACCES {
		t.Fatalf("the child made %+v", calls)
	}
	got := w.saw(t, calls[0])
	expect(t, "path", got.Path.Path, dir+"/secret")
	r := w.find(event.Open, "the child", is(calls[0]))
	expect(t, "the child's euid", r.Cred.EUID, 65534)
	expect(t, "the child's uid", r.Cred.UID, 0)
}

// What the kernel calls by no name, or by another than the caller.
func TestCallOpenWithoutName(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	tmp := do("open", dir, unix.O_TMPFILE|unix.O_RDWR, 0o600)
	if tmp.errno() == unix.EOPNOTSUPP {
		t.Log("O_TMPFILE is not supported here")
	} else {
		got := w.saw(t, closed(ok(t, tmp)))
		expect(t, "a temporary file is deleted", got.Path.Deleted, true)
		expect(t, "its raw path", got.Path.Raw, dir)
	}
	file := dir + "/gone"
	fd, err := unix.Open(file, unix.O_CREAT|unix.O_RDWR, 0o600)
	need(t, err)
	defer unix.Close(fd)
	need(t, os.Remove(file))
	got := w.saw(t, closed(ok(t, do("open", "/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY))))
	expect(t, "path", got.Path.Path, file)
	expect(t, "deleted", got.Path.Deleted, true)

	mem := ok(t, do("memfd_create", "a b\n", unix.MFD_CLOEXEC))
	defer unix.Close(int(mem.Ret))
	got = w.saw(t, mem)
	expect(t, "name", got.Text, "a b\n")
	expect(t, "file", got.FD.File.Path, "memfd:a b\n")
	got = w.saw(t, closed(ok(t, do("open", "/proc/self/fd/"+strconv.Itoa(int(mem.Ret)), unix.O_RDWR))))
	expect(t, "path", got.Path.Path, "memfd:a b\n")
	expect(t, "memfd", got.Path.Memfd, true)
	expect(t, "deleted", got.Path.Deleted, false)
}

func TestCallOpenStrangeNames(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	for _, name := range []string{
		"new\nline", "\x1b[31mred", "\xff\xfe", "a\tb", "~", "$(id)", "(deleted)", "x (deleted)", "日本", strings.Repeat("n", 255), " ",
	} {
		d := ok(t, closed(do("open", dir+"/"+name, unix.O_CREAT|unix.O_WRONLY, 0o600)))
		got := w.saw(t, d)
		expect(t, "path", got.Path.Path, dir+"/"+name)
		expect(t, "deleted", got.Path.Deleted, false)
	}
}

// The longest path there is: 4,095 bytes and a NUL; and one byte more.
func TestCallOpenLongPath(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	name := strings.Repeat("d", 250)
	long := dir
	inDir(t, dir)
	for len(long)+1+len(name) < 4000 {
		need(t, unix.Mkdir(name, 0o755))
		need(t, unix.Chdir(name))
		long += "/" + name
	}
	leaf := strings.Repeat("f", 255)
	long += strings.Repeat("/", 4095-255-len(long)) + leaf
	d := ok(t, closed(do("open", long, unix.O_CREAT|unix.O_WRONLY, 0o600)))
	got := w.saw(t, d)
	expect(t, "path", got.Path.Path, filepath.Clean(long))
	expect(t, "the path is cut", got.Path.PathCut, false)
	d = do("open", long+"f", unix.O_RDONLY)
	expect(t, "one byte more", d.errno(), unix.ENAMETOOLONG)
	r := w.find(event.Open, "the path that is too long", is(d))
	expect(t, "it is cut", r.Call.Path.RawCut, true)
	expect(t, "what is there of it", r.Call.Path.Raw, long)
}

// 2,000 directories, each within the other.
func TestCallOpenDeep(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	calls := w.start(t, "deep", dir).calls()
	if len(calls) != 2 {
		t.Fatalf("the child made %d calls", len(calls))
	}
	want := dir + strings.Repeat("/d", 2000) + "/leaf"
	got := w.saw(t, calls[0])
	expect(t, "path", got.Path.Path, want)
	expect(t, "cut", got.Path.PathCut, false)
	got = w.saw(t, calls[1])
	expect(t, "the path of a failed open", got.Path.Path, filepath.Dir(want)+"/none")
	expect(t, "resolved", got.Path.Resolved, false)
}

func TestCallOpenKinds(t *testing.T) {
	guestDir := newDir(t)
	for what, opens := range map[string]Opens{"read": OpenRead, "write": OpenWrite, "failed": OpenFailed} {
		t.Run(what, func(t *testing.T) {
			w := observe(t)
			settings := w.sensor.coll.Maps["settings"]
			var set progBcSettings
			need(t, settings.Lookup(uint32(0), &set))
			all := set
			set.Open = uint32(opens)
			need(t, settings.Put(uint32(0), set))
			defer func() { need(t, settings.Put(uint32(0), all)) }()
			f := guestDir + "/" + what
			write := ok(t, closed(do("open", f, unix.O_CREAT|unix.O_WRONLY, 0o600)))
			read := ok(t, closed(do("open", f, unix.O_RDONLY)))
			failed := do("open", f+"/none", unix.O_RDONLY)
			made := ok(t, closed(do("creat", f, 0o600)))
			last := map[Opens]done{OpenRead: read, OpenWrite: made, OpenFailed: failed}[opens]
			w.saw(t, last)
			for _, d := range []done{write, read, failed, made} {
				kind := OpenWrite
				if d.Args == read.Args {
					kind = OpenRead
				} else if d.failed() {
					kind = OpenFailed
				}
				expect(t, d.Name+" is reported", w.count(event.Open, is(d)) > 0, kind == opens)
			}
		})
	}
}

func TestCallOpenByHandle(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	need(t, os.WriteFile(dir+"/h", nil, 0o600))
	h, _, err := unix.NameToHandleAt(at, dir+"/h", 0)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("this file system has no handles")
	}
	need(t, err)
	b := make(raw, 8+h.Size())
	*(*uint32)(unsafe.Pointer(&b[0])) = uint32(h.Size())
	*(*int32)(unsafe.Pointer(&b[4])) = h.Type()
	copy(b[8:], h.Bytes())
	d := do("open_by_handle_at", openRead(t, dir), b, unix.O_RDONLY)
	got := w.saw(t, closed(ok(t, d)))
	if got.Path == nil {
		t.Fatal("no path in the record")
	}
	expect(t, "path", got.Path.Path, dir+"/h")
	expect(t, "raw", got.Path.Raw, "")
}

func openRead(t *testing.T, dir string) int {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	need(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}
