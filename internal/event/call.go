package event

import "time"

// Call is what a system call did, or the same operation asked for in another
// way. Which of its parts are set depends on the call: see CallSpec.
type Call struct {
	// Spec describes the call and its arguments.
	Spec *CallSpec
	// Ret is what the call returned: a negative error number where it failed.
	Ret int64
	// Args are the arguments as the registers held them.
	Args [6]uint64
	// Via is "io_uring" where the operation came through a ring, and "" for a
	// system call.
	Via string
	// Compat is true where a 32-bit call was made (int 0x80, x32 or i386).
	Compat bool

	// Path is the file that the call names, and Path2 the second one of
	// rename, link, symlink and mount.
	Path, Path2 *FileRef
	// FD is the descriptor that the call made or was given, FD2 the second
	// one of dup, pipe, socketpair, splice and the like: what stands behind
	// each.
	FD, FD2 *FD
	// Addr is the address passed to connect, bind and send: Remote and
	// RemotePort, whichever end it is of.
	Addr *Socket
	// Target is the process that the call acts on, where it is known; the
	// number as passed is among Args.
	Target *Process
	// Text is a name passed by the caller that is no path: of a memfd, a
	// module, an attribute, a device that is mounted. Text2 is the second one,
	// of mount the file system's type, of add_key the description.
	Text, Text2 string
	// DNS is set for DNS.
	DNS *DNSInfo
	// BPF is set for BPF.
	BPF *BPFInfo
	// TCP is set for TCP.
	TCP *TCPInfo
	// NewCred is set for Setuid, Capset, Setns and Unshare: the credentials after the
	// call; OldCred those before, as far as they are known (OldCredKnown).
	NewCred, OldCred *Cred
}

// Failed reports whether the call returned an error.
func (c *Call) Failed() bool { return c.Ret < 0 && c.Ret >= -4095 }

// InProgress is what a connect returns that goes on in the background (-EINPROGRESS).
const InProgress = -115

// Peer is the other end of a connect: of one that succeeded or goes on what the socket
// has, since the caller's memory may say something else by now, or a program of the
// kernel may have sent it elsewhere; of another the address that was passed.
func (c *Call) Peer() (addr string, port uint16) {
	if c.FD != nil && c.FD.Sock != nil {
		addr, port = c.FD.Sock.Remote, c.FD.Sock.RemotePort
	}
	made := port != 0 && (!c.Failed() || c.Ret == InProgress)
	if a := c.Addr; a != nil && !made && (a.Remote != "" || a.RemotePort != 0) {
		return a.Remote, a.RemotePort
	}
	return addr, port
}

// Clone copies a call and what it points to, but for processes and credentials,
// which nobody changes; nil of nil.
func (c *Call) Clone() *Call {
	if c == nil {
		return nil
	}
	out := *c
	out.Path, out.Path2 = clone(c.Path), clone(c.Path2)
	out.FD, out.FD2 = c.FD.clone(), c.FD2.clone()
	out.Addr, out.TCP = clone(c.Addr), clone(c.TCP)
	return &out
}

func (f *FD) clone() *FD {
	out := clone(f)
	if out != nil {
		out.Sock = clone(f.Sock)
	}
	return out
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	out := *p
	return &out
}

// FileRef is a file as a call names it.
type FileRef struct {
	// Raw is the path as the caller passed it; RawCut is true where it was
	// longer than the kernel takes or could not be read whole.
	Raw    string
	RawCut bool
	// File is what the name leads to. Its Path is always set where the path
	// could be read: Resolved tells whether the kernel's own structures gave
	// it, or whether it was put together from the directory that the kernel
	// knows and the raw path, with links in the raw part not followed.
	File
	Resolved bool
	// Created is true where the call made the file.
	Created bool
}

// FD is a file descriptor and what stands behind it.
type FD struct {
	Num  int32
	Kind StdioKind
	// File describes it; Path is empty for pipes and sockets.
	File File
	// Sock is set for sockets.
	Sock *Socket
}

// Inode returns the number by which a pipe or socket is known on both ends.
func (f *FD) Inode() uint64 { return f.File.Inode }

// DNSInfo is a query or an answer.
type DNSInfo struct {
	ID       uint16
	Response bool
	// Name and Type are those of the first question, Type as "A" or "TYPE65".
	Name, Type string
	// Rcode is "NOERROR", "NXDOMAIN" …; empty for queries.
	Rcode string
	// Answers are the records of an answer.
	Answers []DNSAnswer
	// Latency is from the query to its answer; 0 where the query was not seen.
	Latency time.Duration
	// TCP tells the transport; Cut that the capture ended before the message.
	TCP, Cut bool
}

// DNSAnswer is one record of an answer.
type DNSAnswer struct {
	Name, Type, Data string
	TTL              uint32
}

// BPFInfo is what a bpf call loads or attaches.
type BPFInfo struct {
	// Cmd is the command, such as "PROG_LOAD".
	Cmd string
	// ProgType, AttachType and Name are those of a program that is loaded.
	ProgType, AttachType, Name string
	// Insns is how many instructions it has, Helpers the numbers of the
	// helpers it calls, in order; ScanCut is true where it was longer than
	// what was looked at.
	Insns   uint32
	Helpers []uint32
	ScanCut bool
	// Path is where an object is pinned.
	Path string
}

// TCPInfo is a change of a connection's state.
type TCPInfo struct {
	// Old and New are states, such as "syn_sent" and "established".
	Old, New string
	// Sent and Received count bytes, at the end of a connection.
	Sent, Received uint64
	// Duration is that of the connection, at its end, where its begin was seen.
	Duration time.Duration
}
