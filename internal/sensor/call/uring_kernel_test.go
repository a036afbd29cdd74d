package call

import (
	"net"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// call waits for the last call that satisfies ok.
func (w *observer) call(what string, ok func(*event.Call) bool) *event.Call {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		w.mu.Lock()
		for i := len(w.records) - 1; i >= w.from; i-- {
			if c := w.records[i].Call; ok(c) {
				w.mu.Unlock()
				return c
			}
		}
		w.mu.Unlock()
	}
	w.t.Fatalf("no %s came within 10 s", what)
	return nil
}

// viaRing reports whether the kernel lets programs at its functions, so that
// operations become events of their own.
func viaRing(w *observer) bool {
	for _, f := range w.sensor.uring.fails {
		w.t.Log(f.Hook, f.Error)
	}
	return w.sensor.uring.ops != nil
}

func TestURing(t *testing.T) {
	w := observe(t)
	r := newRing(t)
	viaRing(w)
	setup := w.call("io_uring_setup", func(c *event.Call) bool { return c.Spec.Name == "io_uring_setup" })
	expect(t, "ring", setup.FD.File.Path, "anon_inode:[io_uring]")
	dir := newDir(t)
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	need(t, err)
	defer unix.Close(at)
	need(t, os.WriteFile(dir+"/f", nil, 0o600))

	steps := []struct {
		what     string
		name     string
		op       sqe
		path     string
		path2    string
		opcode   uint64
		resolved bool
	}{
		{"open", "openat", sqe{opcode: 18, fd: int32(at), addr: ptr(t, "./f"), opFlags: unix.O_RDONLY}, dir + "/f", "", 18, true},
		{"open of what is not there", "openat", sqe{opcode: 18, fd: unix.AT_FDCWD, addr: ptr(t, dir+"/none"), opFlags: unix.O_RDONLY}, dir + "/none", "", 18, false},
		{"rename", "renameat2", sqe{opcode: 35, fd: int32(at), addr: ptr(t, "f"), len: uint32(at), off: ptr(t, "g")}, dir + "/f", dir + "/g", 35, false},
		{"mkdir", "mkdirat", sqe{opcode: 37, fd: int32(at), addr: ptr(t, "d"), len: 0o700}, dir + "/d", "", 37, false},
		{"symlink", "symlinkat", sqe{opcode: 38, fd: int32(at), addr: ptr(t, "/etc/shadow"), off: ptr(t, "s")}, dir + "/s", "", 38, false},
		{"link", "linkat", sqe{opcode: 39, fd: int32(at), addr: ptr(t, "g"), len: uint32(at), off: ptr(t, "h")}, dir + "/g", dir + "/h", 39, false},
		{"unlink", "unlinkat", sqe{opcode: 36, fd: int32(at), addr: ptr(t, "h")}, dir + "/h", "", 36, false},
	}
	for _, s := range steps {
		res := r.do(t, s.op)
		if res == -int32(unix.EINVAL) {
			t.Logf("this kernel's io_uring knows no %s", s.what)
			continue
		}
		submitted := w.call("submission of "+s.what, func(c *event.Call) bool {
			return c.Spec.Name == "io_uring_op" && c.Args[0] == s.opcode && (c.Path == nil || c.Path.Path == s.path)
		})
		expect(t, s.what+"'s way", submitted.Via, "io_uring")
		if !viaRing(w) {
			if submitted.Path != nil {
				expect(t, "submitted path of "+s.what, submitted.Path.Path, s.path)
			}
			continue
		}
		c := w.call(s.what, func(c *event.Call) bool {
			return c.Spec.Name == s.name && c.Via == "io_uring" && c.Ret == int64(res) && c.Path != nil && c.Path.Path == s.path
		})
		expect(t, s.what+" is resolved", c.Path.Resolved, s.resolved)
		if s.path2 != "" {
			expect(t, s.what+"'s second path", c.Path2.Path, s.path2)
		}
		if s.what == "symlink" {
			expect(t, "what it points to", c.Text, "/etc/shadow")
		}
		if s.what == "open" {
			fd, err := unix.Open(dir+"/../"+dir[len(dir)-3:]+"/f", unix.O_RDONLY, 0)
			need(t, err)
			same := w.call("the same by open(2)", func(c *event.Call) bool { return c.Spec.Name == "openat" && c.Ret == int64(fd) && c.Via == "" })
			expect(t, "path by both ways", c.Path.Path, same.Path.Path)
			expect(t, "inode by both ways", c.Path.Inode, same.Path.Inode)
			unix.Close(fd)
			unix.Close(int(res))
		}
	}
	if !viaRing(w) {
		t.Log("programs at functions are refused here: only submissions are told")
	}
}

func TestURingConnect(t *testing.T) {
	w := observe(t)
	r := newRing(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	need(t, err)
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	defer unix.Close(fd)
	addr := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port<<8 | port>>8, Addr: [4]byte{127, 0, 0, 1}}
	res := r.do(t, sqe{opcode: 16, fd: int32(fd), addr: uint64(uintptr(unsafe.Pointer(&addr))), off: uint64(unsafe.Sizeof(addr))})
	expect(t, "result", res, 0)
	w.call("submission", func(c *event.Call) bool { return c.Spec.Name == "io_uring_op" && c.Args[0] == 16 })
	if !viaRing(w) {
		return
	}
	c := w.call("connect", func(c *event.Call) bool { return c.Spec.Name == "connect" && c.Via == "io_uring" })
	expect(t, "descriptor", c.FD.Num, int32(fd))
	expect(t, "remote address", c.FD.Sock.Remote, "127.0.0.1")
	expect(t, "remote port", c.FD.Sock.RemotePort, port)
}
