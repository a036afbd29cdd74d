// Package task takes snapshots of processes and of their open files, straight from
// the kernel's lists of them, through BPF iterators.
//
// Out come processes as the agent knows them, with exact identities and ancestors,
// and files with canonical paths, the ends of sockets and who else holds them. A
// snapshot is of a moment that lasts as long as the walk: what begins or ends
// meanwhile may be in it or not. `bearcat show` calls it; nothing is attached.
package task

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/process"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
	sensor "github.com/bearcat-hids/bearcat/internal/sensor/process"
)

// Snapshot is a walk over processes, and over files where Files was called.
type Snapshot struct {
	transport *kernel.Transport
	table     *process.Table
	procs     []*event.Process
	// Notes say in sentences what is missing or less exact.
	Notes []string
}

// ringBytes is the smallest ring there is: the programs of sensors want one, and an
// iterator writes to none.
const ringBytes = 4096

// Take lists the processes that run. With args their arguments are read too, from
// /proc, as they lie in the processes' own memory.
func Take(args bool) (*Snapshot, error) {
	t, err := kernel.NewTransport(ringBytes, ringBytes)
	if err != nil {
		return nil, err
	}
	users, err := process.NewUsers("/etc/passwd", "/etc/group")
	if err != nil {
		users = nil
	}
	s := &Snapshot{transport: t, table: process.NewTable(process.Config{
		Users: users, Now: kernel.BootNow, Offset: func() time.Duration { return time.Duration(kernel.WallOffset()) },
	})}
	procfs := process.NewProcFS(process.ProcConfig{Now: kernel.BootNow})
	err = sensor.ListTasks(t, func(rec *event.TaskRecord) {
		if args && rec.Image != nil {
			_ = procfs.CompleteFromProc(rec) // one that has gone meanwhile stays without
		}
		s.table.Seed(rec)
	})
	if err != nil {
		s.Notes = append(s.Notes, "the processes are read from /proc, which somebody may have covered and which knows starts to 10 ms only: "+err.Error())
		err = procfs.SeedFromProc(func(rec *event.TaskRecord) error { s.table.Seed(rec); return nil })
	} else {
		s.missing(procfs)
	}
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("listing the processes: %w", err)
	}
	s.table.Range(func(p *event.Process) bool {
		if p.Alive() {
			s.procs = append(s.procs, p)
		}
		return true
	})
	slices.SortFunc(s.procs, func(a, b *event.Process) int { return int(a.Pid) - int(b.Pid) })
	return s, nil
}

// missing adds what /proc shows and the iterator did not: some kernels keep
// processes out of it, such as the first one of a sandbox.
func (s *Snapshot) missing(procfs *process.ProcFS) {
	const initial = "pid:[4026531836]" // the kernel gives this number to the first one
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil && ns != initial {
		s.Notes = append(s.Notes, "this is a pid namespace: only what is in it is listed, by its pids outside, and arguments are not known")
		return
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		s.Notes = append(s.Notes, "/proc cannot be listed: "+err.Error())
		return
	}
	for _, e := range entries {
		pid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil || s.table.ByPid(uint32(pid)) != nil {
			continue
		}
		if rec, err := procfs.ReadProc(uint32(pid)); err == nil {
			s.table.Seed(&rec)
		}
	}
}

// Close gives back what the snapshot holds of the kernel.
func (s *Snapshot) Close() { s.transport.Close() }

// Processes are those that run, in the order of their pids.
func (s *Snapshot) Processes() []*event.Process { return s.procs }

// Find returns a process by its pid in the initial namespace.
func (s *Snapshot) Find(pid uint32) (*event.Process, error) {
	if p := s.table.ByPid(pid); p != nil && p.Alive() {
		return p, nil
	}
	return nil, fmt.Errorf("there is no process %d", pid)
}

// File is an open file, and the process that holds it.
type File struct {
	call.OpenFile
	Proc *event.Process
}

// Files lists the open files of all processes, in the order of pids and numbers.
func (s *Snapshot) Files() ([]File, error) {
	out := make([]File, 0, openFiles())
	err := call.ListFiles(s.transport, func(f call.OpenFile) {
		p := s.table.ByPid(f.Key.Pid)
		if p == nil || p.Start != f.Key.Start && !p.Seeded {
			p = &event.Process{Key: f.Key, Comm: "?"} // came after the walk over processes
		}
		out = append(out, File{f, p})
	})
	if err != nil {
		return nil, errors.Join(err, errors.New("this kernel has no list of open files that can be had: look at /proc/PID/fd"))
	}
	inOrder := func(a, b File) int {
		if n := int(a.Key.Pid) - int(b.Key.Pid); n != 0 {
			return n
		}
		return int(a.FD.Num) - int(b.FD.Num)
	}
	if !slices.IsSortedFunc(out, inOrder) {
		slices.SortStableFunc(out, inOrder)
	}
	return out, nil
}

// openFiles guesses how many open files there are, by how many the kernel has handed out.
func openFiles() int {
	const least, most = 1 << 10, 1 << 20
	text, err := os.ReadFile("/proc/sys/fs/file-nr")
	if err != nil {
		return least
	}
	first, _, _ := strings.Cut(string(text), "\t")
	n, err := strconv.Atoi(first)
	if err != nil {
		return least
	}
	return min(max(n+n/8, least), most)
}
