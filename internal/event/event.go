// Package event defines what Bearcat knows about a host: the typed event, the
// process it belongs to, the alert a rule makes of it, and the table of fields
// by which rules, JSON and the documentation name all of these.
//
// It does no I/O and imports nothing of the project. Sensors decode kernel
// records into its types, the process table links them, rules read them
// through the field table, and sinks write them out.
package event

import "time"

// Type says what happened.
type Type uint8

// The event types. Their numbers are internal; their names (see String) are
// what JSON and the documentation use and never change.
const (
	// TypeNone is the zero value; no event carries it.
	TypeNone Type = iota
	// Exec is a successful execve or execveat.
	Exec
	// Fork is the creation of a process (not of a thread).
	Fork
	// Exit is the end of a process: its last thread has left.
	Exit
	// Comm is a change of a process's name without an exec.
	Comm
	// Gap says that records were lost between the kernel and the agent.
	Gap
	// Limit says that the agent leaves out more or less than before, to keep
	// to the processor time that it may use.
	Limit
	// Creds is a process that has become root without a way to.
	Creds
	// Firewall is a source that a rule or a guard of the firewall banned, or a
	// flood that it drops.
	Firewall
	// Finding is something that a check of the host found: the kernel and what
	// the host tells of itself differ, or something is as intruders leave it.
	Finding

	// The types from here on are system calls, or the same operations by
	// another way (Call.Via); which calls belong to a type says calls_table.go.

	// Open is an attempt to open or create a file.
	Open
	// Close is the close of a file that had been opened for writing.
	Close
	// Rename, Link and Symlink give a file another name.
	Rename
	Link
	Symlink
	// Unlink and Rmdir remove a name.
	Unlink
	Rmdir
	// Mkdir and Mknod make directories, FIFOs, devices and sockets.
	Mkdir
	Mknod
	// Chmod, Chown, Setxattr, Truncate, Utimes and Chattr change what a file
	// has beside its contents; removal of an attribute is a Setxattr too.
	Chmod
	Chown
	Setxattr
	Truncate
	Utimes
	Chattr
	// Mount is a change of the tree of mounts, by the old calls and the new;
	// Umount takes one off.
	Mount
	Umount
	// Chroot changes a process's root.
	Chroot
	// Memfd is a file made in memory.
	Memfd
	// Splice moves data between files and pipes without a copy.
	Splice

	// MakeSocket makes a socket; the others use it.
	MakeSocket
	Connect
	Bind
	Listen
	Accept
	// Send is the first datagram that a socket sends to a destination.
	Send
	Shutdown
	// TCP is a change of a TCP connection's state.
	TCP
	// DNS is a query or an answer of the domain name system.
	DNS

	// Dup, Pipe and Socketpair make descriptors; GetFD takes one of another
	// process, PassFD sends some through a unix socket.
	Dup
	Pipe
	Socketpair
	GetFD
	PassFD

	// Setuid is a change of user and group ids; Capset one of capabilities.
	Setuid
	Capset
	// Prctl is an operation of prctl or seccomp that matters to security.
	Prctl
	// Setns and Unshare change namespaces.
	Setns
	Unshare
	Keyctl

	// Ptrace, ProcessVM, Kill and Madvise act on another process.
	Ptrace
	ProcessVM
	Kill
	Madvise
	Userfaultfd
	PerfEvent
	// Mprotect and Mmap make memory executable.
	Mprotect
	Mmap

	// Module loads or unloads a kernel module, Kexec another kernel.
	Module
	Kexec
	BPF
	Iopl
	Swapon
	Settime
	Reboot
	// IoUring makes a ring for operations that are no system calls.
	IoUring

	// NumTypes is the number of types, for arrays indexed by Type. A TypeSet
	// holds 128.
	NumTypes
)

var typeNames = [NumTypes]string{
	"none", "exec", "fork", "exit", "comm", "gap", "limit", "creds", "firewall", "finding",
	"open", "close", "rename", "link", "symlink", "unlink", "rmdir", "mkdir", "mknod", "chmod", "chown", "setxattr",
	"truncate", "utimes", "chattr", "mount", "umount", "chroot", "memfd", "splice",
	"socket", "connect", "bind", "listen", "accept", "send", "shutdown", "tcp", "dns",
	"dup", "pipe", "socketpair", "getfd", "passfd",
	"setuid", "capset", "prctl", "setns", "unshare", "keyctl",
	"ptrace", "process_vm", "kill", "madvise", "userfaultfd", "perf_event", "mprotect", "mmap",
	"module", "kexec", "bpf", "iopl", "swapon", "settime", "reboot", "io_uring",
}

// Category groups the types: process, file, net, ipc, user, memory or system.
func (t Type) Category() string {
	switch {
	case t >= Open && t <= Splice:
		return "file"
	case t >= MakeSocket && t <= DNS, t == Firewall:
		return "net"
	case t >= Dup && t <= PassFD, t == Kill:
		return "ipc"
	case t >= Setuid && t <= Keyctl:
		return "user"
	case t == Mprotect, t == Mmap, t == Madvise, t == Userfaultfd:
		return "memory"
	case t >= Module && t < NumTypes, t == Finding:
		return "system"
	}
	return "process"
}

// IsCall reports whether events of the type have a Call.
func (t Type) IsCall() bool { return t >= Open && t < NumTypes }

// String returns the stable name of the type, such as "exec".
func (t Type) String() string {
	if t < NumTypes {
		return typeNames[t]
	}
	return "unknown"
}

// Class is a transport class: each has a ring of its own, so that a flood of
// one cannot evict records of another.
type Class uint8

// The classes.
const (
	// Critical holds exec, fork, exit and everything else that must not be
	// pushed out by volume.
	Critical Class = iota
	// Bulk holds what can come in floods, such as comm changes.
	Bulk
	// NumClasses is the number of classes.
	NumClasses
)

// String returns "critical" or "bulk".
func (c Class) String() string {
	if c == Critical {
		return "critical"
	}
	return "bulk"
}

// Event is one thing that happened on the host. It is filled in and read on
// the pipeline's goroutine; whoever keeps it longer than the call that handed
// it over must copy what it needs.
type Event struct {
	Type Type
	// Time is the wall-clock time of the event, Boot the kernel's boot-time
	// clock (CLOCK_BOOTTIME) in nanoseconds, by which events are ordered.
	Time time.Time
	Boot uint64
	// Num counts events since the agent started, from 1.
	Num uint64
	// CPU and Seq say where in its class's stream the record came from.
	CPU uint16
	Seq uint64
	// Proc is the process that the event is about: the one that ran the
	// program, the child of a fork, the one that ended. Nil for Gap. For a
	// record that came late it is a copy of the process as it was.
	Proc *Process
	// Tid is the thread that caused the event, in the initial pid namespace.
	Tid uint32
	// MntNS is the mount namespace of the thread that made a call; 0 where the
	// record does not say so, and it is the process's.
	MntNS uint32
	// Hosts finds where the host has the files of other mount namespaces; nil
	// where nobody does. See PathOnHost.
	Hosts HostPaths

	// ExecInfo is set for Exec.
	ExecInfo *ExecInfo
	// ExitInfo is set for Exit.
	ExitInfo *ExitInfo
	// OldComm is the name before a Comm event; the new one is Proc.Comm.
	OldComm string
	// GapInfo is set for Gap.
	GapInfo *GapInfo
	// LimitInfo is set for Limit.
	LimitInfo *LimitInfo
	// CredsInfo is set for Creds.
	CredsInfo *CredsInfo
	// FirewallInfo is set for Firewall.
	FirewallInfo *FirewallInfo
	// FindingInfo is set for Finding.
	FindingInfo *FindingInfo
	// Call is set for the types of system calls (Type.IsCall).
	Call *Call
	// Shell is set where the event completes a shell's way to a socket.
	Shell *Shell
}

// ExecInfo is what is known of an exec beyond the process that it made.
type ExecInfo struct {
	// At is true where the call was execveat with a directory or file
	// descriptor (as fexecve does); Syscall is then "execveat".
	At bool
	// OldTid is the thread that called exec where that was not the group
	// leader (the leader's identity passes to it); 0 otherwise.
	OldTid uint32
	// Old is the program that ran in the process before; nil when unknown.
	Old *Image
	// OldCred is the credentials before the exec; valid if OldCredKnown.
	OldCred      Cred
	OldCredKnown bool
}

// ExitInfo is how a process ended.
type ExitInfo struct {
	// Code is the exit status, 0 to 255; 0 when a signal ended the process.
	Code int
	// Signal is the number of the signal that ended the process, or 0.
	Signal int
	// CoreDumped is true where the kernel wrote a core.
	CoreDumped bool
	// Duration is from the start of the process to its end.
	Duration time.Duration
	// CPUTime is what all its threads ran together; User and System are the
	// kernel's tick-based split of it.
	CPUTime, User, System time.Duration
	// MaxRSS is the largest resident set, in bytes.
	MaxRSS uint64
}

// LimitInfo is a step of the ladder by which the agent keeps to its limit.
type LimitInfo struct {
	// Level is 0 where nothing is left out; LeftOut says what is.
	Level   int
	LeftOut string
	// Used is the processor time of the agent and its programs since the last
	// look, Allowed what they may use, both in thousandths of one processor.
	Used, Allowed int
}

// FirewallInfo is what the firewall did.
type FirewallInfo struct {
	// Kind is "ban", "flood" or "scan".
	Kind string
	// Rule is the rule or guard that banned, that dropped most of a flood, or the last
	// try of a scan.
	Rule string
	// Of a ban or a scan: Source is the address or prefix. Of a ban: For how long it lasts, and Strikes how
	// many bans of it went before, one after the other.
	Source  string
	For     time.Duration
	Strikes int
	// Of a flood: Reason is for which most of it is dropped, Rate how many packets a
	// second are, for all reasons.
	Reason string
	Rate   uint64
	// Of a scan: how many ports and addresses were tried, at least. Its Reason is why
	// the last try was dropped, or "refused" where no socket waited.
	Ports, Addresses int
}

// FindingInfo is what a check found.
type FindingInfo struct {
	// Check is the check's name, as bearcat scan --list has it.
	Check string
	// What was found, by which Evidence, and what to do about it.
	What, Evidence, Do string
	// Sure is "certain", "likely" or "possible".
	Sure string
	// Path is the file, function or table that it is about; "" for none.
	Path string
	// After is the call after which the check was made at once; "" where it was made
	// at its time. The event's process is then the one that made the call, unless
	// the finding is about another.
	After string
}

// CredsInfo is a change of credentials that nothing explains. What a process has
// now is in Event.Proc.
type CredsInfo struct {
	// Old is what it had before.
	Old Cred
	// Seen is the type of the event at which the change was noticed.
	Seen Type
}

// GapInfo is a hole in a stream of records. Each CPU numbers the records of
// each type on its own, so a hole says exactly how many of what are missing.
type GapInfo struct {
	Class Class
	// Lost is the type of event that the missing records were of.
	Lost Type
	CPU  uint16
	// N records are missing: those numbered From to To, both included.
	N, From, To uint64
}
