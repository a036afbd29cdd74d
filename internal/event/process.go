package event

import (
	"strconv"
	"time"
)

// Key identifies a process on one boot of one host: the pid of its thread
// group in the initial namespace, and its start on the boot-time clock in
// nanoseconds. Live hooks and the task iterator give the same key; a reused
// pid gives another.
type Key struct {
	Pid   uint32
	Start uint64
}

// IsZero reports whether the key names no process.
func (k Key) IsZero() bool { return k.Pid == 0 && k.Start == 0 }

// String returns "pid@start".
func (k Key) String() string {
	return strconv.FormatUint(uint64(k.Pid), 10) + "@" + strconv.FormatUint(k.Start, 10)
}

// Process is a process as the table knows it. The table's goroutine changes
// it; strings and pointed-to structs are shared between processes and are
// never changed once published.
type Process struct {
	Key
	// Parent is the process that made this one by fork, kept even after it
	// has ended, so that a chain survives a double fork. Nil where it was
	// never seen (pid 1, kernel threads' root, or an evicted ancestor).
	Parent *Process
	// ParentKey is Parent's identity, known even where Parent is nil.
	ParentKey Key
	// PPid is the kernel's parent pid when last reported: 1 or a subreaper
	// after the real parent has ended.
	PPid uint32
	// NSPid and NSPPid are pid and parent pid in the process's own pid
	// namespace; NSPPid is 0 where the parent is outside of it.
	NSPid, NSPPid uint32
	// Sid and Pgid are session and process group in the initial namespace,
	// NSSid and NSPgid in the process's own.
	Sid, Pgid, NSSid, NSPgid uint32

	Comm string
	// Cmdline is Comm and the arguments after the first, joined by blanks:
	// what Falco calls proc.cmdline. The table keeps it.
	Cmdline string
	// Image is the program that runs; shared with children until they exec.
	// Nil for kernel threads.
	Image *Image
	// ExecBoot is when the image was started, on the boot-time clock; the
	// process's own start where it never called exec.
	ExecBoot uint64
	// Time is the wall-clock time of the process's start.
	Time time.Time

	Cred Cred
	// User, Group, LoginUser are names for Cred.UID, Cred.GID and
	// Cred.LoginUID; empty where the host has none.
	User, Group, LoginUser string

	Tty    Tty
	Cgroup *Cgroup
	NS     *Namespaces
	// Node is the host name inside the process's UTS namespace.
	Node string

	// KThread marks kernel threads.
	KThread bool
	// Seeded marks processes that were there before the agent looked.
	Seeded bool
	// Exited is set when the process has ended. A dead process stays in the
	// table while a living one descends from it. It is nil with ExitBoot set
	// where the end was concluded (pid reused, gone after a gap), not seen.
	Exited *ExitInfo
	// ExitBoot is when it ended, on the boot-time clock; 0 while it lives.
	ExitBoot uint64
}

// Alive reports whether the process has not ended as far as is known.
func (p *Process) Alive() bool { return p.ExitBoot == 0 }

// Image is a running program: what exec loaded and with what. Immutable.
type Image struct {
	// Exe is the file that runs; for a script, the interpreter.
	Exe File
	// Filename is the name as the caller typed it (bprm->filename).
	Filename string
	// Interp is the interpreter named by a script's first line or by
	// binfmt_misc, as typed there; empty for a plain binary.
	Interp string
	// Script is the absolute path of the script, made from Filename and Cwd
	// without resolving symbolic links; empty for a plain binary.
	Script string
	// Argv holds the arguments with their boundaries kept. It is shorter
	// than Argc where ArgvCut is set.
	Argv []string
	// Argc is the kernel's count of arguments.
	Argc int
	// ArgvCut is true where the configured limit or unreadable memory cut
	// arguments off.
	ArgvCut bool
	// Env holds the chosen variables as "KEY=value", in order; values of
	// redacted keys are replaced.
	Env []string
	// EnvCut is true where the environment was longer than the limit, so
	// that a chosen variable may be missing.
	EnvCut bool
	// Cwd is the working directory at exec time.
	Cwd string
	// Stdio describes file descriptors 0, 1 and 2 at exec time.
	Stdio [3]Stdio
	// SetUID, SetGID and FileCaps say what the exec gained: another
	// effective uid or gid by mode bits, capabilities by file attribute.
	SetUID, SetGID, FileCaps bool
	// SecureExec is the kernel's AT_SECURE: the loader ignores LD_PRELOAD
	// and its like.
	SecureExec bool

	cmdline string // cached by Cmdline
	args    string // cached by Args
	invoked string // Filename, made absolute
}

// File describes an executable file.
type File struct {
	// Path is canonical and absolute in the process's mount namespace:
	// through mounts to the namespace's root, symbolic links resolved. For
	// a memfd it is "memfd:NAME". Never with " (deleted)" behind it.
	Path string
	// RootPath is the same file as seen from the process's own root, where
	// that differs (chroot); empty where it is equal to Path.
	RootPath string
	// HostPath is the same file as the host sees it, of a process in another mount
	// namespace: where an event was read that told so. Event.PathOnHost finds it.
	HostPath string
	// Unreachable is true where the file cannot be reached from the
	// process's root (opened before a chroot).
	Unreachable bool
	// PathCut is true where Path was longer than the sensor's buffer; the
	// leading components are then missing.
	PathCut bool
	// Dev is the device as (major<<32 | minor).
	Dev   uint64
	Inode uint64
	Nlink uint32
	// Mode holds type and permission bits as in stat(2).
	Mode     uint32
	UID, GID uint32
	// Mtime and Ctime are wall-clock nanoseconds since 1970.
	Mtime, Ctime int64
	// Memfd, Deleted: the file has no name (any more) in any directory.
	Memfd, Deleted bool
	// Overlay is true on overlayfs; Upper where the file is in its upper
	// (writable) layer.
	Overlay, Upper bool
}

// StdioKind says what is behind a file descriptor.
type StdioKind uint8

// The kinds.
const (
	StdioClosed StdioKind = iota
	StdioFile
	StdioDir
	StdioPipe
	StdioFifo
	StdioTty
	StdioPty
	StdioSocket
	StdioNull
	StdioChar
	StdioBlock
	StdioAnon
	numStdioKinds
)

var stdioNames = [numStdioKinds]string{"closed", "file", "dir", "pipe", "fifo", "tty", "pty", "socket", "null", "char", "block", "anon"}

// String returns the kind's stable name, such as "pipe".
func (k StdioKind) String() string {
	if k < numStdioKinds {
		return stdioNames[k]
	}
	return "unknown"
}

// Stdio is what one of file descriptors 0, 1 and 2 is.
type Stdio struct {
	Kind  StdioKind
	Inode uint64
	// Path is canonical for files, FIFOs, ttys and devices; empty for
	// pipes and sockets; "anon_inode:[eventfd]" and its like for StdioAnon.
	Path string
	// Sock is set for sockets.
	Sock *Socket
}

// Socket is the end of a connection, seen from the process that holds it.
type Socket struct {
	// Family is "ipv4", "ipv6", "unix", "netlink", "packet", "vsock" or the
	// number as text; Proto is "tcp", "udp", "icmp", "raw" … or "" for unix.
	Family, Proto string
	// Type is "stream", "dgram", "raw", "seqpacket".
	Type string
	// Local and Remote are addresses as text: an IP address without port,
	// or a unix path ("@name" for an abstract one). Empty when unset.
	Local, Remote string
	// RemoteName is the name that led to Remote, where a DNS answer told it.
	RemoteName string
	// LocalPort and RemotePort are 0 when unset or without meaning.
	LocalPort, RemotePort uint16
	// State is the TCP state ("established", "listen" …), "" otherwise.
	State string
}

// Cred holds the credentials of a process.
type Cred struct {
	UID, GID, EUID, EGID, SUID, SGID, FSUID, FSGID uint32
	// LoginUID is the audit login uid, 4294967295 when unset; SessionID the
	// audit session, 4294967295 when unset.
	LoginUID, SessionID uint32
	// Capability sets, bit N for capability number N.
	Effective, Permitted, Inheritable, Bounding, Ambient uint64
	// SecureBits and NoNewPrivs as in prctl(2).
	NoNewPrivs bool
}

// Unset is the value of an unset login uid or audit session.
const Unset = ^uint32(0)

// Tty is a controlling terminal.
type Tty struct {
	// Name is as the kernel has it, such as "pts3" or "tty1"; empty for none.
	Name string
	// Dev is the device number in the encoding of stat(2); 0 for none.
	Dev uint32
}

// Cgroup is a control group.
type Cgroup struct {
	ID   uint64
	Path string
	// ContainerID is the container's id in its short form of 12 digits where
	// the path names one; empty on the host. FullID is the whole id.
	ContainerID, FullID string
	// Runtime is "docker", "containerd", "cri-o", "podman", "lxc",
	// "systemd-nspawn" … as far as the path tells, else "".
	Runtime string
	// PodUID is the Kubernetes pod's uid where the path names one.
	PodUID string
	// Meta is what the container's runtime says of it; nil where nothing is
	// known (yet).
	Meta *ContainerMeta
}

// Namespaces holds the inode numbers of a process's namespaces.
type Namespaces struct {
	Pid, Mnt, Net, Uts, User, Cgroup, IPC uint32
}
