// Package kernel is what Bearcat knows of the running kernel: what it offers
// and what stands in the way, its clocks and boot id, the rings that carry
// records to user space, and the account of every record that did not arrive.
//
// Sensors attach programs through it and the agent reads their records
// through its Transport; it knows nothing of what the records mean.
package kernel

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Release returns the kernel's release, such as "6.12.0-1-amd64".
func Release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// Hostname returns the host name of the UTS namespace that Bearcat is in.
func Hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return h
}

// Version is a kernel's version up to its second number.
type Version struct{ Major, Minor int }

// AtLeast reports whether v is that version or a newer one.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// ParseVersion reads the first two numbers of a release. What is not a number
// counts as 0.
func ParseVersion(release string) Version {
	major, rest, _ := strings.Cut(release, ".")
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	var v Version
	v.Major, _ = strconv.Atoi(major)
	v.Minor, _ = strconv.Atoi(rest[:end])
	return v
}

// BootID returns the id that the kernel drew at boot.
func BootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// BootNow returns the boot-time clock in nanoseconds, by which the kernel's
// records are stamped.
func BootNow() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return uint64(ts.Nano())
}

// MonotonicNow returns the clock that stands still while the host is suspended, in
// nanoseconds, by which bpf_ktime_get_ns goes.
func MonotonicNow() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return uint64(ts.Nano())
}

// OwnTime returns what this process used of processors so far.
func OwnTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Text reads a name as the kernel keeps it, up to the first NUL.
func Text[T ~int8 | ~uint8](b []T) string {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c == 0 {
			break
		}
		out = append(out, byte(c))
	}
	return string(out)
}

// WallOffset returns what must be added to a boot-time stamp to give
// nanoseconds since 1970. It changes when the host's clock is set, so callers
// that live long ask again now and then. Of a few readings it takes the one
// with the least time between its two clocks.
func WallOffset() int64 {
	var best, off int64 = 1 << 62, 0
	for range 5 {
		a := BootNow()
		w := time.Now().UnixNano()
		b := BootNow()
		if d := int64(b - a); d < best {
			best, off = d, w-int64(a)-d/2
		}
	}
	return off
}

// CPUs returns how many CPUs the kernel may ever bring up, which is the size
// that per-CPU arrays need.
func CPUs() (int, error) {
	b, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		return 0, fmt.Errorf("reading the possible CPUs: %w", err)
	}
	return parsePossible(strings.TrimSpace(string(b)))
}

// parsePossible reads a list such as "0-7,16": the highest number plus one,
// since programs index arrays by a CPU's number.
func parsePossible(s string) (int, error) {
	highest := -1
	for part := range strings.SplitSeq(s, ",") {
		first, last, ok := strings.Cut(part, "-")
		if !ok {
			last = first
		}
		_, ferr := strconv.Atoi(first)
		n, err := strconv.Atoi(last)
		if ferr != nil || err != nil || n < 0 || n > 1<<16 {
			return 0, fmt.Errorf("the kernel's list of possible CPUs %q is not understood", s)
		}
		highest = max(highest, n)
	}
	return highest + 1, nil
}
