package hist

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// softirqName names a vector, as <linux/interrupt.h> numbers them.
func softirqName(id uint32, _ string) string {
	names := [...]string{"hi", "timer", "net_tx", "net_rx", "block", "irq_poll", "tasklet", "sched", "hrtimer", "rcu"}
	if int(id) < len(names) {
		return names[id]
	}
	return strconv.Itoa(int(id))
}

func irqName(id uint32, name string) string { return strconv.Itoa(int(id)) + " " + name }

// syscallName names the calls that take time; others have their number.
func syscallName(id uint32, _ string) string {
	name := map[uint32]string{
		unix.SYS_READ: "read", unix.SYS_WRITE: "write", unix.SYS_OPEN: "open", unix.SYS_CLOSE: "close", unix.SYS_STAT: "stat", unix.SYS_FSTAT: "fstat",
		unix.SYS_LSTAT: "lstat", unix.SYS_POLL: "poll", unix.SYS_LSEEK: "lseek", unix.SYS_MMAP: "mmap", unix.SYS_MPROTECT: "mprotect", unix.SYS_MUNMAP: "munmap",
		unix.SYS_BRK: "brk", unix.SYS_RT_SIGACTION: "rt_sigaction", unix.SYS_RT_SIGPROCMASK: "rt_sigprocmask", unix.SYS_IOCTL: "ioctl", unix.SYS_PREAD64: "pread64",
		unix.SYS_PWRITE64: "pwrite64", unix.SYS_READV: "readv", unix.SYS_WRITEV: "writev", unix.SYS_ACCESS: "access", unix.SYS_PIPE: "pipe", unix.SYS_SELECT: "select",
		unix.SYS_SCHED_YIELD: "sched_yield", unix.SYS_MADVISE: "madvise", unix.SYS_DUP: "dup", unix.SYS_DUP2: "dup2", unix.SYS_PAUSE: "pause", unix.SYS_NANOSLEEP: "nanosleep",
		unix.SYS_GETPID: "getpid", unix.SYS_SENDFILE: "sendfile", unix.SYS_SOCKET: "socket", unix.SYS_CONNECT: "connect", unix.SYS_ACCEPT: "accept", unix.SYS_SENDTO: "sendto",
		unix.SYS_RECVFROM: "recvfrom", unix.SYS_SENDMSG: "sendmsg", unix.SYS_RECVMSG: "recvmsg", unix.SYS_SHUTDOWN: "shutdown", unix.SYS_BIND: "bind", unix.SYS_LISTEN: "listen",
		unix.SYS_CLONE: "clone", unix.SYS_FORK: "fork", unix.SYS_VFORK: "vfork", unix.SYS_EXECVE: "execve", unix.SYS_WAIT4: "wait4", unix.SYS_KILL: "kill",
		unix.SYS_FCNTL: "fcntl", unix.SYS_FLOCK: "flock", unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync", unix.SYS_TRUNCATE: "truncate", unix.SYS_GETDENTS: "getdents",
		unix.SYS_RENAME: "rename", unix.SYS_MKDIR: "mkdir", unix.SYS_UNLINK: "unlink", unix.SYS_READLINK: "readlink", unix.SYS_PTRACE: "ptrace", unix.SYS_STATFS: "statfs",
		unix.SYS_PRCTL: "prctl", unix.SYS_SYNC: "sync", unix.SYS_MOUNT: "mount", unix.SYS_UMOUNT2: "umount2", unix.SYS_GETTID: "gettid", unix.SYS_FUTEX: "futex",
		unix.SYS_GETDENTS64: "getdents64", unix.SYS_CLOCK_NANOSLEEP: "clock_nanosleep", unix.SYS_EPOLL_WAIT: "epoll_wait", unix.SYS_EPOLL_CTL: "epoll_ctl",
		unix.SYS_OPENAT: "openat", unix.SYS_NEWFSTATAT: "newfstatat", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_RENAMEAT2: "renameat2", unix.SYS_PSELECT6: "pselect6",
		unix.SYS_PPOLL: "ppoll", unix.SYS_SPLICE: "splice", unix.SYS_EPOLL_PWAIT: "epoll_pwait", unix.SYS_FALLOCATE: "fallocate", unix.SYS_ACCEPT4: "accept4",
		unix.SYS_PREADV: "preadv", unix.SYS_PWRITEV: "pwritev", unix.SYS_RECVMMSG: "recvmmsg", unix.SYS_SENDMMSG: "sendmmsg", unix.SYS_SYNCFS: "syncfs", unix.SYS_BPF: "bpf",
		unix.SYS_COPY_FILE_RANGE: "copy_file_range", unix.SYS_STATX: "statx", unix.SYS_IO_URING_ENTER: "io_uring_enter", unix.SYS_CLONE3: "clone3", unix.SYS_OPENAT2: "openat2",
		unix.SYS_EPOLL_PWAIT2: "epoll_pwait2", unix.SYS_IO_GETEVENTS: "io_getevents", unix.SYS_IO_SUBMIT: "io_submit", unix.SYS_WAITID: "waitid", unix.SYS_EXIT_GROUP: "exit_group",
	}[id]
	if name == "" {
		return "call " + strconv.FormatUint(uint64(id), 10)
	}
	return name
}

// CallName names a system call of x86-64 by its number, as the histograms do.
func CallName(id uint32) string { return syscallName(id, "") }

// processName names a process; 0 is no process but the processor's rest.
func processName(id uint32, name string) string {
	if id == 0 {
		return "idle"
	}
	return name + "[" + strconv.FormatUint(uint64(id), 10) + "]"
}

// deviceName is what devices are called by.
func deviceName(_ uint32, name string) string { return name }

// faultName names the kinds of page faults, as function.h numbers them.
func faultName(id uint32, _ string) string {
	names := [...]string{"anon read", "anon write", "file read", "file write", "private copy of a file", "major"}
	if int(id) < len(names) {
		return names[id]
	}
	return "kind " + strconv.FormatUint(uint64(id), 10)
}
