package process

import (
	"fmt"
	"io"
	"os"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// Bounds of what is kept of containers' users.
const (
	maxRoots    = 512
	maxRootFile = 1 << 20
)

// roots gives names to ids inside containers, from the files below their own
// roots: user 101 of a container is not the host's. What a mount namespace says
// is read once, through the first process that is met in it.
type roots struct {
	hostMnt uint32
	byMnt   map[uint32]*names
	order   []uint32
	proc    string // where /proc is
}

// names are the users and groups of one root.
type names struct{ users, groups map[uint32]string }

func newRoots(proc string) *roots {
	r := &roots{byMnt: map[uint32]*names{}, proc: proc}
	var st unix.Stat_t
	if unix.Stat(proc+"/self/ns/mnt", &st) == nil {
		r.hostMnt = uint32(st.Ino)
	}
	return r
}

// of returns the names that hold for a process; nil where those of the host do.
func (r *roots) of(p *event.Process) *names {
	if r == nil || p.NS == nil || p.NS.Mnt == 0 || p.NS.Mnt == r.hostMnt || p.Cgroup == nil || p.Cgroup.ContainerID == "" {
		return nil
	}
	if n, ok := r.byMnt[p.NS.Mnt]; ok {
		return n
	}
	n, err := r.read(p.Pid)
	if err != nil {
		return &names{} // it has gone, or has no such files: ids stay numbers
	}
	if len(r.order) >= maxRoots {
		delete(r.byMnt, r.order[0])
		r.order = r.order[1:]
	}
	r.byMnt[p.NS.Mnt] = n
	r.order = append(r.order, p.NS.Mnt)
	return n
}

// read reads the files below a process's root. A link in the container leads
// to where it would lead inside, never to the host's files.
func (r *roots) read(pid uint32) (*names, error) {
	root, err := unix.Open(fmt.Sprintf("%s/%d/root", r.proc, pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("looking below the root of process %d: %w", pid, err)
	}
	defer unix.Close(root)
	users, err := readIDs(root, "etc/passwd")
	if err != nil {
		return nil, err
	}
	groups, err := readIDs(root, "etc/group")
	if err != nil {
		groups = nil // users are worth having without groups
	}
	return &names{users, groups}, nil
}

func readIDs(root int, path string) (map[uint32]string, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(root, path, &how)
	if err != nil {
		return nil, fmt.Errorf("opening %s of a container: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s of a container is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxRootFile))
	if err != nil {
		return nil, fmt.Errorf("reading %s of a container: %w", path, err)
	}
	return parseIDs(text), nil
}
