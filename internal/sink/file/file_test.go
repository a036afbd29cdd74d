package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sink"
)

func mustOpen(t *testing.T, cfg Config) *File {
	t.Helper()
	f, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, f *File, s string) {
	t.Helper()
	if n, err := f.WriteLines([]byte(s)); err != nil || n != len(s) {
		t.Fatalf("writing %q: %d, %v", s, n, err)
	}
}

func expect(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), got, err, want)
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	f := mustOpen(t, Config{Path: path, MaxSize: 8, Keep: 2})
	write(t, f, "aaa\nbbb\nccc\nddd\neee\nfff\ngggggggggggg\nhhh\n")
	expect(t, path, "hhh\n")
	expect(t, path+".1", "gggggggggggg\n")
	expect(t, path+".2", "eee\nfff\n")
	if _, err := os.Stat(path + ".3"); !os.IsNotExist(err) {
		t.Errorf("too many old files: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	f.Close()
	f = mustOpen(t, Config{Path: path, MaxSize: 8, Keep: 0})
	write(t, f, "iii\n")
	expect(t, path, "hhh\niii\n")
	write(t, f, "jjj\n")
	expect(t, path, "jjj\n")
	expect(t, path+".1", "gggggggggggg\n")
}

func TestFailedRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	f := mustOpen(t, Config{Path: path, MaxSize: 8, Keep: 1})
	if err := os.MkdirAll(path+".1/full", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, f, "aaa\nbbb\nccc\nddd\n")
	expect(t, path, "aaa\nbbb\nccc\nddd\n")
	if err := os.RemoveAll(path + ".1"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "eee\n")
	expect(t, path, "eee\n")
	expect(t, path+".1", "aaa\nbbb\nccc\nddd\n")
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	f := mustOpen(t, Config{Path: path})
	write(t, f, "one\n")
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "two\n")
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	write(t, f, "three\n")
	expect(t, path+".moved", "one\ntwo\n")
	expect(t, path, "three\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+".moved", path); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err == nil {
		t.Error("a symbolic link was followed")
	}
	write(t, f, "four\n") // still open on the removed file
	expect(t, path+".moved", "one\ntwo\n")
	f.Close()
	if err := f.Reopen(); !errors.Is(err, sink.ErrClosed) {
		t.Errorf("reopening after the end: %v", err)
	}
	if _, err := f.WriteLines([]byte("x\n")); !errors.Is(err, sink.ErrClosed) {
		t.Errorf("writing after the end: %v", err)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("plain"), nil, 0o600), os.Symlink(at("plain"), at("link")), os.Mkdir(at("dir"), 0o700),
		unix.Mkfifo(at("fifo"), 0o600), os.WriteFile(at("a"), nil, 0o600), os.Link(at("a"), at("hard")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]string{
		at("link"): "symbolic link", at("dir"): "is a directory", at("fifo"): "opening output file",
		at("hard"): "2 names", at("none/x"): "make its directory", "/dev/null": "not a regular file",
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(os.WriteFile(at("theirs"), nil, 0o600), os.Chown(at("theirs"), 65534, 65534)); err != nil {
			t.Fatal(err)
		}
		cases[at("theirs")] = "belongs to uid 65534"
	}
	for path, want := range cases {
		if f, err := Open(Config{Path: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
			if f != nil {
				f.Close()
			}
		}
	}
}

// failing is a file that is full after room bytes.
type failing struct {
	*os.File
	room       int
	noTruncate bool
}

func (f *failing) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	if _, err := f.File.Write(b[:n]); err != nil {
		return 0, err
	}
	if n < len(b) {
		return n, unix.ENOSPC
	}
	return n, nil
}

func (f *failing) Truncate(size int64) error {
	if f.noTruncate {
		return unix.EPERM
	}
	return f.File.Truncate(size)
}

func TestNoTornLines(t *testing.T) {
	for _, noTruncate := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "out")
		f := mustOpen(t, Config{Path: path})
		h := &failing{File: f.f.(*os.File), room: 6, noTruncate: noTruncate}
		f.f = h
		n, err := f.WriteLines([]byte("aaa\nbbb\nccc\n"))
		if n != 4 || !errors.Is(err, unix.ENOSPC) {
			t.Errorf("took %d, %v", n, err)
		}
		h.room = 100
		write(t, f, "bbb\nccc\n")
		if want := map[bool]string{false: "aaa\nbbb\nccc\n", true: "aaa\nbb\nbbb\nccc\n"}[noTruncate]; true {
			expect(t, path, want)
			if f.size != int64(len(want)) {
				t.Errorf("size %d, want %d", f.size, len(want))
			}
		}
	}
}

type lines struct{}

func (lines) AppendEvent(dst []byte, ev *event.Event) []byte {
	return fmt.Appendf(dst, "%06d %s\n", ev.Num, strings.Repeat("x", 992))
}
func (lines) AppendAlert(dst []byte, _ *event.Alert) []byte { return append(dst, "alert\n"...) }
func (lines) AppendLoss(dst []byte, _ time.Time, n uint64) []byte {
	return fmt.Appendf(dst, "lost %d\n", n)
}

// TestFullFilesystem fills a small file system, frees it, and holds the file
// to whole lines and a true count of the missing ones.
func TestFullFilesystem(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("bearcat-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("needs the right to mount: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast, path := filepath.Join(dir, "ballast"), filepath.Join(dir, "out")
	if err := os.WriteFile(ballast, make([]byte, 48<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	w := sink.NewWriter("test", lines{}, f, sink.Options{Events: true, Limit: 16 << 10})
	for i := range 100 {
		w.Event(&event.Event{Num: uint64(i)})
		time.Sleep(time.Millisecond)
	}
	for deadline := time.Now().Add(5 * time.Second); w.Stats().Errors == 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if s := w.Stats(); s.Dropped == 0 || !strings.Contains(s.LastError, "no space left") {
		t.Errorf("stats while full: %+v", s)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); w.Stats().Waiting > 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	w.Alert(&event.Alert{})
	closeErr := w.Close(t.Context())
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept, lost := 0, 0
	for line := range strings.Lines(string(got)) {
		var n int
		switch {
		case len(line) == 1000:
			kept++
		case line == "alert\n":
		default:
			if _, err := fmt.Sscanf(line, "lost %d\n", &n); err != nil {
				t.Errorf("a torn line of %d bytes", len(line))
			}
			lost += n
		}
	}
	s := w.Stats()
	if kept+lost != 100 || uint64(lost) != s.Dropped || s.In != s.Out+s.Dropped || closeErr == nil {
		t.Errorf("%d kept, %d lost, stats %+v, closing says %v", kept, lost, s, closeErr)
	}
}
