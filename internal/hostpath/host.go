package hostpath

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	snapshot "github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"golang.org/x/sys/unix"
)

// lookEvery is how often the host's mounts are looked at for a change while all that is
// asked for is found in them.
const lookEvery = 100 * time.Millisecond

// host is the host's own namespace. Its list stays open: the kernel tells of a change
// there. Of other namespaces it does not, since an open list keeps a namespace, and all
// that is mounted in it, alive.
type host struct {
	ns     uint32
	list   *os.File
	root   *os.File // its "/"
	mounts *mounts
	on     map[uint64][]*mount
	looked time.Time
	tried  time.Time
	gen    uint64
}

func (h *host) close() error {
	var errs []error
	for _, f := range []*os.File{h.list, h.root} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	*h = host{}
	return errors.Join(errs...)
}

// ready opens the host's list at the first time.
func (h *host) ready(r *Resolver) bool {
	if h.list != nil {
		return true
	}
	now := r.now()
	if now.Sub(h.tried) < retry {
		return false
	}
	// process 1 may be out of reach, in a sandbox; then the agent's own view is the host's
	for _, pid := range []string{strconv.Itoa(r.pid), "self"} {
		if h.open(r.proc + "/" + pid) {
			return h.read(r)
		}
	}
	h.tried = now
	return false
}

// open opens the list and the root of a process.
func (h *host) open(dir string) bool {
	list, err1 := openList(dir + "/mountinfo")
	root, err2 := os.OpenFile(dir+"/root", unix.O_PATH|unix.O_DIRECTORY, 0)
	*h = host{ns: nsOf(dir), list: list, root: root}
	if err1 == nil && err2 == nil && h.ns != 0 {
		return true
	}
	_ = h.close() // nothing was written to what is let go
	return false
}

// openList opens a list of mounts for polling. os.Open would hand it to the runtime's
// own polling, which takes the news of a change for itself.
func openList(name string) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// read reads the list anew. Where that fails the one before stays.
func (h *host) read(r *Resolver) bool {
	h.looked, h.gen = r.now(), r.gen
	if _, err := h.list.Seek(0, io.SeekStart); err != nil {
		return false
	}
	b, err := io.ReadAll(h.list)
	if err != nil {
		return false
	}
	r.debt += float64(max(len(b), leastDebt))
	r.stats.Reads++
	m, err := parse(string(b), "")
	if err != nil {
		return false
	}
	h.mounts, h.on = m, m.byDevice()
	return true
}

// refresh reads the list anew if it has changed.
func (h *host) refresh(r *Resolver) bool {
	if !r.mayRead() {
		return false
	}
	h.looked = r.now()
	p := []unix.PollFd{{Fd: int32(h.list.Fd()), Events: unix.POLLPRI | unix.POLLERR}}
	n, err := unix.Poll(p, 0)
	return h.mounts == nil || err == nil && n > 0 && p[0].Revents&(unix.POLLPRI|unix.POLLERR) != 0 && h.read(r)
}

// find returns the mount by which the host sees a place of a device, and the path.
func (h *host) find(r *Resolver, dev uint64, inner string) (*mount, string) {
	if h.gen != r.gen || r.now().Sub(h.looked) > lookEvery {
		h.gen = r.gen
		h.refresh(r)
	}
	m, p := h.search(dev, inner)
	if m == nil && h.refresh(r) {
		return h.search(dev, inner)
	}
	return m, p
}

func (h *host) search(dev uint64, inner string) (*mount, string) {
	if h.mounts == nil {
		return nil, ""
	}
	for _, m := range h.on[dev] {
		if !within(inner, m.root) {
			continue
		}
		p := join(m.point, below(inner, m.root))
		if h.mounts.at(p) == m {
			return m, p
		}
	}
	return nil, ""
}

// remote lists types of file systems that a look into may have to wait for.
var remote = map[string]bool{
	"9p": true, "afs": true, "autofs": true, "beegfs": true, "ceph": true, "cifs": true, "gfs2": true, "glusterfs": true, "gpfs": true,
	"lustre": true, "ncpfs": true, "nfs": true, "nfs4": true, "ocfs2": true, "smb3": true, "smbfs": true, "virtiofs": true,
}

func isRemote(typ string) bool { return remote[typ] || strings.HasPrefix(typ, "fuse") }

// plain reports whether a folder of the host is reached without a symbolic link, as far
// as it is there: a link in a container means another place for the host.
func (r *Resolver) plain(on *mount, dir string) bool {
	if isRemote(on.typ) {
		return false
	}
	for dir != "/" && dir != "." && dir != "" {
		fd, err := openAt(int(r.host.root.Fd()), dir, unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
		if err == nil {
			return unix.Close(fd) == nil
		}
		if !errors.Is(err, unix.ENOENT) {
			return false
		}
		dir = dir[:max(0, strings.LastIndexByte(dir, '/'))]
	}
	return true
}

func openAt(dir int, name string, flags, resolve uint64) (int, error) {
	return unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | flags, Resolve: resolve})
}

// layered finds a file of an overlay in the layer that has it. Layers are named as
// whoever mounted the overlay saw them, and so only what looks like the file is taken
// for it.
func (r *Resolver) layered(m *mount, inner string, f *event.File) string {
	o := snapshot.ParseOverlay(m.source)
	dirs := append(o.Lower[:len(o.Lower):len(o.Lower)], o.DataOnly...)
	if f.Upper {
		dirs = []string{o.Upper}
	}
	for _, dir := range dirs {
		if !strings.HasPrefix(dir, "/") || r.host.mounts == nil {
			continue
		}
		on := r.host.mounts.at(dir)
		if on == nil || isRemote(on.typ) {
			continue
		}
		switch there, same := r.compare(dir, inner, f); {
		case same:
			return join(dir, strings.TrimPrefix(inner, "/"))
		case there:
			return "" // what lies deeper is not seen
		}
	}
	return ""
}

// compare looks at a file below a folder of the host: whether it is there, and whether
// it has the inode, or the kind, permissions and owner, of f.
func (r *Resolver) compare(dir, inner string, f *event.File) (there, same bool) {
	at, err := openAt(int(r.host.root.Fd()), dir, unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT)
	if err != nil {
		return false, false
	}
	defer func() { _ = unix.Close(at) }() // a path's descriptor has nothing to write
	name := strings.TrimPrefix(inner, "/")
	if name == "" {
		name = "."
	}
	fd, err := openAt(at, name, unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return false, false
	}
	defer func() { _ = unix.Close(fd) }() // as above
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return true, false
	}
	return true, st.Mode&unix.S_IFMT == f.Mode&unix.S_IFMT && (st.Ino == f.Inode || st.Mode == f.Mode && st.Uid == f.UID && st.Gid == f.GID)
}
