package call

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// TestOpensAreFilteredByPath opens files by many names under several filters.
// What the kernel lets pass must be what the filter says, and more only where
// its program cannot know.
func TestOpensAreFilteredByPath(t *testing.T) {
	guest.NeedKernel(t)
	f, err := newFeed(kernel.DefaultBulkSize, Options{Types: event.TypesOf(event.Open)})
	need(t, err)
	t.Cleanup(func() { need(t, f.close()) })
	// All opens are made on a thread with mounts of its own, which ends here.
	done := make(chan error, 1)
	w := &observer{feed: f, t: t}
	go func() {
		runtime.LockOSThread()
		done <- openByPaths(w)
	}()
	need(t, <-done)
	need(t, f.stop())
}

// openByPaths sets filters, opens, and compares.
func openByPaths(w *observer) error {
	dir := newDir(w.t)
	long := strings.Repeat("n", 40)
	for _, d := range []string{"sub", "sub/deep", "mnt"} {
		need(w.t, os.Mkdir(dir+"/"+d, 0o700))
	}
	for _, n := range []string{"wanted", "other", "x.php", "x.php.txt", ".php", "no.ph", long, long + ".php", "sub/wanted", "sub/deep/other", "over"} {
		need(w.t, os.WriteFile(dir+"/"+n, nil, 0o600))
	}
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return err
	}
	err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount(dir+"/sub", dir+"/mnt", "", unix.MS_BIND, ""),
		unix.Mount(dir+"/other", dir+"/over", "", unix.MS_BIND, ""))
	if err != nil {
		return err
	}
	first, second, _ := strings.Cut(strings.TrimPrefix(filepath.Dir(dir), "/"), "/")
	second, _, _ = strings.Cut(second, "/")
	if second == "" {
		second = filepath.Base(dir)
	}
	filters := map[string]func(*event.PathFilter){
		"nothing":         func(*event.PathFilter) {},
		"a name":          func(f *event.PathFilter) { f.Name("wanted") },
		"a mounted name":  func(f *event.PathFilter) { f.Name("over") },
		"a long name":     func(f *event.PathFilter) { f.Name(long) },
		"an end":          func(f *event.PathFilter) { f.Ext(".php") },
		"a top":           func(f *event.PathFilter) { f.Top(first, "") },
		"two":             func(f *event.PathFilter) { f.Top(first, second) },
		"another":         func(f *event.PathFilter) { f.Top(first, "elsewhere"); f.Top("elsewhere", "") },
		"below etc":       func(f *event.PathFilter) { f.Top("etc", "") },
		"a tail":          func(f *event.PathFilter) { f.Tail("o.ph") },
		"a short tail":    func(f *event.PathFilter) { f.Tail("over"); f.Name("phph") },
		"a directory":     func(f *event.PathFilter) { f.Dir("deep") },
		"a name as dir":   func(f *event.PathFilter) { f.Dir("wanted"); f.Tail("mnt0"); f.Top("x", "y") },
		"mounted dir":     func(f *event.PathFilter) { f.Dir("mnt"); f.Name("none") },
		"dots":            func(f *event.PathFilter) { f.DotDot = true },
		"several at once": func(f *event.PathFilter) { f.Name("hostname"); f.Ext(".txt"); f.Top("etc", "ssh") },
	}
	names := []string{"wanted", "other", "x.php", "x.php.txt", ".php", "no.ph", long, long + ".php", "sub/wanted", "sub/deep/other", "sub/../other", "./other", "sub//wanted",
		"mnt/wanted", "mnt/deep/other", "over", "none", "sub/none.php", "none/../wanted", long + "/none", ".."}
	paths := []string{"/etc/hostname", "/etc/none", "/etc/ssh/none", "/none", "/"}
	for _, n := range names {
		paths = append(paths, dir+"/"+n)
	}
	for what, set := range filters {
		filter := &event.PathFilter{}
		set(filter)
		seen := w.openAll(paths, map[Opens]*event.PathFilter{OpenRead: filter, OpenFailed: filter})
		all := w.openAll(paths, nil)
		for _, p := range paths {
			c := all[p]
			if c == nil {
				w.t.Errorf("the open of %s is not seen without a filter", p)
				continue
			}
			pass, got := filter.Pass(c.Path.Raw, c.Path.Path), seen[p] != nil
			// of paths that are odd, and of a file system's root, the program
			// knows too little
			odd := c.Ret < 0 && (strings.Contains(p, "//") || strings.Contains(p, "/.") || len(filter.Dirs) > 0) || p == "/"
			if got != pass && (pass || !odd) {
				w.t.Errorf("%s: the open of %s (%s, result %d) is seen: %t, want %t", what, p, c.Path.Path, c.Ret, got, pass)
			}
		}
	}
	return nil
}

// openAll opens paths for reading and returns the opens that were seen.
func (w *observer) openAll(paths []string, filter map[Opens]*event.PathFilter) map[string]*event.Call {
	w.t.Helper()
	w.sensor.opts.Paths = filter
	need(w.t, w.sensor.configure())
	w.mu.Lock()
	from := len(w.records)
	w.mu.Unlock()
	open := func(p string, flags int) {
		if fd, err := unix.Open(p, flags, 0); err == nil {
			unix.Close(fd)
		}
	}
	for _, p := range paths {
		open(p, unix.O_RDONLY)
	}
	// opens for writing are not filtered: one tells when the others have come
	open("/dev/null", unix.O_WRONLY)
	end := &observer{feed: w.feed, t: w.t, from: from}
	end.find(event.Open, "the last open", func(r *event.TaskRecord) bool { return r.Call.Path.Raw == "/dev/null" })
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]*event.Call{}
	for _, r := range w.records[from:] {
		if r.Call.Args[2]&unix.O_ACCMODE == unix.O_RDONLY {
			out[r.Call.Path.Raw] = r.Call
		}
	}
	return out
}
