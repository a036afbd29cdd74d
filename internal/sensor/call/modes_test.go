package call

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// modes are what a child can do.
func modes() map[string]func(args []string) {
	return map[string]func([]string){
		"eacces":     childEACCES,
		"deep":       childDeep,
		"privileges": childPrivileges,
		"capset":     childCapset,
		"chroot":     childChroot,
		"mounts":     childMounts,
		"pivot":      childPivot,
		"overlay":    childOverlay,
		"refused":    childRefused,
	}
}

// childRefused has a filter refuse mkdir, in two ways of calling it, and makes a
// directory in a third that the filter lets through.
func childRefused(args []string) {
	errno := uint32(unix.SECCOMP_RET_ERRNO | int(unix.EACCES))
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: unix.SYS_MKDIR},
		{Code: unix.BPF_RET | unix.BPF_K, K: errno},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	must(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	must(unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0))
	tell(do("mkdir", "/tmp/refused", 0o700))
	tell(do("mkdir", "refused", 0o700))
	tell(do("mkdirat", unix.AT_FDCWD, "/dev/null/none", 0o700))
}

func childEACCES(args []string) {
	must(os.WriteFile(args[0], nil, 0o600))
	must(unix.Setresuid(-1, 65534, -1))
	tell(do("open", args[0], unix.O_RDONLY))
}

func childDeep(args []string) {
	must(os.Chdir(args[0]))
	for range 2000 {
		must(unix.Mkdir("d", 0o755))
		must(unix.Chdir("d"))
	}
	d := do("open", "leaf", unix.O_CREAT|unix.O_WRONLY, 0o600)
	d.FDs = nil // /proc shows no path that long
	tell(d)
	tell(do("open", "none", unix.O_RDONLY))
	for range 2000 { // t.TempDir could not
		must(unix.Chdir(".."))
		_ = unix.Unlink("d/leaf")
		must(unix.Rmdir("d"))
	}
}

// withCreds adds what /proc says of the thread's credentials after the call.
func withCreds(d done) done {
	b, err := os.ReadFile("/proc/thread-self/status")
	must(err)
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		switch name {
		case "Uid":
			_, err = fmt.Sscan(rest, &d.IDs[0], &d.IDs[1], &d.IDs[2], &d.IDs[3])
		case "Gid":
			_, err = fmt.Sscan(rest, &d.IDs[4], &d.IDs[5], &d.IDs[6], &d.IDs[7])
		case "NoNewPrivs":
			d.NoNewPrivs = strings.TrimSpace(rest) == "1"
		default:
			for i, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
				if name == set {
					_, err = fmt.Sscanf(rest, "%x", &d.Caps[i])
				}
			}
		}
		must(err)
	}
	return tell(d)
}

type capHeader struct {
	version uint32
	pid     int32
}

type capData struct{ effective, permitted, inheritable uint32 }

// capset sets the thread's capabilities to those it has, less one.
func capset(less uint) done {
	h, data := &capHeader{version: 0x20080522}, new([2]capData)
	_, _, errno := unix.Syscall(unix.SYS_CAPGET, uintptr(unsafe.Pointer(h)), uintptr(unsafe.Pointer(data)), 0)
	if errno != 0 {
		must(errno)
	}
	data[0].effective &^= 1 << less
	data[0].permitted &^= 1 << less
	return do("capset", unsafe.Pointer(h), unsafe.Pointer(data))
}

func childCapset([]string) {
	tell(capset(unix.CAP_SYS_MODULE))
	h := &capHeader{version: 0x20080522}
	all := &[2]capData{{^uint32(0), ^uint32(0), 0}, {^uint32(0), ^uint32(0), 0}}
	tell(do("capset", unsafe.Pointer(h), unsafe.Pointer(all)))
}

func childPrivileges([]string) {
	name := raw("x\x00")
	groups := &[2]uint32{10, 20}
	self, err := unix.Open("/proc/self/ns/uts", unix.O_RDONLY, 0)
	must(err)
	tell(do("prctl", unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
	tell(do("prctl", unix.PR_SET_KEEPCAPS, 0, 0, 0, 0))
	tell(do("prctl", unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	tell(do("prctl", unix.PR_SET_PTRACER, 1, 0, 0, 0))
	tell(do("prctl", unix.PR_CAPBSET_DROP, unix.CAP_SYS_BOOT, 0, 0, 0))
	tell(do("prctl", unix.PR_SET_SECUREBITS, 0, 0, 0, 0))
	tell(do("prctl", unix.PR_SET_MM, 999, 0, 0, 0))
	tell(do("prctl", unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
	tell(do("prctl", unix.PR_SET_SECCOMP, 999, 0, 0, 0))
	do("prctl", unix.PR_SET_NAME, name, 0, 0, 0)
	tell(do("keyctl", 0, -3, 0, 0, 0)) // KEYCTL_GET_KEYRING_ID of the session's
	tell(do("add_key", "user", "bearcat", raw("secret"), 6, -1))
	tell(do("request_key", "user", "bearcat none", uintptr(0), 0))
	withCreds(do("unshare", unix.CLONE_NEWUTS|unix.CLONE_NEWIPC))
	withCreds(do("setns", self, unix.CLONE_NEWUTS))
	withCreds(do("setns", 9999, 0))
	withCreds(capset(unix.CAP_SYS_MODULE))
	withCreds(do("setgroups", 2, unsafe.Pointer(groups)))
	withCreds(do("setfsgid", 21))
	withCreds(do("setfsuid", 11))
	withCreds(do("setregid", 22, 23))
	withCreds(do("setresgid", 24, 25, 26))
	withCreds(do("setgid", 25))
	withCreds(do("setreuid", -1, 0))
	withCreds(do("setresuid", 0, 0, 12))
	tell(do("prctl", unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	withCreds(do("setuid", 13))
	withCreds(do("setuid", 0)) // no way back
	allow := &[1]unix.SockFilter{{Code: 0x06, K: 0x7fff0000}}
	prog := &unix.SockFprog{Len: 1, Filter: &allow[0]}
	tell(do("seccomp", 1, 0, unsafe.Pointer(prog)))
	tell(do("seccomp", 99, 0, uintptr(0)))
}
