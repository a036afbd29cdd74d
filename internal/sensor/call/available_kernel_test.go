package call

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// TestAvailability holds the table of availability to the kernel that runs.
func TestAvailability(t *testing.T) {
	w := observe(t)
	running := kernel.ParseVersion(kernel.Release())
	for _, s := range event.Calls() {
		a := event.Available(s)
		if a.Since == "" {
			continue
		}
		v := kernel.ParseVersion(a.Since)
		nr := uintptr(numbers64()[s.Name])
		// of no file and with no pointer: it fails in one way or another
		_, _, errno := unix.Syscall6(nr, ^uintptr(0), 0, 0, 0, 0, 0)
		if has, want := errno != unix.ENOSYS, running.AtLeast(v.Major, v.Minor); has != want {
			t.Errorf("%s: the kernel has it: %v, the table says from %s", s.Name, has, a.Since)
		}
	}
	ring := kernel.ParseVersion(event.RingSince)
	if guest.Name() == "" {
		return // natively the kernel may refuse programs at functions
	}
	if has, want := w.sensor.uring.ops != nil, running.AtLeast(ring.Major, ring.Minor); has != want {
		t.Errorf("operations of io_uring are told: %v, the table says from %s: %v", has, event.RingSince, w.sensor.uring.fails)
	}
	told := map[event.Type]bool{}
	for _, op := range uringOps {
		told[op.typ] = true
	}
	for _, s := range event.Calls() {
		if event.Available(s).Ring && !told[s.Type] {
			t.Errorf("%s is said to be told through io_uring, and no program does", s.Name)
		}
	}
}
