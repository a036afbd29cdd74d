package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Bounds of what is read of one process.
const (
	maxCmdline = 128 << 10
	maxEnviron = 256 << 10
	maxSmall   = 64 << 10 // stat, status, cgroup
	// maxStuck reads of processes that hold them up may hang before no more
	// are tried.
	maxStuck = 4
)

// ErrGone is returned for a process that has ended, or whose pid has passed to
// another one while it was being read.
var ErrGone = errors.New("the process has ended")

// ErrOtherProgram is returned where a process runs another program by now.
var ErrOtherProgram = errors.New("the process runs another program by now")

// ProcFS reads processes from /proc: on kernels without the task iterator, and
// to complete the iterator's records, which lack what lies in user memory. Any
// number of goroutines may use it.
//
// Starts in /proc are exact to 10 ms only, so the iterator's records are to be
// preferred. The table gives a process its exact key when it first meets one.
type ProcFS struct {
	cfg   ProcConfig
	stuck atomic.Int32
}

// ProcConfig says where a ProcFS reads. The zero value is usable.
type ProcConfig struct {
	// Root is where the proc file system is mounted; empty for /proc.
	Root string
	// CgroupRoot is the mount of the version 2 hierarchy, whose inode
	// numbers are the ids of control groups; empty for /sys/fs/cgroup.
	CgroupRoot string
	// Env chooses variables of the environment; nil for none.
	Env *EnvFilter
	// Now reads the boot-time clock in ns; nil for a reading of Root/uptime.
	Now func() uint64
	// Timeout bounds the reads that a process can hold up, by memory mapped
	// from a file system of its own making; 0 for a second. What it cuts off
	// is marked as cut in the record.
	Timeout time.Duration
}

// NewProcFS returns a reader of a proc file system.
func NewProcFS(cfg ProcConfig) *ProcFS {
	if cfg.Root == "" {
		cfg.Root = "/proc"
	}
	if cfg.CgroupRoot == "" {
		cfg.CgroupRoot = "/sys/fs/cgroup"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Second
	}
	if cfg.Now == nil {
		root := cfg.Root
		cfg.Now = func() uint64 { return uptime(root) }
	}
	return &ProcFS{cfg: cfg}
}

// uptime reads the boot-time clock from a proc file system, exact to 10 ms; 0
// where that fails.
func uptime(root string) uint64 {
	b, _, err := readUpTo(root+"/uptime", 256)
	if err != nil {
		return 0
	}
	return parseUptime(b)
}

// ReadProc describes a process as an iterator record does.
func (p *ProcFS) ReadProc(pid uint32) (event.TaskRecord, error) {
	dir := p.dir(pid)
	first, err := p.stat(pid)
	if err != nil {
		return event.TaskRecord{}, fmt.Errorf("reading process %d: %w", pid, err)
	}
	if first.ended {
		return event.TaskRecord{}, fmt.Errorf("reading process %d: %w", pid, ErrGone)
	}
	rec := event.TaskRecord{
		Boot: p.cfg.Now(), Key: event.Key{Pid: pid, Start: first.start}, Tid: pid,
		PPid: first.ppid, Pgid: first.pgid, Sid: first.sid, Comm: first.comm,
		KThread: first.kthread, Tty: first.tty,
		NSPid: pid, NSPPid: first.ppid, NSPgid: first.pgid, NSSid: first.sid,
	}
	status, _, err := readUpTo(dir+"/status", maxSmall)
	if err != nil {
		return event.TaskRecord{}, fmt.Errorf("reading process %d: %w", pid, gone(err))
	}
	nested := parseStatus(status, &rec)
	rec.Cred.LoginUID = p.number(dir + "/loginuid")
	rec.Cred.SessionID = p.number(dir + "/sessionid")
	rec.NS = p.namespaces(dir)
	p.parent(&rec, nested)
	p.cgroup(dir, &rec)
	if !rec.KThread {
		rec.Image = p.image(pid)
	}
	last, err := p.stat(pid)
	if err != nil {
		return event.TaskRecord{}, fmt.Errorf("reading process %d: %w", pid, err)
	}
	if last.start != first.start || last.ended {
		return event.TaskRecord{}, fmt.Errorf("reading process %d: %w", pid, ErrGone)
	}
	return rec, nil
}

// CompleteFromProc adds to an iterator record what lies in user memory:
// arguments, environment, working directory, so far as the record lacks them.
// It changes nothing, and returns ErrGone or ErrOtherProgram, where the pid or
// the program is another one by now. The record's image is not yet published.
func (p *ProcFS) CompleteFromProc(rec *event.TaskRecord) error {
	img := rec.Image
	if img == nil || rec.KThread {
		return nil
	}
	pid := rec.Key.Pid
	if err := p.same(rec); err != nil {
		return err
	}
	u := p.user(pid, false)
	cwd, _ := os.Readlink(p.dir(pid) + "/cwd")
	if err := p.same(rec); err != nil {
		return err
	}
	if len(img.Argv) == 0 {
		u.argv(img)
	}
	if len(img.Env) == 0 && p.cfg.Env != nil {
		img.Env, img.EnvCut = p.cfg.Env.Select(u.environ, nil), u.environCut
	}
	if img.Cwd == "" {
		img.Cwd = cwd
	}
	img.Seal()
	return nil
}

// same checks that pid and program are still those of the record.
func (p *ProcFS) same(rec *event.TaskRecord) error {
	pid := rec.Key.Pid
	st, err := p.stat(pid)
	if err == nil && (st.ended || st.start/tick != rec.Key.Start/tick) {
		err = ErrGone
	}
	if err != nil {
		return fmt.Errorf("completing process %d: %w", pid, err)
	}
	link, err := os.Readlink(p.dir(pid) + "/exe")
	if err != nil {
		return fmt.Errorf("completing process %d: %w", pid, gone(err))
	}
	exe := &rec.Image.Exe
	path := strings.TrimSuffix(link, " (deleted)")
	if exe.Path == "" || exe.PathCut || path == exe.Path || link == exe.Path || path == exe.RootPath ||
		path == "/"+exe.Path { // a memfd
		return nil
	}
	return fmt.Errorf("completing process %d (%s): %w", pid, path, ErrOtherProgram)
}

// SeedFromProc hands every process to fn, in the order of pids. Processes that
// end meanwhile are left out. It stops at fn's first error and returns it.
func (p *ProcFS) SeedFromProc(fn func(*event.TaskRecord) error) error {
	d, err := os.Open(p.cfg.Root)
	if err != nil {
		return fmt.Errorf("listing processes: %w; is proc mounted there?", err)
	}
	names, err := d.Readdirnames(-1)
	d.Close()
	if err != nil {
		return fmt.Errorf("listing processes in %s: %w", p.cfg.Root, err)
	}
	pids := make([]uint32, 0, len(names))
	for _, n := range names {
		if pid, err := strconv.ParseUint(n, 10, 32); err == nil && pid != 0 {
			pids = append(pids, uint32(pid))
		}
	}
	slices.Sort(pids)
	for _, pid := range pids {
		rec, err := p.ReadProc(pid)
		if err != nil {
			continue // it has ended: why else should stat be unreadable?
		}
		if err := fn(&rec); err != nil {
			return err
		}
	}
	return nil
}

func (p *ProcFS) dir(pid uint32) string {
	return p.cfg.Root + "/" + strconv.FormatUint(uint64(pid), 10)
}

func (p *ProcFS) stat(pid uint32) (procStat, error) {
	b, _, err := readUpTo(p.dir(pid)+"/stat", maxSmall)
	if err != nil {
		return procStat{}, gone(err)
	}
	return parseStat(b)
}

// number reads a file that holds one number; Unset where it is not there.
func (p *ProcFS) number(path string) uint32 {
	b, _, err := readUpTo(path, 64)
	if err != nil {
		return event.Unset
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 32)
	if err != nil {
		return event.Unset
	}
	return uint32(n)
}

func (p *ProcFS) namespaces(dir string) event.Namespaces {
	ns := func(name string) uint32 {
		link, err := os.Readlink(dir + "/ns/" + name)
		if err != nil {
			return 0
		}
		return uint32(linkNumber(link)) // such inodes have 32 bits
	}
	return event.Namespaces{
		Pid: ns("pid"), Mnt: ns("mnt"), Net: ns("net"), Uts: ns("uts"),
		User: ns("user"), Cgroup: ns("cgroup"), IPC: ns("ipc"),
	}
}

// parent completes the parent's key and its pid in the process's namespace.
func (p *ProcFS) parent(rec *event.TaskRecord, nested bool) {
	if rec.PPid == 0 {
		return
	}
	if st, err := p.stat(rec.PPid); err == nil {
		rec.Parent = event.Key{Pid: rec.PPid, Start: st.start}
	}
	if !nested {
		return
	}
	rec.NSPPid = 0
	dir := p.dir(rec.PPid)
	if link, err := os.Readlink(dir + "/ns/pid"); err != nil || uint32(linkNumber(link)) != rec.NS.Pid { // as above
		return // outside of the namespace
	}
	if b, _, err := readUpTo(dir+"/status", maxSmall); err == nil {
		var parent event.TaskRecord
		parseStatus(b, &parent)
		rec.NSPPid = parent.NSPid
	}
}

func (p *ProcFS) cgroup(dir string, rec *event.TaskRecord) {
	b, _, err := readUpTo(dir+"/cgroup", maxSmall)
	if err != nil {
		return
	}
	path, unified := parseCgroupFile(b)
	rec.CgroupPath = path
	if !unified {
		return
	}
	if st, err := os.Lstat(filepath.Join(p.cfg.CgroupRoot, path)); err == nil {
		rec.CgroupID = inode(st)
	}
}

// gone turns the errors by which /proc says that a process has ended, some of
// them only in the middle of a read, into ErrGone.
func gone(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return ErrGone
	}
	return err
}

// readUpTo reads a file whose size is not known before; cut where it is longer
// than limit.
func readUpTo(path string, limit int) (b []byte, cut bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	b, err = io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, false, err
	}
	if len(b) > limit {
		return b[:limit], true, nil
	}
	return b, false, nil
}
