package sink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Stream is a target that writes to an io.Writer such as a pipe or a
// terminal.
type Stream struct {
	w    io.Writer
	torn bool // the last write ended within a line
}

// NewStream makes a target of w. Close closes w if it is an io.Closer.
func NewStream(w io.Writer) *Stream { return &Stream{w: w} }

// Stdout makes a target of standard output under a descriptor of its own, so
// that a reader who goes away shows as ErrClosed, not as a fatal signal.
func Stdout() (*Stream, error) {
	fd, err := unix.FcntlInt(uintptr(unix.Stdout), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("opening standard output: %w: start bearcat with it open, or write to a file", err)
	}
	return NewStream(os.NewFile(uintptr(fd), "stdout")), nil
}

// WriteLines implements Target. What a failed write left of a line cannot be
// taken back here; the next write ends that line first.
func (s *Stream) WriteLines(b []byte) (int, error) {
	if s.torn {
		if _, err := s.w.Write([]byte{'\n'}); err != nil {
			return 0, streamError(err)
		}
		s.torn = false
	}
	n, err := s.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err == nil {
		return n, nil
	}
	n = max(0, min(n, len(b)))
	whole := bytes.LastIndexByte(b[:n], '\n') + 1
	s.torn = whole < n
	return whole, streamError(err)
}

func streamError(err error) error {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

// Close implements Target.
func (s *Stream) Close() error {
	if c, ok := s.w.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
