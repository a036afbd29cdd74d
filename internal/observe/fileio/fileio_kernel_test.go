package fileio

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// follow traces a program by name while it runs, and returns its calls.
func follow(t *testing.T, o Options, args ...string) []*Call {
	t.Helper()
	tr, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var calls []*Call
	done := make(chan error)
	go func() {
		done <- tr.Run(ctx, func(c *Call) bool {
			calls = append(calls, c)
			return true
		})
	}()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
	time.Sleep(100 * time.Millisecond)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	n, err := tr.Totals()
	if err != nil || n.Lost > 0 || n.Full > 0 {
		t.Errorf("%+v, %v", n, err)
	}
	t.Logf("%+v", n)
	for _, c := range calls {
		var sum time.Duration
		for _, s := range c.Stages {
			if sum += s.Took; s.Took < 0 || sum != s.At {
				t.Errorf("#%d: stage %s took %s and is at %s", c.ID, s.Name, s.Took, s.At)
			}
		}
		if sum != c.Took {
			t.Errorf("#%d took %s, its stages %s", c.ID, c.Took, sum)
		}
	}
	return calls
}

// of returns the calls on a path by name, those that returned nothing left out.
func of(t *testing.T, calls []*Call, name, path string) []*Call {
	t.Helper()
	var out []*Call
	for _, c := range calls {
		if c.Name == name && c.Path == path && c.Result > 0 {
			out = append(out, c)
			if err := c.WriteText(logger{t}, func(s string) string { return s }); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

type logger struct{ t *testing.T }

func (l logger) Write(b []byte) (int, error) {
	l.t.Log("\n" + string(b))
	return len(b), nil
}

func choice(comm string) kernel.Choice {
	return kernel.Choice{Comm: comm, Scope: kernel.HostScope()}
}

// copyTool makes a program with a name of its own, so that only its calls are followed.
func copyTool(t *testing.T, dir, tool, name string) string {
	t.Helper()
	from, err := exec.LookPath(tool)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestColdAndWarm reads a file of 1 MiB from a disk, and again: the first time through
// readahead and block requests, the second from the page cache.
func TestColdAndWarm(t *testing.T) {
	guest.Require(t)
	guest.Modprobe(t, "loop", "ext4")
	dir := t.TempDir()
	disk, mount := filepath.Join(dir, "disk"), filepath.Join(dir, "mnt")
	sh := func(script string) {
		t.Helper()
		if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	sh("truncate -s 16M " + disk + "; mkfs.ext4 -q " + disk + "; mkdir " + mount + "; mount -o loop " + disk + " " + mount)
	t.Cleanup(func() { _ = unix.Unmount(mount, unix.MNT_DETACH) })
	file := filepath.Join(mount, "file")
	cat := copyTool(t, dir, "cat", "bccat")
	sh("head -c 1048576 /dev/urandom > " + file + "; umount " + mount + "; mount -o loop " + disk + " " + mount) // nothing is in the cache
	cold := of(t, follow(t, Options{Rate: 100_000, Choice: choice("bccat")}, cat, file), "read", file)
	warm := of(t, follow(t, Options{Rate: 100_000, Choice: choice("bccat")}, cat, file), "read", file)
	count := func(calls []*Call) (bytes int64, pages, requests uint32) {
		for _, c := range calls {
			bytes, pages, requests = bytes+c.Result, pages+c.Pages, requests+c.Requests
		}
		return bytes, pages, requests
	}
	bytes, pages, requests := count(cold)
	if bytes != 1<<20 || pages == 0 || requests == 0 || cold[0].Cache != "miss" || cold[0].Kind != "ext4" || cold[0].Comm != "bccat" {
		t.Errorf("cold: %d bytes, %d pages, %d requests, %+v", bytes, pages, requests, cold)
	}
	stages := map[string]bool{}
	for _, s := range cold[0].Stages {
		stages[s.Name] = true
		if s.Name == "issued" && !strings.Contains(s.Detail, "loop") {
			t.Errorf("it asked another disk: %s", s.Detail)
		}
	}
	// whether it sleeps depends on how fast the disk is
	for _, name := range []string{"call", "pages", "queued", "issued", "complete", "done"} {
		if !stages[name] {
			t.Errorf("the first read has no stage %q", name)
		}
	}
	bytes, pages, requests = count(warm)
	if bytes != 1<<20 || pages != 0 || requests != 0 || warm[0].Cache != "hit" || !strings.Contains(warm[0].verdict(), "page cache hit, 0 block I/O") {
		t.Errorf("warm: %d bytes, %d pages, %d requests", bytes, pages, requests)
	}
}

// TestOpensAndErrors follows calls where no disk is needed.
func TestOpensAndErrors(t *testing.T) {
	guest.NeedKernel(t)
	dir := t.TempDir()
	cat := copyTool(t, dir, "cat", "bccat2")
	file := filepath.Join(dir, "some file")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	calls := follow(t, Options{Rate: 100_000, Choice: choice("bccat2")}, cat, file)
	read := of(t, calls, "read", file)
	opened := of(t, calls, "openat", file)
	if len(read) != 1 || read[0].Result != 5 || len(opened) != 1 || read[0].FD != opened[0].FD || read[0].Cache != "hit" {
		t.Errorf("read %+v, opened %+v", read, opened)
	}
	if few := follow(t, Options{Slower: time.Hour, Choice: choice("bccat2")}, cat, file); len(few) != 0 {
		t.Errorf("%d calls take more than an hour", len(few))
	}
	missing := false
	tr, err := Open(Options{Choice: choice("bccat2")})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	_ = exec.Command(cat, filepath.Join(dir, "none")).Run()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tr.Run(ctx, func(c *Call) bool {
		missing = missing || c.Name == "openat" && c.Error == "ENOENT"
		return true
	}); err != nil || !missing {
		t.Errorf("an open of no file is not told: %v", err)
	}
}

// TestOverlayCopyUp writes to files of an overlay's lower layer: the first open for writing
// copies the file up and says so, once.
func TestOverlayCopyUp(t *testing.T) {
	guest.NeedKernel(t)
	if known, _ := os.ReadFile("/proc/filesystems"); !strings.Contains(string(known), "\toverlay\n") {
		guest.Modprobe(t, "overlay")
	}
	dir := t.TempDir()
	shell := copyTool(t, dir, "sh", "bccopyup")
	merged := filepath.Join(dir, "m", "merged")
	// a mount namespace of its own keeps the mounts from the host
	calls := follow(t, Options{Rate: 100_000, Choice: choice("bccopyup")}, "unshare", "-m", "sh", "-ec", `cd "$1"; mkdir m; mount -t tmpfs none m; cd m
		mkdir under lower upper work merged; head -c 1048576 /dev/zero > lower/file; echo gone > lower/cut; echo kept > lower/read; touch -d '1 hour ago' lower/*
		mount -t overlay -o lowerdir="$PWD/under:$PWD/lower",upperdir="$PWD/upper",workdir="$PWD/work" none merged
		exec "$2" -ec 'read x < merged/read; echo x >> merged/file; echo y >> merged/file; echo z > merged/new; echo cut > merged/cut'`, "sh", dir, shell)
	got := map[string]*Call{}
	for _, c := range calls {
		if c.CopyUp == nil {
			continue
		}
		if got[c.Path] != nil {
			t.Errorf("%s is copied up twice", c.Path)
		}
		got[c.Path] = c
		t.Log(c.CopyUp.line(c))
	}
	if types := btf.NewCache(); overlayNote(types) != "" {
		if len(got) != 0 {
			t.Errorf("without types of overlay %v are told", got)
		}
		t.Skip(overlayNote(types))
	}
	file, cut := got[filepath.Join(merged, "file")], got[filepath.Join(merged, "cut")]
	if len(got) != 2 || file == nil || cut == nil {
		t.Fatalf("copied up are %v", got)
	}
	want := CopyUp{Bytes: 1 << 20, Upper: filepath.Join(dir, "m", "upper"), Lower: filepath.Join(dir, "m", "lower"), Layer: 2}
	if *file.CopyUp != want || file.Comm != "bccopyup" || file.Kind != "overlay" {
		t.Errorf("%+v of %+v, want %+v", file.CopyUp, file, want)
	}
	if want.Bytes = 0; *cut.CopyUp != want {
		t.Errorf("%+v, want %+v: an open that cuts the file copies none of it", cut.CopyUp, want)
	}
}
