package host

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

func TestHooks(t *testing.T) {
	guest.Require(t) // sets a probe in the kernel
	dir, closeFS, err := kernelFS("tracefs", tracefs...)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFS()
	write := func(name, text string) {
		f, err := os.OpenFile(dir+"/"+name, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatalf("writing %q to %s: %v", text, name, err)
		}
	}
	write("kprobe_events", "p:bearcat/chdir vfs_statx\n")
	defer write("kprobe_events", "-:bearcat/chdir\n")
	write("events/bearcat/chdir/enable", "1")
	defer write("events/bearcat/chdir/enable", "0")
	for _, covered := range []bool{false, true} {
		if covered { // with folders in which nothing is
			for _, place := range []string{"/sys/kernel/tracing", "/sys/kernel/debug"} {
				if err := unix.Mount("none", place, "tmpfs", 0, ""); err != nil {
					t.Fatal(err)
				}
				defer unix.Unmount(place, unix.MNT_DETACH)
			}
		}
		got, err := ReadHooks()
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Unread(); err != nil {
			t.Errorf("covered %v: not all was read: %v", covered, err)
		}
		has := func(kind, place string, enabled bool) bool {
			return slices.ContainsFunc(got.Hooks, func(h Hook) bool {
				return h.Kind == kind && strings.HasPrefix(h.Place, place) && h.Enabled == enabled
			})
		}
		if !has("kprobe event", "vfs_statx", true) || !has("event", "bearcat:chdir", true) || !has("kprobe", "vfs_statx+", true) {
			t.Errorf("covered %v: hooks %+v, notes %q, want the probe on vfs_statx, its kprobe and its event", covered, got.Hooks, got.Notes)
		}
	}
}

func TestTimers(t *testing.T) {
	guest.NeedKernel(t)
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	when := unix.ItimerSpec{Value: unix.Timespec{Sec: 1000}, Interval: unix.Timespec{Sec: 7, Nsec: 5}}
	if err := unix.TimerfdSettime(fd, 0, &when, nil); err != nil {
		t.Fatal(err)
	}
	got, err := ReadTimers()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(got.Timers, func(x Timer) bool { return x.PID == os.Getpid() && x.ID == strconv.Itoa(fd) })
	if i < 0 {
		t.Fatalf("descriptor %d is not listed: %+v", fd, got)
	}
	if x := got.Timers[i]; x.Kind != "timerfd" || x.Clock != "1" || x.Interval != "7, 5" || !strings.HasPrefix(x.Left, "99") {
		t.Errorf("%+v, want one on clock 1, each 7 s and 5 ns, with some 999 s left", x)
	}
}
