// Package task takes snapshots of processes and of their open files, straight from
// the kernel's lists of them, through BPF iterators.
//
// Out come processes as the agent knows them, with exact identities and ancestors,
// and files with canonical paths, the ends of sockets and who else holds them. A
// snapshot is of a moment that lasts as long as the walk: what begins or ends
// meanwhile may be in it or not. `bearcat show` calls it; nothing is attached.
package task

import (
	"cmp"
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
	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"golang.org/x/sys/unix"
)

// Snapshot is a walk over processes, and over files where Files was called.
type Snapshot struct {
	transport *kernel.Transport
	procs     []*event.Process // in the order of their pids
	inside    bool             // of a pid namespace that is not the first one
	// Notes say in sentences what is missing or less exact.
	Notes []string
}

// ringBytes is the smallest ring there is: the programs of sensors want one, and an
// iterator writes to none.
const ringBytes = 4096

// Take lists the processes that run, with all that is known of them. With args their
// arguments are read too, from /proc, as they lie in the processes' own memory.
func Take(args bool) (*Snapshot, error) {
	s, users, err := begin()
	if err != nil {
		return nil, err
	}
	table := process.NewTable(process.Config{
		Users: users, Now: kernel.BootNow, Offset: func() time.Duration { return time.Duration(kernel.WallOffset()) },
	})
	procfs := process.NewProcFS(process.ProcConfig{Now: kernel.BootNow})
	err = sensor.ListTasks(s.transport, func(rec *event.TaskRecord) {
		if args && rec.Image != nil {
			_ = procfs.CompleteFromProc(rec) // one that has gone meanwhile stays without
		}
		table.Seed(rec)
	})
	if err != nil {
		s.Notes = append(s.Notes, "the processes are read from /proc, which somebody may have covered and which knows starts to 10 ms only: "+err.Error())
		err = procfs.SeedFromProc(func(rec *event.TaskRecord) error { table.Seed(rec); return nil })
	} else {
		s.missing(procfs, func(pid uint32) bool { return table.ByPid(pid) != nil }, table.Seed)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("listing the processes: %w", err)
	}
	table.Range(func(p *event.Process) bool {
		if p.Alive() {
			s.procs = append(s.procs, p)
		}
		return true
	})
	s.order()
	if args && host.ProcHides() {
		s.Notes = append(s.Notes, "arguments of other users' processes are not known: /proc is mounted with hidepid, which hides them: run as root")
	}
	return s, nil
}

// TakeBrief lists the processes that run with what a table of them shows: identity,
// parent, name, program, control group, users, terminal, and the namespaces of mounts
// and of the network. It costs a fraction of Take.
func TakeBrief() (*Snapshot, error) {
	s, users, err := begin()
	if err != nil {
		return nil, err
	}
	naming := process.NewNaming(users)
	offset := int64(kernel.WallOffset())
	groups := map[string]*event.Cgroup{}
	walked, err := sensor.ListBrief(s.transport, func(b *sensor.Brief) {
		b.Time = time.Unix(0, int64(b.Start)+offset)
		if b.Cgroup = groups[b.CgroupPath]; b.Cgroup == nil {
			b.Cgroup = process.ParseCgroup(b.CgroupID, b.CgroupPath)
			groups[b.CgroupPath] = b.Cgroup
		}
		naming.Name(&b.Process)
		s.procs = append(s.procs, &b.Process)
	})
	if err != nil {
		s.Close()
		whole, failed := Take(false)
		if failed == nil {
			whole.Notes = append(whole.Notes, "the processes are listed in a slower way: "+err.Error())
		}
		return whole, failed
	}
	s.order()
	s.missingFrom(walked, users)
	return s, nil
}

// begin makes an empty snapshot, and reads the names of users; nil where they cannot be.
func begin() (*Snapshot, *process.Users, error) {
	t, err := kernel.NewTransport(ringBytes, ringBytes)
	if err != nil {
		return nil, nil, whyNot(err)
	}
	users, err := process.NewUsers("/etc/passwd", "/etc/group")
	if err != nil {
		users = nil
	}
	return &Snapshot{transport: t}, users, nil
}

// whyNot says of an error of the first thing that is asked of the kernel what to do.
func whyNot(err error) error {
	var st unix.Statfs_t
	switch {
	case unix.Statfs("/proc", &st) == nil && st.Type != unix.PROC_SUPER_MAGIC:
		return fmt.Errorf("/proc is covered by something else, and without it no program can be loaded into the kernel: "+
			"look from a mount namespace with one of its own (unshare -m sh -c 'mount -t proc proc /proc; bearcat show proc'): %w", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("the kernel's lists are for root, or who has CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE: run as root: %w", err)
	}
	return err
}

// order sorts the processes by their pids.
func (s *Snapshot) order() {
	byPid := func(a, b *event.Process) int { return cmp.Compare(a.Pid, b.Pid) }
	if !slices.IsSortedFunc(s.procs, byPid) {
		slices.SortFunc(s.procs, byPid)
	}
}

// counted is how many processes the kernel counts, zombies as well: /proc has as many
// links beside those of its own folders, which it lists first. 0 where it is not known.
func counted() uint64 {
	var st unix.Stat_t
	dir, err := os.Open("/proc")
	if err != nil {
		return 0
	}
	defer dir.Close()
	const own = 2 // a folder's links without others in it
	folders := uint64(own)
	for {
		list, err := dir.ReadDir(32)
		for _, e := range list {
			if c := e.Name()[0]; c >= '0' && c <= '9' {
				if unix.Fstat(int(dir.Fd()), &st) != nil || st.Nlink < folders {
					return 0
				}
				return st.Nlink - folders
			}
			if e.IsDir() {
				folders++
			}
		}
		if err != nil {
			return 0
		}
	}
}

// missingFrom adds what only /proc shows to a walk over that many processes. To list /proc
// costs as much as the walk: it is done where the kernel counts more than were met, beside
// the first process, which some sandboxes keep out of walks.
func (s *Snapshot) missingFrom(walked uint32, users *process.Users) {
	table := process.NewTable(process.Config{
		Users: users, Now: kernel.BootNow, Offset: func() time.Duration { return time.Duration(kernel.WallOffset()) },
	})
	procfs := process.NewProcFS(process.ProcConfig{Now: kernel.BootNow})
	if rec, err := procfs.ReadProc(1); err == nil && s.byPid(1) == nil {
		table.Seed(&rec)
		walked++
	}
	if n := counted(); n == 0 || uint64(walked) < n {
		s.missing(procfs, func(pid uint32) bool { return s.byPid(pid) != nil || table.ByPid(pid) != nil }, table.Seed)
	}
	table.Range(func(p *event.Process) bool {
		s.procs = append(s.procs, p)
		return true
	})
	s.order()
}

// missing adds what /proc shows and the iterator did not: some kernels keep
// processes out of it, such as the first one of a sandbox.
func (s *Snapshot) missing(procfs *process.ProcFS, known func(pid uint32) bool, add func(*event.TaskRecord)) {
	const initial = "pid:[4026531836]" // the kernel gives this number to the first one
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil && ns != initial {
		s.inside = true
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
		if err != nil || known(uint32(pid)) {
			continue
		}
		if rec, err := procfs.ReadProc(uint32(pid)); err == nil {
			add(&rec)
		}
	}
}

// Close gives back what the snapshot holds of the kernel.
func (s *Snapshot) Close() { s.transport.Close() }

// Processes are those that run, in the order of their pids.
func (s *Snapshot) Processes() []*event.Process { return s.procs }

// Find returns a process by its pid in the initial namespace.
func (s *Snapshot) Find(pid uint32) (*event.Process, error) {
	if p := s.byPid(pid); p != nil {
		return p, nil
	}
	if s.inside {
		return nil, fmt.Errorf("there is no process %d in this pid namespace, where pids are those outside: bearcat show proc lists them", pid)
	}
	return nil, fmt.Errorf("there is no process %d", pid)
}

func (s *Snapshot) byPid(pid uint32) *event.Process {
	i, found := slices.BinarySearchFunc(s.procs, pid, func(p *event.Process, pid uint32) int { return cmp.Compare(p.Pid, pid) })
	if !found {
		return nil
	}
	return s.procs[i]
}

// File is an open file, and the process that holds it.
type File struct {
	call.OpenFile
	Proc *event.Process
}

// Files lists the open files of all processes, in the order of pids and numbers.
func (s *Snapshot) Files() ([]File, error) {
	out := make([]File, 0, openFiles())
	var p *event.Process // of the file before
	err := call.ListFiles(s.transport, func(f call.OpenFile) {
		if p == nil || p.Pid != f.Key.Pid {
			p = s.byPid(f.Key.Pid)
		}
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
