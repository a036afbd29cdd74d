package event

// Availability says where events of a call can be had.
type Availability struct {
	// Since is the first kernel that has the call, as "6.6"; "" where every
	// kernel from 5.10 does.
	Since string
	// Ring is true where the same operation through io_uring is the same event,
	// on kernels from RingSince that let programs at their functions.
	Ring bool
	// Note says what else matters.
	Note string
}

// RingSince is the first kernel whose operations of io_uring are functions of
// their own.
const RingSince = "6.1"

// Available says where events of a call can be had.
func Available(s *CallSpec) Availability {
	var a Availability
	switch s.Name {
	case "mount_setattr":
		a.Since = "5.12"
	case "fchmodat2":
		a.Since = "6.6"
	case "openat", "openat2", "renameat2", "unlinkat", "mkdirat", "symlinkat", "linkat", "connect":
		a.Ring = true
	case "module_load":
		a.Note = "where the kernel loads modules"
	case "close":
		a.Note = "where fentry is allowed"
	}
	return a
}
