// Package hostpath finds where the host has the files of processes in other mount
// namespaces, such as those of containers.
//
// In go a namespace and a path in it; out comes a path in the mount namespace of
// process 1, by which the host opens the same file, or nothing where it has none. The
// lists of mounts (/proc/PID/mountinfo) say it: of the mount that the path is in, the
// device and the place within its file system; and of the host, which mount shows that
// place. A file of an overlay that the host has not mounted is looked for in its layers.
//
// Nothing is read before somebody asks. The agent's outputs and rules do, through
// event.HostPaths.
package hostpath

import (
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

const (
	// maxViews is how many namespaces are remembered, unless Options say otherwise.
	maxViews = 256
	// maxAge is how long a list of mounts is believed where no event told of a change.
	maxAge = 2 * time.Second
	// retry is how often the processes of a namespace are gone through, and process 1
	// is tried.
	retry = time.Second
	// maxDebt is how many bytes of lists are read at once, and perSecond how many more
	// as time goes by: some milliseconds of work. A try counts for leastDebt.
	maxDebt   = 4 << 20
	perSecond = 2 << 20
	leastDebt = 4 << 10
	// maxTries is how many processes of a namespace are asked for its mounts.
	maxTries = 8
)

// Options are what a Resolver works with. Zero values stand for the defaults.
type Options struct {
	// Proc is where procfs is ("/proc"), Host the process whose mount namespace is
	// the host's (1).
	Proc string
	Host int
	// Others names processes of a mount namespace, for when the one that an event is
	// about has ended; nil for none.
	Others func(ns uint32, yield func(pid uint32) bool)
	// Namespaces is how many are remembered.
	Namespaces int
}

// Stats is a Resolver's account.
type Stats struct {
	// Asked counts files of other namespaces, Found those that the host has.
	Asked, Found uint64
	// The others are absent: NoMounts since no list of mounts could be read (the
	// processes had ended, or it took too long), Unmatched since the list did not have
	// the file, Hidden since the host has not mounted it, Nameless since the file has
	// no name, Unsure since a link, or another file, may be in the place.
	NoMounts, Unmatched, Hidden, Nameless, Unsure uint64
	// Namespaces are remembered; Reads counts lists that were read, Evicted namespaces
	// that were forgotten for lack of room.
	Namespaces     int
	Reads, Evicted uint64
}

// Resolver finds paths. Its methods may be called from any goroutine.
type Resolver struct {
	proc   string
	pid    int
	others func(ns uint32, yield func(pid uint32) bool)
	max    int
	now    func() time.Time

	mu     sync.Mutex
	host   host
	views  map[uint32]*view
	gen    uint64 // goes up with each change of mounts anywhere
	debt   float64
	debtAt time.Time
	stats  Stats
}

// view is a mount namespace as it was when its list was read; mounts is nil where it
// could not be.
type view struct {
	mounts *mounts
	root   string // of the process that the list is of, "" for the namespace's own
	read   time.Time
	used   time.Time
	// searched is when other processes than that of the event were last asked for.
	searched time.Time
	gen      uint64
	stale    bool
	futile   time.Duration // how long to wait where reading again did not help
}

// New returns a resolver that has read nothing.
func New(o Options) *Resolver {
	r := &Resolver{proc: o.Proc, pid: o.Host, others: o.Others, max: o.Namespaces, now: time.Now, views: map[uint32]*view{}}
	if r.proc == "" {
		r.proc = "/proc"
	}
	if r.pid == 0 {
		r.pid = 1
	}
	if r.max == 0 {
		r.max = maxViews
	}
	return r
}

var _ event.HostPaths = (*Resolver)(nil)

// Close lets go of what the resolver holds open.
func (r *Resolver) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.host.close()
}

// Stats returns the account so far.
func (r *Resolver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Namespaces = len(r.views)
	return s
}

// Changed says that the mounts of a namespace have changed. Those of others, the host's
// among them, may have with it.
func (r *Resolver) Changed(ns uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gen++
	if v := r.views[ns]; v != nil {
		v.stale = true
	}
}

// HostPath implements event.HostPaths.
func (r *Resolver) HostPath(at event.HostPlace, f *event.File) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.NS == 0 || f.Path == "" || !r.host.ready(r) || at.NS == r.host.ns {
		return ""
	}
	r.stats.Asked++
	if f.Path[0] != '/' || f.Memfd || f.Deleted || f.Unreachable || f.PathCut {
		r.stats.Nameless++
		return ""
	}
	v := r.view(at)
	if v == nil || v.mounts == nil {
		r.stats.NoMounts++
		return ""
	}
	m := v.find(f)
	if m == nil && r.again(v, at) {
		m = v.find(f)
	}
	if m == nil {
		r.stats.Unmatched++
		return ""
	}
	p, why := r.of(m, f, at.Resolved)
	if p == "" {
		*why++
		return ""
	}
	r.stats.Found++
	return p
}

// find returns the mount that a file is in; nil where the list has none, or one of
// another device: it is of another time then.
func (v *view) find(f *event.File) *mount {
	m := v.mounts.at(f.Path)
	if m == nil || f.Dev != 0 && m.dev != f.Dev {
		return nil
	}
	return m
}

// of maps a file of a mount; why is what to count where that cannot be.
func (r *Resolver) of(m *mount, f *event.File, resolved bool) (p string, why *uint64) {
	inner, ok := m.inner(f.Path)
	if !ok {
		return "", &r.stats.Nameless
	}
	on, p := r.host.find(r, m.dev, inner)
	switch {
	case on == nil && m.typ == "overlay" && f.Inode != 0:
		p = r.layered(m, inner, f)
	case on != nil && !resolved && !r.plain(on, path.Dir(p)):
		return "", &r.stats.Unsure
	}
	return p, &r.stats.Hidden
}

// view returns what is known of a namespace, read anew where it is too old.
func (r *Resolver) view(at event.HostPlace) *view {
	now := r.now()
	v := r.views[at.NS]
	if v == nil {
		v = &view{}
		r.makeRoom()
		r.views[at.NS] = v
	}
	v.used = now
	age := now.Sub(v.read)
	switch {
	case v.mounts != nil && age < maxAge && v.gen == r.gen && !v.stale:
		return v
	case !r.readView(v, at) && v.stale:
		return nil // what is known is wrong
	}
	return v
}

// again reads a namespace anew in which a file was not found as it should be, unless
// that has not helped before.
func (r *Resolver) again(v *view, at event.HostPlace) bool {
	if v.futile > 0 && r.now().Sub(v.read) < v.futile {
		return false
	}
	if v.futile = min(2*v.futile, time.Second); v.futile == 0 {
		v.futile = time.Millisecond
	}
	return r.readView(v, at) && v.mounts != nil
}

// makeRoom forgets the namespace that was asked for least lately.
func (r *Resolver) makeRoom() {
	for len(r.views) >= r.max {
		var oldest uint32
		var used time.Time
		for ns, v := range r.views {
			if used.IsZero() || v.used.Before(used) {
				oldest, used = ns, v.used
			}
		}
		delete(r.views, oldest)
		r.stats.Evicted++
	}
}

// readView reads the mounts of a namespace: from the thread that the event is about,
// its process, or, now and then, another one of the namespace. It reports whether it
// tried.
func (r *Resolver) readView(v *view, at event.HostPlace) bool {
	if !r.mayRead() {
		return false
	}
	begun := r.now()
	if v.stale {
		v.mounts = nil
	}
	v.read, v.gen, v.stale = begun, r.gen, false
	tries, got := 0, false
	try := func(pid uint32) (more bool) {
		if tries++; pid == 0 || tries > maxTries {
			return tries <= maxTries
		}
		list, root := r.readOf(pid, at.NS)
		// a list of the whole is better than that of a process in a chroot
		if list == nil || root != "" && (got || v.mounts != nil && v.root == "") {
			return true
		}
		if v.mounts == nil || v.mounts.text != list.text {
			v.futile = 0
		}
		v.mounts, v.root, got = list, root, true
		return root != ""
	}
	if try(at.Tid) && (at.Pid == at.Tid || try(at.Pid)) && r.others != nil && begun.Sub(v.searched) >= retry {
		v.searched = begun
		r.others(at.NS, try)
	}
	return true
}

// readOf reads the mounts that a thread sees, if it is in the namespace, and its root.
func (r *Resolver) readOf(pid, ns uint32) (list *mounts, root string) {
	dir := r.proc + "/" + strconv.FormatUint(uint64(pid), 10)
	b, err := os.ReadFile(dir + "/mountinfo")
	r.debt += float64(max(len(b), leastDebt))
	if err != nil || nsOf(dir) != ns {
		return nil, ""
	}
	if root, err = os.Readlink(dir + "/root"); err != nil {
		return nil, ""
	}
	if root == "/" {
		root = ""
	}
	r.stats.Reads++
	if list, err = parse(string(b), root); err != nil {
		return nil, ""
	}
	return list, root
}

// mayRead reports whether lists may be read: mounts that change all the time must not
// become the agent's only work.
func (r *Resolver) mayRead() bool {
	now := r.now()
	r.debt = max(0, r.debt-perSecond*now.Sub(r.debtAt).Seconds())
	r.debtAt = now
	return r.debt < maxDebt
}

// nsOf returns the mount namespace of a process by its directory in /proc, or 0.
func nsOf(dir string) uint32 {
	link, err := os.Readlink(dir + "/ns/mnt")
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(link, "mnt:["), "]"), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
