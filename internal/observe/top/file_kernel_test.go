package top

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// files does known calls on files in the directory that it is given.
func files() error {
	in := bufio.NewReader(os.Stdin)
	if err := nextPart(in, "ready"); err != nil {
		return err
	}
	dir := os.Args[1]
	f, err := os.Create(filepath.Join(dir, "one"))
	if err != nil {
		return err
	}
	for range 10 {
		if _, err := f.Write(make([]byte, 1000)); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	for range 5 {
		if _, err := f.ReadAt(make([]byte, 512), 100); err != nil {
			return err
		}
	}
	_, _ = unix.Pread(int(f.Fd()), make([]byte, 8), -1) // fails
	gone, err := os.Create(filepath.Join(dir, "gone"))
	if err != nil {
		return err
	}
	_ = os.Remove(gone.Name())
	if _, err := gone.Write([]byte("seven b")); err != nil {
		return err
	}
	_ = nextPart(in, "done") // until the test ends
	return nil
}

// TestKnownCalls has a program write, sync and read a file, and write to one that has no
// name any more.
func TestKnownCalls(t *testing.T) {
	guest.NeedKernel(t)
	dir := filepath.Join(t.TempDir(), "a directory", "below")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	h := startHelper(t, "files", dir)
	h.says()
	v, _ := ViewNamed("file")
	w, err := Open(Options{View: v, Pid: h.pid})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	h.part("")
	f, err := w.Next(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := f.Rows.([]File)
	found := map[string]File{}
	for _, r := range rows {
		t.Logf("%+v", r)
		found[r.Path] = r
	}
	t.Logf("programs %s, own %s", f.BPF, f.Own)
	one := found[filepath.Join(dir, "one")]
	if one.Writes != 10 || one.Written != 10000 || one.Syncs != 1 || one.Reads != 5 || one.Read != 2560 || one.Errors != 1 {
		t.Errorf("%+v, want 10 writes of 10000 bytes, a sync, 5 reads of 2560 and an error", one)
	}
	if one.Max == 0 || one.P50 > one.P99 || one.P99 > one.Max || one.Max > one.Time {
		t.Errorf("times do not fit: %+v", one)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "one"), &st); err != nil || st.Ino != one.Inode {
		t.Errorf("its inode is %d, want %d", one.Inode, st.Ino)
	}
	gone := found[filepath.Join(dir, "gone")+" (deleted)"]
	if gone.Writes != 1 || gone.Written != 7 {
		t.Errorf("a file without a name: %+v", gone)
	}
	if len(rows) != 2 || f.Lost > 0 {
		t.Errorf("%d files, %d lost, want two files", len(rows), f.Lost)
	}
}
