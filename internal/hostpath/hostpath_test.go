package hostpath

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// hostPID and hostNS are process and namespace that a fakeProc has as the host's.
const (
	hostPID = 1
	hostNS  = 4026531841
)

// fakeProc is a /proc that holds what the resolver reads.
type fakeProc struct {
	t    testing.TB
	dir  string
	root string // of the host
	now  time.Time
}

func newFakeProc(t testing.TB, hostList ...string) *fakeProc {
	p := &fakeProc{t: t, dir: t.TempDir(), root: t.TempDir(), now: time.Unix(1e9, 0)}
	p.process(hostPID, hostNS, p.root, hostList...)
	return p
}

func (p *fakeProc) process(pid int, ns uint32, root string, list ...string) {
	p.t.Helper()
	dir := filepath.Join(p.dir, strconv.Itoa(pid))
	for _, err := range []error{
		os.RemoveAll(dir), os.MkdirAll(dir+"/ns", 0o755), os.WriteFile(dir+"/mountinfo", []byte(lines(list...)), 0o600),
		os.Symlink(fmt.Sprintf("mnt:[%d]", ns), dir+"/ns/mnt"), os.Symlink(root, dir+"/root"),
	} {
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *fakeProc) ends(pid int) { _ = os.RemoveAll(filepath.Join(p.dir, strconv.Itoa(pid))) }

func (p *fakeProc) resolver(o Options) *Resolver {
	o.Proc = p.dir
	r := New(o)
	r.now = func() time.Time { return p.now }
	p.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			p.t.Error(err)
		}
	})
	return r
}

func (p *fakeProc) ask(r *Resolver, ns, pid uint32, path string, dev uint64) string {
	return r.HostPath(event.HostPlace{NS: ns, Tid: pid, Pid: pid, Resolved: true}, &event.File{Path: path, Dev: dev})
}

var hostList = []string{
	"20 1 8:1 / / rw - ext4 /dev/sda1 rw",
	"21 20 0:50 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w",
	"22 20 8:2 / /mnt/hidden rw - ext4 /dev/sdb rw",
	"23 20 0:30 / /mnt rw - tmpfs tmpfs rw",
	"24 20 8:1 /srv /export rw - ext4 /dev/sda1 rw",
	"25 20 8:3 /part /part rw - ext4 /dev/sdc rw",
}

var containerList = []string{
	"100 99 0:50 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w",
	"101 100 8:1 /var/lib/docker/volumes/v/_data /data rw - ext4 /dev/sda1 rw",
	"102 100 0:60 / /dev rw - tmpfs tmpfs rw",
	"103 100 8:1 /var/lib/docker/containers/x/hosts /etc/hosts rw - ext4 /dev/sda1 rw",
	"104 100 8:1 /gone//deleted /gone rw - ext4 /dev/sda1 rw",
	"105 101 0:61 / /data/tmp rw - tmpfs tmpfs rw",
	"106 100 8:2 / /covered rw - ext4 /dev/sdb rw",
	"107 100 8:3 / /disk rw - ext4 /dev/sdc rw",
	"108 100 8:1 /srv/www /www rw - ext4 /dev/sda1 rw",
}

func TestHostPaths(t *testing.T) {
	p := newFakeProc(t, hostList...)
	p.process(500, 77, "/", containerList...)
	r := p.resolver(Options{})
	for _, c := range []struct {
		path string
		dev  uint64
		want string
	}{
		{"/bin/sh", 50, "/var/lib/docker/overlay2/x/merged/bin/sh"},
		{"/", 50, "/var/lib/docker/overlay2/x/merged"},
		{"/data/db/f", 8<<32 | 1, "/var/lib/docker/volumes/v/_data/db/f"},
		{"/data/db/f", 0, "/var/lib/docker/volumes/v/_data/db/f"},
		{"/etc/hosts", 8<<32 | 1, "/var/lib/docker/containers/x/hosts"},
		{"/www/a", 8<<32 | 1, "/srv/www/a"}, // and not the narrower /export
		{"/disk/part/a", 8<<32 | 3, "/part/a"},
		{"/disk/elsewhere", 8<<32 | 3, ""},
		{"/data/tmp/x", 61, ""},
		{"/dev/shm/x", 60, ""},
		{"/gone/x", 8<<32 | 1, ""},
		{"/covered/x", 8<<32 | 2, ""},
		{"/bin/sh", 99, ""}, // of another time
		{"memfd:x", 1, ""},
	} {
		if got := p.ask(r, 77, 500, c.path, c.dev); got != c.want {
			t.Errorf("%s on %x: %q, want %q", c.path, c.dev, got, c.want)
		}
	}
	if got := p.ask(r, hostNS, 1, "/bin/sh", 8<<32|1); got != "" {
		t.Errorf("a file of the host's own namespace: %q", got)
	}
	s := r.Stats()
	if s.Asked != 14 || s.Found != 7 || s.Hidden != 4 || s.Nameless != 2 || s.Unmatched != 1 || s.NoMounts+s.Unsure != 0 {
		t.Errorf("the account is %+v", s)
	}
	if got := r.HostPath(event.HostPlace{NS: 77, Pid: 500, Resolved: true}, &event.File{Path: "/bin/sh", Dev: 50, Deleted: true}); got != "" {
		t.Errorf("a deleted file: %q", got)
	}
}

func TestMountsThatChange(t *testing.T) {
	p := newFakeProc(t, hostList...)
	// before the runtime changes the root
	p.process(500, 77, "/", "100 99 8:1 / / rw - ext4 /dev/sda1 rw")
	r := p.resolver(Options{})
	if got := p.ask(r, 77, 500, "/bin/sh", 8<<32|1); got != "/bin/sh" {
		t.Errorf("at first: %q", got)
	}
	p.process(500, 77, "/", containerList...)
	if got := p.ask(r, 77, 500, "/bin/sh", 50); got != "/var/lib/docker/overlay2/x/merged/bin/sh" {
		t.Errorf("the file is on another device than the list says: %q", got)
	}
	p.process(500, 77, "/", append(containerList[:1:1], "101 100 8:1 /other /data rw - ext4 /dev/sda1 rw")...)
	if got := p.ask(r, 77, 500, "/data/f", 0); got != "/var/lib/docker/volumes/v/_data/f" {
		t.Errorf("nobody has told of a change: %q", got)
	}
	r.Changed(77)
	if got := p.ask(r, 77, 500, "/data/f", 0); got != "/other/f" {
		t.Errorf("after a mount: %q", got)
	}
	p.process(500, 77, "/", append(containerList[:1:1], "101 100 8:1 /third /data rw - ext4 /dev/sda1 rw")...)
	p.now = p.now.Add(maxAge)
	if got := p.ask(r, 77, 500, "/data/f", 0); got != "/third/f" {
		t.Errorf("a list of %v ago: %q", maxAge, got)
	}
	// A file that never fits has the list read less and less often.
	before := r.Stats().Reads
	for range 1000 {
		p.now = p.now.Add(time.Microsecond)
		p.ask(r, 77, 500, "/bin/sh", 99)
	}
	if n := r.Stats().Reads - before; n > 3 {
		t.Errorf("the list was read %d times within a millisecond", n)
	}
}

func TestProcessesThatEnd(t *testing.T) {
	p := newFakeProc(t, hostList...)
	p.process(500, 77, "/", containerList...)
	p.process(501, 78, "/", containerList...)
	p.process(502, 77, "/srv/jail", "110 100 0:70 / /proc rw - proc proc rw")
	var others []uint32
	r := p.resolver(Options{Others: func(_ uint32, yield func(uint32) bool) {
		for _, pid := range others {
			if !yield(pid) {
				return
			}
		}
	}})
	if got := p.ask(r, 77, 499, "/bin/sh", 50); got != "" || r.Stats().NoMounts != 1 {
		t.Errorf("all have ended: %q, %+v", got, r.Stats())
	}
	others = []uint32{501, 502, 500}
	if got := p.ask(r, 77, 499, "/bin/sh", 50); got != "" || r.Stats().NoMounts != 2 {
		t.Errorf("asked again at once: %q, %+v", got, r.Stats())
	}
	if got := p.ask(r, 77, 502, "/srv/jail/proc/1", 70); got != "" || r.Stats().Hidden != 1 {
		t.Errorf("by one that lives: %q, %+v", got, r.Stats())
	}
	p.process(502, 77, "/elsewhere", "110 100 0:70 / /proc rw - proc proc rw")
	p.now = p.now.Add(retry)
	if got := p.ask(r, 77, 499, "/bin/sh", 50); got == "" {
		t.Errorf("others live: %q, %+v", got, r.Stats())
	}
	p.ends(500)
	p.ends(502)
	p.now = p.now.Add(maxAge)
	if got := p.ask(r, 77, 499, "/bin/sh", 50); got == "" {
		t.Error("what was read last is forgotten when nobody is left")
	}
	r.Changed(77)
	if got := p.ask(r, 77, 499, "/bin/sh", 50); got != "" {
		t.Errorf("what was read before a change is still believed: %q", got)
	}
}

func TestNamespacesAreBounded(t *testing.T) {
	p := newFakeProc(t, hostList...)
	p.process(500, 77, "/", containerList...)
	r := p.resolver(Options{Namespaces: 4})
	p.ask(r, 77, 500, "/bin/sh", 50)
	for ns := range uint32(10) {
		p.now = p.now.Add(time.Microsecond)
		p.ask(r, 1000+ns, 499, "/bin/sh", 50)
		p.now = p.now.Add(time.Microsecond)
		p.ask(r, 77, 500, "/bin/sh", 50)
	}
	s := r.Stats()
	if s.Namespaces != 4 || s.Evicted != 7 || s.Found != 11 || s.Reads != 2 {
		t.Errorf("the account is %+v: want 4 namespaces, 7 evicted, and that of use read once", s)
	}
}

func TestReadingIsBounded(t *testing.T) {
	p := newFakeProc(t, hostList...)
	p.process(500, 77, "/", containerList...)
	r := p.resolver(Options{})
	absent := 0
	for range 2 * maxDebt / leastDebt {
		r.Changed(77)
		if p.ask(r, 77, 500, "/bin/sh", 50) == "" {
			absent++
		}
	}
	if s := r.Stats(); absent == 0 || s.Reads > maxDebt/leastDebt+1 || s.NoMounts != uint64(absent) {
		t.Errorf("a namespace that changes all the time is read %d times, %d asked for in vain: %+v", s.Reads, absent, s)
	}
	p.now = p.now.Add(time.Second)
	if p.ask(r, 77, 500, "/bin/sh", 50) == "" {
		t.Error("after a second it is still not read")
	}
}

func TestFilesInLayers(t *testing.T) {
	p := newFakeProc(t, "20 1 8:1 / / rw - ext4 /dev/sda1 rw", "21 20 0:40 / /net rw - nfs4 server rw")
	for _, dir := range []string{"top/bin", "bottom/bin", "up/etc", "real", "net/bin"} {
		if err := os.MkdirAll(filepath.Join(p.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]event.File{}
	for name, mode := range map[string]os.FileMode{"top/bin/a": 0o755, "bottom/bin/a": 0o700, "bottom/bin/b": 0o755, "up/etc/c": 0o600, "net/bin/d": 0o755, "real/x": 0o644} {
		path := filepath.Join(p.root, name)
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		files[name] = event.File{Inode: st.Ino, Mode: st.Mode, UID: st.Uid, GID: st.Gid, Dev: 70, Overlay: true}
	}
	if err := os.Symlink("../real", filepath.Join(p.root, "bottom/link")); err != nil {
		t.Fatal(err)
	}
	p.process(500, 77, "/", "100 99 0:70 / / rw - overlay overlay rw,lowerdir=/top:relative:/bottom:/net,upperdir=/up,workdir=/w")
	r := p.resolver(Options{})
	for _, c := range []struct {
		file, path string
		upper      bool
		want       string
	}{
		{"top/bin/a", "/bin/a", false, "/top/bin/a"},
		{"bottom/bin/b", "/bin/b", false, "/bottom/bin/b"},
		{"bottom/bin/a", "/bin/a", false, ""}, // the upper one is not it, and hides it
		{"up/etc/c", "/etc/c", true, "/up/etc/c"},
		{"up/etc/c", "/etc/none", true, ""},
		{"net/bin/d", "/bin/d", false, ""}, // a look could take for ever
		{"real/x", "/link/x", false, ""},
	} {
		f := files[c.file]
		f.Path, f.Upper = c.path, c.upper
		if got := r.HostPath(event.HostPlace{NS: 77, Tid: 500, Pid: 500, Resolved: true}, &f); got != c.want {
			t.Errorf("%s (%s): %q, want %q", c.path, c.file, got, c.want)
		}
	}
	unopened := event.File{Path: "/bin/a"}
	if got := r.HostPath(event.HostPlace{NS: 77, Pid: 500, Resolved: true}, &unopened); got != "" {
		t.Errorf("of a file that was not opened the layer is not known: %q", got)
	}
}

func BenchmarkHostPath(b *testing.B) {
	list := hostList[:len(hostList):len(hostList)]
	for i := range 200 {
		list = append(list, fmt.Sprintf("%d 20 0:%d / /var/lib/docker/overlay2/%d/merged rw - overlay overlay rw", 1000+i, 1000+i, i))
	}
	p := newFakeProc(b, list...)
	p.process(500, 77, "/", containerList...)
	r := p.resolver(Options{})
	r.now = time.Now
	f := event.File{Path: "/data/some/folder/of/a/volume/file", Dev: 8<<32 | 1}
	at := event.HostPlace{NS: 77, Tid: 500, Pid: 500, Resolved: true}
	b.Run("container", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r.HostPath(at, &f) == "" {
				b.Fatal("not found")
			}
		}
	})
	host := event.HostPlace{NS: hostNS, Tid: 1, Pid: 1, Resolved: true}
	b.Run("host", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r.HostPath(host, &f) != "" {
				b.Fatal("found")
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.debt = 0
			r.Changed(77)
			if r.HostPath(at, &f) == "" {
				b.Fatal("not found")
			}
		}
	})
}
