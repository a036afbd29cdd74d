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
	// Queue is set for sockets that are neither of TCP, UDP nor unix, and for those of MPTCP.
	Queue *SocketQueue
}

// SocketQueue is what a socket holds.
type SocketQueue struct {
	// Receive and Send are the bytes of memory of what waits to be read and to be sent,
	// Drops counts packets that did not reach the reader, most often as its buffer was full.
	Receive, Send, Drops uint32
	NetNS                uint32
}

// ListFiles calls fn for each open file of each process, as the kernel walks them:
// processes in the order of their pids, descriptors in that of their numbers. What
// opens and closes meanwhile may be there or not.
func ListFiles(t *kernel.Transport, fn func(OpenFile)) error {
	spec, err := loadFiles()
	if err != nil {
		return fmt.Errorf("reading the program that lists files: %w", err)
	}
	coll, err := t.LoadIterators(spec, nil)
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

// streamFiles decodes the iterator's records as they are read.
func streamFiles(rd io.Reader, fn func(OpenFile)) error {
	d := filesDecoder{decoder: newDecoder(), fn: fn, told: map[toldKey]*event.File{}}
	if err := sensor.Stream(rd, d.one); err != nil {
		return fmt.Errorf("reading the list of files: %w", err)
	}
	return nil
}

// filesDecoder takes the records of the list apart.
type filesDecoder struct {
	decoder
	fn func(OpenFile)
	// told has files whose paths came with a record before.
	told map[toldKey]*event.File
	slab []event.FD
	h    filesBcListed
	fd   progBcFd
}

type toldKey struct{ dentry, mnt, root uint64 }

// one takes the first record apart; 0 where it is not whole.
func (d *filesDecoder) one(raw []byte) (int, error) {
	h, o := &d.h, &d.fd
	if !sensor.Fixed(raw, h) {
		return 0, nil
	}
	if int64(h.Len) < int64(unsafe.Sizeof(*h)) {
		return 0, fmt.Errorf("a record of %d bytes, which is too short", h.Len)
	}
	if uint64(h.Len) > uint64(len(raw)) {
		return 0, nil
	}
	body := raw[unsafe.Sizeof(*h):h.Len]
	var sec progBcSec
	if !sensor.Fixed(body, &sec) || sec.Tag != secFD || uint64(sec.Len) > uint64(len(body))-uint64(unsafe.Sizeof(sec)) {
		return 0, fmt.Errorf("descriptor of process %d has no section", h.Key.Pid)
	}
	body = body[unsafe.Sizeof(sec):][:sec.Len]
	if !sensor.Fixed(body, o) {
		return 0, fmt.Errorf("%d bytes are too few for a descriptor of process %d", len(body), h.Key.Pid)
	}
	if len(d.slab) == 0 {
		d.slab = make([]event.FD, 128)
	}
	fd := &d.slab[0]
	d.slab = d.slab[1:]
	if err := d.fill(fd, o, body[unsafe.Sizeof(*o):]); err != nil {
		return 0, err
	}
	d.path(fd)
	f := OpenFile{
		Key: event.Key{Pid: h.Key.Pid, Start: h.Key.Start}, Tid: h.Tid, FD: fd, Pos: h.Pos, Flags: o.Fflags,
		Read: o.Fmode&fmodeRead != 0, Write: o.Fmode&fmodeWrite != 0,
	}
	if h.Queue != 0 {
		f.Queue = &SocketQueue{Receive: h.Receive, Send: h.Send, Drops: h.Drops, NetNS: h.NetNs}
	}
	d.fn(f)
	return int(h.Len), nil
}

// path takes a file's path from a record before, or keeps it for those that come.
func (d *filesDecoder) path(fd *event.FD) {
	if d.h.Dentry == 0 {
		return
	}
	key := toldKey{d.h.Dentry, d.h.Mnt, d.h.Root}
	if d.h.Told == 0 {
		d.told[key] = &fd.File
		return
	}
	if from := d.told[key]; from != nil {
		f := &fd.File
		f.Path, f.RootPath, f.Unreachable, f.PathCut = from.Path, from.RootPath, from.Unreachable, from.PathCut
		f.Memfd, f.Deleted = from.Memfd, from.Deleted
	}
}
