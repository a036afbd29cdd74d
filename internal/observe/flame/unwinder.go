package flame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/observe/ehframe"
)

// Bounds on the work and memory of making tables.
const (
	maxAreas = 4096 // of one process
	// burst is how much processor time the tables may take at once, and sharePart the part
	// of one processor that they may take in the long run.
	burst     = 2 * time.Second
	sharePart = 20
	// sweepAfter is how many looks at processes pass before those that have ended are
	// forgotten.
	sweepAfter = 1000
	// prepared is how long processes are looked at before anything is counted, and
	// maxPrepared how many at most: half of those that there is room for.
	prepared    = time.Second
	maxPrepared = 2048
	rowSize     = 8
)

// fileTable is where the rows of a file are.
type fileTable struct {
	first, count uint32
	base         uint64
	segments     []ehframe.Segment
}

// slots are the places of a process's areas: what is in use is not written to, so there
// are two.
type slots struct {
	mm      uint64
	at      [2]uint32
	size    int
	current int
	told    int // of changes
	areas   []progArea
}

// unwinder makes tables for the processes that the kernel program asks for, and puts
// them where that reads them.
type unwinder struct {
	tables, ends *ebpf.Map
	rows, areas  io.WriterAt
	wishes       *ringbuf.Reader
	vdso         mapping // this process's own, which is everyone's

	files     map[fileKey]fileTable
	known     map[ehframe.ID]fileTable
	processes map[uint32]*slots
	free      map[int][]uint32 // areas, by size
	usedRows  uint32
	usedAreas uint32
	roomRows  uint64
	roomAreas uint64
	made      int
	over      int
	looks     int
	spent     time.Duration

	// changed tells of processes that have other code than before; when nobody listens
	// it tells nothing.
	changed chan uint32

	closing sync.Once
	done    chan struct{}
}

func newUnwinder(coll *ebpf.Collection) (*unwinder, error) {
	u := &unwinder{tables: coll.Maps["tables"], ends: coll.Maps["ends"], files: map[fileKey]fileTable{}, known: map[ehframe.ID]fileTable{}, processes: map[uint32]*slots{}, free: map[int][]uint32{}, changed: make(chan uint32, 256)}
	rows, err := coll.Maps["rows"].Memory()
	if err != nil {
		return nil, fmt.Errorf("sharing memory with the kernel for tables: %w", err)
	}
	areas, err := coll.Maps["areas"].Memory()
	if err != nil {
		return nil, fmt.Errorf("sharing memory with the kernel for areas: %w", err)
	}
	u.rows, u.roomRows = rows, uint64(rows.Size())/rowSize
	u.areas, u.roomAreas = areas, uint64(areas.Size())/areaSize
	if u.wishes, err = ringbuf.NewReader(coll.Maps["wishes"]); err != nil {
		return nil, fmt.Errorf("reading which processes need tables: %w", err)
	}
	for _, m := range codeOf("/proc/self") {
		if m.path == "[vdso]" {
			u.vdso = m
		}
	}
	return u, nil
}

// prepare makes the tables of what will be counted. The clock finds a process again and
// again; of one that sleeps for long there may be one stack only, which must not be the
// one for which there were no tables yet.
func (u *unwinder) prepare(o Options) {
	if o.Pid != 0 {
		u.look(o.Pid, 0)
		return
	}
	if o.Kind.Name == "cpu" || o.Kind.Name == "drop" {
		return
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer func() { _ = proc.Close() }()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return
	}
	begun := time.Now()
	for _, name := range names {
		pid, err := strconv.ParseUint(name, 10, 32)
		if err != nil || int(pid) == os.Getpid() {
			continue
		}
		if o.Comm != "" {
			if comm, err := os.ReadFile("/proc/" + name + "/comm"); err != nil || strings.TrimSuffix(string(comm), "\n") != o.Comm {
				continue
			}
		}
		if time.Since(begun) > prepared || u.looks >= maxPrepared {
			return
		}
		u.look(uint32(pid), 0)
	}
}

// start makes tables in the background until close.
func (u *unwinder) start() {
	u.done = make(chan struct{})
	begun := time.Now()
	go func() {
		defer close(u.done)
		for {
			rec, err := u.wishes.Read()
			if err != nil {
				return
			}
			if len(rec.RawSample) < 12 {
				continue
			}
			before := time.Now()
			u.look(binary.NativeEndian.Uint32(rec.RawSample[8:]), binary.NativeEndian.Uint64(rec.RawSample))
			u.spent += time.Since(before)
			// a storm of processes must not make this the most of the work
			if debt := u.spent - burst - time.Since(begun)/sharePart; debt > 0 {
				time.Sleep(min(debt*sharePart, 100*time.Millisecond))
			}
		}
	}()
}

// close ends the making of tables; it may be called twice.
func (u *unwinder) close() {
	u.closing.Do(func() {
		_ = u.wishes.Close()
		if u.done != nil {
			<-u.done
		}
	})
}

// codeOf reads which parts of a process's memory have code.
func codeOf(dir string) []mapping {
	f, err := os.Open(dir + "/maps")
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	return parseMaps(f)
}

// look makes the tables of a process, with the name of its memory that the kernel
// program gave; 0 where it has not seen it yet.
func (u *unwinder) look(pid uint32, mm uint64) {
	if u.looks++; u.looks%sweepAfter == 0 {
		u.sweep()
	}
	dir := filepath.Join("/proc", strconv.FormatUint(uint64(pid), 10))
	var areas []progArea
	for _, m := range codeOf(dir) {
		if m.start >= 1<<63 || len(areas) == maxAreas {
			continue
		}
		a := u.area(dir, m)
		if n := len(areas); n > 0 && a.Count == 0 && areas[n-1].Count == 0 && areas[n-1].End == a.Start {
			areas[n-1].End = a.End
			continue
		}
		areas = append(areas, a)
	}
	if len(areas) > 0 {
		u.publish(pid, mm, areas)
	}
}

// area says what is known of a mapping.
func (u *unwinder) area(dir string, m mapping) progArea {
	a := progArea{Start: m.start, End: m.end}
	t := u.file(dir, m)
	for _, s := range t.segments {
		if begin := s.Off &^ 4095; t.count > 0 && m.off >= begin && m.off < s.Off+s.Size {
			a.Base = m.start - m.off + s.Off - s.Addr + t.base
			a.First, a.Count = t.first, t.count
			break
		}
	}
	return a
}

// file finds the table of what is mapped, or makes it.
func (u *unwinder) file(dir string, m mapping) fileTable {
	if t, ok := u.files[m.key]; ok {
		return t
	}
	var t fileTable
	switch {
	case m.path == "[vdso]":
		if m.end-m.start == u.vdso.end-u.vdso.start {
			if f, err := os.Open("/proc/self/mem"); err == nil {
				t = u.table(offsetReader{f, int64(u.vdso.start)})
				_ = f.Close()
			}
		}
	case m.key.inode == "0" || m.key.inode == "" || !strings.HasPrefix(m.path, "/"):
		return t
	default:
		f, err := os.Open(fmt.Sprintf("%s/map_files/%x-%x", dir, m.start, m.end))
		if err != nil {
			return t // gone; another process may still have it
		}
		if local(f) {
			t = u.table(f)
		}
		_ = f.Close()
	}
	if len(u.files) < maxFiles*4 {
		u.files[m.key] = t
	}
	return t
}

// local is whether a file can be read without waiting for another process, which may
// never answer.
func local(f *os.File) bool {
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return false
	}
	var fs unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &fs) == nil && fs.Type != unix.FUSE_SUPER_MAGIC
}

// offsetReader reads from a place in a file.
type offsetReader struct {
	f  *os.File
	at int64
}

func (r offsetReader) ReadAt(b []byte, off int64) (int, error) {
	return r.f.ReadAt(b, r.at+off)
}

// table makes a file's table and puts it where the kernel program reads it, unless one
// with the same content is there.
func (u *unwinder) table(r io.ReaderAt) fileTable {
	f, err := ehframe.Open(r)
	if err != nil {
		if errors.Is(err, ehframe.ErrTooLarge) {
			u.over++
		}
		return fileTable{}
	}
	id := f.ID()
	if t, ok := u.known[id]; ok {
		t.segments = f.Segments
		return t
	}
	rows, err := f.Rows()
	if len(rows) == 0 && err == nil {
		return fileTable{}
	}
	if err != nil || uint64(u.usedRows)+uint64(len(rows)) > u.roomRows {
		u.over++
		u.known[id] = fileTable{}
		return fileTable{}
	}
	b := make([]byte, 0, len(rows)*rowSize)
	for _, r := range rows {
		b = binary.NativeEndian.AppendUint32(b, r.PC)
		b = binary.NativeEndian.AppendUint32(b, uint32(r.Rule))
	}
	if _, err := u.rows.WriteAt(b, int64(u.usedRows)*rowSize); err != nil {
		u.over++
		return fileTable{}
	}
	t := fileTable{first: u.usedRows, count: uint32(len(rows)), base: f.Base, segments: f.Segments}
	u.usedRows += t.count
	u.made++
	u.known[id] = t
	return t
}
