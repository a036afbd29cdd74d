package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a process, or several together, used so far.
type Usage struct {
	// CPU is the time on processors, exact. User and System are the kernel's
	// split of it, in steps of a clock tick.
	CPU, User, System time.Duration
	// RSS and PeakRSS are resident memory, in bytes.
	RSS, PeakRSS uint64
	// Wakeups is how often its threads gave up the processor by waiting.
	Wakeups uint64
}

func (u Usage) add(v Usage) Usage {
	return Usage{
		CPU: u.CPU + v.CPU, User: u.User + v.User, System: u.System + v.System,
		RSS: u.RSS + v.RSS, PeakRSS: u.PeakRSS + v.PeakRSS, Wakeups: u.Wakeups + v.Wakeups,
	}
}

// cpuTime is the exact processor time of a process with all its threads, the
// ended ones too.
func cpuTime(pid int) (time.Duration, error) {
	// the kernel's encoding of "scheduler clock of process pid"
	const schedClock = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err != nil {
		return 0, fmt.Errorf("reading the processor time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// readUsage reads what process pid used.
func readUsage(pid int) (Usage, error) {
	var u Usage
	var err error
	if u.CPU, err = cpuTime(pid); err != nil {
		return u, err
	}
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return u, fmt.Errorf("reading a process's processor time: %w", err)
	}
	if u.User, u.System, err = parseStat(string(stat)); err != nil {
		return u, err
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return u, fmt.Errorf("reading a process's memory: %w", err)
	}
	u.RSS = statusNumber(string(status), "VmRSS:") << 10
	u.PeakRSS = statusNumber(string(status), "VmHWM:") << 10
	tasks, err := os.ReadDir(dir + "/task")
	if err != nil {
		return u, fmt.Errorf("reading a process's threads: %w", err)
	}
	for _, t := range tasks {
		// a thread that has just ended has no file any more
		if b, err := os.ReadFile(dir + "/task/" + t.Name() + "/status"); err == nil {
			u.Wakeups += statusNumber(string(b), "voluntary_ctxt_switches:")
		}
	}
	return u, nil
}

// parseStat returns utime and stime of a /proc/PID/stat line. The name, in
// parentheses, may hold anything.
func parseStat(stat string) (user, system time.Duration, err error) {
	_, rest, found := cutLast(stat, ") ")
	f := strings.Fields(rest)
	if !found || len(f) < 13 {
		return 0, 0, fmt.Errorf("reading a process's processor time: %q is not a stat line", stat)
	}
	const tick = 10 * time.Millisecond
	for i, to := range []*time.Duration{&user, &system} {
		n, err := strconv.ParseInt(f[11+i], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("reading a process's processor time: %w", err)
		}
		*to = time.Duration(n) * tick
	}
	return user, system, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// statusNumber returns the number of a line of /proc/PID/status, or 0.
func statusNumber(status, name string) uint64 {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			f := strings.Fields(rest)
			if len(f) == 0 {
				return 0
			}
			n, _ := strconv.ParseUint(f[0], 10, 64)
			return n
		}
	}
	return 0
}
