package call

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"golang.org/x/sys/unix"
)

// done is a system call that a test made, and all that the kernel says of its
// descriptors: what the sensor's record is compared with.
type done struct {
	Name string
	Pid  int
	Tid  int
	Args [6]uint64
	Ret  int64
	// From and To are the times between which it was made.
	From, To uint64
	// Strs are the arguments that were strings, by index.
	Strs map[int]string
	// FDs describes the descriptors in the arguments, by index; -1 the result.
	FDs map[int]fdInfo
	// Root is where the caller's root lies, where it is not "/".
	Root string
	// Mnt is the thread's mount namespace after the call, 0 where /proc is out of reach.
	Mnt uint32
	// IDs, Caps and NoNewPrivs are the thread's after the call, where a child
	// told them: uid, euid, suid, fsuid, the same of the group; inheritable,
	// permitted, effective, bounding, ambient.
	IDs        [8]uint32
	Caps       [5]uint64
	NoNewPrivs bool
}

// fdInfo is what /proc, fstat and getsockname say of a descriptor.
type fdInfo struct {
	Num           int
	Link          string
	Dev, Ino      uint64
	Mode          uint32
	UID, GID      uint32
	Nlink         uint64
	Local, Remote string
}

func (d done) failed() bool { return d.Ret < 0 && d.Ret > -4096 }

// errno is what the call failed with, or 0.
func (d done) errno() unix.Errno {
	if d.failed() {
		return unix.Errno(-d.Ret)
	}
	return 0
}

// raw is a string whose bytes are passed as they are, without a NUL behind.
type raw []byte

// do makes a call by its name. Arguments are numbers, strings, raw bytes, and
// pointers.
func do(name string, args ...any) done {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d := done{Name: name, Pid: os.Getpid(), Tid: unix.Gettid(), Strs: map[int]string{}, FDs: map[int]fdInfo{}}
	spec := event.CallNamed(name)
	nr, known := numbers64()[name]
	if spec == nil && !known {
		panic("no call " + name)
	}
	keep := make([]any, 0, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			p, err := unix.BytePtrFromString(a)
			if err != nil {
				panic(err)
			}
			keep = append(keep, p)
			d.Args[i], d.Strs[i] = uint64(uintptr(unsafe.Pointer(p))), a
		case raw:
			keep = append(keep, a)
			if len(a) > 0 {
				d.Args[i] = uint64(uintptr(unsafe.Pointer(&a[0])))
			}
		case unsafe.Pointer:
			keep = append(keep, a)
			d.Args[i] = uint64(uintptr(a))
		case uintptr:
			d.Args[i] = uint64(a)
		case uint64:
			d.Args[i] = a
		case uint32:
			d.Args[i] = uint64(a)
		case int64:
			d.Args[i] = uint64(a)
		case int:
			d.Args[i] = uint64(a)
		default:
			panic(fmt.Sprintf("argument %d of %s is a %T", i, name, a))
		}
	}
	d.look(spec)
	d.From = kernel.BootNow()
	r, _, errno := unix.Syscall6(uintptr(nr), uintptr(d.Args[0]), uintptr(d.Args[1]), uintptr(d.Args[2]), uintptr(d.Args[3]),
		uintptr(d.Args[4]), uintptr(d.Args[5]))
	d.Ret = int64(r)
	if errno != 0 {
		d.Ret = -int64(errno)
	}
	d.To = kernel.BootNow()
	runtime.KeepAlive(keep)
	if link, err := os.Readlink("/proc/thread-self/ns/mnt"); err == nil {
		_, _ = fmt.Sscanf(link, "mnt:[%d]", &d.Mnt)
	}
	d.look(spec)
	if spec != nil && spec.RetFD && !d.failed() {
		d.FDs[-1] = lookAt(int(d.Ret))
	}
	return d
}

// look describes the descriptors among the arguments; after the call what is
// still open.
func (d *done) look(s *event.CallSpec) {
	if s == nil {
		return
	}
	for i, a := range s.Args {
		if a.Kind == event.ArgFD || a.Kind == event.ArgFD2 {
			if info := lookAt(int(int32(d.Args[i]))); info.Link != "" {
				d.FDs[i] = info
			}
		}
	}
}

func lookAt(fd int) fdInfo {
	info := fdInfo{Num: fd}
	info.Link, _ = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil {
		info.Dev = uint64(unix.Major(st.Dev))<<32 | uint64(unix.Minor(st.Dev))
		info.Ino, info.Mode, info.UID, info.GID, info.Nlink = st.Ino, st.Mode, st.Uid, st.Gid, st.Nlink
	}
	if sa, err := unix.Getsockname(fd); err == nil {
		info.Local = addrText(sa)
	}
	if sa, err := unix.Getpeername(fd); err == nil {
		info.Remote = addrText(sa)
	}
	return info
}

// addrText writes an IP address and its port; "" for other families.
func addrText(sa unix.Sockaddr) string {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return sockText(strings.TrimPrefix(netip.AddrFrom4(a.Addr).String(), "0.0.0.0"), uint16(a.Port))
	case *unix.SockaddrInet6:
		text := netip.AddrFrom16(a.Addr).String()
		if text == "::" {
			text = ""
		}
		return sockText(text, uint16(a.Port))
	}
	return ""
}

func sockText(addr string, port uint16) string { return fmt.Sprintf("%s %d", addr, port) }

// sockaddr writes struct sockaddr_in or sockaddr_in6.
func sockaddr(text string) raw {
	ap := netip.MustParseAddrPort(text)
	port := []byte{byte(ap.Port() >> 8), byte(ap.Port())}
	if ap.Addr().Is4() {
		a := ap.Addr().As4()
		b := append(raw{unix.AF_INET, 0}, port...)
		return append(append(b, a[:]...), make([]byte, 8)...)
	}
	a := ap.Addr().As16()
	b := append(raw{unix.AF_INET6, 0}, port...)
	b = append(b, 0, 0, 0, 0)
	return append(append(b, a[:]...), 0, 0, 0, 0)
}

// sockaddrUnix writes struct sockaddr_un, all bytes of the name counted.
func sockaddrUnix(name string) raw { return append(raw{unix.AF_UNIX, 0}, name...) }

// tell hands a call over to the test that started this child.
func tell(d done) done {
	b, err := json.Marshal(d)
	must(err)
	_, err = os.Stdout.Write(append(b, '\n'))
	must(err)
	return d
}

func must(err error) {
	if err != nil {
		println("child:", err.Error())
		os.Exit(98)
	}
}
