package call

import "golang.org/x/sys/unix"

// numbers64 gives the calls' numbers on x86-64.
func numbers64() map[string]uint32 {
	return map[string]uint32{
		"open": unix.SYS_OPEN, "openat": unix.SYS_OPENAT, "openat2": unix.SYS_OPENAT2, "creat": unix.SYS_CREAT,
		"open_by_handle_at": unix.SYS_OPEN_BY_HANDLE_AT, "close": unix.SYS_CLOSE,
		"rename": unix.SYS_RENAME, "renameat": unix.SYS_RENAMEAT, "renameat2": unix.SYS_RENAMEAT2,
		"link": unix.SYS_LINK, "linkat": unix.SYS_LINKAT, "symlink": unix.SYS_SYMLINK, "symlinkat": unix.SYS_SYMLINKAT,
		"unlink": unix.SYS_UNLINK, "unlinkat": unix.SYS_UNLINKAT, "rmdir": unix.SYS_RMDIR,
		"mkdir": unix.SYS_MKDIR, "mkdirat": unix.SYS_MKDIRAT, "mknod": unix.SYS_MKNOD, "mknodat": unix.SYS_MKNODAT,
		"chmod": unix.SYS_CHMOD, "fchmod": unix.SYS_FCHMOD, "fchmodat": unix.SYS_FCHMODAT, "fchmodat2": unix.SYS_FCHMODAT2,
		"chown": unix.SYS_CHOWN, "lchown": unix.SYS_LCHOWN, "fchown": unix.SYS_FCHOWN, "fchownat": unix.SYS_FCHOWNAT,
		"setxattr": unix.SYS_SETXATTR, "lsetxattr": unix.SYS_LSETXATTR, "fsetxattr": unix.SYS_FSETXATTR,
		"removexattr": unix.SYS_REMOVEXATTR, "lremovexattr": unix.SYS_LREMOVEXATTR, "fremovexattr": unix.SYS_FREMOVEXATTR,
		"truncate": unix.SYS_TRUNCATE, "ftruncate": unix.SYS_FTRUNCATE,
		"utime": unix.SYS_UTIME, "utimes": unix.SYS_UTIMES, "futimesat": unix.SYS_FUTIMESAT, "utimensat": unix.SYS_UTIMENSAT,
		"ioctl": unix.SYS_IOCTL,
		"mount": unix.SYS_MOUNT, "move_mount": unix.SYS_MOVE_MOUNT, "pivot_root": unix.SYS_PIVOT_ROOT, "open_tree": unix.SYS_OPEN_TREE,
		"fsopen": unix.SYS_FSOPEN, "fsconfig": unix.SYS_FSCONFIG, "fsmount": unix.SYS_FSMOUNT, "fspick": unix.SYS_FSPICK,
		"mount_setattr": unix.SYS_MOUNT_SETATTR, "umount2": unix.SYS_UMOUNT2, "chroot": unix.SYS_CHROOT,
		"memfd_create": unix.SYS_MEMFD_CREATE, "splice": unix.SYS_SPLICE, "tee": unix.SYS_TEE, "vmsplice": unix.SYS_VMSPLICE,
		"sendfile": unix.SYS_SENDFILE, "copy_file_range": unix.SYS_COPY_FILE_RANGE,
		"socket": unix.SYS_SOCKET, "connect": unix.SYS_CONNECT, "bind": unix.SYS_BIND, "listen": unix.SYS_LISTEN,
		"accept": unix.SYS_ACCEPT, "accept4": unix.SYS_ACCEPT4, "sendto": unix.SYS_SENDTO, "sendmsg": unix.SYS_SENDMSG,
		"sendmmsg": unix.SYS_SENDMMSG, "shutdown": unix.SYS_SHUTDOWN,
		"dup": unix.SYS_DUP, "dup2": unix.SYS_DUP2, "dup3": unix.SYS_DUP3, "fcntl": unix.SYS_FCNTL,
		"pipe": unix.SYS_PIPE, "pipe2": unix.SYS_PIPE2, "socketpair": unix.SYS_SOCKETPAIR, "pidfd_getfd": unix.SYS_PIDFD_GETFD,
		"setuid": unix.SYS_SETUID, "setgid": unix.SYS_SETGID, "setreuid": unix.SYS_SETREUID, "setregid": unix.SYS_SETREGID,
		"setresuid": unix.SYS_SETRESUID, "setresgid": unix.SYS_SETRESGID, "setfsuid": unix.SYS_SETFSUID, "setfsgid": unix.SYS_SETFSGID,
		"setgroups": unix.SYS_SETGROUPS, "capset": unix.SYS_CAPSET, "prctl": unix.SYS_PRCTL, "seccomp": unix.SYS_SECCOMP,
		"setns": unix.SYS_SETNS, "unshare": unix.SYS_UNSHARE, "keyctl": unix.SYS_KEYCTL, "add_key": unix.SYS_ADD_KEY,
		"request_key": unix.SYS_REQUEST_KEY,
		"ptrace":      unix.SYS_PTRACE, "process_vm_readv": unix.SYS_PROCESS_VM_READV, "process_vm_writev": unix.SYS_PROCESS_VM_WRITEV,
		"kill": unix.SYS_KILL, "tkill": unix.SYS_TKILL, "tgkill": unix.SYS_TGKILL, "pidfd_send_signal": unix.SYS_PIDFD_SEND_SIGNAL,
		"rt_sigqueueinfo": unix.SYS_RT_SIGQUEUEINFO, "process_madvise": unix.SYS_PROCESS_MADVISE, "userfaultfd": unix.SYS_USERFAULTFD,
		"perf_event_open": unix.SYS_PERF_EVENT_OPEN, "mprotect": unix.SYS_MPROTECT, "pkey_mprotect": unix.SYS_PKEY_MPROTECT, "mmap": unix.SYS_MMAP,
		"init_module": unix.SYS_INIT_MODULE, "finit_module": unix.SYS_FINIT_MODULE, "delete_module": unix.SYS_DELETE_MODULE,
		"kexec_load": unix.SYS_KEXEC_LOAD, "kexec_file_load": unix.SYS_KEXEC_FILE_LOAD, "bpf": unix.SYS_BPF,
		"iopl": unix.SYS_IOPL, "ioperm": unix.SYS_IOPERM, "swapon": unix.SYS_SWAPON, "swapoff": unix.SYS_SWAPOFF,
		"settimeofday": unix.SYS_SETTIMEOFDAY, "clock_settime": unix.SYS_CLOCK_SETTIME, "adjtimex": unix.SYS_ADJTIMEX,
		"clock_adjtime": unix.SYS_CLOCK_ADJTIME, "reboot": unix.SYS_REBOOT, "io_uring_setup": unix.SYS_IO_URING_SETUP,
		"read": unix.SYS_READ, "readv": unix.SYS_READV, "write": unix.SYS_WRITE, "writev": unix.SYS_WRITEV,
		"recvfrom": unix.SYS_RECVFROM, "recvmsg": unix.SYS_RECVMSG, "recvmmsg": unix.SYS_RECVMMSG,
	}
}

// numbers32 gives the numbers of the 32-bit table (arch/x86/entry/syscalls/
// syscall_32.tbl), which int 0x80 uses also in a 64-bit program. Calls whose
// arguments are laid out in another way there are left out: those that carry
// messages, and mmap's old form.
func numbers32() map[string]uint32 {
	return map[string]uint32{
		"open": 5, "creat": 8, "link": 9, "unlink": 10, "mknod": 14, "chmod": 15, "mount": 21, "ptrace": 26, "utime": 30, "kill": 37,
		"rename": 38, "mkdir": 39, "rmdir": 40, "dup": 41, "pipe": 42, "umount2": 52, "ioctl": 54, "fcntl": 55, "chroot": 61, "dup2": 63,
		"settimeofday": 79, "symlink": 83, "swapon": 87, "reboot": 88, "truncate": 92, "ftruncate": 93, "fchmod": 94, "ioperm": 101,
		"iopl": 110, "swapoff": 115, "adjtimex": 124, "mprotect": 125, "init_module": 128, "delete_module": 129, "prctl": 172,
		"lchown": 198, "setreuid": 203, "setregid": 204, "setgroups": 206, "fchown": 207, "setresuid": 208, "setresgid": 210, "chown": 212,
		"setuid": 213, "setgid": 214, "setfsuid": 215, "setfsgid": 216, "pivot_root": 217, "mmap": 192, "capset": 185,
		"setxattr": 226, "lsetxattr": 227, "fsetxattr": 228, "removexattr": 235, "lremovexattr": 236, "fremovexattr": 237, "tkill": 238,
		"clock_settime": 264, "tgkill": 270, "utimes": 271, "kexec_load": 283, "add_key": 286, "request_key": 287, "keyctl": 288,
		"openat": 295, "mkdirat": 296, "mknodat": 297, "fchownat": 298, "futimesat": 299, "unlinkat": 301, "renameat": 302, "linkat": 303,
		"symlinkat": 304, "fchmodat": 306, "unshare": 310, "splice": 313, "tee": 315, "utimensat": 320, "dup3": 330, "pipe2": 331,
		"perf_event_open": 336, "clock_adjtime": 343, "setns": 346, "process_vm_readv": 347, "process_vm_writev": 348, "finit_module": 350,
		"renameat2": 353, "seccomp": 354, "memfd_create": 356, "bpf": 357, "socket": 359, "socketpair": 360, "bind": 361, "connect": 362,
		"listen": 363, "accept4": 364, "shutdown": 373, "userfaultfd": 374, "copy_file_range": 377, "pkey_mprotect": 380,
		"pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
		"fspick": 433, "openat2": 437, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "fchmodat2": 452,
	}
}

// function64 names the kernel's function of a call of x86-64.
func function64(call string) string {
	switch call {
	case "umount2":
		call = "umount"
	case "sendfile":
		call = "sendfile64"
	}
	return "__x64_sys_" + call
}

// functions32 names the kernel's function of a call of the 32-bit table. Where the
// first is missing, the call needs no translation and is made by the second.
func functions32(call string) [2]string {
	switch call {
	case "umount2":
		call = "umount"
	case "mmap":
		call = "mmap_pgoff"
	case "utime", "clock_settime", "clock_adjtime":
		call += "32"
	case "utimes", "futimesat", "utimensat", "adjtimex":
		call += "_time32"
	}
	return [2]string{"__ia32_compat_sys_" + call, "__ia32_sys_" + call}
}
