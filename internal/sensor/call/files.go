package call

import (
	"fmt"
	"io"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/sensor"
	"github.com/cilium/ebpf/link"
)

// Bits of the kernel's f_mode.
const (
	fmodeRead  = 1
	fmodeWrite = 2
)

// OpenFile is an open file of a process as the kernel has it.
type OpenFile struct {
	Key event.Key
	// Tid is the thread whose descriptor it is, where a thread has some of its own;
	// else it is the process's pid.
	Tid uint32
	FD  *event.FD
	// Pos is the position in bytes, Flags are those of open(2).
	Pos         int64
	Flags       uint32
	Read, Write bool
}

// ListFiles calls fn for each open file of each process, as the kernel walks them:
// processes in the order of their pids, descriptors in that of their numbers. What
// opens and closes meanwhile may be there or not.
func ListFiles(t *kernel.Transport, fn func(OpenFile)) error {
	spec, err := loadFiles()
	if err != nil {
		return fmt.Errorf("reading the program that lists files: %w", err)
	}
	coll, err := t.Load(spec, nil)
	if err != nil {
		return fmt.Errorf("loading the program that lists files: %w", err)
	}
	defer coll.Close()
	it, err := link.AttachIter(link.IterOptions{Program: coll.Programs["bc_on_file"]})
	if err != nil {
		return fmt.Errorf("attaching the iterator of files: %w", err)
	}
	defer func() { _ = it.Close() }()
	rd, err := it.Open()
	if err != nil {
		return fmt.Errorf("opening the iterator of files: %w", err)
	}
	defer func() { _ = rd.Close() }()
	return streamFiles(rd, fn)
}

// streamFiles decodes the iterator's records as they are read: there may be millions.
func streamFiles(rd io.Reader, fn func(OpenFile)) error {
	d := newDecoder()
	const most = 1 << 18 // several times what one record can have
	buf := make([]byte, 0, most)
	for {
		n, err := rd.Read(buf[len(buf):most])
		buf = buf[:len(buf)+n]
		rest, bad := decodeFiles(&d, buf, fn)
		if bad == nil && (len(rest) == most || err == io.EOF && len(rest) > 0) {
			bad = fmt.Errorf("decoding the list of files: %d bytes are left, which are no record", len(rest))
		}
		switch {
		case bad != nil:
			return bad
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("reading the iterator of files: %w", err)
		}
		buf = append(buf[:0], rest...)
	}
}

// decodeFiles takes whole records apart, and returns what is left behind the last.
func decodeFiles(d *decoder, raw []byte, fn func(OpenFile)) (rest []byte, err error) {
	for {
		var h filesBcListed
		if !sensor.Fixed(raw, &h) {
			return raw, nil
		}
		if int(h.Len) < int(unsafe.Sizeof(h)) {
			return nil, fmt.Errorf("decoding the list of files: a record of %d bytes, which is too short", h.Len)
		}
		if uint64(h.Len) > uint64(len(raw)) {
			return raw, nil
		}
		body := raw[unsafe.Sizeof(h):h.Len]
		raw = raw[h.Len:]
		var sec progBcSec
		if !sensor.Fixed(body, &sec) || sec.Tag != secFD || uint64(sec.Len) > uint64(len(body))-uint64(unsafe.Sizeof(sec)) {
			return nil, fmt.Errorf("decoding the list of files: descriptor of process %d has no section", h.Key.Pid)
		}
		body = body[unsafe.Sizeof(sec):][:sec.Len]
		fd, _, err := d.fd(body)
		if err != nil {
			return nil, err
		}
		var o progBcFd
		sensor.Fixed(body, &o)
		fn(OpenFile{
			Key: event.Key{Pid: h.Key.Pid, Start: h.Key.Start}, Tid: h.Tid, FD: fd, Pos: h.Pos, Flags: o.Fflags,
			Read: o.Fmode&fmodeRead != 0, Write: o.Fmode&fmodeWrite != 0,
		})
	}
}
