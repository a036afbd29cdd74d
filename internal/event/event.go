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
	// NumTypes is the number of types, for arrays indexed by Type.
	NumTypes
)

var typeNames = [NumTypes]string{"none", "exec", "fork", "exit", "comm", "gap"}

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

	// ExecInfo is set for Exec.
	ExecInfo *ExecInfo
	// ExitInfo is set for Exit.
	ExitInfo *ExitInfo
	// OldComm is the name before a Comm event; the new one is Proc.Comm.
	OldComm string
	// GapInfo is set for Gap.
	GapInfo *GapInfo
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
