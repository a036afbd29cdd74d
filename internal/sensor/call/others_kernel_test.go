package call

import (
	"testing"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

func TestCallPtrace(t *testing.T) {
	w := observe(t)
	kid := sleeper(t)
	quiet := do("ptrace", unix.PTRACE_PEEKTEXT, kid, 0, 0)
	seize := do("ptrace", unix.PTRACE_SEIZE, kid, 0, 0)
	for _, d := range []done{
		ok(t, seize),
		do("ptrace", unix.PTRACE_ATTACH, kid, 0, 0), // fails: it is held already
		do("ptrace", unix.PTRACE_POKETEXT, kid, 0x1000, 1),
		do("ptrace", unix.PTRACE_POKEDATA, kid, 0x1000, 1),
		do("ptrace", unix.PTRACE_POKEUSR, kid, 0, 0),
		do("ptrace", unix.PTRACE_SETREGS, kid, 0, 0),
		do("ptrace", unix.PTRACE_SETFPREGS, kid, 0, 0),
		do("ptrace", unix.PTRACE_SETREGSET, kid, 1, 0),
		do("ptrace", unix.PTRACE_ATTACH, 1<<22+1, 0, 0),
	} {
		got := w.saw(t, d)
		expect(t, "request", got.Args[0], d.Args[0])
		expect(t, "process", got.Args[1], d.Args[1])
	}
	expect(t, "PEEKTEXT is reported", w.count(event.Ptrace, is(quiet)), 0)
}

func TestCallKill(t *testing.T) {
	w := observe(t)
	kid := sleeper(t)
	pidfd, err := unix.PidfdOpen(kid, 0)
	need(t, err)
	defer unix.Close(pidfd)
	info := make(raw, 128)
	*(*int32)(unsafe.Pointer(&info[0])) = int32(unix.SIGCONT)
	*(*int32)(unsafe.Pointer(&info[8])) = -1 // SI_QUEUE
	null := do("kill", kid, 0)
	pidnull := do("pidfd_send_signal", pidfd, 0, uintptr(0), 0)
	own := do("tgkill", unix.Getpid(), unix.Gettid(), int(unix.SIGURG))
	for _, d := range []done{
		ok(t, do("kill", kid, int(unix.SIGCONT))),
		ok(t, do("tkill", kid, int(unix.SIGCONT))),
		ok(t, do("tgkill", kid, kid, int(unix.SIGCONT))),
		ok(t, do("rt_sigqueueinfo", kid, int(unix.SIGCONT), info)),
		ok(t, do("pidfd_send_signal", pidfd, int(unix.SIGCONT), uintptr(0), 0)),
		do("kill", 1<<22+1, int(unix.SIGTERM)),
	} {
		w.saw(t, d)
	}
	expect(t, "signal 0 is reported", w.count(event.Kill, is(null))+w.count(event.Kill, is(pidnull)), 0)
	expect(t, "signals to own threads", w.count(event.Kill, is(own)), 0)
}

func TestCallOthersMemory(t *testing.T) {
	w := observe(t)
	kid := sleeper(t)
	pidfd, err := unix.PidfdOpen(kid, 0)
	need(t, err)
	defer unix.Close(pidfd)
	b := make(raw, 8)
	iov := &unix.Iovec{Base: &b[0], Len: 8}
	for _, d := range []done{
		do("process_vm_readv", kid, unsafe.Pointer(iov), 1, unsafe.Pointer(iov), 1, 0),
		do("process_vm_writev", kid, unsafe.Pointer(iov), 1, unsafe.Pointer(iov), 1, 0),
		ok(t, do("process_vm_readv", unix.Getpid(), unsafe.Pointer(iov), 1, unsafe.Pointer(iov), 1, 0)),
		do("process_madvise", pidfd, unsafe.Pointer(iov), 1, unix.MADV_COLD, 0),
	} {
		if d.errno() == unix.ENOSYS {
			t.Logf("this kernel has no %s", d.Name)
		}
		w.saw(t, d)
	}
}

func TestCallUserfaultfdAndPerf(t *testing.T) {
	w := observe(t)
	d := closed(do("userfaultfd", unix.O_CLOEXEC))
	got := w.saw(t, d)
	if !d.failed() {
		expect(t, "file", got.FD.File.Path, "anon_inode:[userfaultfd]")
	}
	attr := &unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
	d = closed(do("perf_event_open", unsafe.Pointer(attr), 0, -1, -1, 0))
	if d.failed() {
		t.Logf("perf_event_open fails here: %v", d.errno())
	}
	got = w.saw(t, d)
	if !d.failed() {
		expect(t, "file", got.FD.File.Path, "anon_inode:[perf_event]")
	}
}

func TestCallMemoryProtection(t *testing.T) {
	w := observe(t)
	anon := unix.MAP_PRIVATE | unix.MAP_ANON
	wx := ok(t, do("mmap", 0, 4096, unix.PROT_WRITE|unix.PROT_EXEC, anon, -1, 0))
	rx := ok(t, do("mmap", 0, 4096, unix.PROT_READ|unix.PROT_EXEC, anon, -1, 0))
	rw := ok(t, do("mmap", 0, 4096, unix.PROT_READ|unix.PROT_WRITE, anon, -1, 0))
	dir := newDir(t)
	fd, err := unix.Open(dir+"/lib", unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o700)
	need(t, err)
	defer unix.Close(fd)
	need(t, unix.Ftruncate(fd, 4096))
	lib := ok(t, do("mmap", 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE, fd, 0))
	filewx := ok(t, do("mmap", 0, 4096, unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE, fd, 0))
	exec := ok(t, do("mprotect", uint64(rw.Ret), 4096, unix.PROT_READ|unix.PROT_EXEC))
	plain := ok(t, do("mprotect", uint64(rw.Ret), 4096, unix.PROT_READ))
	key := do("pkey_mprotect", uint64(rw.Ret), 4096, unix.PROT_EXEC, -1)
	failed := do("mprotect", 4096, 4096, unix.PROT_EXEC)
	for _, d := range []done{wx, rx, exec} {
		w.saw(t, d)
	}
	if key.failed() {
		t.Logf("pkey_mprotect fails here: %v", key.errno())
	} else {
		w.saw(t, key)
	}
	got := w.saw(t, filewx)
	expect(t, "the mapped file", got.FD.File.Path, dir+"/lib")
	for what, d := range map[string]done{"data": rw, "a library": lib} {
		expect(t, what+" is reported", w.count(event.Mmap, is(d)), 0)
	}
	for what, d := range map[string]done{"mprotect without PROT_EXEC": plain, "a failed mprotect": failed} {
		expect(t, what+" is reported", w.count(event.Mprotect, is(d)), 0)
	}
	for _, d := range []done{wx, rx, rw, lib, filewx} {
		_, _, _ = unix.Syscall(unix.SYS_MUNMAP, uintptr(d.Ret), 4096, 0)
	}
}
