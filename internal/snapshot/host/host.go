// Package host takes snapshots of what belongs to the host rather than to one
// process: mounts, overlays, namespaces, control groups, BPF objects, modules,
// hooks, timers, run queues of packets, and how a task is scheduled. In comes
// the kernel's account of itself, from procfs, sysfs, tracefs, netlink and the
// bpf system call; out go typed objects, which print as tables or as JSON.
// Where the kernel has no source for something, the answer carries a note, a
// sentence that says what is missing and why.
package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/snapshot/table"
	"golang.org/x/sys/unix"
)

// Table is one part of a noun's answer as text.
type Table = table.Table

// Notes are sentences on what an answer lacks.
type Notes []string

// MaxPID is the largest pid that Linux hands out. A larger number where a pid
// or a namespace may be named is a namespace.
const MaxPID = 4 << 20

// pids lists the processes of /proc in the order of their numbers.
func pids() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

func procPath(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// comm is a process's name, or "" when it has gone.
func comm(pid int) string { return line(procPath(pid, "comm")) }

// line is a file's text without the line break at its end, or "".
func line(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(b), "\n")
}

// number reads a file that holds one decimal number.
func number(path string) (uint64, bool) {
	n, err := strconv.ParseUint(line(path), 10, 64)
	return n, err == nil
}

// gone tells whether an error only says that a process or file has ended.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "no such process")
}

// ProcHides tells whether /proc is mounted so that processes of others are hidden from this
// one (hidepid): the first one of a pid namespace is there as long as the namespace is.
func ProcHides() bool {
	var st unix.Statfs_t
	if unix.Statfs("/proc", &st) != nil || st.Type != unix.PROC_SUPER_MAGIC {
		return false
	}
	_, err := os.Stat("/proc/1")
	return errors.Is(err, fs.ErrNotExist)
}

// hiding is why something is not known where ProcHides.
const hiding = "/proc is mounted with hidepid, which hides the processes of others: run as root"

// hidden makes a note of what an answer lacks where /proc hides processes.
func hidden(what string) Notes {
	if !ProcHides() {
		return nil
	}
	return Notes{what + " are not known: " + hiding}
}

// refused tells whether a link in a process's folder was kept from this one: the kernel gives
// the same error for a process that has just ended.
func refused(pid int, err error) bool {
	if !errors.Is(err, fs.ErrPermission) {
		return false
	}
	_, err = os.Stat(procPath(pid, ""))
	return err == nil
}

// refusals says that what some processes have could not be read; some sandboxes keep
// processes even from root.
func refusals(what string, n int) Notes {
	switch {
	case n == 0:
		return nil
	case os.Geteuid() == 0:
		return Notes{fmt.Sprintf("the %s of %d processes could not be read", what, n)}
	}
	return Notes{fmt.Sprintf("the %s of %d processes could not be read: run as root", what, n)}
}

// noProcess says that a process cannot be found.
func noProcess(pid int) error {
	if ProcHides() {
		return fmt.Errorf("there is no process %d, or it is not to be seen: %s", pid, hiding)
	}
	return fmt.Errorf("there is no process %d", pid)
}

// Process names one process that holds or belongs to something.
type Process struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}

func (p Process) String() string { return p.Name + "[" + strconv.Itoa(p.PID) + "]" }

// names makes a cell of processes.
func names(list []Process) string {
	parts := make([]string, 0, len(list))
	for _, p := range list {
		parts = append(parts, p.String())
	}
	return table.List(parts)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// size writes bytes in the unit in which they read best.
func size(n uint64) string {
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if i == 0 {
		return strconv.FormatUint(n, 10) + " B"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + units[i]
}

func decimal[T ~int | ~int64 | ~uint32 | ~uint64](n T) string {
	return strconv.FormatInt(int64(n), 10)
}

// Missing gives the sentences on what an answer lacks.
func (n Notes) Missing() Notes { return n }
