package call

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// openMany opens a file n times, as fast as it can.
func openMany(t *testing.T, name string, n int) {
	t.Helper()
	p, err := unix.BytePtrFromString(name)
	need(t, err)
	for range n {
		if err := openNone(p); err != unix.ENOENT {
			t.Fatalf("opening %s gives %v", name, err)
		}
	}
}

// Whatever the ring has no room for is counted, to the last one.
func TestCallLossIsCounted(t *testing.T) {
	guest.NeedKernel(t)
	w, err := newFeed(os.Getpagesize(), Options{Types: event.TypesOf(event.Open)})
	need(t, err)
	defer w.close()
	const n = 50000
	openMany(t, "/none/such", n)
	need(t, w.stop()) // made = received + missing
	if w.received+w.holes < n {
		t.Errorf("%d came and %d are missing of %d", w.received, w.holes, n)
	}
	if w.holes == 0 {
		t.Error("nothing was lost through a ring of one page")
	}
	counts, err := w.sensor.Streams()
	need(t, err)
	lost := uint64(0)
	for _, c := range counts {
		lost += c.Lost
	}
	expect(t, "lost by the kernel's count", lost, w.holes)
	t.Logf("%d came, %d lost", w.received, w.holes)
}

// A flood of one class pushes none of the other out.
func TestCallFloodLeavesCriticalCalls(t *testing.T) {
	w := observe(t)
	var stop atomic.Bool
	ended := make(chan bool)
	go func() {
		defer close(ended)
		for !stop.Load() {
			openMany(t, "/none/such", 1000)
		}
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const n = 200
	for range n {
		need(t, unix.Prctl(unix.PR_SET_KEEPCAPS, 0, 0, 0, 0))
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	<-ended
	for deadline := time.Now().Add(20 * time.Second); w.count(event.Prctl, isPrctl) < n && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	expect(t, "critical calls", w.count(event.Prctl, isPrctl), n)
}

func isPrctl(r *event.TaskRecord) bool {
	return r.Call.Spec.Name == "prctl" && r.Call.Args[0] == unix.PR_SET_KEEPCAPS
}

// openNone opens without do's questions about the descriptor.
func openNone(p *byte) error {
	_, _, errno := unix.Syscall(unix.SYS_OPEN, uintptr(unsafe.Pointer(p)), 0, 0)
	return errno
}
