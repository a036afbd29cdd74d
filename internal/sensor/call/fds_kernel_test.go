package call

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

func TestCallDescriptors(t *testing.T) {
	w := observe(t)
	dir := newDir(t)
	fd, err := unix.Open(dir+"/f", unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	need(t, err)
	defer unix.Close(fd)
	free := func(n int) int {
		for ; ; n++ {
			if _, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil {
				return n
			}
		}
	}
	for _, d := range []done{
		do("dup", fd), do("dup2", fd, free(200)), do("dup3", fd, free(300), unix.O_CLOEXEC), do("fcntl", fd, unix.F_DUPFD, 100),
		do("fcntl", fd, unix.F_DUPFD_CLOEXEC, 50),
	} {
		got := w.saw(t, ok(t, d))
		expect(t, d.Name+": new", int(got.FD.Num), int(d.Ret))
		expect(t, d.Name+": old", int(got.FD2.Num), fd)
		expect(t, d.Name+": path", got.FD.File.Path, dir+"/f")
		unix.Close(int(d.Ret))
	}
	quiet := do("fcntl", fd, unix.F_GETFD, 0)
	bad := do("dup", 9999)

	for _, name := range []string{"pipe", "pipe2", "socketpair"} {
		fds := make(raw, 8)
		var d done
		switch name {
		case "pipe":
			d = do(name, fds)
		case "pipe2":
			d = do(name, fds, unix.O_NONBLOCK)
		default:
			d = do(name, unix.AF_UNIX, unix.SOCK_STREAM, 0, fds)
		}
		got := w.saw(t, ok(t, d))
		a, b := lookAt(int(binary.LittleEndian.Uint32(fds))), lookAt(int(binary.LittleEndian.Uint32(fds[4:])))
		sameFD(t, name+"'s first end", got.FD, a)
		sameFD(t, name+"'s second end", got.FD2, b)
		if name == "socketpair" {
			expect(t, "family", got.FD.Sock.Family, "unix")
		} else {
			expect(t, name+": inodes", got.FD.Inode(), got.FD2.Inode())
		}
		unix.Close(a.Num)
		unix.Close(b.Num)
	}
	expect(t, "fcntl without a new descriptor", w.count(event.Dup, is(quiet)), 0)
	expect(t, "failed dup", w.count(event.Dup, is(bad)), 0)
}

func TestCallTakeDescriptor(t *testing.T) {
	w := observe(t)
	kid := sleeper(t)
	pidfd, err := unix.PidfdOpen(kid, 0)
	need(t, err)
	defer unix.Close(pidfd)
	d := closed(do("pidfd_getfd", pidfd, 1, 0))
	got := w.saw(t, ok(t, d))
	expect(t, "result", int(got.FD.Num), int(d.Ret))
	expect(t, "path", got.FD.File.Path, "/dev/null")
	d = do("pidfd_getfd", pidfd, 12345, 0)
	expect(t, "error", d.errno(), unix.EBADF)
	w.saw(t, d)
}

func TestCallPassDescriptors(t *testing.T) {
	w := observe(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	dir := newDir(t)
	fd, err := unix.Open(dir+"/passed", unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	need(t, err)
	defer unix.Close(fd)
	rights := unix.UnixRights(fd, pair[0], fd)
	text := raw("x")
	msg := &unix.Msghdr{
		Iov: &unix.Iovec{Base: &text[0], Len: 1}, Iovlen: 1, Control: &rights[0], Controllen: uint64(len(rights)),
	}
	d := ok(t, do("sendmsg", pair[0], unsafe.Pointer(msg), 0))
	r := w.find(event.PassFD, "the passed descriptors", func(r *event.TaskRecord) bool { return int(r.Tid) == d.Tid })
	c := r.Call
	expect(t, "call", c.Spec.Name, "scm_rights")
	expect(t, "result", c.Ret, d.Ret)
	expect(t, "how many", c.Args[2], 3)
	if c.FD == nil || c.FD2 == nil {
		t.Fatalf("the descriptors are %+v and %+v", c.FD, c.FD2)
	}
	sameFD(t, "the socket", c.FD, lookAt(pair[0]))
	sameFD(t, "what was passed", c.FD2, lookAt(fd))
	before := w.count(event.PassFD, func(*event.TaskRecord) bool { return true })
	plain := &unix.Msghdr{Iov: &unix.Iovec{Base: &text[0], Len: 1}, Iovlen: 1}
	ok(t, do("sendmsg", pair[0], unsafe.Pointer(plain), 0))
	cred := unix.UnixCredentials(&unix.Ucred{Pid: int32(unix.Getpid())})
	creds := &unix.Msghdr{
		Iov: &unix.Iovec{Base: &text[0], Len: 1}, Iovlen: 1, Control: &cred[0], Controllen: uint64(len(cred)),
	}
	ok(t, do("sendmsg", pair[0], unsafe.Pointer(creds), 0))
	d = ok(t, do("sendmsg", pair[0], unsafe.Pointer(msg), 0))
	w.find(event.PassFD, "more of them", func(r *event.TaskRecord) bool { return r.Boot+clockSlack >= d.From })
	expect(t, "messages with descriptors", w.count(event.PassFD, func(*event.TaskRecord) bool { return true })-before, 1)
}
