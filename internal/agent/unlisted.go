package agent

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/scan"
	"golang.org/x/sys/unix"
)

// How often /proc is compared with the table, and how long after a process was missing it
// is looked for again. share is how many times as long as a look the time between two is,
// up to a bound, so that hosts with very many processes do not pay more.
const (
	unlistedEvery   = 500 * time.Millisecond
	unlistedAtMost  = 5 * time.Second
	unlistedConfirm = 250 * time.Millisecond
	unlistedShare   = 500
)

// unlisted looks for processes that began before the agent's eyes, have not ended, and are
// not in a listing of /proc: neither a changed listing nor a task that was taken off the
// kernel's lists is in the way of that. Each is told once.
type unlisted struct {
	alive func(pid uint32) (event.Process, bool)
	pids  func(into []uint32) []uint32
	found func(scan.Finding, event.Key)
	told  map[event.Key]bool
}

func (u *unlisted) loop(ctx context.Context) {
	wait := unlistedEvery
	var buf []uint32
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		begun := time.Now()
		buf = u.pids(buf[:0])
		missing := u.missing(buf)
		wait = min(max(unlistedEvery, unlistedShare*time.Since(begun)), unlistedAtMost)
		if len(missing) == 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(unlistedConfirm):
		}
		for _, pid := range u.missing(missing) {
			u.tell(pid)
		}
	}
}

// missing gives those of the pids that /proc does not list and that are alive.
func (u *unlisted) missing(pids []uint32) []uint32 {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	listed := make(map[uint32]bool, len(names))
	for _, n := range names {
		if pid, err := strconv.ParseUint(n, 10, 32); err == nil {
			listed[uint32(pid)] = true
		}
	}
	var out []uint32
	for _, pid := range pids {
		if !listed[pid] {
			if p, ok := u.alive(pid); ok && proof(&p) != "" {
				out = append(out, pid)
			}
		}
	}
	return out
}

func (u *unlisted) tell(pid uint32) {
	p, ok := u.alive(pid)
	if !ok || u.told[p.Key] {
		return
	}
	how := proof(&p)
	if how == "" {
		return
	}
	if len(u.told) > 1024 {
		clear(u.told)
	}
	u.told[p.Key] = true
	u.found(scan.HiddenProcess(&p, "a listing of /proc does not have it, it was started and has not ended, and "+how), p.Key)
}

// proof says by what a process is known to run at this moment, as the report of its end may
// be on its way; "" for nothing.
func proof(p *event.Process) string {
	// with the number as a thread of itself, so that no thread that took the number
	// over answers
	if err := unix.Tgkill(int(p.Pid), int(p.Pid), 0); err == nil || err == unix.EPERM {
		return "it takes signals"
	}
	if p.Cgroup == nil || p.Cgroup.Path == "" {
		return ""
	}
	f, err := os.Open("/sys/fs/cgroup" + p.Cgroup.Path + "/cgroup.procs")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	want := strconv.FormatUint(uint64(p.Pid), 10)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if lines.Text() == want {
			return fmt.Sprintf("its control group %s has it, though signals do not reach it", p.Cgroup.Path)
		}
	}
	return ""
}
