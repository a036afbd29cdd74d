// Package file is the sink target that writes lines to a file and rotates it
// by size. In come batches of whole lines from a sink.Writer; out goes
// NAME and, as it fills, NAME.1, NAME.2 and so on, the oldest being removed.
// The agent opens it, and calls Reopen on SIGHUP for those who rotate with
// another program.
//
// Lines are handed to the kernel and not synced to the disk: they survive the
// agent, but the last seconds may not survive a loss of power.
package file

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/sink"
)

// Config says where and how much.
type Config struct {
	// Path is the file; its directory must exist.
	Path string
	// MaxSize is the size in bytes that no file exceeds unless a single line
	// does; 0 turns rotation off.
	MaxSize int64
	// Keep is how many old files stay beside the current one.
	Keep int
	// Log is told when rotation fails; nil for none.
	Log *slog.Logger
}

// File is a sink.Target.
type File struct {
	cfg Config

	mu   sync.Mutex
	f    handle
	size int64
	torn bool // f ends within a line that could not be taken back
	// rotateAt is the size at which to rotate: MaxSize, or more after a
	// rotation that failed.
	rotateAt int64
}

// handle is the part of *os.File that is used, so that tests can fail it.
type handle interface {
	Write(b []byte) (int, error)
	Truncate(size int64) error
	Close() error
}

var _ sink.Target = (*File)(nil)

// Open opens the file for appending, or makes it, readable by its owner only.
func Open(cfg Config) (*File, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	f := &File{cfg: cfg, rotateAt: cfg.MaxSize}
	h, size, err := open(cfg.Path)
	if err != nil {
		return nil, err
	}
	f.f, f.size = h, size
	return f, nil
}

// open opens path and returns its size. It follows no symbolic link and takes
// no file that another user owns or that has another name: root must not be
// led to write elsewhere.
func open(path string) (*os.File, int64, error) {
	// O_NONBLOCK so that a FIFO cannot hold us up; regular files ignore it
	h, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		hint := ""
		switch {
		case errors.Is(err, unix.ELOOP):
			hint = ": it is a symbolic link; name the file that it leads to"
		case errors.Is(err, fs.ErrNotExist):
			hint = ": make its directory first"
		}
		return nil, 0, fmt.Errorf("opening output file: %w%s", err, hint)
	}
	size, err := inspect(h)
	if err != nil {
		h.Close()
		return nil, 0, fmt.Errorf("opening output file %s: %w", path, err)
	}
	return h, size, nil
}

func inspect(h *os.File) (int64, error) {
	info, err := h.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("it is not a regular file; write to standard output and redirect that instead")
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(h.Fd()), &st); err != nil {
		return 0, err
	}
	if st.Nlink != 1 {
		return 0, fmt.Errorf("it has %d names, so writing to it would change another file: choose another path", st.Nlink)
	}
	if uid := os.Geteuid(); st.Uid != uint32(uid) {
		return 0, fmt.Errorf("it belongs to uid %d and not to %d, who runs bearcat: remove it or change its owner", st.Uid, uid)
	}
	return info.Size(), nil
}

// WriteLines implements sink.Target. A write that fails leaves the file at the
// end of its last whole line, so that nothing is torn.
func (f *File) WriteLines(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f == nil {
		return 0, fmt.Errorf("writing %s: %w", f.cfg.Path, sink.ErrClosed)
	}
	done := 0
	for done < len(b) {
		part := f.part(b[done:])
		if len(part) == 0 {
			f.rotate(int64(len(b) - done))
			continue
		}
		n, err := f.append(part)
		done += n
		if err != nil {
			return done, fmt.Errorf("writing %s: %w", f.cfg.Path, err)
		}
	}
	return done, nil
}

// part returns the leading whole lines of b that the current file may still
// take; none if it must be rotated first.
func (f *File) part(b []byte) []byte {
	if f.cfg.MaxSize <= 0 || f.size+int64(len(b)) <= f.rotateAt {
		return b
	}
	room := max(f.rotateAt-f.size, 0)
	if end := bytes.LastIndexByte(b[:min(room, int64(len(b)))], '\n') + 1; end > 0 {
		return b[:end]
	}
	if f.size > 0 {
		return nil
	}
	// one line that is longer than a whole file may be
	return b[:bytes.IndexByte(b, '\n')+1]
}

// append writes whole lines at the end of the file and returns how many bytes
// of whole lines are in it.
func (f *File) append(b []byte) (int, error) {
	if f.torn {
		if err := f.mend(); err != nil {
			return 0, err
		}
	}
	n, err := f.f.Write(b)
	if err == nil {
		f.size += int64(n)
		return n, nil
	}
	whole := bytes.LastIndexByte(b[:n], '\n') + 1
	f.size += int64(whole)
	if whole < n {
		if f.f.Truncate(f.size) != nil {
			f.size += int64(n - whole)
			f.torn = true
		}
	}
	return whole, err
}

// mend ends the half line that is last in the file.
func (f *File) mend() error {
	n, err := f.f.Write([]byte{'\n'})
	f.size += int64(n)
	f.torn = n == 0
	return err
}

// rotate renames the file out of the way and opens a new one. Where that
// fails, the rest of the batch and some more go into the old one before it is
// tried again.
func (f *File) rotate(rest int64) {
	err := f.shift()
	var h *os.File
	var size int64
	if err == nil {
		h, size, err = open(f.cfg.Path)
	}
	if err != nil {
		f.rotateAt = f.size + rest + f.cfg.MaxSize/10
		f.cfg.Log.Error("rotating an output file failed: it grows beyond its limit for now", "file", f.cfg.Path, "error", err)
		return
	}
	f.swap(h, size)
}

func (f *File) swap(h handle, size int64) {
	if err := f.f.Close(); err != nil {
		f.cfg.Log.Error("closing an output file failed: its last lines may be missing", "file", f.cfg.Path, "error", err)
	}
	f.f, f.size, f.torn, f.rotateAt = h, size, false, f.cfg.MaxSize
}

// shift renames NAME.1 to NAME.2 and so on, and NAME to NAME.1.
func (f *File) shift() error {
	if f.cfg.Keep <= 0 {
		return ignoreMissing(os.Remove(f.cfg.Path))
	}
	for i := f.cfg.Keep; i > 1; i-- {
		if err := ignoreMissing(os.Rename(f.old(i-1), f.old(i))); err != nil {
			return err
		}
	}
	return ignoreMissing(os.Rename(f.cfg.Path, f.old(1)))
}

func (f *File) old(n int) string { return f.cfg.Path + "." + strconv.Itoa(n) }

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Reopen opens the path anew, after another program has renamed the file. The
// old one stays in use where that fails.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f == nil {
		return fmt.Errorf("reopening %s: %w", f.cfg.Path, sink.ErrClosed)
	}
	h, size, err := open(f.cfg.Path)
	if err != nil {
		return fmt.Errorf("lines still go to the old file: %w", err)
	}
	f.swap(h, size)
	return nil
}

// Close implements sink.Target.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return err
}
