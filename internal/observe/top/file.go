package top

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// File is what one process did with one regular file, by system calls.
type File struct {
	Pid  uint32 `json:"pid"`
	Comm string `json:"comm"`
	// Path is as the process's mounts have it, with " (deleted)" behind a name that is
	// gone, and "…" in front where it is too long.
	Path string `json:"path"`
	// Device and Inode are the file's; in an overlay the device is the overlay's.
	Device string `json:"device"`
	Inode  uint64 `json:"inode"`
	Reads  uint64 `json:"reads"`
	Writes uint64 `json:"writes"`
	Syncs  uint64 `json:"syncs"`
	// Errors are calls that failed; they are in none of the above.
	Errors  uint64 `json:"errors"`
	Read    uint64 `json:"read_bytes"`
	Written uint64 `json:"written_bytes"`
	// Time is how long all calls took together, Max the longest.
	Time uint64 `json:"ns"`
	P50  uint64 `json:"p50_ns"`
	P99  uint64 `json:"p99_ns"`
	Max  uint64 `json:"max_ns"`

	took float64
}

func (r *File) rate(n uint64) float64 { return float64(n) / max(r.took, 0.001) }

var fileTable = table[File]{id: func(r *File) uint64 { return r.Inode }, who: func(r *File) (uint32, string) { return r.Pid, r.Comm },
	length: func(r *File, s float64) { r.took = s }, columns: []column[File]{
		{"PID", func(r *File) string { return strconv.FormatUint(uint64(r.Pid), 10) }, nil},
		{"COMM", func(r *File) string { return r.Comm }, nil},
		bytesOf("BYTES/s", func(r *File) uint64 { return uint64(r.rate(r.Read + r.Written)) }),
		bytesOf("READ/s", func(r *File) uint64 { return uint64(r.rate(r.Read)) }),
		bytesOf("WRITE/s", func(r *File) uint64 { return uint64(r.rate(r.Written)) }),
		{"OPS/s", func(r *File) string { return Rate(r.rate(r.Reads + r.Writes + r.Syncs)) }, func(r *File) float64 { return float64(r.Reads + r.Writes + r.Syncs) }},
		count("SYNCS", func(r *File) uint64 { return r.Syncs }),
		count("ERR", func(r *File) uint64 { return r.Errors }),
		timeOf("p50", func(r *File) uint64 { return r.P50 }),
		timeOf("p99", func(r *File) uint64 { return r.P99 }),
		timeOf("MAX", func(r *File) uint64 { return r.Max }),
		timeOf("TIME", func(r *File) uint64 { return r.Time }),
		{"FILE", func(r *File) string { return r.Path }, nil},
	}}

const fileLimits = "files mapped into memory, io_uring and 32-bit programs are not told; a call counts when it ends"

type fileWatch struct{ t *Top }

func openFiles(t *Top) (watch, error) {
	t.notes = append(t.notes, fileLimits)
	return fileWatch{t}, nil
}

// mark has nothing to add: the programs count for the interval that they find.
func (w fileWatch) mark() error { return nil }

func (w fileWatch) read(f *Frame) error {
	names := map[uint64]string{}
	err := take(w.t, "paths", func(k progPathKey) uint32 { return k.Epoch }, func(k progPathKey, p progFilePath) {
		n := min(int(p.Len), len(p.Text))
		text := make([]byte, n)
		for i := range text {
			text[i] = byte(p.Text[i])
		}
		names[k.Inode] = pathOf(text, p.Flags)
	})
	if err != nil {
		return err
	}
	rows := []File{}
	err = take(w.t, "files", func(k progFileKey) uint32 { return k.Epoch }, func(k progFileKey, v progFileStat) {
		rows = append(rows, File{
			Pid: k.Tgid, Comm: kernel.Text(v.Comm[:]), Path: orDash(names[k.Inode]), Device: fmt.Sprintf("%d:%d", v.Dev>>20, v.Dev&(1<<20-1)), Inode: v.Ino,
			Reads: v.Reads, Writes: v.Writes, Syncs: v.Syncs, Errors: v.Errors, Read: v.ReadBytes, Written: v.WrittenBytes,
			Time: v.Ns, P50: min(percentile(v.Slot[:], 50), v.Max), P99: min(percentile(v.Slot[:], 99), v.Max), Max: v.Max, took: f.Took,
		})
	})
	if err != nil {
		return err
	}
	fileTable.fill(f, rows, w.t.o.Sort)
	return nil
}

// What is to be said of a path (the enum in file.h).
const (
	pathCut     = 1
	pathDeleted = 2
)

// pathOf turns a path round that has its last name first, each name behind a slash.
func pathOf(text []byte, flags uint32) string {
	if len(text) == 0 {
		return "/"
	}
	names := strings.Split(string(text), "/")
	var b strings.Builder
	if flags&pathCut != 0 {
		b.WriteString("…")
	}
	for i := len(names) - 1; i > 0; i-- { // what is before the first slash is nothing
		b.WriteByte('/')
		b.WriteString(names[i])
	}
	if flags&pathDeleted != 0 {
		b.WriteString(" (deleted)")
	}
	return b.String()
}
