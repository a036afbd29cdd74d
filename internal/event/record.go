package event

// TaskRecord is a kernel record about a task, decoded: what a sensor hands to
// the process table. The table turns it into a Process and an Event. Sensors
// may reuse the struct for the next record, but not what it points to.
type TaskRecord struct {
	// Type is Exec, Fork, Exit, Comm or that of a system call; TypeNone for a
	// record of the task iterator (a process that is already there).
	Type Type
	// Boot is the time of the record on the boot-time clock, in ns.
	Boot  uint64
	CPU   uint16
	Seq   uint64
	Class Class
	// Stream is the number of the series that Seq counts in, and StreamType
	// what that series carries.
	Stream     uint8
	StreamType Type

	Key Key
	// Tid is the thread the record is about.
	Tid uint32
	// Parent is the kernel's parent (real_parent) at this moment.
	Parent Key
	// Creator is the process that called fork, where that is not Parent
	// (CLONE_PARENT); set for Fork only.
	Creator Key

	PPid, NSPid, NSPPid      uint32
	Sid, Pgid, NSSid, NSPgid uint32
	Comm                     string
	KThread                  bool

	// The rest is set for Exec and for iterator records; Fork children take
	// it from their creator.
	Image    *Image
	ExecBoot uint64
	ExecInfo ExecInfo
	Cred     Cred
	Tty      Tty
	// CgroupID and CgroupPath; set for Fork too.
	CgroupID   uint64
	CgroupPath string
	NS         Namespaces
	Node       string
	// MntNS is set for calls: the mount namespace of the thread, or 0.
	MntNS uint32

	// Exit is set for Exit.
	Exit ExitInfo
	// OldComm is set for Comm.
	OldComm string
	// Call is set for the types of system calls; Cred then holds only the
	// ids and effective capabilities.
	Call *Call
}
