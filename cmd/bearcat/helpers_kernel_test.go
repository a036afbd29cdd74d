package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Programs that the kernel tests start inside the scope. This test binary is
// all of them, by name (see TestMain).

// memfdExec runs /bin/true from memory, under the name "payload". It writes the
// time just before to the file that its argument names.
func memfdExec() {
	program, err := os.ReadFile("/bin/true")
	exitOn(err)
	fd, err := unix.MemfdCreate("payload", unix.MFD_CLOEXEC)
	exitOn(err)
	_, err = unix.Write(fd, program)
	exitOn(err)
	stamp := strconv.FormatInt(time.Now().UnixNano(), 10)
	exitOn(os.WriteFile(os.Args[1], []byte(stamp), 0o600))
	exitOn(unix.Exec(fmt.Sprintf("/proc/self/fd/%d", fd), []string{"innocent"}, nil))
}

// hostileArgs are arguments that would move the cursor, set the title, break
// the line, reverse the text, or are no text at all.
func hostileArgs() []string {
	return []string{"bearcat-test-mark", "\x1b[2J\x1b]0;owned\a", "\xff\xfe\x80", "a\nb\rc", "\u202egpj.exe", "\u009b31m", "tab\there"}
}

// hostileName is what a process may call itself.
const hostileName = "\x1b[31mx\n\xff"

// hostileExec changes its name to one with control characters, then runs
// /bin/true with such arguments.
func hostileExec() {
	name, err := unix.BytePtrFromString(hostileName)
	exitOn(err)
	// The main thread's name is the process's.
	exitOn(os.WriteFile(fmt.Sprintf("/proc/self/task/%d/comm", os.Getpid()), []byte(unix.BytePtrToString(name)), 0))
	exitOn(unix.Exec("/bin/true", append([]string{"true"}, hostileArgs()...), nil))
}

// ringOpen opens the file that its argument names through io_uring, with no call
// for it. It exits with 4 where the kernel makes no ring.
func ringOpen() {
	var params [120]byte // struct io_uring_params
	r, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if e != 0 {
		os.Exit(4)
	}
	area := func(offset int64) []byte {
		m, err := unix.Mmap(int(r), offset, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		exitOn(err)
		return m
	}
	queue, done, entries := area(0), area(0x8000000), area(0x10000000)
	number := func(of []byte, param int) *uint32 {
		return (*uint32)(unsafe.Pointer(&of[binary.NativeEndian.Uint32(params[param:])]))
	}
	path, err := unix.BytePtrFromString(os.Args[1])
	exitOn(err)
	at := unix.AT_FDCWD
	entries[0] = 18                                                                    // IORING_OP_OPENAT
	binary.NativeEndian.PutUint32(entries[4:], uint32(at))                             // struct io_uring_sqe's fd
	binary.NativeEndian.PutUint64(entries[16:], uint64(uintptr(unsafe.Pointer(path)))) // its addr
	*number(queue, 40+24) = 0                                                          // the array's first is the first entry
	*number(queue, 40+4)++                                                             // the tail
	if _, _, e := unix.Syscall6(unix.SYS_IO_URING_ENTER, r, 1, 1, 1, 0, 0); e != 0 {
		exitOn(e)
	}
	runtime.KeepAlive(path)
	first := binary.NativeEndian.Uint32(params[80+20:])
	if res := int32(binary.NativeEndian.Uint32(done[first+8:])); res < 0 {
		exitOn(unix.Errno(-res))
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}
